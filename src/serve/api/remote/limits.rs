//! The limits of the API, so that an operator or a test can tighten them.

use std::time::Duration;

use crate::limits as defaults;

/// What the API allows. [`Default`] is what it runs with; see [`crate::limits`] for the reasons.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each field is named after its constant in crate::limits, where it is explained")]
pub struct RemoteLimits {
    pub connections_max: usize,
    pub handshakes_max: usize,
    pub handshake_timeout: Duration,
    pub head_timeout: Duration,
    pub head_bytes_max: usize,
    pub body_bytes_max: usize,
    pub body_timeout: Duration,
    pub request_timeout: Duration,
    pub large_requests_max: usize,
    pub stop_timeout: Duration,
}

impl Default for RemoteLimits {
    fn default() -> RemoteLimits {
        RemoteLimits {
            connections_max: defaults::API_CONNECTIONS_MAX,
            handshakes_max: defaults::API_HANDSHAKES_MAX,
            handshake_timeout: Duration::from_millis(defaults::API_HANDSHAKE_TIMEOUT_MS),
            head_timeout: Duration::from_millis(defaults::API_HEAD_TIMEOUT_MS),
            head_bytes_max: defaults::API_HEAD_BYTES_MAX,
            body_bytes_max: defaults::API_BODY_BYTES_MAX,
            body_timeout: Duration::from_millis(defaults::API_BODY_TIMEOUT_MS),
            request_timeout: Duration::from_millis(defaults::API_REQUEST_TIMEOUT_MS),
            large_requests_max: defaults::API_LARGE_REQUESTS_MAX,
            stop_timeout: Duration::from_millis(defaults::API_STOP_TIMEOUT_MS),
        }
    }
}
