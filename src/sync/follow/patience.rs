//! How long to wait after something failed: twice as long each time, and never all at the same moment.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::limits::{FOLLOW_RETRY_MS_MAX, FOLLOW_RETRY_MS_MIN};

/// Failures in a row.
#[derive(Debug, Default)]
pub(super) struct Patience {
    failures: u32,
}

impl Patience {
    /// Everything went well.
    pub(super) fn restore(&mut self) {
        self.failures = 0;
    }

    /// The pause after another failure: between half of the step and all of it, so that the followers of a hub that comes back do not
    /// all come at once.
    pub(super) fn pause(&mut self) -> Duration {
        let step = FOLLOW_RETRY_MS_MIN.saturating_mul(1 << self.failures.min(16)).min(FOLLOW_RETRY_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        let random = RandomState::new().build_hasher().finish();
        Duration::from_millis(step / 2 + random % (step / 2 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_begin_anew_after_a_success() {
        let mut patience = Patience::default();
        let mut step = FOLLOW_RETRY_MS_MIN;
        for _ in 0..40 {
            let pause = u64::try_from(patience.pause().as_millis()).unwrap();
            assert!((step / 2..=step).contains(&pause), "{pause} of {step}");
            step = (2 * step).min(FOLLOW_RETRY_MS_MAX);
        }
        patience.restore();
        assert!(patience.pause() <= Duration::from_millis(FOLLOW_RETRY_MS_MIN));
    }
}
