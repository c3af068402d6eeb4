//! The percentile curve: each step to the right is another nine.

use serde_json::Value;

use super::over_time::limits;
use super::svg::{Drawing, LEFT, RIGHT, Scale, decades, ms_of_axis, powers};

pub(super) const NOTE: &str = "The full line counts from the moment a look-up was meant to be sent. The dashed one counts from the sending, \
    as a client would that waits before it asks again; what lies between the two is what such a client does not see.";

const PANEL: (f64, f64) = (46.0, 320.0);
const HEIGHT: f64 = 352.0;

/// The plot of a result.
pub(super) fn plot(result: &Value) -> String {
    let (intended, sent) = (points(result, "curve"), points(result, "curve_from_sending"));
    let limits = limits(result);
    let all = || intended.iter().chain(&sent);
    let heights = decades(all().map(|(_, ms)| *ms).chain(limits.iter().map(|(_, limit)| *limit)));
    let most = all().map(|(one_in, _)| *one_in).fold(1_000.0, f64::max);
    let range = (1.0, 10_f64.powf(most.log10().ceil()));
    let (across, up) = (Scale::logarithmic(range, (LEFT, RIGHT)), Scale::logarithmic(heights, (PANEL.1, PANEL.0)));
    let mut drawing = Drawing::new(HEIGHT);
    for power in powers(heights) {
        drawing.line("grid", (LEFT, up.place(power)), (RIGHT, up.place(power)));
        drawing.text("tick", "end", (LEFT - 8.0, up.place(power) + 4.0), &ms_of_axis(power));
    }
    for one_in in powers(range) {
        let x = across.place(one_in);
        drawing.line("grid", (x, PANEL.0), (x, PANEL.1));
        let anchor = if x > RIGHT - 20.0 { "end" } else { "middle" };
        drawing.text("tick", anchor, (x, PANEL.1 + 20.0), &percentile(one_in));
    }
    let place = |(one_in, ms): &(f64, f64)| Some((across.place(*one_in), up.place(*ms)));
    drawing.path("line sent", sent.iter().map(place));
    drawing.path("line intended", intended.iter().map(place));
    for (name, limit) in &limits {
        // What must lie below: a short line at its own percentile.
        let (x, y) = (across.place(if name == "p99" { 100.0 } else { 1_000.0 }), up.place(*limit));
        drawing.line("limit", (x - 46.0, y), (x + 46.0, y));
        drawing.text("limit-name", "middle", (x, y - 5.0), &format!("{name} ≤ {limit} ms"));
    }
    drawing.legend(20.0, &[("line intended", "from the intended moment"), ("line sent", "from the sending")]);
    drawing.finish("Percentile curve", "How long the slowest one in ten, in a hundred, in a thousand and so on waited at least")
}

fn points(result: &Value, name: &str) -> Vec<(f64, f64)> {
    let pair = |point: &Value| Some((point.get(0)?.as_f64()?, point.get(1)?.as_f64()?));
    result.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(pair).collect()
}

/// `99.9 %` for one in a thousand.
fn percentile(one_in: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few nines")]
    let digits = (one_in.log10().round() as usize).saturating_sub(2);
    format!("{:.digits$} %", 100.0 - 100.0 / one_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenfold_is_another_nine() {
        assert_eq!([1.0, 10.0, 100.0, 1_000.0, 100_000.0].map(percentile), ["0 %", "90 %", "99 %", "99.9 %", "99.999 %"]);
    }
}
