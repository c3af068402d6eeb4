//! What the targets share: an appliance with a small register, files and directories in memory, and checksums made to fit again.
//!
//! A target takes bytes and hands them to one door of the appliance. Nothing that comes in by a door may make it panic, or take more
//! memory than the limit; what it answers must be what such an answer always is.

pub mod appliance;
pub mod bundle;
pub mod hub;
pub mod memory_disk;
pub mod register;
pub mod scratch;
pub mod sealing;
