#![forbid(unsafe_code)]
//! The listener's counts as they are read for its metrics.

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Connections being served.
    pub connections: u64,
    /// Connections ever accepted, refused ones among them.
    pub accepted: u64,
    /// Connections shut at once because the cap was reached.
    pub refused: u64,
    /// Connections that made room for others at the cap.
    pub displaced: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Bytes of answers.
    pub bytes_out: u64,
    /// Connections that ended with a refused request.
    pub poisoned: u64,
    /// Answers that panicked: a bug.
    pub failed_answers: u64,
    /// Connections shut because they were silent.
    pub swept_idle: u64,
    /// Connections shut because a request took too long to arrive.
    pub swept_slow: u64,
    /// Connections shut because they sent more than they may without completing a request.
    pub swept_flooding: u64,
    /// Connections shut because they did not read their answers.
    pub swept_unread: u64,
    /// Memory that connections keep after large answers, estimated.
    pub retained_bytes: u64,
}

impl Counted {
    /// Calls `take` with the name, the meaning and the value of each count, for metrics.
    pub fn each(&self, mut take: impl FnMut(&str, &str, u64)) {
        take("connections", "Connections being served.", self.connections);
        take("connections_accepted", "Connections ever accepted.", self.accepted);
        take("connections_refused", "Connections shut because the cap was reached.", self.refused);
        take("connections_displaced", "Connections that made room for others at the cap.", self.displaced);
        take("requests", "Requests whose head was read.", self.requests);
        take("answer_bytes", "Bytes of answers.", self.bytes_out);
        take("connections_poisoned", "Connections that ended with a refused request.", self.poisoned);
        take("failed_answers", "Answers that panicked.", self.failed_answers);
        take("swept_idle", "Connections shut because they were silent.", self.swept_idle);
        take("swept_slow", "Connections shut because a request took too long.", self.swept_slow);
        take("swept_flooding", "Connections shut because they sent too much without a request.", self.swept_flooding);
        take("swept_unread", "Connections shut because they did not read their answers.", self.swept_unread);
        take("retained_bytes", "Memory kept after large answers, estimated.", self.retained_bytes);
    }
}

/// A handle on a listener's counts that outlives it.
#[derive(Clone, Debug)]
pub struct Counters(pub(super) std::sync::Arc<super::registry::Registry>);

impl Counters {
    /// The counts now. Walks all connections: for metrics, not for each request.
    pub fn read(&self) -> Counted {
        let tally = &self.0.tally;
        let (requests, bytes_out) = self.0.live_requests_and_bytes();
        Counted {
            connections: tally.connections.value(),
            accepted: tally.accepted.value(),
            refused: tally.refused.value(),
            displaced: tally.displaced.value(),
            requests: tally.requests.value() + requests,
            bytes_out: tally.bytes_out.value() + bytes_out,
            poisoned: tally.poisoned.value(),
            failed_answers: tally.failed_answers.value(),
            swept_idle: tally.swept_idle.value(),
            swept_slow: tally.swept_slow.value(),
            swept_flooding: tally.swept_flooding.value(),
            swept_unread: tally.swept_unread.value(),
            retained_bytes: tally.retained_bytes.value(),
        }
    }
}
