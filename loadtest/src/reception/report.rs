//! What came of the morning, as one JSON object; the page and the lines are made from it.

use std::time::Duration;

use serde_json::{Value, json};

use super::arguments::{Moment, ReceptionArguments, ThresholdArguments};
use super::arrivals::{DOORS, Window};
use super::asked::Asked;
use super::changes::Imported;
use super::institution::Institution;
use super::overnight::Night;
use super::profile::{Profile, Weekday};
use super::record::{Record, Waits, milliseconds};
use super::verdict::{Requirement, missed};
use crate::arguments::Form;
use crate::measure::environment::fingerprint;
use crate::report::thousands;

/// Points of the percentile curve: ten for each nine.
const CURVE_POINTS: u32 = 60;

/// Everything that was measured.
pub(crate) struct Outcome {
    pub(crate) window: Window,
    pub(crate) profile: Profile,
    pub(crate) asked: Asked,
    pub(crate) record: Record,
    pub(crate) checked: u64,
    pub(crate) wrong: u64,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) night: Night,
    pub(crate) changes_planned: usize,
    pub(crate) imported: Vec<Imported>,
    /// Asked about after the morning, and how many answers were wrong.
    pub(crate) newcomers: Option<(u64, u64)>,
    pub(crate) request_bytes: f64,
    pub(crate) registered: u64,
    pub(crate) complaints: Vec<String>,
}

impl Outcome {
    #[expect(clippy::cast_precision_loss, reason = "figures to be printed")]
    pub(crate) fn requirements(&self, at_most: &ThresholdArguments) -> Vec<Requirement> {
        let waits = self.record.waits();
        let wrong = self.wrong + self.night.wrong + self.newcomers.map_or(0, |(_, wrong)| wrong);
        // Without a single answer there is no percentile that could be small enough.
        let quantile = |quantile| if waits.is_empty() { f64::INFINITY } else { milliseconds(&waits, quantile) };
        let requirement = |name, japanese, measured, at_most, unit, else_means| Requirement {
            name,
            japanese,
            measured,
            at_most,
            unit,
            else_means,
        };
        let files_missing = (self.changes_planned - self.imported.len().min(self.changes_planned)) as f64;
        let late = milliseconds(self.record.lateness(), 0.99);
        let (not_answered, not_right) = ("somebody stood there without an answer", "nothing else counts");
        let (generator, saturated) = (
            "the generator was measured, not the server",
            "the client saturates its core: the figures are its own, not the server's",
        );
        vec![
            requirement("p99", "99パーセンタイル", quantile(0.99), at_most.p99_ms_at_most, " ms", "patients wait"),
            requirement("p99.9", "99.9パーセンタイル", quantile(0.999), at_most.p999_ms_at_most, " ms", "patients wait"),
            requirement("dropped", "応答なし", self.record.dropped as f64, 0.0, "", not_answered),
            requirement("wrong answers", "誤答", wrong as f64, 0.0, "", not_right),
            requirement("generator lateness p99", "送信遅れ", late, at_most.lateness_p99_ms_at_most, " ms", generator),
            requirement(
                "generator's busiest second",
                "負荷生成の占有率",
                self.record.busiest(),
                at_most.generator_busy_at_most,
                " of its core",
                saturated,
            ),
            requirement(
                "change files not imported",
                "未取込ファイル",
                files_missing,
                0.0,
                "",
                "registering stopped while doors stood open",
            ),
        ]
    }

