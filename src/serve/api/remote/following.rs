//! The guard before the log's routes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Peer;
use super::answering::Answering;
use crate::serve::api::look_up::{refusal, request_of};
use crate::serve::roles::Deed;

/// Lets those through who may follow the log.
pub(super) async fn guard(
    State(answering): State<Arc<Answering>>,
    peer: axum::Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = answering.service.admit(&request_of(&parts, peer.address.ip(), &[]), peer.door(), Deed::Follow);
    match admitted {
        Ok(_) => next.run(Request::from_parts(parts, body)).await,
        Err(error) => {
            answering.say_why(&peer, Deed::Follow, &error);
            refusal(&error)
        }
    }
}
