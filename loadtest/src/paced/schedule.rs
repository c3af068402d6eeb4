//! When requests are meant to be sent.

use std::time::Duration;

/// Below this a timer costs more than it tells; several requests are then due at once, at most this late.
const INTERVAL_MIN: Duration = Duration::from_micros(50);

/// Bursts of `together` requests at even distances. The moments are worked out anew from the count of bursts, so that no rounding adds up.
pub(super) struct Schedule {
    ns_per_burst: f64,
    bursts: u64,
}

impl Schedule {
    pub(super) fn new(rate_per_s: f64, together: u16) -> Schedule {
        Schedule { ns_per_burst: f64::from(together) * 1e9 / rate_per_s.max(1e-3), bursts: 0 }
    }

    /// How often to look whether something is due.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs_f64(self.ns_per_burst / 1e9).max(INTERVAL_MIN)
    }

    /// The moment that the next burst was meant for, if that has come.
    pub(super) fn next_due(&mut self, now_ns: u64) -> Option<u64> {
        #[expect(clippy::cast_precision_loss, reason = "bursts and nanoseconds of a run are far below 2^52")]
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a moment of the run, not negative")]
        let meant_ns = (self.bursts as f64 * self.ns_per_burst) as u64;
        if meant_ns > now_ns {
            return None;
        }
        self.bursts += 1;
        Some(meant_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_due(schedule: &mut Schedule, now_ns: u64) -> Vec<u64> {
        std::iter::from_fn(|| schedule.next_due(now_ns)).collect()
    }

    #[test]
    fn what_fell_due_during_a_stall_keeps_the_moments_it_was_meant_for() {
        let mut schedule = Schedule::new(1_000.0, 1);
        assert_eq!(all_due(&mut schedule, 0), [0]);
        assert!(all_due(&mut schedule, 999_999).is_empty());
        assert_eq!(all_due(&mut schedule, 4_000_000), [1_000_000, 2_000_000, 3_000_000, 4_000_000]);
    }

    #[test]
    fn an_hour_at_a_rate_that_divides_nothing_loses_no_request() {
        let mut schedule = Schedule::new(7_001.0, 1);
        let hour_ns = 3_600 * 1_000_000_000;
        assert_eq!(all_due(&mut schedule, hour_ns).len(), 7_001 * 3_600 + 1);
    }

    #[test]
    fn bursts_are_as_far_apart_as_their_size_asks_and_a_timer_is_never_frantic() {
        let schedule = Schedule::new(200_000.0, 64);
        assert_eq!(schedule.interval(), Duration::from_micros(320));
        assert_eq!(Schedule::new(1_000_000.0, 1).interval(), INTERVAL_MIN);
    }
}
