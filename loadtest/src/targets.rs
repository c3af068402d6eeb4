//! What the appliance has to reach, P1 to P11, at 10 M recipients with uniform random keys on two cores that it shares with the client.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// P1, single look-ups, 64 under way on each of 32 connections: part of the floor's look-ups a second.
pub(crate) const PIPELINE_COMPACT_FLOOR_RATIO_MIN: f64 = 0.6;
/// P1, as JSON.
pub(crate) const PIPELINE_JSON_FLOOR_RATIO_MIN: f64 = 0.55;
/// P1, times Redis GET at the same depth.
pub(crate) const PIPELINE_REDIS_TIMES_MIN: f64 = 2.0;
/// P2, one at a time on 32 connections.
pub(crate) const SINGLE_FLOOR_RATIO_MIN: f64 = 0.9;
/// P3, batches of 1,000 compact: times Redis MGET of 1,000.
pub(crate) const BATCH_REDIS_TIMES_MIN: f64 = 4.0;
/// P3, processor time of the server.
pub(crate) const BATCH_COMPACT_CPU_NS_MAX: f64 = 140.0;
/// P4, as NDJSON.
pub(crate) const BATCH_NDJSON_CPU_NS_MAX: f64 = 350.0;
/// P5, in process: a look-up by itself.
pub(crate) const INDEX_ONE_NS_MAX: f64 = 180.0;
/// P5, look-ups in runs, without the decision.
pub(crate) const INDEX_MANY_NS_MAX: f64 = 65.0;
/// P5, look-ups in runs, with it.
pub(crate) const INDEX_DECIDED_NS_MAX: f64 = 85.0;
/// P6: memory that does not depend on the recipients.
pub(crate) const FIXED_BYTES: f64 = 256.0 * 1024.0 * 1024.0;
/// P6: a recipient's memory over the mean of the dossiers' bytes, and the bytes on top of it.
pub(crate) const DOSSIER_TIMES_MAX: f64 = 1.1;
pub(crate) const RECIPIENT_BYTES_MORE_MAX: f64 = 64.0;
/// P7, a file of 10 M recipients until it is durable and in the store.
pub(crate) const IMPORT_S_MAX: f64 = 90.0;
/// P7, bytes on the disk over the rows' archived bytes.
pub(crate) const DISK_TIMES_MAX: f64 = 2.5;
/// P8, from kill -9 to ready, 10 M recipients.
pub(crate) const RESTART_S_MAX: f64 = 8.0;
/// P9, rows durable and visible while 200,000 look-ups a second run.
pub(crate) const DELTAS_ROWS_PER_S_MIN: f64 = 100_000.0;
/// P9, p99.9 while rows stream in over the quiet one.
pub(crate) const DELTAS_P999_TIMES_MAX: f64 = 2.0;
/// P11, processor time a look-up at the largest size over the smallest.
pub(crate) const GROWTH_CPU_TIMES_MAX: f64 = 1.5;
/// P11, memory grows linearly: the bytes of a further recipient, the dearest step over the cheapest. The table of keys doubles, so that
/// no two steps cost quite the same.
pub(crate) const GROWTH_BYTES_TIMES_MAX: f64 = 1.25;

/// Where a target lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure, and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Reading {
    /// It was measured.
    Exactly(f64),
    /// It is no more than this: what it was set beside was held back by the client, and might have been larger.
    AtMost(f64),
}

impl From<f64> for Reading {
    fn from(value: f64) -> Reading {
        Reading::Exactly(value)
    }
}

impl Reading {
    pub(crate) fn value(self) -> f64 {
        match self {
            Reading::Exactly(value) | Reading::AtMost(value) => value,
        }
    }
}

/// A line of the targets' table.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// `P1` to `P11`.
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) bound: Bound,
    pub(crate) unit: &'static str,
    /// What was measured, or why it was not.
    pub(crate) measured: Result<Reading, &'static str>,
}

impl Target {
    /// Whether it was met, where it was measured. What is only known to be no more than something cannot meet what asks for at least
    /// something.
    pub(crate) fn met(&self) -> Option<bool> {
        let measured = *self.measured.as_ref().ok()?;
        Some(match (self.bound, measured) {
            (Bound::AtLeast(least), Reading::Exactly(value)) => value >= least,
            (Bound::AtLeast(_), Reading::AtMost(_)) => false,
            (Bound::AtMost(most), reading) => reading.value() <= most,
        })
    }

    /// Whether it may be met for all that is known, and was not shown to be.
    fn is_open(&self) -> bool {
        match (self.bound, self.measured) {
            (Bound::AtLeast(least), Ok(Reading::AtMost(most))) => most >= least,
            (Bound::AtMost(wanted), Ok(Reading::AtMost(most))) => most > wanted,
            _ => false,
        }
    }

    fn wanted(&self) -> String {
        match self.bound {
            Bound::AtLeast(least) => format!("≥ {}{}", number(least), self.unit),
            Bound::AtMost(most) => format!("≤ {}{}", number(most), self.unit),
        }
    }

    /// `P1 …: 0.4, wanted ≥ 0.6`, where it was missed.
    pub(crate) fn complaint(&self) -> Option<String> {
        let measured = *self.measured.as_ref().ok()?;
        let missed = self.met() == Some(false);
        missed.then(|| format!("{} {}: {}, wanted {}", self.name, self.what, self.words(measured), self.wanted()))
    }

