//! The registry as a whole, on real directories: what a start does with what it finds, what registering does, and that a restart,
//! a backup or a damaged file never makes an answer lie.

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

mod failing;
#[path = "../../src/disk/faulty.rs"]
mod faulty;
mod files;
mod fixture;
mod following;
mod imaging;
mod parts;
mod publishing;
mod registering;
mod restarting;
mod shelving;
mod snapshots;
mod starting;
mod verifying;
mod walking;

// The disk that fails is the program's own tests' as well.
use shikaku::disk::{Disk, DiskFile, Held, OpenMode, RealDisk};
