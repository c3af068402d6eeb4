//! The server's own snapshots: taken when they are due, read back, and said when they could not be. Look-ups and registering go on
//! whatever comes of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::clock::now_unix_ms;
use super::config::SnapshotConfig;
use super::schedule::Schedule;
use crate::limits::{SNAPSHOT_LOOK_MS, SNAPSHOT_RETRY_S};
use crate::registry::{Keeping, Registry, Trouble};

/// Takes snapshots until it is told to stop.
pub struct SnapshotKeeper {
    registry: Arc<Registry>,
    schedule: Schedule,
    keeping: Keeping,
    stop: Arc<AtomicBool>,
    /// The last round in which everything went well, ms since 1970; 0 before the first.
    last_unix_ms: u64,
    /// Nothing is tried before this, ms since 1970: the last round failed.
    retry_unix_ms: u64,
    /// Somebody needs one to begin with.
    is_awaited: bool,
}

impl SnapshotKeeper {
    /// A keeper as the configuration asks for it.
    pub fn new(registry: Arc<Registry>, config: &SnapshotConfig, stop: Arc<AtomicBool>) -> SnapshotKeeper {
        let log_retention_ms = u64::from(config.log_retention_days) * 24 * 3600 * 1000;
        let keeping = Keeping { snapshots: config.keep, log_retention_ms };
        SnapshotKeeper {
            registry,
            schedule: config.schedule(),
            keeping,
            stop,
            last_unix_ms: 0,
            retry_unix_ms: 0,
            is_awaited: false,
        }
    }

    /// Makes one due at once, whatever the schedule says, where the server takes any.
    pub fn take_one_at_once(&mut self) {
        self.is_awaited = self.schedule != Schedule::Never;
    }

    /// Looks at the clock and takes what is due, until `stop`.
    pub fn run(mut self) {
        while !self.stop.load(Ordering::Relaxed) {
            let now = now_unix_ms();
            if self.is_due(now) {
                self.round(now);
            }
            std::thread::sleep(Duration::from_millis(SNAPSHOT_LOOK_MS));
        }
    }

    /// Nothing is due while there is a trouble that stops writing: that one is told already, and its end is a restart.
    fn is_due(&self, now_unix_ms: u64) -> bool {
        if self.registry.troubles().stops_writing().is_some() {
            return false;
        }
        let standing = self.registry.shelf_standing();
        // Where there is no snapshot yet, the first is due as if one had been taken when the log began.
        let newest = standing.newest.map_or(standing.log_begun_unix_ms, |newest| newest.unix_ms);
        let last = if self.last_unix_ms > 0 { self.last_unix_ms } else { newest };
        let due = self.schedule.next_unix_ms(last, now_unix_ms);
        // A retry that lies further ahead than the pause was set by a clock that was wrong.
        let pauses = now_unix_ms < self.retry_unix_ms && self.retry_unix_ms - now_unix_ms <= SNAPSHOT_RETRY_S * 1000;
        !pauses && (self.is_awaited || due.is_some_and(|due| due <= now_unix_ms))
    }

    fn round(&mut self, now_unix_ms: u64) {
        let troubles = self.registry.troubles();
        match self.registry.keep_snapshots(&self.keeping, now_unix_ms) {
            Ok(round) => {
                (self.last_unix_ms, self.retry_unix_ms, self.is_awaited) = (now_unix_ms, 0, false);
                troubles.lower(Trouble::SnapshotFailed);
                if let Some(taken) = round.taken {
                    let (sequence, bytes) = (taken.sequence, taken.bytes);
                    tracing::info!(
                        sequence,
                        bytes,
                        sound = round.sound,
                        removed = round.removed,
                        "took a snapshot and read it back"
                    );
                }
                if round.trimmed.segments > 0 {
                    let (segments, first_sequence) = (round.trimmed.segments, round.trimmed.first_sequence);
                    tracing::info!(segments, first_sequence, "let old segments of the log go");
                }
            }
            Err(error) => {
                tracing::error!(%error, retry_s = SNAPSHOT_RETRY_S, "no snapshot could be taken");
                self.retry_unix_ms = now_unix_ms + self.retry_ms();
                troubles.lower(Trouble::SnapshotFailed);
                troubles.raise(Trouble::SnapshotFailed, error.to_string());
            }
        }
    }

    /// One that is taken more often than that is tried again when the next would have been due.
    fn retry_ms(&self) -> u64 {
        let seconds = match self.schedule {
            Schedule::Every { seconds } => seconds.min(SNAPSHOT_RETRY_S),
            Schedule::Never | Schedule::Daily { .. } => SNAPSHOT_RETRY_S,
        };
        seconds * 1000
    }
}
