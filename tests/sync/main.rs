//! The judge between a hub and a registry, without any line: what it takes, what it refuses and with which words, and that look-ups go on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a panic in a test is its report"
)]

#[path = "../../src/disk/faulty.rs"]
#[allow(dead_code, reason = "shared with the registry's own tests, which need all of it")]
mod faulty;
#[path = "../registry/fixture.rs"]
#[allow(dead_code, reason = "shared with the registry's own tests, which need all of it")]
mod registry;

mod houses;
mod refusing;
mod taking;

// The disk that fails is the program's own tests' as well.
use shikaku::disk::{Disk, DiskFile, Held, OpenMode, RealDisk};
