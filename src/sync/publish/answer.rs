//! Answers that are no files.

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::registry::RegistryError;

/// Where the manifest of the newest snapshot is found; a `410` names it.
pub(super) const SNAPSHOT_ADDRESS: &str = "/v1/log/snapshot";

/// A refusal with its code, as everywhere in the API.
pub(super) fn refused(status: StatusCode, code: &str, message: &str) -> Response {
    (status, Json(json!({ "error": { "code": code, "message": message } }))).into_response()
}

/// `503`: later, perhaps.
pub(super) fn unavailable(code: &str, message: &str) -> Response {
    let mut answer = refused(StatusCode::SERVICE_UNAVAILABLE, code, message);
    answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
    answer
}

/// `410`: the frames are gone, and a snapshot has what they did.
pub(super) fn gone(oldest_sequence: u64) -> Response {
    let message = format!("the log begins at sequence {oldest_sequence}; begin with the snapshot");
    let body = json!({
        "error": { "code": "trimmed", "message": message },
        "oldest_sequence": oldest_sequence,
        "snapshot": SNAPSHOT_ADDRESS,
    });
    (StatusCode::GONE, Json(body)).into_response()
}

/// Whether whoever asks knows what has this tag (RFC 9110, section 13.1.2).
pub(super) fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    let tags = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|tags| tags.split(',')).map(str::trim).any(|tag| tag == "*" || tag.trim_start_matches("W/") == etag)
}

/// `404`.
pub(super) fn not_found(code: &str, message: &str) -> Response {
    refused(StatusCode::NOT_FOUND, code, message)
}

/// A JSON object that nobody may keep.
pub(super) fn object(body: Value) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// What the registry could not do, for somebody elsewhere: file names stay here.
pub(super) fn failed(error: &RegistryError) -> Response {
    if let RegistryError::NotHandedOn { trouble, .. } = error {
        return unavailable(trouble, "the log is not handed on while there is this trouble");
    }
    tracing::error!(%error, "the log could not be handed on");
    unavailable("unreadable", "the log could not be read; the operator's log says why")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_alone_among_others_and_by_a_star() {
        let known = |value: &'static str| {
            let headers = HeaderMap::from_iter([(header::IF_NONE_MATCH, header::HeaderValue::from_static(value))]);
            is_known(&headers, "\"tag\"")
        };
        assert!(known("\"tag\"") && known("\"one\", \"tag\"") && known("W/\"tag\"") && known("*"));
        assert!(!known("\"one\"") && !known("tag") && !is_known(&HeaderMap::new(), "\"tag\""));
    }
}
