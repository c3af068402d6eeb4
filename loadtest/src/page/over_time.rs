//! Percentiles of each part of the morning, and beneath them how much was asked.

use serde_json::Value;

use super::number;
use super::svg::{Drawing, LEFT, RIGHT, Scale, decades, ms_of_axis, powers};
use crate::report::thousands;

pub(super) const NOTE: &str = "Counted from the moment each look-up was meant to be sent, whether it could be sent or not. \
    Beneath: what was asked, in look-ups a second of the run.";

/// The two panels, from top to bottom.
const LATENCY: (f64, f64) = (46.0, 300.0);
const OFFERED: (f64, f64) = (336.0, 420.0);
const HEIGHT: f64 = 446.0;

const LINES: [(&str, &str); 3] = [("line p50", "p50"), ("line p99", "p99"), ("line p999", "p99.9")];

/// The plot of a result.
pub(super) fn plot(result: &Value) -> String {
    let intervals = result.get("intervals").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let minutes = || intervals.iter().filter_map(|interval| number(interval, "/minute"));
    let range = (minutes().fold(f64::INFINITY, f64::min).min(24.0 * 60.0), minutes().fold(0.0, f64::max));
    let across = Scale::linear(range, (LEFT, RIGHT));
    let mut drawing = Drawing::new(HEIGHT);
    axis_of_time(&mut drawing, &across, range);
    latency(&mut drawing, &across, intervals, result);
    offered(&mut drawing, &across, intervals);
    events(&mut drawing, &across, result);
    let worst = intervals.iter().filter_map(|interval| number(interval, "/p99.9")).fold(0.0, f64::max);
    drawing.finish(
        "Latency over the morning",
        &format!("Median, 99th and 99.9th percentile by time of day; the largest 99.9th percentile of a part is {worst} ms"),
    )
}

fn latency(drawing: &mut Drawing, across: &Scale, intervals: &[Value], result: &Value) {
    let limits = limits(result);
    let shown =
        LINES.iter().flat_map(|(_, name)| intervals.iter().filter_map(move |interval| number(interval, &format!("/{name}"))));
    let range = decades(shown.chain(limits.iter().map(|(_, limit)| *limit)));
    let up = Scale::logarithmic(range, (LATENCY.1, LATENCY.0));
    for power in powers(range) {
        drawing.line("grid", (LEFT, up.place(power)), (RIGHT, up.place(power)));
        drawing.text("tick", "end", (LEFT - 8.0, up.place(power) + 4.0), &ms_of_axis(power));
    }
    for (class, name) in LINES {
        let pointer = format!("/{name}");
        let point = |interval: &Value| Some((across.place(number(interval, "/minute")?), up.place(number(interval, &pointer)?)));
        drawing.path(class, intervals.iter().map(point));
    }
    // What is written stands on top of what is drawn.
    for (name, limit) in &limits {
        drawing.line("limit", (LEFT, up.place(*limit)), (RIGHT, up.place(*limit)));
        drawing.text("limit-name", "end", (RIGHT - 2.0, up.place(*limit) - 5.0), &format!("{name} ≤ {limit} ms"));
    }
    drawing.legend(20.0, &LINES);
}

/// The percentiles' thresholds with their names.
pub(super) fn limits(result: &Value) -> Vec<(String, f64)> {
    let requirements = result.get("requirements").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let limit = |requirement: &Value| {
        let name = requirement.get("name").and_then(Value::as_str).filter(|name| matches!(*name, "p99" | "p99.9"))?;
        Some((name.to_owned(), number(requirement, "/at_most")?))
    };
    requirements.iter().filter_map(limit).collect()
}

fn offered(drawing: &mut Drawing, across: &Scale, intervals: &[Value]) {
    let point = |interval: &Value| Some((number(interval, "/minute")?, number(interval, "/offered_per_s")?));
    let points: Vec<(f64, f64)> = intervals.iter().filter_map(point).collect();
    let most = points.iter().map(|(_, rate)| *rate).fold(1.0, f64::max);
    let up = Scale::linear((0.0, most), (OFFERED.1, OFFERED.0));
    let places: Vec<(f64, f64)> = points.iter().map(|(minute, rate)| (across.place(*minute), up.place(*rate))).collect();
    drawing.area("offered", &places, OFFERED.1);
    drawing.line("axis", (LEFT, OFFERED.1), (RIGHT, OFFERED.1));
    drawing.text("tick", "end", (LEFT - 8.0, OFFERED.0 + 4.0), &thousands(most));
    drawing.text("tick", "end", (LEFT - 8.0, OFFERED.1 + 4.0), "0");
    drawing.text("label", "start", (LEFT, OFFERED.0 - 10.0), "look-ups a second");
}

fn axis_of_time(drawing: &mut Drawing, across: &Scale, (from, to): (f64, f64)) {
    // As many labels as fit, at round times.
    let step = [1_u16, 2, 5, 10, 15, 30, 60, 120].into_iter().find(|step| (to - from) / f64::from(*step) <= 12.0).unwrap_or(240);
    for minute in (0..24 * 60).step_by(usize::from(step)).map(f64::from).filter(|minute| (from..=to).contains(minute)) {
        let x = across.place(minute);
        drawing.line("grid", (x, LATENCY.0), (x, LATENCY.1));
        drawing.line("grid", (x, OFFERED.0), (x, OFFERED.1));
        drawing.text("tick", "middle", (x, HEIGHT - 8.0), &format!("{:02}:{:02}", (minute / 60.0).floor(), minute % 60.0));
    }
}

/// What happened at moments. Each name stands once, at its first.
fn events(drawing: &mut Drawing, across: &Scale, result: &Value) {
    let mut named: Vec<&str> = Vec::new();
    for event in result.get("events").and_then(Value::as_array).into_iter().flatten() {
        let (Some(minute), Some(what)) = (number(event, "/minute"), event.get("what").and_then(Value::as_str)) else { continue };
        let x = across.place(minute);
        drawing.line("event", (x, LATENCY.0), (x, OFFERED.1));
        if !named.contains(&what) {
            // One above the other, since events follow each other closely.
            let y = LATENCY.1 - 6.0 - 15.0 * f64::from(u8::try_from(named.len()).unwrap_or(0));
            drawing.text("event-name", "start", (x + 3.0, y), what);
            named.push(what);
        }
    }
}
