//! What was measured, by contender and round.

use crate::arguments::{Form, Shape};
use crate::peers::Language;
use crate::report::{Figures, middle};
use crate::targets::Reading;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    Appliance,
    /// Its floor: the same requests, and a bare server.
    Floor,
    Peer(Language),
}

/// What was asked of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct What {
    pub(super) who: Who,
    pub(super) shape: Shape,
    pub(super) form: Form,
}

impl What {
    pub(super) const fn of(who: Who, shape: Shape, form: Form) -> What {
        What { who, shape, form }
    }
}

/// A contender in one manner, round by round.
pub(super) struct Series {
    pub(super) what: What,
    pub(super) name: String,
    /// Bytes of a request, on average.
    pub(super) request_bytes: f64,
    pub(super) rounds: Vec<Figures>,
}

impl Series {
    pub(super) fn lookups_per_s(&self) -> f64 {
        middle(self.rounds.iter().map(|figures| figures.lookups_per_s)).unwrap_or(0.0)
    }

    pub(super) fn cpu_ns(&self) -> Option<f64> {
        middle(self.rounds.iter().filter_map(|figures| figures.server_cpu_ns_per_lookup))
    }

    /// Median, 99th, 99.9th percentile and largest: each the median of the rounds.
    pub(super) fn latencies_us(&self) -> Option<[f64; 4]> {
        let each = |nth: usize| {
            let of_round = |figures: &Figures| figures.latencies_us.and_then(|latencies| latencies.get(nth).copied());
            middle(self.rounds.iter().filter_map(of_round))
        };
        Some([each(0)?, each(1)?, each(2)?, each(3)?])
    }

    pub(super) fn answer_bytes(&self) -> f64 {
        middle(self.rounds.iter().map(|figures| figures.answer_bytes)).unwrap_or(0.0)
    }

    /// The busiest round's part of its core that the client was busy.
    pub(super) fn client_busy(&self) -> f64 {
        self.rounds.iter().map(|figures| figures.client_busy).fold(0.0, f64::max)
    }

    fn is_saturated(&self) -> bool {
        self.rounds.iter().any(Figures::client_is_saturated)
    }
}

/// All series.
pub(super) struct Results {
    pub(super) series: Vec<Series>,
    /// Whether figures count though the client was busy all the time.
    lenient: bool,
}

impl Results {
    pub(super) fn new(lenient: bool) -> Results {
        Results { series: Vec::new(), lenient }
    }

    pub(super) fn add(&mut self, what: What, name: &str, request_bytes: f64, figures: Figures) {
        match self.series.iter_mut().find(|series| series.what == what) {
            Some(series) => series.rounds.push(figures),
            None => self.series.push(Series { what, name: name.to_owned(), request_bytes, rounds: vec![figures] }),
        }
    }

    /// Whose figures are the client's own, floors apart, and how busy it was.
    pub(super) fn saturated(&self) -> Vec<(String, f64)> {
        let saturated = self.series.iter().filter(|series| series.is_saturated() && series.what.who != Who::Floor);
        saturated.map(|series| (series.name.clone(), series.client_busy())).collect()
    }

    /// Whether a series says something about its server.
    pub(super) fn counts(&self, series: &Series) -> bool {
        self.lenient || !series.is_saturated() || series.what.who == Who::Floor
    }

    /// Whether a floor was held back by the client. A bare server does next to nothing, so that the client may well be what ends first:
    /// then the floor is at least what was measured, and what is set beside it at most that part of it.
    pub(super) fn is_held_back(&self, series: &Series) -> bool {
        !self.lenient && series.is_saturated() && series.what.who == Who::Floor
    }

