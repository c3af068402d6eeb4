//! What is acknowledged, as others see it without asking the writer: the place, what the state adds up to there, and how far the log's
//! files say so. Followers are fed by it, and wait for it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::log::{Position, SegmentEnd};
use crate::record::StateChecksum;

/// One acknowledged place. Everything in it is of the same moment.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub(super) position: Position,
    pub(super) checksum: StateChecksum,
    /// Where the log's last segment ends behind that place; `None` while the log is not written.
    pub(super) end: Option<SegmentEnd>,
}

/// The acknowledged place of an open registry.
#[derive(Debug)]
pub(super) struct Acknowledged {
    standing: Mutex<Standing>,
    moved: Condvar,
    /// For those who wait without holding a thread.
    sequence: watch::Sender<u64>,
}

impl Acknowledged {
    pub(super) fn at(position: Position) -> Acknowledged {
        let standing = Standing { position, checksum: StateChecksum::EMPTY, end: None };
        let (sequence, _) = watch::channel(position.sequence);
        Acknowledged { standing: Mutex::new(standing), moved: Condvar::new(), sequence }
    }

    pub(super) fn read(&self) -> Standing {
        self.lock().clone()
    }

    pub(super) fn set(&self, standing: Standing) {
        let sequence = standing.position.sequence;
        *self.lock() = standing;
        self.moved.notify_all();
        self.sequence.send_if_modified(|known| std::mem::replace(known, sequence) != sequence);
    }

    /// Waits until something behind a sequence is acknowledged, or the time is over; gives the acknowledged sequence.
    pub(super) fn wait_beyond(&self, sequence: u64, timeout: Duration) -> u64 {
        let deadline = Instant::now() + timeout;
        let mut standing = self.lock();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if standing.position.sequence > sequence || left.is_zero() {
                return standing.position.sequence;
            }
            standing = self.moved.wait_timeout(standing, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
