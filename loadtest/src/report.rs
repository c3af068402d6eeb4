//! What reaches a person or a script.

#![expect(clippy::print_stderr, reason = "the one place that prints complaints")]

use std::io::Write;

use serde_json::{Value, json};

use crate::client::Measured;

/// From this part of its core on, the client may be what limits the figure.
const CLIENT_SATURATED: f64 = 0.95;

/// Prints a result line.
pub(crate) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no failure of ours.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Prints a complaint.
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

/// The figures of one measurement.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) lookups_per_s: f64,
    pub(crate) server_cpu_ns_per_lookup: Option<f64>,
    /// Part of its core that the client was busy.
    pub(crate) client_busy: f64,
    /// Bytes of the answer to one look-up, on average, with its line end.
    pub(crate) answer_bytes: f64,
    pub(crate) lookups: u64,
    pub(crate) requests: u64,
    /// Median, 99th, 99.9th percentile and largest, in µs.
    pub(crate) latencies_us: Option<[f64; 4]>,
}

impl Figures {
    #[expect(clippy::cast_precision_loss, reason = "figures to be printed")]
    pub(crate) fn of(measured: &Measured) -> Figures {
        let lookups = measured.lookups as f64;
        let per_lookup = |value: f64| if measured.lookups == 0 { 0.0 } else { value / lookups };
        let latencies_us = measured
            .latencies_ns
            .as_ref()
            .map(|histogram| [0.5, 0.99, 0.999, 1.0].map(|quantile| histogram.value_at_quantile(quantile) as f64 / 1_000.0));
        Figures {
            lookups_per_s: lookups / measured.elapsed.as_secs_f64(),
            server_cpu_ns_per_lookup: measured.server_cpu.map(|cpu| per_lookup(cpu.as_nanos() as f64)),
            client_busy: measured.client_cpu.as_secs_f64() / measured.elapsed.as_secs_f64(),
            answer_bytes: per_lookup(measured.body_bytes as f64),
            lookups: measured.lookups,
            requests: measured.requests,
            latencies_us,
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "lookups_per_s": self.lookups_per_s.round(),
            "server_cpu_ns_per_lookup": self.server_cpu_ns_per_lookup.map(f64::round),
            "client_busy": tenths_of_percent(self.client_busy),
            "client_saturated": self.client_is_saturated(),
            "answer_bytes": self.answer_bytes.round(),
            "lookups": self.lookups,
            "requests": self.requests,
            "latency_us": self.latencies_us.map(|[p50, p99, p999, max]| json!({ "p50": p50, "p99": p99, "p99.9": p999, "max": max })),
        })
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{} look-ups/s, {} requests, all answers right", thousands(self.lookups_per_s), self.requests)];
        if let Some(ns) = self.server_cpu_ns_per_lookup {
            lines.push(format!("server CPU {ns:.0} ns a look-up"));
        }
        if let Some([p50, p99, p999, max]) = self.latencies_us {
            lines.push(format!("latency p50 {p50:.0} µs, p99 {p99:.0} µs, p99.9 {p999:.0} µs, max {max:.0} µs"));
        }
        lines.push(format!("answers {:.0} bytes; client busy {:.0} % of its core", self.answer_bytes, self.client_busy * 100.0));
        if self.client_is_saturated() {
            lines.push("the client saturates its core: the server might do more".to_owned());
        }
        lines
    }

    /// Bytes of an answer, for a floor of the same length.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of answer lengths")]
    pub(crate) fn answer_bytes_rounded(&self) -> usize {
        self.answer_bytes.round() as usize
    }

    pub(crate) fn client_is_saturated(&self) -> bool {
        self.client_busy >= CLIENT_SATURATED
    }
}

/// The figures whose throughput is the median.
pub(crate) fn median(mut runs: Vec<Figures>) -> Option<Figures> {
    runs.sort_by(|one, other| one.lookups_per_s.total_cmp(&other.lookups_per_s));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

/// The median; the greater of the two in the middle where there are two.
pub(crate) fn middle(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// `1,234,567`.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn tenths_of_percent(part: f64) -> f64 {
    (part * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_whatever_the_order() {
        assert_eq!(middle([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(middle([4.0, 1.0, 2.0, 3.0]), Some(3.0));
        assert_eq!(middle([]), None);
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(thousands(0.0), "0");
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}
