//! The decision, line by line: each file is a topic of the table of verdicts, and each row of a table in it one case that can be
//! held against the rule it comes from.
//!
//! Answers are compared in words (see `fixture::Told`): `"eligible apply [old_data]"` is a verdict, what the clerk does and the
//! notes; an entry reads `"eligible 54136015/1234567 [overlap]"`.

mod age;
mod certificate;
mod fixture;
mod order;
mod person;
mod place;
mod properties;
mod shared_key;
mod verdicts;
