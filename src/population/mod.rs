//! Deterministic synthetic recipients, for the demo, tests and load tests.