    /// A series that was measured and counts.
    pub(super) fn of(&self, what: What) -> Result<&Series, &'static str> {
        let series = self.series.iter().find(|series| series.what == what).ok_or("not installed, or left out")?;
        if self.counts(series) { Ok(series) } else { Err("the client was busy all the time") }
    }

    /// How many times the one's look-ups a second are the other's, within each round: the median of the rounds.
    pub(super) fn times(&self, one: What, other: What) -> Result<Reading, &'static str> {
        let (one, other) = (self.of(one)?, self.of(other)?);
        let rounds = one.rounds.iter().zip(&other.rounds);
        let times = middle(rounds.map(|(one, other)| one.lookups_per_s / other.lookups_per_s)).ok_or("nothing was measured")?;
        Ok(if self.is_held_back(other) { Reading::AtMost(times) } else { Reading::Exactly(times) })
    }

    pub(super) fn cpu_ns(&self, what: What) -> Result<f64, &'static str> {
        self.of(what)?.cpu_ns().ok_or("no processor time was read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLIANCE: What = What::of(Who::Appliance, Shape::Pipeline, Form::Compact);
    const FLOOR: What = What::of(Who::Floor, Shape::Pipeline, Form::Compact);
    const REDIS: What = What::of(Who::Peer(Language::Resp), Shape::Pipeline, Form::Compact);

    fn figures(lookups_per_s: f64, client_busy: f64) -> Figures {
        Figures {
            lookups_per_s,
            server_cpu_ns_per_lookup: Some(100.0),
            client_busy,
            answer_bytes: 40.0,
            lookups: 1,
            requests: 1,
            latencies_us: None,
        }
    }

    fn results(lenient: bool) -> Results {
        let mut results = Results::new(lenient);
        // A machine that does half as much in the second round, and a third as much in the third.
        for (appliance, floor, redis) in [(600.0, 1_000.0, 200.0), (300.0, 500.0, 150.0), (220.0, 330.0, 80.0)] {
            results.add(APPLIANCE, "appliance", 100.0, figures(appliance, 0.5));
            results.add(FLOOR, "floor", 100.0, figures(floor, 0.7));
            results.add(REDIS, "Redis", 100.0, figures(redis, if redis < 100.0 { 0.99 } else { 0.5 }));
        }
        results
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        assert_eq!(results(false).times(APPLIANCE, FLOOR), Ok(Reading::Exactly(0.6)));
        assert_eq!(results(true).times(APPLIANCE, REDIS), Ok(Reading::Exactly(2.75)));
    }

    #[test]
    fn a_series_in_which_the_client_was_saturated_once_says_nothing_unless_that_is_allowed() {
        let strict = results(false);
        assert_eq!(strict.times(APPLIANCE, REDIS), Err("the client was busy all the time"));
        assert_eq!(strict.saturated(), [("Redis".to_owned(), 0.99)]);
        assert!(results(true).cpu_ns(REDIS).is_ok());
    }

    #[test]
    fn a_floor_that_the_client_holds_back_fails_no_run_and_bounds_what_is_set_beside_it() {
        for (lenient, times) in [(false, Reading::AtMost(0.6)), (true, Reading::Exactly(0.6))] {
            let mut results = results(lenient);
            results.add(APPLIANCE, "appliance", 100.0, figures(240.0, 0.5));
            results.add(FLOOR, "floor", 100.0, figures(400.0, 0.99));
            assert!(results.saturated().iter().all(|(name, _)| name == "Redis"));
            assert_eq!(results.times(APPLIANCE, FLOOR), Ok(times));
        }
    }

    #[test]
    fn an_appliance_that_saturates_the_client_fails_the_run_all_the_same() {
        let mut results = results(false);
        results.add(APPLIANCE, "appliance", 100.0, figures(240.0, 0.96));
        assert_eq!(results.saturated()[0], ("appliance".to_owned(), 0.96));
        assert_eq!(results.times(APPLIANCE, FLOOR), Err("the client was busy all the time"));
    }

    #[test]
    fn whoever_was_not_there_has_no_figures() {
        let absent = What::of(Who::Peer(Language::Postgres), Shape::Single, Form::Compact);
        assert_eq!(results(true).times(APPLIANCE, absent), Err("not installed, or left out"));
    }
}