    pub(crate) fn json(&self, arguments: &ReceptionArguments) -> Value {
        let requirements = self.requirements(&arguments.thresholds);
        let record = &self.record;
        let waits = record.waits();
        json!({
            "what": "reception",
            "met": missed(&requirements).is_empty(),
            "requirements": requirements.iter().map(Requirement::json).collect::<Vec<_>>(),
            "environment": fingerprint(),
            "population": self.population(arguments),
            "day": self.day(arguments),
            "region": {
                "gateways": arguments.region.gateways,
                "kept_connections": u32::from(arguments.region.gateways) * u32::from(arguments.region.kept_each),
                "short_connections_at_once": arguments.region.short_at_once,
            },
            "asked": self.asked.json(),
            "form": if arguments.form == Form::Compact { "compact" } else { "json" },
            "request_bytes": self.request_bytes.round(),
            "answered": waits.len(),
            "checked": self.checked,
            "dropped": record.dropped,
            "asked_again": record.asked_again,
            "reconnected_after_ms": record.reconnected_after_ns.map(|after| rounded(Duration::from_nanos(after).as_secs_f64() * 1e3)),
            "latency_ms": quantiles(&waits),
            "latency_from_sending_ms": quantiles(record.since_sent()),
            "latency_by_institution_ms": Institution::ALL.into_iter()
                .filter_map(|kind| Some((kind.name().to_owned(), quantiles(record.of(kind)?)))).collect::<serde_json::Map<_, _>>(),
            "latency_on_short_connections_ms": quantiles(record.short()),
            "generator": {
                "lateness_ms": quantiles(record.lateness()),
                "busiest_second": rounded(record.busiest()),
                "busy": record.busy_seconds().iter().copied().map(rounded).collect::<Vec<_>>(),
            },
            "server_cpu_ns_per_lookup": self.server_cpu_ns().map(f64::round),
            "night": {
                "batches": self.night.batches,
                "lookups": self.night.lookups,
                "seconds": rounded(self.night.elapsed.as_secs_f64()),
                "wrong": self.night.wrong,
            },
            "changes": self.changes(),
            "intervals": self.intervals(),
            "events": self.events(arguments),
            "curve": curve(&waits),
            "curve_from_sending": curve(record.since_sent()),
        })
    }

    fn population(&self, arguments: &ReceptionArguments) -> Value {
        let population = &arguments.population;
        json!({
            "recipients": population.recipients,
            "seed": population.seed,
            "as_of": population.as_of.to_string(),
            "questions": population.questions,
            "question_seed": population.question_seed,
            "registered": self.registered,
        })
    }

