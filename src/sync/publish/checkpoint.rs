//! `GET /v1/log/checkpoint`: the newest one, or the next.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};

use super::{Published, Publisher, answer};
use crate::limits::CHECKPOINT_WAIT_S_MAX;

#[derive(Debug, Deserialize)]
pub(super) struct Waiting {
    /// How long a checkpoint that is known already may be waited on, seconds.
    #[serde(default)]
    wait: u64,
}

/// The newest checkpoint; where the one who asks knows it already, the next, as soon as there is one.
pub(super) async fn newest(
    State(publisher): State<Arc<Publisher>>,
    Query(waiting): Query<Waiting>,
    headers: HeaderMap,
) -> Response {
    let until = Instant::now() + Duration::from_secs(waiting.wait.min(CHECKPOINT_WAIT_S_MAX));
    let mut newest = publisher.newest.clone();
    loop {
        if let Some(stopped) = publisher.stopped() {
            return stopped;
        }
        let current = newest.borrow_and_update().clone();
        if let Some(published) = &current
            && !published.etag.to_str().is_ok_and(|etag| answer::is_known(&headers, etag))
        {
            return whole(published);
        }
        match timeout_at(until, newest.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return answer::unavailable("ending", "the server is ending"),
            Err(_) => {
                return current.map_or_else(
                    || answer::unavailable("no_checkpoint", "there is no checkpoint to pass on yet"),
                    |published| (StatusCode::NOT_MODIFIED, [(header::ETAG, published.etag)]).into_response(),
                );
            }
        }
    }
}

fn whole(published: &Published) -> Response {
    let kind = HeaderValue::from_static("application/octet-stream");
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::ETAG, published.etag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, published.signed.clone()).into_response()
}
