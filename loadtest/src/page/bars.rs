//! Throughputs beside each other.

use super::beside::Group;
use super::svg::{Drawing, RIGHT, Scale};
use crate::report::thousands;

pub(super) const NOTE: &str = "Look-ups a second, as the other trials measured them. Within a group the longest bar is the fastest; \
    groups have scales of their own.";

const NAMES: f64 = 150.0;
/// Room for the figure behind a bar.
const FIGURES: f64 = 150.0;
const ROW: f64 = 24.0;
const HEADING: f64 = 34.0;

/// The bars of all groups.
pub(super) fn plot(groups: &[Group]) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a number of bars")]
    let height = groups.iter().map(|group| HEADING + ROW * group.rates.len() as f64).sum::<f64>() + 8.0;
    let mut drawing = Drawing::new(height);
    let mut y = 0.0;
    for group in groups {
        drawing.text("heading", "start", (0.0, y + 22.0), &group.what);
        y += HEADING;
        let most = group.rates.iter().map(|(_, rate)| *rate).fold(0.0, f64::max);
        let across = Scale::linear((0.0, most), (NAMES, RIGHT - FIGURES));
        let own = group.rates.first().map_or(0.0, |(_, rate)| *rate);
        for (name, rate) in &group.rates {
            let class = if matches!(name.as_str(), "appliance" | "shikaku") { "bar own" } else { "bar" };
            drawing.text("label", "end", (NAMES - 8.0, y + 15.0), name);
            drawing.rectangle(class, (NAMES, y + 3.0), ((across.place(*rate) - NAMES).max(1.0), ROW - 7.0));
            let ratio = if *rate > 0.0 && *rate != own { format!(" (× {:.2})", rate / own) } else { String::new() };
            drawing.text("label", "start", (across.place(*rate) + 6.0, y + 15.0), &(thousands(*rate) + &ratio));
            y += ROW;
        }
    }
    let names: Vec<&str> = groups.iter().map(|group| group.what.as_str()).collect();
    drawing.finish("Throughput beside the floor and peers", &names.join("; "))
}