    fn day(&self, arguments: &ReceptionArguments) -> Value {
        json!({
            "from": time(f64::from(self.window.from)),
            "to": time(f64::from(self.window.to)),
            "compress": self.window.compress,
            "seconds": rounded(self.window.seconds()),
            "crest_per_s": rounded(self.profile.total(f64::from(self.profile.crest_minute()))),
            "crest_at": time(f64::from(self.profile.crest_minute())),
            "weekday": if arguments.day.weekday == Weekday::Monday { "monday" } else { "other" },
            "arrival_seed": arguments.day.arrival_seed,
            "minute_burst_permille": arguments.day.minute_burst_permille,
            "door_burst": arguments.day.door_burst,
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "figures to be printed")]
    fn server_cpu_ns(&self) -> Option<f64> {
        let answered = self.record.waits().len();
        self.server_cpu.filter(|_| answered > 0).map(|cpu| cpu.as_nanos() as f64 / answered as f64)
    }

    fn changes(&self) -> Value {
        let files: Vec<Value> = self
            .imported
            .iter()
            .map(|file| {
                let at = self.window.minute(file.after.as_secs_f64());
                json!({ "at": time(at), "rows": file.rows, "seconds": rounded(file.took.as_secs_f64()) })
            })
            .collect();
        let newcomers = self.newcomers.map(|(asked, wrong)| json!({ "asked_about_afterwards": asked, "wrong": wrong }));
        json!({ "planned": self.changes_planned, "imported": files, "newcomers": newcomers })
    }

    /// What happened at a moment, for the plot over time.
    fn events(&self, arguments: &ReceptionArguments) -> Vec<Value> {
        let within = |minute: &f64| (f64::from(self.window.from)..f64::from(self.window.to)).contains(minute);
        let doors = DOORS.iter().map(|(minute, _)| (f64::from(*minute), "doors"));
        let reconnect = match arguments.day.reconnect_at {
            Moment::At(minute) => Some((f64::from(minute), "reconnect")),
            Moment::Never => None,
        };
        let changes = self.imported.iter().map(|file| (self.window.minute(file.after.as_secs_f64()), "import"));
        let events = doors.chain(reconnect).chain(changes).filter(|(minute, _)| within(minute));
        events.map(|(minute, what)| json!({ "minute": rounded(minute), "what": what })).collect()
    }

    /// A row each, short names, because there are hundreds.
    #[expect(clippy::cast_precision_loss, reason = "figures to be printed")]
    fn intervals(&self) -> Vec<Value> {
        let seconds = Duration::from_nanos(self.record.interval_ns()).as_secs_f64();
        let row = |(nth, interval): (usize, &super::record::Interval)| {
            let begin = nth as f64 * seconds;
            let length = seconds.min(self.window.seconds() - begin).max(1e-9);
            let known = |quantile| (!interval.waits.is_empty()).then(|| rounded(milliseconds(&interval.waits, quantile)));
            json!({
                "at": time(self.window.minute(begin)),
                "minute": rounded(self.window.minute(begin + length / 2.0)),
                "offered_per_s": (interval.offered as f64 / length).round(),
                "p50": known(0.5),
                "p99": known(0.99),
                "p99.9": known(0.999),
            })
        };
        self.record.intervals().iter().enumerate().map(row).collect()
    }
}

/// The lines for a terminal.
pub(crate) fn lines(result: &Value) -> Vec<String> {
    let number = |pointer: &str| result.pointer(pointer).and_then(Value::as_f64).unwrap_or(0.0);
    let ms = |of: &str| {
        let [p50, p99, p999, max] = ["p50", "p99", "p99.9", "max"].map(|name| number(&format!("/{of}/{name}")));
        format!("p50 {p50:.3} ms, p99 {p99:.3} ms, p99.9 {p999:.3} ms, max {max:.3} ms")
    };
    let mut lines = vec![
        format!("{} look-ups, {} dropped", thousands(number("/asked/lookups")), thousands(number("/dropped"))),
        format!("from the intended moment: {}", ms("latency_ms")),
        format!("from the sending:         {}", ms("latency_from_sending_ms")),
        format!("sent late:                {}", ms("generator/lateness_ms")),
        format!("generator's busiest second {:.0} % of its core", number("/generator/busiest_second") * 100.0),
    ];
    if let Some(ns) = result.get("server_cpu_ns_per_lookup").and_then(Value::as_f64) {
        lines.push(format!("server CPU {ns:.0} ns a look-up"));
    }
    lines.push(if result.get("met") == Some(&Value::Bool(true)) { "all thresholds are met" } else { "NOT met" }.to_owned());
    lines
}

fn quantiles(waits: &Waits) -> Value {
    let at = |quantile| rounded(milliseconds(waits, quantile));
    json!({
        "count": waits.len(), "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99.9": at(0.999), "p99.99": at(0.9999), "max": at(1.0),
    })
}

/// Pairs of how many in one are slower and how long they wait, as far as there are that many.
#[expect(clippy::cast_precision_loss, reason = "a histogram's count")]
fn curve(waits: &Waits) -> Vec<[f64; 2]> {
    let mut points: Vec<[f64; 2]> = (0..=CURVE_POINTS)
        .map(|nth| 10_f64.powf(f64::from(nth) / 10.0))
        .filter(|one_in| *one_in <= waits.len() as f64)
        .map(|one_in| [rounded(one_in), rounded(milliseconds(waits, 1.0 - 1.0 / one_in))])
        .collect();
    if !waits.is_empty() {
        points.push([waits.len() as f64, rounded(milliseconds(waits, 1.0))]);
    }
    points
}

/// To three digits behind the point.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn time(minute: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a minute of a day")]
    let minute = minute.max(0.0) as u32;
    format!("{:02}:{:02}", minute / 60, minute % 60)
}
