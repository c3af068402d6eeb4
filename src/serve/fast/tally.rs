#![forbid(unsafe_code)]
//! The listener's counts as it keeps them.

use std::sync::atomic::{AtomicU64, Ordering};

/// One number on cache lines of its own, so that counting on one core does not slow another.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Count(AtomicU64);

impl Count {
    /// Adds, and returns what was there before.
    pub(super) fn add(&self, number: u64) -> u64 {
        self.0.fetch_add(number, Ordering::Relaxed)
    }

    pub(super) fn take(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counts as the listener keeps them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) connections: Count,
    pub(super) accepted: Count,
    pub(super) refused: Count,
    pub(super) displaced: Count,
    pub(super) requests: Count,
    pub(super) bytes_out: Count,
    pub(super) poisoned: Count,
    pub(super) failed_answers: Count,
    pub(super) swept_idle: Count,
    pub(super) swept_slow: Count,
    pub(super) swept_flooding: Count,
    pub(super) swept_unread: Count,
    pub(super) retained_bytes: Count,
}
