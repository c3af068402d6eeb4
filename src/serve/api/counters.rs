//! What the API over TLS counts for its metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;

/// The outcomes of requests: the classes of an answer's status.
const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The counts as the listener keeps them.
#[derive(Debug, Default)]
struct Tally {
    connections: AtomicU64,
    accepted: AtomicU64,
    refused: AtomicU64,
    handshakes_refused: AtomicU64,
    requests: [AtomicU64; CLASSES.len()],
}

/// A handle on the counts, for the one who counts and the one who reads.
#[derive(Clone, Debug, Default)]
pub struct ApiCounters(Arc<Tally>);

/// The counts at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiCounted {
    /// Connections being served.
    pub connections: u64,
    /// Connections ever accepted, refused ones among them.
    pub accepted: u64,
    /// Connections shut because there was no room for them.
    pub refused: u64,
    /// Handshakes that led to nothing: no certificate or one that is not believed, no TLS, or no end in time.
    pub handshakes_refused: u64,
    /// Requests that were answered, by the class of their status.
    pub requests: [(&'static str, u64); CLASSES.len()],
}

/// A connection that is being served, until this is dropped.
#[derive(Debug)]
pub(super) struct Serving(Arc<Tally>);

impl ApiCounters {
    /// The counts now.
    pub fn read(&self) -> ApiCounted {
        let tally = &self.0;
        let requests = |class: usize| tally.requests.get(class).map_or(0, |count| count.load(Ordering::Relaxed));
        ApiCounted {
            connections: tally.connections.load(Ordering::Relaxed),
            accepted: tally.accepted.load(Ordering::Relaxed),
            refused: tally.refused.load(Ordering::Relaxed),
            handshakes_refused: tally.handshakes_refused.load(Ordering::Relaxed),
            requests: std::array::from_fn(|class| (CLASSES.get(class).copied().unwrap_or(""), requests(class))),
        }
    }

    pub(super) fn accepted(&self) {
        self.0.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refused(&self) {
        self.0.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn handshake_refused(&self) {
        self.0.handshakes_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn serving(&self) -> Serving {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
        Serving(self.0.clone())
    }

    pub(super) fn answered(&self, status: StatusCode) {
        let class = usize::from(status.as_u16() / 100).checked_sub(1);
        if let Some(count) = class.and_then(|class| self.0.requests.get(class)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}
