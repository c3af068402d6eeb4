//! The results for a person, as Markdown, and for a machine.

use serde_json::{Value, json};

use super::results::{Series, Who};
use super::{CompareArguments, Measured};
use crate::arguments::Shape;
use crate::measure::environment::fingerprint;
use crate::report::thousands;
use crate::targets::{self, Reading, Target};
use crate::trial::Manner;

/// The number of recipients that the targets are about.
const TARGETS_RECIPIENTS: u64 = 10_000_000;

pub(super) fn lines(arguments: &CompareArguments, measured: &Measured, targets: &[Target]) -> Vec<String> {
    let recipients = arguments.population.recipients;
    let mut lines = vec![
        format!("{recipients} recipients; {} keys in each of {}", measured.keys, list(&measured.versions)),
        String::new(),
        "| what | look-ups/s | of its floor | CPU a look-up | p50/p99/p99.9 µs | answer | client |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(measured.results.series.iter().map(|series| row(measured, series)));
    lines.push(String::new());
    if measured.results.series.iter().any(|series| measured.results.is_held_back(series)) {
        lines.push("≥: the client was busy all the time, and the floor might do more.".to_owned());
    }
    lines.extend(measured.absent.iter().map(|absent| format!("Not compared with {absent}.")));
    for (name, lookups_per_s) in &measured.opinions {
        lines.push(format!("By {name}, one key over and over: {}/s.", thousands(*lookups_per_s)));
    }
    if recipients != TARGETS_RECIPIENTS {
        lines.push(format!("The targets are about {} recipients.", thousands(10e6)));
    }
    lines.push(String::new());
    lines.extend(targets::table(targets));
    if measured.rest.is_none() {
        lines.push(String::new());
        lines.push(
            "P9: `loadtest deltas`. P10: `loadtest reception`. P11: `loadtest growth`. `--full` measures them too.".to_owned(),
        );
    }
    lines
}

fn row(measured: &Measured, series: &Series) -> String {
    let results = &measured.results;
    let counts = results.counts(series);
    let at_least = if results.is_held_back(series) { "≥ " } else { "" };
    let speed = if counts { format!("{at_least}{}", thousands(series.lookups_per_s())) } else { "client saturated".to_owned() };
    let ratio = match series.what.who {
        Who::Appliance => {
            let floor = super::results::What { who: Who::Floor, ..series.what };
            match results.times(series.what, floor) {
                Ok(Reading::Exactly(ratio)) => format!("{ratio:.2}"),
                Ok(Reading::AtMost(ratio)) => format!("≤ {ratio:.2}"),
                Err(_) => "-".to_owned(),
            }
        }
        _ => String::new(),
    };
    let cpu = series.cpu_ns().map_or("-".to_owned(), |ns| format!("{ns:.0} ns"));
    let latencies = series.latencies_us();
    let latencies = latencies.map_or(String::new(), |[p50, p99, p999, _]| format!("{p50:.0}/{p99:.0}/{p999:.0}"));
    let (bytes, busy) = (series.answer_bytes(), series.client_busy() * 100.0);
    format!("| {} | {speed} | {ratio} | {cpu} | {latencies} | {bytes:.0} B | {busy:.0} % |", series.name)
}

pub(super) fn json(arguments: &CompareArguments, measured: &Measured, targets: &[Target]) -> Value {
    let opinion = |(name, speed): &(String, f64)| json!({ "name": name, "lookups_per_s": speed.round() });
    let opinions: Vec<Value> = measured.opinions.iter().map(opinion).collect();
    json!({
        "what": "compare",
        "environment": fingerprint(),
        "population": arguments.population.json(),
        "registered": measured.memory.recipients,
        "peers": { "versions": measured.versions, "keys": measured.keys, "absent": measured.absent },
        "seconds": arguments.clock.seconds,
        "rounds": arguments.rounds,
        "measured": groups(measured),
        "second_opinion": { "what": "one key over and over", "servers": opinions },
        "memory": measured.memory.json(),
        "full": measured.full.as_ref().map(super::full::Full::json),
        "rest": measured.rest.as_ref().map(super::rest::Rest::json),
        "targets_are_about_recipients": TARGETS_RECIPIENTS,
        "targets": targets::json(targets),
    })
}

/// Who was asked the same, side by side.
fn groups(measured: &Measured) -> Vec<Value> {
    let series = &measured.results.series;
    let asked_alike = |manner: &Manner| {
        let alike = series.iter().filter(|series| (series.what.shape, series.what.form) == (manner.shape, manner.form));
        json!({
            "what": manner.name(),
            "connections": manner.connections,
            "depth": manner.depth,
            "lookups_per_request": if manner.shape == Shape::Batch { manner.lines } else { 1 },
            "servers": alike.map(|series| of_series(measured, series)).collect::<Vec<_>>(),
        })
    };
    measured.manners.iter().map(asked_alike).collect()
}

fn of_series(measured: &Measured, series: &Series) -> Value {
    let counts = measured.results.counts(series);
    json!({
        "name": series.name,
        "who": match series.what.who {
            Who::Appliance => "appliance",
            Who::Floor => "floor",
            Who::Peer(language) => language.peer(),
        },
        "lookups_per_s": counts.then(|| series.lookups_per_s().round()),
        "server_cpu_ns_per_lookup": series.cpu_ns().map(f64::round),
        "latency_us": series.latencies_us().map(|[p50, p99, p999, max]| json!({ "p50": p50, "p99": p99, "p99.9": p999, "max": max })),
        "request_bytes": series.request_bytes.round(),
        "answer_bytes": series.answer_bytes().round(),
        "client_busy": series.client_busy(),
        "lookups_per_s_is_at_least": measured.results.is_held_back(series),
        "rounds": if counts { series.rounds.iter().map(|figures| figures.lookups_per_s.round()).collect() } else { Vec::new() },
    })
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "no peer".to_owned() } else { names.join(", ") }
}
