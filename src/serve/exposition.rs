//! Metrics as text, as Prometheus reads them.

use std::fmt::Write as _;

/// The page, as far as it is written. Writing to a string cannot fail.
#[derive(Debug, Default)]
pub(super) struct Exposition(String);

impl Exposition {
    /// A value of this moment.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "gauge");
        let _ = writeln!(self.0, "shikaku_{name} {value}");
    }

    /// A count since the start; its name ends with `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.head(name, help, "counter");
        let _ = writeln!(self.0, "shikaku_{name} {value}");
    }

    /// Such a count for each value of a label.
    pub(super) fn counter_by(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) {
        self.head(name, help, "counter");
        for (of, value) in values {
            let _ = writeln!(self.0, "shikaku_{name}{{{label}=\"{of}\"}} {value}");
        }
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        let _ = write!(self.0, "# HELP shikaku_{name} {help}\n# TYPE shikaku_{name} {kind}\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_metric_says_what_it_means_and_of_which_type_it_is() {
        let mut page = Exposition::default();
        page.gauge("rows", "Current rows.", 7);
        page.counter_by("answers_total", "Answers.", "status", &[("2xx", 5), ("4xx", 0)]);
        let expected = "# HELP shikaku_rows Current rows.\n# TYPE shikaku_rows gauge\nshikaku_rows 7\n\
            # HELP shikaku_answers_total Answers.\n# TYPE shikaku_answers_total counter\n\
            shikaku_answers_total{status=\"2xx\"} 5\nshikaku_answers_total{status=\"4xx\"} 0\n";
        assert_eq!(page.into_text(), expected);
    }
}
