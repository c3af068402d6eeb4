//! What an open-loop run counts, phase by phase.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::error::LoadError;
use crate::measure::cpu::{process_cpu, thread_cpu};
use crate::report::Figures;

/// Latencies beyond this count as this.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// What was measured in a phase of the run.
pub(crate) struct Phase {
    /// Requests that fell due.
    pub(crate) due: u64,
    /// Of them, those whose connection took no more.
    pub(crate) dropped: u64,
    pub(crate) answered: u64,
    body_bytes: u64,
    elapsed: Duration,
    client_cpu: Duration,
    server_cpu: Option<Duration>,
    latencies_ns: Histogram<u64>,
}

impl Phase {
    pub(super) fn new() -> Result<Phase, LoadError> {
        let latencies_ns = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3);
        Ok(Phase {
            due: 0,
            dropped: 0,
            answered: 0,
            body_bytes: 0,
            elapsed: Duration::ZERO,
            client_cpu: Duration::ZERO,
            server_cpu: None,
            latencies_ns: latencies_ns.map_err(|_| LoadError::Usage("no histogram for latencies".to_owned()))?,
        })
    }

    /// Takes note of an answer, `late_ns` after its request was meant to be sent.
    pub(super) fn note_answer(&mut self, late_ns: u64, body_bytes: u64) {
        self.answered += 1;
        self.body_bytes += body_bytes;
        self.latencies_ns.saturating_record(late_ns.max(1));
    }

    /// Adds the time between two moments.
    pub(super) fn note_time(&mut self, before: &Clocks, after: &Clocks) {
        self.elapsed += after.at.duration_since(before.at);
        self.client_cpu += after.client.saturating_sub(before.client);
        let spent = after.server.zip(before.server).map(|(after, before)| after.saturating_sub(before));
        self.server_cpu = spent.map(|spent| spent + self.server_cpu.unwrap_or_default());
    }

    pub(crate) fn lasted(&self) -> Duration {
        self.elapsed
    }

    #[expect(clippy::cast_precision_loss, reason = "figures to be printed")]
    pub(crate) fn figures(&self) -> Figures {
        let answered = self.answered.max(1) as f64;
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let quantile = |quantile| self.latencies_ns.value_at_quantile(quantile) as f64 / 1_000.0;
        Figures {
            lookups_per_s: self.answered as f64 / seconds,
            server_cpu_ns_per_lookup: self.server_cpu.map(|cpu| cpu.as_nanos() as f64 / answered),
            client_busy: self.client_cpu.as_secs_f64() / seconds,
            answer_bytes: self.body_bytes as f64 / answered,
            lookups: self.answered,
            requests: self.answered,
            latencies_us: (self.answered > 0).then(|| [0.5, 0.99, 0.999, 1.0].map(quantile)),
        }
    }
}

/// The clocks at a moment.
pub(super) struct Clocks {
    at: Instant,
    client: Duration,
    server: Option<Duration>,
}

impl Clocks {
    pub(super) fn read(server_pid: Option<u32>) -> Result<Clocks, LoadError> {
        Ok(Clocks { at: Instant::now(), client: thread_cpu(), server: server_pid.map(process_cpu).transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_without_an_answer_has_no_latencies() {
        let mut phase = Phase::new().unwrap();
        assert!(phase.figures().latencies_us.is_none());
        phase.note_answer(2_000_000, 40);
        let latencies = phase.figures().latencies_us.unwrap();
        assert!(latencies.iter().all(|us| (1_990.0..2_010.0).contains(us)), "{latencies:?}");
    }

    #[test]
    fn time_adds_up_over_the_visits_of_a_phase() {
        let mut phase = Phase::new().unwrap();
        let at = Instant::now();
        let clocks = |ms: u64| Clocks {
            at: at + Duration::from_millis(ms),
            client: Duration::from_millis(ms / 2),
            server: Some(Duration::from_millis(ms / 4)),
        };
        (0..4).for_each(|_| phase.note_answer(1, 1));
        phase.note_time(&clocks(0), &clocks(100));
        phase.note_time(&clocks(200), &clocks(300));
        let figures = phase.figures();
        assert_eq!((figures.lookups_per_s, figures.client_busy), (20.0, 0.5));
        assert_eq!(figures.server_cpu_ns_per_lookup, Some(12_500_000.0));
    }
}
