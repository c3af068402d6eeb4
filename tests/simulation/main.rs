//! The registry on a simulated disk: what a crash, a fault or a full disk may leave, tried at every single operation and on long random
//! walks, and judged by a plain model that shares nothing with the registry.
//!
//! Every suite prints one line that a table can be made of:
//! `proof: <what is promised> | <what goes wrong> | <the test> | <how often it was tried>`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a panic in a test is its report"
)]

mod batches;
mod crashing;
mod deeds;
mod faults;
mod following;
mod following_walks;
mod hub;
mod images;
mod life;
mod machine;
mod model;
mod proof;
mod restoring;
mod rows;
mod snapshots;
mod trimming;
mod walking;
mod writing;
