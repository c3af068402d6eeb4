//! The highest rate that still passes: doubled until one fails, then the interval halved.

/// Where to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    pub(super) first: f64,
    pub(super) highest: f64,
    /// The search ends when what failed is at most this much above what passed, as a part of it.
    pub(super) precision: f64,
    /// How often a rate may fail before it counts as failed: others use the machine too.
    pub(super) tries: u16,
}

/// Below this part of the first rate nothing is looked for.
const LOWEST_PART: f64 = 1.0 / 64.0;

impl Search {
    /// The highest rate that passes, with what its trial gave; `None` if even the lowest fails. A trial gives `Err` when it failed in a
    /// way that no other rate can mend, `Ok(None)` when this rate is too high.
    pub(super) fn run<T, E>(&self, mut trial: impl FnMut(f64) -> Result<Option<T>, E>) -> Result<Option<(f64, T)>, E> {
        let mut tried = |rate: f64| {
            for _ in 0..self.tries.max(1) {
                if let Some(passed) = trial(rate)? {
                    return Ok(Some((rate, passed)));
                }
            }
            Ok(None)
        };
        let mut rate = self.first.min(self.highest);
        let mut best = None;
        let mut failed = None;
        while failed.is_none() {
            match tried(rate)? {
                Some(passed) => best = Some(passed),
                None => failed = Some(rate),
            }
            if rate >= self.highest {
                break;
            }
            rate = (rate * 2.0).min(self.highest);
        }
        let Some(mut failed) = failed else { return Ok(best) };
        while best.is_none() && failed > self.first * LOWEST_PART {
            match tried(failed / 2.0)? {
                Some(passed) => best = Some(passed),
                None => failed /= 2.0,
            }
        }
        while let Some((passed, _)) = best.as_ref().filter(|(passed, _)| failed / passed > 1.0 + self.precision) {
            let middle = f64::midpoint(*passed, failed);
            match tried(middle)? {
                Some(better) => best = Some(better),
                None => failed = middle,
            }
        }
        Ok(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    const SEARCH: Search = Search { first: 1_000.0, highest: 1_000_000.0, precision: 0.02, tries: 1 };

    /// A server in the textbook (M/M/1) that serves `capacity`: the 99th percentile of its latencies at a rate.
    fn p99_s(capacity: f64, rate: f64) -> Option<f64> {
        (rate < capacity).then(|| 100_f64.ln() / (capacity - rate))
    }

    fn highest(search: Search, capacity: f64, limit_s: f64) -> (Option<f64>, usize) {
        let mut trials = 0;
        let found = search.run(|rate| {
            trials += 1;
            Ok::<_, Infallible>(p99_s(capacity, rate).filter(|p99| *p99 <= limit_s))
        });
        (found.unwrap().map(|(rate, _)| rate), trials)
    }

    #[test]
    fn the_highest_rate_of_a_queue_is_found_from_below_within_the_precision() {
        for capacity in [1_500.0, 37_000.0, 98_765.0, 700_000.0] {
            let limit_s = 0.1;
            let truth = capacity - 100_f64.ln() / limit_s;
            let (found, trials) = highest(SEARCH, capacity, limit_s);
            let found = found.unwrap();
            assert!(found <= truth && found >= truth / 1.02, "{found} for {truth}");
            assert!(trials < 25, "{trials} trials");
        }
    }

    #[test]
    fn a_first_rate_that_is_too_high_is_halved_until_one_passes() {
        let (found, _) = highest(SEARCH, 100.0, 0.1);
        let truth = 100.0 - 100_f64.ln() / 0.1;
        assert!((truth / 1.02..=truth).contains(&found.unwrap()));
    }

    #[test]
    fn a_server_that_passes_nothing_has_no_rate_and_the_search_ends() {
        assert_eq!(highest(SEARCH, 0.0, 0.1).0, None);
    }

    #[test]
    fn nothing_above_the_highest_rate_is_tried() {
        let search = Search { highest: 3_000.0, ..SEARCH };
        assert_eq!(highest(search, 1e9, 0.1), (Some(3_000.0), 3));
    }

    #[test]
    fn a_rate_that_fails_once_by_bad_luck_is_tried_again() {
        let mut unlucky = true;
        let search = Search { tries: 2, ..SEARCH };
        let found = search.run(|rate| {
            let disturbed = rate > 10_000.0 && std::mem::take(&mut unlucky);
            Ok::<_, Infallible>(p99_s(100_000.0, rate).filter(|p99| *p99 <= 0.1 && !disturbed))
        });
        assert!(found.unwrap().unwrap().0 > 90_000.0);
    }

    #[test]
    fn what_no_rate_can_mend_ends_the_search() {
        assert_eq!(SEARCH.run(|_| Err::<Option<()>, _>("wrong answers")), Err("wrong answers"));
    }
}