    fn words(&self, reading: Reading) -> String {
        let at_most = if matches!(reading, Reading::AtMost(_)) { "at most " } else { "" };
        format!("{at_most}{}{}", number(reading.value()), self.unit)
    }

    fn json(&self) -> Value {
        let (bound, limit) = match self.bound {
            Bound::AtLeast(least) => ("at_least", least),
            Bound::AtMost(most) => ("at_most", most),
        };
        json!({
            "target": self.name,
            "what": self.what,
            bound: limit,
            "unit": self.unit.trim(),
            "measured": self.measured.ok().map(Reading::value),
            "measured_is_at_most": matches!(self.measured, Ok(Reading::AtMost(_))),
            "not_measured": self.measured.err(),
            "met": self.met(),
        })
    }
}

/// The table's lines, as Markdown.
pub(crate) fn table(targets: &[Target]) -> Vec<String> {
    let mut lines = vec!["| P | what | target | measured | |".to_owned(), "|---|---|---|---|---|".to_owned()];
    for target in targets {
        let mut line = format!("| {} | {} | {} | ", target.name, target.what, target.wanted());
        // Writing to a string cannot fail.
        let _ = match target.measured {
            Ok(reading) => write!(line, "{} | ", target.words(reading)),
            Err(why) => write!(line, "not measured: {why} | "),
        };
        line.push_str(match target.met() {
            Some(true) => "met |",
            Some(false) if target.is_open() => "**not shown** |",
            Some(false) => "**missed** |",
            None => "|",
        });
        lines.push(line);
    }
    lines
}

pub(crate) fn json(targets: &[Target]) -> Value {
    Value::Array(targets.iter().map(Target::json).collect())
}

/// Three digits that matter, and no more than a reader needs of large numbers.
fn number(value: f64) -> String {
    match value.abs() {
        // A bound that would itself have had to be measured.
        _ if value.is_nan() => "?".to_owned(),
        ..10.0 => format!("{value:.2}"),
        ..1_000.0 => format!("{value:.1}"),
        _ => crate::report::thousands(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(bound: Bound, measured: Result<f64, &'static str>) -> Target {
        Target { name: "P1", what: "something", bound, unit: " s", measured: measured.map(Reading::from) }
    }

    #[test]
    fn a_target_is_met_on_its_bound_and_missed_beyond_it() {
        assert_eq!(target(Bound::AtLeast(0.6), Ok(0.6)).met(), Some(true));
        assert_eq!(target(Bound::AtLeast(0.6), Ok(0.599)).met(), Some(false));
        assert_eq!(target(Bound::AtMost(8.0), Ok(8.0)).met(), Some(true));
        assert_eq!(target(Bound::AtMost(8.0), Ok(8.1)).met(), Some(false));
        assert_eq!(target(Bound::AtMost(8.0), Ok(f64::NAN)).met(), Some(false), "what is no number is not met");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_missed_and_says_why() {
        let unmeasured = target(Bound::AtMost(8.0), Err("see `restart`"));
        assert_eq!((unmeasured.met(), unmeasured.complaint()), (None, None));
        let lines = table(&[unmeasured, target(Bound::AtMost(8.0), Ok(12.0)), target(Bound::AtLeast(2.0), Ok(1_234_567.0))]);
        assert_eq!(target(Bound::AtMost(f64::NAN), Err("no peer")).wanted(), "≤ ? s");
        assert_eq!(lines[2], "| P1 | something | ≤ 8.00 s | not measured: see `restart` | |");
        assert_eq!(lines[3], "| P1 | something | ≤ 8.00 s | 12.0 s | **missed** |");
        assert_eq!(lines[4], "| P1 | something | ≥ 2.00 s | 1,234,567 s | met |");
    }

    #[test]
    fn what_is_only_known_to_be_no_more_does_not_meet_what_asks_for_at_least() {
        let held_back = |bound, most| Target { measured: Ok(Reading::AtMost(most)), ..target(bound, Err("")) };
        let cases = [
            (held_back(Bound::AtLeast(0.6), 0.7), false, "at most 0.70 s | **not shown** |"),
            (held_back(Bound::AtLeast(0.6), 0.5), false, "at most 0.50 s | **missed** |"),
            (held_back(Bound::AtMost(0.6), 0.5), true, "at most 0.50 s | met |"),
            (held_back(Bound::AtMost(0.6), 0.7), false, "at most 0.70 s | **not shown** |"),
        ];
        for (target, met, said) in cases {
            assert_eq!((target.met(), target.complaint().is_none()), (Some(met), met));
            let line = table(&[target]).pop().unwrap();
            assert!(line.ends_with(said), "{line}");
        }
        let complaint = held_back(Bound::AtLeast(0.6), 0.7).complaint().unwrap();
        assert_eq!(complaint, "P1 something: at most 0.70 s, wanted ≥ 0.60 s");
    }

    #[test]
    fn a_complaint_names_what_was_missed() {
        let complaint = target(Bound::AtMost(8.0), Ok(12.0)).complaint().unwrap();
        assert_eq!(complaint, "P1 something: 12.0 s, wanted ≤ 8.00 s");
        assert_eq!(target(Bound::AtMost(8.0), Ok(7.0)).complaint(), None);
    }
}
