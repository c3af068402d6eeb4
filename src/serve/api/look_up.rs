//! What the fast listener answers, answered to a request that axum took: the same service, the same bytes.

use std::net::IpAddr;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;

use crate::serve::Door;
use crate::serve::fast::wire::{WireError, write_error};
use crate::serve::fast::{ContentType, Method, Reply, Request};
use crate::serve::service::Service;

/// The service's request that an HTTP request is.
pub(super) fn request_of<'r>(parts: &'r Parts, peer: IpAddr, body: &'r [u8]) -> Request<'r> {
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    Request {
        method: match parts.method.as_str() {
            "GET" => Method::Get,
            "POST" => Method::Post,
            "HEAD" => Method::Head,
            _ => Method::Other,
        },
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or(""),
        content_type: text(header::CONTENT_TYPE),
        accept: text(header::ACCEPT),
        authorization: parts.headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes),
        peer,
        body,
    }
}

/// Answers, and gives back why it was refused where it was. It may wait for the audit.
pub(super) fn answer(service: &Service, request: &Request<'_>, door: Door<'_>) -> (Response, Option<WireError>) {
    let mut out = BytesMut::new();
    let mut reply = Reply::new(&mut out);
    let refused = service.respond(request, door, &mut reply);
    let status = StatusCode::from_u16(reply.status_code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (kind, retry_after) = (reply.media_type(), reply.retry_after());
    let mut response = (status, [(header::CONTENT_TYPE, kind)], out.freeze()).into_response();
    if let Some((_, seconds)) = retry_after.and_then(|line| line.split_once(": ")) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    (response, refused)
}

/// A request that cannot be taken, whatever it asks.
pub(super) fn refusal(error: &WireError) -> Response {
    let mut out = BytesMut::new();
    write_error(error, &mut out);
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, [(header::CONTENT_TYPE, ContentType::Json.media_type())], out.freeze()).into_response()
}
