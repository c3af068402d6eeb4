//! What came of it.

use serde_json::{Value, json};

use super::{Deltas, DeltasArguments, PHASES};
use crate::measure::environment::fingerprint;
use crate::report::{Figures, thousands};
use crate::targets::{self, Bound, DELTAS_P999_TIMES_MAX, DELTAS_ROWS_PER_S_MIN, Reading, Target};

impl Deltas {
    fn phase(&self, nth: usize) -> Option<(Figures, u64)> {
        self.phases.get(nth).map(|phase| (phase.figures(), phase.dropped))
    }

    /// p99.9 while rows stream in, over the quiet one.
    fn p999_times(&self) -> Option<f64> {
        let p999 = |nth| self.phase(nth).and_then(|(figures, _)| figures.latencies_us).map(|[_, _, p999, _]| p999);
        Some(p999(3)? / p999(1)?)
    }

    /// P9, which is about batches of 1,000 rows under 200,000 look-ups a second: see `--rows-per-file`.
    pub(crate) fn targets(&self) -> Vec<Target> {
        vec![
            Target {
                name: "P9",
                what: "rows durable and visible while look-ups run",
                bound: Bound::AtLeast(DELTAS_ROWS_PER_S_MIN),
                unit: " rows/s",
                measured: self.acknowledged.rows_per_s().map(Reading::from).ok_or("too few acknowledgements"),
            },
            Target {
                name: "P9",
                what: "look-up p99.9 while rows stream in, over quiet",
                bound: Bound::AtMost(DELTAS_P999_TIMES_MAX),
                unit: " ×",
                measured: self.p999_times().map(Reading::from).ok_or("no latencies while rows streamed in"),
            },
        ]
    }

    pub(super) fn missed(&self, arguments: &DeltasArguments) -> Vec<String> {
        let mut missed = Vec::new();
        if self.acknowledged.rows != self.rows {
            missed.push(format!("{} of {} rows were acknowledged", self.acknowledged.rows, self.rows));
        }
        for (name, phase) in PHASES.iter().zip(&self.phases).filter(|(_, phase)| phase.dropped > 0) {
            missed.push(format!("{name}: {} of {} look-ups dropped", phase.dropped, phase.due));
        }
        if let Some(least) = arguments.rows_at_least {
            match self.acknowledged.rows_per_s() {
                Some(rate) if rate >= least => {}
                Some(rate) => missed.push(format!("{} rows/s, wanted at least {}", thousands(rate), thousands(least))),
                None => missed.push("too few acknowledgements for a rate; stream more rows in".to_owned()),
            }
        }
        if let Some(most) = arguments.p999_times_at_most {
            match self.p999_times() {
                Some(times) if times <= most => {}
                Some(times) => missed.push(format!("p99.9 {times:.1} times the quiet one, wanted at most {most:.1}")),
                None => missed.push("no latencies while rows streamed in".to_owned()),
            }
        }
        missed
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{} rows in {} acknowledgements, all durable", self.acknowledged.rows, self.acknowledged.count)];
        lines.push(match self.acknowledged.rows_per_s() {
            Some(rate) => format!("{} rows/s durable and visible", thousands(rate)),
            None => "too few acknowledgements for a rate".to_owned(),
        });
        for (nth, name) in PHASES.iter().enumerate().skip(1) {
            let Some((figures, dropped)) = self.phase(nth) else { continue };
            lines.push(format!("{name}: {dropped} dropped"));
            lines.extend(figures.lines().iter().map(|line| format!("  {line}")));
        }
        lines.extend(self.p999_times().map(|times| format!("p99.9 while streaming is {times:.2} times the quiet one")));
        lines.push(format!("{} answers checked afterwards, all right", self.checked_afterwards));
        lines.extend(targets::table(&self.targets()));
        lines
    }

    pub(crate) fn json(&self, arguments: &DeltasArguments) -> Value {
        let phase = |nth| self.phase(nth).map(|(figures, dropped)| json!({ "figures": figures.json(), "dropped": dropped }));
        json!({
            "what": "deltas",
            "rows": self.acknowledged.rows,
            "acknowledgements": self.acknowledged.count,
            "rows_per_s": self.acknowledged.rows_per_s().map(f64::round),
            "quiet": phase(1),
            "examining": phase(2),
            "streaming": phase(3),
            "p999_times_quiet": self.p999_times(),
            "answers_checked_afterwards": self.checked_afterwards,
            "targets": targets::json(&self.targets()),
            "rate_per_s": arguments.rate,
            "connections": arguments.connections,
            "depth": arguments.depth,
            "population": arguments.population.json(),
            "environment": fingerprint(),
        })
    }
}
