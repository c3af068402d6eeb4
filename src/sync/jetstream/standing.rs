//! How far publishing to a broker is, and following it: for `status` and `metrics`.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far publishing is.
#[derive(Debug, Default)]
pub struct PublishStanding {
    connected: AtomicBool,
    sequence: AtomicU64,
    checkpoint_unix_ms: AtomicU64,
    breaks: AtomicU64,
    out_of_step: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PublishedToBroker {
    /// Whether the broker is there.
    pub connected: bool,
    /// The last sequence that the broker has acknowledged.
    pub sequence: u64,
    /// When the last checkpoint was published, ms since 1970; 0 where none was.
    pub checkpoint_unix_ms: u64,
    /// How often publishing was broken off.
    pub breaks: u64,
    /// How often somebody else's message was found in the broker's stream.
    pub out_of_step: u64,
}

impl PublishStanding {
    /// This moment's.
    pub fn read(&self) -> PublishedToBroker {
        PublishedToBroker {
            connected: self.connected.load(Ordering::Relaxed),
            sequence: self.sequence.load(Ordering::Relaxed),
            checkpoint_unix_ms: self.checkpoint_unix_ms.load(Ordering::Relaxed),
            breaks: self.breaks.load(Ordering::Relaxed),
            out_of_step: self.out_of_step.load(Ordering::Relaxed),
        }
    }

    pub(super) fn connected(&self) {
        self.connected.store(true, Ordering::Relaxed);
    }

    pub(super) fn published(&self, sequence: u64) {
        self.sequence.store(sequence, Ordering::Relaxed);
    }

    pub(super) fn checkpoint(&self, unix_ms: u64) {
        self.checkpoint_unix_ms.store(unix_ms, Ordering::Relaxed);
    }

    pub(super) fn broken_off(&self) {
        self.connected.store(false, Ordering::Relaxed);
        self.breaks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn out_of_step(&self) {
        self.out_of_step.fetch_add(1, Ordering::Relaxed);
    }
}

/// How far following a broker is.
#[derive(Debug, Default)]
pub struct BrokerStanding {
    connected: AtomicBool,
    taken: AtomicU64,
    doubled: AtomicU64,
    forged: AtomicU64,
    gaps: AtomicU64,
}

/// The same at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowedBroker {
    /// Whether the broker is there.
    pub connected: bool,
    /// Frames that were taken from its messages.
    pub taken: u64,
    /// Messages that had come before.
    pub doubled: u64,
    /// Messages that the hub's key had not signed.
    pub forged: u64,
    /// Gaps among its messages that were to be healed.
    pub gaps: u64,
}

impl BrokerStanding {
    /// This moment's.
    pub fn read(&self) -> FollowedBroker {
        FollowedBroker {
            connected: self.connected.load(Ordering::Relaxed),
            taken: self.taken.load(Ordering::Relaxed),
            doubled: self.doubled.load(Ordering::Relaxed),
            forged: self.forged.load(Ordering::Relaxed),
            gaps: self.gaps.load(Ordering::Relaxed),
        }
    }

    pub(super) fn connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }

    pub(super) fn taken(&self, frames: u64) {
        self.taken.fetch_add(frames, Ordering::Relaxed);
    }

    pub(super) fn doubled(&self) {
        self.doubled.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn forged(&self) {
        self.forged.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }
}
