//! Why somebody was turned away: for the operator's log, and at a pace that nobody from outside can drive.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::API_TURNED_AWAY_LINES_PER_S;

/// Writes a few lines a second, and counts the rest.
#[derive(Debug)]
pub(super) struct TurnedAway(Mutex<Pace>);

#[derive(Debug)]
struct Pace {
    second: Instant,
    lines: u32,
    unsaid: u64,
}

impl TurnedAway {
    pub(super) fn new() -> TurnedAway {
        TurnedAway(Mutex::new(Pace { second: Instant::now(), lines: 0, unsaid: 0 }))
    }

    /// Says who was turned away and why.
    pub(super) fn say(&self, who: impl Display, reason: impl Display) {
        let Some(unsaid) = self.0.lock().unwrap_or_else(PoisonError::into_inner).next_line(Instant::now()) else { return };
        if unsaid > 0 {
            tracing::warn!(unsaid, "others were turned away before, too many for a line each");
        }
        tracing::warn!(%who, %reason, "turned away");
    }
}

impl Pace {
    /// Whether a line may be written, and how many were not since the last; or counts one more that may not.
    fn next_line(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            (self.second, self.lines) = (now, 0);
        }
        if self.lines == API_TURNED_AWAY_LINES_PER_S {
            self.unsaid += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_writes_a_few_lines_a_second_and_is_counted() {
        let began = Instant::now();
        let mut pace = Pace { second: began, lines: 0, unsaid: 0 };
        let said = (0..1_000).filter(|_| pace.next_line(began).is_some()).count();
        assert_eq!(said, API_TURNED_AWAY_LINES_PER_S as usize);
        assert_eq!(pace.next_line(began + Duration::from_secs(1)), Some(1_000 - u64::from(API_TURNED_AWAY_LINES_PER_S)));
        assert_eq!(pace.next_line(began + Duration::from_secs(1)), Some(0));
    }
}
