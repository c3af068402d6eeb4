//! As much of SVG as plots need.

use std::fmt::Write;

/// The width of all plots in their own units; the page scales them.
pub(super) const WIDTH: f64 = 960.0;
/// Room for the numbers of the vertical axis, and at the right end.
pub(super) const LEFT: f64 = 64.0;
pub(super) const RIGHT: f64 = WIDTH - 16.0;

/// Text that may stand anywhere in the page.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(character),
        }
    }
    out
}

/// From values to places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    from: f64,
    to: f64,
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Scale {
    /// Values from `from` to `to` lie at places from `low` to `high`.
    pub(super) fn linear((from, to): (f64, f64), (low, high): (f64, f64)) -> Scale {
        Scale { from, to, low, high, logarithmic: false }
    }

    /// Each tenfold is as far as the last; `from` and `to` are powers of ten.
    pub(super) fn logarithmic((from, to): (f64, f64), (low, high): (f64, f64)) -> Scale {
        Scale { from: from.log10(), to: to.log10(), low, high, logarithmic: true }
    }

    /// The place of a value; those beyond the ends are at the ends.
    pub(super) fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let part = if self.to > self.from { ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0) } else { 0.0 };
        self.low + part * (self.high - self.low)
    }
}

/// The powers of ten around these values: at least two, so that there is a scale.
pub(super) fn decades(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values
        .filter(|value| *value > 0.0 && value.is_finite())
        .fold((f64::INFINITY, 0.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    if high == 0.0 {
        return (0.1, 10.0);
    }
    let (low, high) = (low.log10().floor(), high.log10().ceil());
    (10_f64.powf(low), 10_f64.powf(high.max(low + 1.0)))
}

/// The powers of ten between two of them, both included.
pub(super) fn powers((from, to): (f64, f64)) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(from), |power| Some(power * 10.0)).take_while(move |power| *power <= to * 1.000_1)
}

/// A drawing in the making.
pub(super) struct Drawing {
    height: f64,
    content: String,
}

impl Drawing {
    pub(super) fn new(height: f64) -> Drawing {
        Drawing { height, content: String::new() }
    }

    /// `class` decides colour and dashes.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(&format!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"));
    }

    pub(super) fn rectangle(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.add(&format!("<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"));
    }

    /// A line through points, interrupted where there is none.
    pub(super) fn path(&mut self, class: &str, points: impl Iterator<Item = Option<(f64, f64)>>) {
        let (mut path, mut drawing) = (String::new(), false);
        for point in points {
            if let Some((x, y)) = point {
                // A point by itself would not be seen: a line to its own place has round ends.
                let _ = if drawing { write!(path, "L{x:.1} {y:.1}") } else { write!(path, "M{x:.1} {y:.1}h0") };
            }
            drawing = point.is_some();
        }
        self.add(&format!("<path class=\"{class}\" d=\"{path}\"/>"));
    }

    /// The area between points and a base line.
    pub(super) fn area(&mut self, class: &str, points: &[(f64, f64)], base: f64) {
        let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return };
        let mut path = format!("M{first:.1} {base:.1}");
        for (x, y) in points {
            let _ = write!(path, "L{x:.1} {y:.1}");
        }
        self.add(&format!("<path class=\"{class}\" d=\"{path}L{last:.1} {base:.1}Z\"/>"));
    }

    /// `anchor` is `start`, `middle` or `end`.
    pub(super) fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        self.add(&format!("<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(text)));
    }

    /// Samples of lines with their names, from the left.
    pub(super) fn legend(&mut self, y: f64, entries: &[(&str, &str)]) {
        let mut x = LEFT;
        for (class, name) in entries {
            self.line(class, (x, y - 4.0), (x + 28.0, y - 4.0));
            self.text("label", "start", (x + 34.0, y), name);
            // Letters are about seven wide, and those of Japanese twice that.
            let wide = name.chars().filter(|letter| !letter.is_ascii()).count();
            #[expect(clippy::cast_precision_loss, reason = "a name's length")]
            let letters = (name.chars().count() + wide) as f64;
            x += 34.0 + letters * 6.8 + 26.0;
        }
    }

    /// The whole element; the description is for those who cannot see it.
    pub(super) fn finish(self, title: &str, description: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n{}</svg>\n",
            self.height,
            escaped(title),
            escaped(description),
            self.content
        )
    }

    fn add(&mut self, element: &str) {
        self.content.push_str(element);
        self.content.push('\n');
    }
}

/// Milliseconds as a person writes them.
pub(super) fn ms(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0} ms"),
        _ if value >= 10.0 => format!("{value:.1} ms"),
        _ if value >= 1.0 => format!("{value:.2} ms"),
        _ => format!("{:.0} µs", value * 1_000.0),
    }
}

/// A power of ten of milliseconds, for an axis.
pub(super) fn ms_of_axis(value: f64) -> String {
    if value >= 999.0 {
        format!("{:.0} s", value / 1_000.0)
    } else if value >= 0.999 {
        format!("{value:.0} ms")
    } else {
        format!("{:.0} µs", value * 1_000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_place_values_between_their_ends() {
        let linear = Scale::linear((0.0, 10.0), (100.0, 0.0));
        assert_eq!([0.0, 5.0, 10.0, 20.0].map(|value| linear.place(value)), [100.0, 50.0, 0.0, 0.0]);
        let logarithmic = Scale::logarithmic((0.1, 10.0), (0.0, 100.0));
        assert_eq!([0.1, 1.0, 10.0, 0.0].map(|value| logarithmic.place(value).round()), [0.0, 50.0, 100.0, 0.0]);
    }

    #[test]
    fn decades_enclose_what_is_shown() {
        assert_eq!(decades([0.2, 3.0, 40.0].into_iter()), (0.1, 100.0));
        assert_eq!(decades([1.0].into_iter()), (1.0, 10.0));
        assert_eq!(decades([0.0, f64::NAN].into_iter()), (0.1, 10.0));
        assert_eq!(powers((0.1, 100.0)).count(), 4);
    }

    #[test]
    fn times_are_written_with_as_many_digits_as_they_deserve() {
        assert_eq!([0.0423, 1.234, 12.34, 1_234.0].map(ms), ["42 µs", "1.23 ms", "12.3 ms", "1234 ms"]);
        assert_eq!([0.1, 1.0, 10_000.0].map(ms_of_axis), ["100 µs", "1 ms", "10 s"]);
    }

    #[test]
    fn a_line_is_interrupted_where_nothing_is_known() {
        let mut drawing = Drawing::new(10.0);
        drawing.path("p50", [Some((0.0, 0.0)), Some((1.0, 1.0)), None, Some((3.0, 3.0))].into_iter());
        assert!(drawing.finish("", "").contains("M0.0 0.0h0L1.0 1.0M3.0 3.0h0"));
    }
}
