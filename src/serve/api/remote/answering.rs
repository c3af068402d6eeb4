//! A look-up over TLS: its body read within limits, answered by the service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::turned_away::TurnedAway;
use super::{Peer, RemoteLimits};
use crate::limits::API_SMALL_BODY_BYTES;
use crate::serve::api::look_up::{answer, refusal, request_of};
use crate::serve::fast::Method;
use crate::serve::fast::wire::WireError;
use crate::serve::roles::Deed;
use crate::serve::service::Service;

/// What all requests share.
pub(super) struct Answering {
    pub(super) service: Arc<Service>,
    pub(super) turned_away: Arc<TurnedAway>,
    large: Arc<Semaphore>,
    body_bytes_max: usize,
    body_timeout: Duration,
}

const SINGLE: &str = "/v1/eligibility";
const BATCH: &str = "/v1/eligibility/batch";
const BODY_TOO_LARGE: WireError = WireError::refused(413, "body_too_large", "the body is larger than allowed");
const BODY_BROKEN: WireError = WireError::refused(400, "bad_body", "the body did not arrive whole");
const BODY_LATE: WireError = WireError::refused(408, "body_timeout", "the body did not arrive in time");
const FAILED: WireError = WireError::refused(500, "failed", "the server failed while it answered; its log says how");

impl Answering {
    pub(super) fn new(service: Arc<Service>, turned_away: Arc<TurnedAway>, limits: &RemoteLimits) -> Answering {
        let large = Arc::new(Semaphore::new(limits.large_requests_max));
        let (body_bytes_max, body_timeout) = (limits.body_bytes_max, limits.body_timeout);
        Answering { service, turned_away, large, body_bytes_max, body_timeout }
    }

    /// Tells the operator why somebody was turned away. The peer is told nothing of it.
    pub(super) fn say_why(&self, peer: &Peer, deed: Deed, error: &WireError) {
        let may_not = peer.credential.as_ref().filter(|credential| !credential.identity.may(deed));
        match may_not {
            Some(credential) => {
                let reason = format!("the role {} may not {}", credential.identity.role(), deed.words());
                self.turned_away.say(peer, reason);
            }
            None => self.turned_away.say(peer, format_args!("{}: {}", deed.words(), error.message)),
        }
    }

    /// Whoever may not do what they ask is told before anything of theirs is read, so that they take no place from those who may.
    fn turn_away(&self, parts: &Parts, peer: &Peer) -> Option<Response> {
        let (request, deed) = (request_of(parts, peer.address.ip(), &[]), deed_of(parts.uri.path()));
        let asks = request.method == Method::Post && matches!(request.path, SINGLE | BATCH);
        let error = if asks { self.service.admit(&request, peer.door(), deed).err() } else { None };
        let error = error.filter(|error| matches!(error.status, 401 | 403))?;
        self.say_why(peer, deed, &error);
        Some(refusal(&error))
    }

    async fn body(&self, body: Body) -> Result<Bytes, WireError> {
        let whole = tokio::time::timeout(self.body_timeout, Limited::new(body, self.body_bytes_max).collect()).await;
        match whole {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BODY_TOO_LARGE),
            Ok(Err(_)) => Err(BODY_BROKEN),
            Err(_) => Err(BODY_LATE),
        }
    }

    /// A place for a request that may hold much memory, to be kept until its answer has been sent. Closed it never is, so that whoever
    /// waits gets one, or is cut by the request's timeout.
    async fn place(&self, parts: &Parts) -> Option<OwnedSemaphorePermit> {
        let is_small = length_of(&parts.headers).is_some_and(|length| length <= API_SMALL_BODY_BYTES);
        if is_small && parts.uri.path() != BATCH {
            return None;
        }
        self.large.clone().acquire_owned().await.ok()
    }
}

/// Answers whatever is no route of the log.
pub(super) async fn look_up(State(answering): State<Arc<Answering>>, peer: axum::Extension<Peer>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if let Some(refused) = answering.turn_away(&parts, &peer) {
        return refused;
    }
    let place = answering.place(&parts).await;
    let body = match answering.body(body).await {
        Ok(body) => body,
        Err(error) => return refusal(&error),
    };
    let answered = tokio::task::spawn_blocking(move || {
        let request = request_of(&parts, peer.address.ip(), &body);
        let (response, refused) = answer(&answering.service, &request, peer.door());
        if let Some(error) = refused.filter(|error| matches!(error.status, 401 | 403)) {
            answering.say_why(&peer, deed_of(request.path), &error);
        }
        response
    });
    let Ok(response) = answered.await else { return refusal(&FAILED) };
    match place {
        None => response,
        Some(place) => response.map(|body| Body::new(Placed { body, _place: place })),
    }
}

/// A body that gives its place back when it has been sent.
struct Placed {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl hyper::body::Body for Placed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn deed_of(path: &str) -> Deed {
    match path {
        BATCH => Deed::LookUpMany,
        "/v1/status" | "/metrics" => Deed::ReadStatus,
        _ => Deed::LookUp,
    }
}

/// The length of a body that says it: nothing, where there is neither a length nor pieces.
fn length_of(headers: &HeaderMap) -> Option<usize> {
    match headers.get(header::CONTENT_LENGTH) {
        Some(length) => length.to_str().ok()?.parse().ok(),
        None => (!headers.contains_key(header::TRANSFER_ENCODING)).then_some(0),
    }
}
