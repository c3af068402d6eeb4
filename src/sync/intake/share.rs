//! How much of a processor applying may take: after each run it rests in proportion to the time the run took, so that look-ups come
//! first on a busy machine and on a quiet one as well.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest rest after one run: what follows it waits no longer.
const REST_MAX: Duration = Duration::from_secs(2);

/// Between two looks at whether to stop.
const STEP: Duration = Duration::from_millis(20);

/// A share of one processor, percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// All there is: nobody is waited for.
    pub const WHOLE: Share = Share(100);

    /// From 1 to 100; `None` otherwise.
    pub fn of_percent(percent: u32) -> Option<Share> {
        (1..=100).contains(&percent).then_some(Share(percent))
    }

    /// How long to rest after so much work.
    fn rest(self, worked: Duration) -> Duration {
        (worked * (100 - self.0) / self.0).min(REST_MAX)
    }

    /// Rests after so much work, unless the program is ending.
    pub(super) fn rest_after(self, worked: Duration, stop: &AtomicBool) {
        let until = Instant::now() + self.rest(worked);
        while !stop.load(Ordering::Relaxed) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_and_rest_make_up_the_share_and_no_rest_is_endless() {
        let worked = Duration::from_millis(100);
        let rest = |percent| Share::of_percent(percent).unwrap().rest(worked);
        assert_eq!((rest(100), rest(50), rest(25)), (Duration::ZERO, worked, 3 * worked));
        assert_eq!(rest(1), REST_MAX);
        assert_eq!((Share::of_percent(0), Share::of_percent(101)), (None, None));
    }
}
