//! Everything, each beside its floor, on an appliance started for it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::arguments::{Form, RunAllArguments, Shape};
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::report::{Figures, complain, median, say, thousands};
use crate::server::appliance::Appliance;
use crate::server::status;
use crate::threshold::ThresholdArguments;
use crate::trial::{Manner, for_floor, measure, measure_floor, prepare};

const MANNERS: [(Shape, Form); 5] = [
    (Shape::Pipeline, Form::Compact),
    (Shape::Pipeline, Form::Json),
    (Shape::Single, Form::Compact),
    (Shape::Batch, Form::Compact),
    (Shape::Batch, Form::Json),
];

/// A measurement beside its floor, medians of the runs.
struct Row {
    manner: Manner,
    request_bytes: f64,
    served: Figures,
    floor: Figures,
    /// Of each run, the appliance over the floor measured right after it.
    ratio: f64,
}

pub(crate) fn run_all(arguments: &RunAllArguments) -> Result<(), LoadError> {
    let ready_within = Duration::from_secs(arguments.ready_within_s);
    let appliance = Appliance::start(&arguments.binary, &arguments.data, ready_within)?;
    let thresholds =
        ThresholdArguments { allow_saturated_client: arguments.allow_saturated_client, ..ThresholdArguments::default() };
    let mut rows = Vec::new();
    for (shape, form) in MANNERS {
        let manner = Manner::usual(shape, form);
        complain(&format!("measuring {} …", manner.name()));
        let row = row(arguments, &appliance, manner)?;
        thresholds.trust(&manner.name(), &row.served)?;
        rows.push(row);
    }
    if arguments.json {
        say(&json_of(arguments, &appliance, &rows)?.to_string());
    } else {
        table(&rows).iter().for_each(|line| say(line));
    }
    Ok(())
}

fn row(arguments: &RunAllArguments, appliance: &Appliance, manner: Manner) -> Result<Row, LoadError> {
    let horizon = status(appliance.address)?.horizon;
    let plan = prepare(&arguments.population, Some(horizon), manner)?;
    let request_bytes = plan.request_bytes_mean();
    let serve = || measure(&plan, manner, appliance.address, arguments.clock, Some(appliance.pid()));
    let first = serve()?;
    let floor = for_floor(prepare(&arguments.population, Some(horizon), manner)?, first.answer_bytes_rounded());
    let (mut served, mut floors, mut ratios) = (vec![first], Vec::new(), Vec::new());
    loop {
        floors.push(measure_floor(&floor, manner, arguments.clock)?);
        if let (Some(appliance), Some(floor)) = (served.last(), floors.last()) {
            ratios.push(appliance.lookups_per_s / floor.lookups_per_s);
        }
        if floors.len() >= usize::from(arguments.runs) {
            break;
        }
        served.push(serve()?);
    }
    ratios.sort_by(f64::total_cmp);
    let ratio = ratios.get(ratios.len() / 2).copied().unwrap_or(0.0);
    let nothing = || LoadError::Usage("nothing was measured".to_owned());
    let (served, floor) = (median(served).ok_or_else(nothing)?, median(floors).ok_or_else(nothing)?);
    Ok(Row { manner, request_bytes, served, floor, ratio })
}

fn table(rows: &[Row]) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<26} {:>12} {:>12} {:>6} {:>10} {:>10} {:>11} {:>22}",
        "what", "look-ups/s", "floor", "ratio", "CPU ns", "floor ns", "client", "p50/p99/p99.9 µs"
    )];
    for row in rows {
        let ns = |figures: &Figures| figures.server_cpu_ns_per_lookup.map_or("-".to_owned(), |ns| format!("{ns:.0}"));
        let latency = row.served.latencies_us.filter(|_| row.manner.shape == Shape::Single);
        let latency = latency.map_or(String::new(), |[p50, p99, p999, _]| format!("{p50:.0}/{p99:.0}/{p999:.0}"));
        lines.push(format!(
            "{:<26} {:>12} {:>12} {:>6} {:>10} {:>10} {:>11} {:>22}",
            row.manner.name(),
            thousands(row.served.lookups_per_s),
            format!("{}{}", if held_back(row) { "≥" } else { "" }, thousands(row.floor.lookups_per_s)),
            format!("{}{:.2}", if held_back(row) { "≤" } else { "" }, row.ratio),
            ns(&row.served),
            ns(&row.floor),
            format!("{}/{}", busy(&row.served), busy(&row.floor)),
            latency
        ));
    }
    if rows.iter().any(|row| row.served.client_is_saturated() || row.floor.client_is_saturated()) {
        lines.push("! the client saturated its core: that server might do more".to_owned());
    }
    lines
}

/// Whether the client held the floor back, so that it is at least what was measured.
fn held_back(row: &Row) -> bool {
    row.floor.client_is_saturated()
}

/// How busy the client was, the first figure with the appliance, the second with the floor.
fn busy(figures: &Figures) -> String {
    format!("{:.0}%{}", figures.client_busy * 100.0, if figures.client_is_saturated() { "!" } else { "" })
}

fn json_of(arguments: &RunAllArguments, appliance: &Appliance, rows: &[Row]) -> Result<Value, LoadError> {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "what": row.manner.name(),
                "connections": row.manner.connections,
                "depth": row.manner.depth,
                "request_bytes": row.request_bytes.round(),
                "appliance": row.served.json(),
                "floor": row.floor.json(),
                "ratio": (row.ratio * 1_000.0).round() / 1_000.0,
                "ratio_is_at_most": held_back(row),
            })
        })
        .collect();
    Ok(json!({
        "environment": fingerprint(),
        "population": arguments.population.json(),
        "registered": status(appliance.address)?.recipients,
        "seconds": arguments.clock.seconds,
        "runs": arguments.runs,
        "ready_after_ms": u64::try_from(appliance.ready_after.as_millis()).unwrap_or(u64::MAX),
        "measured": rows,
    }))
}
