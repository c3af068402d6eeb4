#![forbid(unsafe_code)]
//! The limits of one listener, so that tests can tighten them.

use std::time::Duration;

use crate::limits as defaults;

/// What one listener allows. [`Default`] is what the appliance runs with; see [`crate::limits`] for the reasons.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is named after its constant in crate::limits, where it is explained")]
pub struct ListenerLimits {
    pub connections_max: usize,
    pub unparsed_bytes_max: u64,
    pub body_bytes_max: usize,
    pub unread_bytes_max: u64,
    pub held_bytes_total_max: u64,
    pub last_answer_bytes: usize,
    pub idle_timeout: Duration,
    pub first_byte_timeout: Duration,
    pub head_timeout: Duration,
    pub body_timeout: Duration,
    pub unread_timeout: Duration,
    pub drain_bytes_max: u64,
    pub drain_timeout: Duration,
    pub stop_timeout: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections_max: defaults::LISTENER_CONNECTIONS_MAX,
            unparsed_bytes_max: defaults::LISTENER_UNPARSED_BYTES_MAX,
            body_bytes_max: defaults::LISTENER_BODY_BYTES_MAX,
            unread_bytes_max: defaults::LISTENER_UNREAD_BYTES_MAX,
            held_bytes_total_max: defaults::LISTENER_HELD_BYTES_TOTAL_MAX,
            last_answer_bytes: defaults::LISTENER_LAST_ANSWER_BYTES,
            idle_timeout: Duration::from_millis(defaults::LISTENER_IDLE_TIMEOUT_MS),
            first_byte_timeout: Duration::from_millis(defaults::LISTENER_FIRST_BYTE_TIMEOUT_MS),
            head_timeout: Duration::from_millis(defaults::LISTENER_HEAD_TIMEOUT_MS),
            body_timeout: Duration::from_millis(defaults::LISTENER_BODY_TIMEOUT_MS),
            unread_timeout: Duration::from_millis(defaults::LISTENER_UNREAD_TIMEOUT_MS),
            drain_bytes_max: defaults::LISTENER_DRAIN_BYTES_MAX,
            drain_timeout: Duration::from_millis(defaults::LISTENER_DRAIN_TIMEOUT_MS),
            stop_timeout: Duration::from_millis(defaults::LISTENER_STOP_TIMEOUT_MS),
        }
    }
}
