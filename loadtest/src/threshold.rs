//! What a run has to reach to end well.

use clap::Args;

use crate::error::LoadError;
use crate::report::{Figures, thousands};

/// What fails a run, answers apart: a wrong or missing one always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Args)]
pub(crate) struct ThresholdArguments {
    /// Fail below this many look-ups a second
    #[arg(long, value_name = "LOOKUPS_PER_S")]
    pub(crate) at_least: Option<f64>,
    /// Fail when the server spends more processor time than this on a look-up
    #[arg(long, value_name = "NS")]
    pub(crate) server_cpu_ns_at_most: Option<f64>,
    /// Fail when the 99th percentile of the latencies is above this
    #[arg(long, value_name = "US")]
    pub(crate) p99_us_at_most: Option<f64>,
    /// Fail below this part of the floor's look-ups a second; the floor is measured right after
    #[arg(long, value_name = "RATIO")]
    pub(crate) floor_ratio_at_least: Option<f64>,
    /// Report figures though the client was busy all the time, so that the server might do more
    #[arg(long)]
    pub(crate) allow_saturated_client: bool,
}

impl ThresholdArguments {
    /// Refuses figures that say more about the client than about the server.
    pub(crate) fn trust(&self, what: &str, figures: &Figures) -> Result<(), LoadError> {
        if figures.client_is_saturated() && !self.allow_saturated_client {
            return Err(LoadError::SaturatedClient { what: what.to_owned(), busy_percent: figures.client_busy * 100.0 });
        }
        Ok(())
    }

    /// Fails with all that was missed.
    pub(crate) fn judge(&self, figures: &Figures, floor_ratio: Option<f64>) -> Result<(), LoadError> {
        let missed = self.missed(figures, floor_ratio);
        if missed.is_empty() { Ok(()) } else { Err(LoadError::Missed(missed)) }
    }

    fn missed(&self, figures: &Figures, floor_ratio: Option<f64>) -> Vec<String> {
        let mut missed = Vec::new();
        if let Some(least) = self.at_least.filter(|least| figures.lookups_per_s < *least) {
            missed.push(format!("{} look-ups/s, wanted at least {}", thousands(figures.lookups_per_s), thousands(least)));
        }
        if let Some(most) = self.server_cpu_ns_at_most {
            match figures.server_cpu_ns_per_lookup {
                Some(ns) if ns <= most => {}
                Some(ns) => missed.push(format!("server CPU {ns:.0} ns a look-up, wanted at most {most:.0}")),
                None => missed.push("server CPU was not measured; name the process with --server-pid".to_owned()),
            }
        }
        if let Some(most) = self.p99_us_at_most {
            match figures.latencies_us {
                Some([_, p99, _, _]) if p99 <= most => {}
                Some([_, p99, _, _]) => missed.push(format!("p99 {p99:.0} µs, wanted at most {most:.0}")),
                None => missed.push("latencies are not measured with several requests under way on a connection".to_owned()),
            }
        }
        if let Some(least) = self.floor_ratio_at_least {
            match floor_ratio {
                Some(ratio) if ratio >= least => {}
                Some(ratio) => missed.push(format!("{ratio:.3} of the floor, wanted at least {least:.3}")),
                None => missed.push("the floor was not measured beside it".to_owned()),
            }
        }
        missed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            lookups_per_s: 1_000_000.0,
            server_cpu_ns_per_lookup: Some(500.0),
            client_busy: 0.8,
            answer_bytes: 40.0,
            lookups: 5_000_000,
            requests: 5_000_000,
            latencies_us: Some([10.0, 200.0, 300.0, 400.0]),
        }
    }

    fn missed(thresholds: ThresholdArguments, figures: &Figures, ratio: Option<f64>) -> usize {
        match thresholds.judge(figures, ratio) {
            Ok(()) => 0,
            Err(LoadError::Missed(missed)) => missed.len(),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn what_is_reached_exactly_is_reached() {
        let thresholds = ThresholdArguments {
            at_least: Some(1_000_000.0),
            server_cpu_ns_at_most: Some(500.0),
            p99_us_at_most: Some(200.0),
            floor_ratio_at_least: Some(0.6),
            allow_saturated_client: false,
        };
        assert_eq!(missed(thresholds, &figures(), Some(0.6)), 0);
    }

    #[test]
    fn every_threshold_that_is_missed_is_named() {
        let thresholds = ThresholdArguments {
            at_least: Some(1_000_001.0),
            server_cpu_ns_at_most: Some(499.0),
            p99_us_at_most: Some(199.0),
            floor_ratio_at_least: Some(0.61),
            allow_saturated_client: false,
        };
        assert_eq!(missed(thresholds, &figures(), Some(0.6)), 4);
        let message = thresholds.judge(&figures(), Some(0.6)).unwrap_err().to_string();
        assert!(message.contains("1,000,000 look-ups/s") && message.contains("0.600 of the floor"), "{message}");
    }

    #[test]
    fn a_threshold_on_what_was_not_measured_is_missed() {
        let unmeasured = Figures { server_cpu_ns_per_lookup: None, latencies_us: None, ..figures() };
        let all = ThresholdArguments {
            server_cpu_ns_at_most: Some(1e9),
            p99_us_at_most: Some(1e9),
            floor_ratio_at_least: Some(0.0),
            ..ThresholdArguments::default()
        };
        assert_eq!(missed(all, &unmeasured, None), 3);
    }

    #[test]
    fn a_client_that_is_always_busy_fails_the_run_unless_allowed() {
        let strict = ThresholdArguments::default();
        let lenient = ThresholdArguments { allow_saturated_client: true, ..strict };
        for (client_busy, trusted) in [(0.949, true), (0.95, false), (1.0, false)] {
            let figures = Figures { client_busy, ..figures() };
            assert_eq!(strict.trust("batch", &figures).is_ok(), trusted, "{client_busy}");
            assert!(lenient.trust("batch", &figures).is_ok());
        }
        let message = strict.trust("batch", &Figures { client_busy: 0.99, ..figures() }).unwrap_err().to_string();
        assert!(
            message.contains("batch") && message.contains("99 %") && message.contains("--allow-saturated-client"),
            "{message}"
        );
    }
}
