//! Atomics, from the standard library or from the model checker (`--features loom`), so that the model tests run the very code
//! that serves.

#[cfg(feature = "loom")]
pub(super) use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(feature = "loom"))]
pub(super) use std::sync::atomic::{AtomicU64, Ordering};
