#![forbid(unsafe_code)]
//! What a connection does with one request, without the engine and its socket: the fuzzer's door to the guard.

use std::net::IpAddr;

use bytes::BytesMut;

use super::connection::words_bytes;
use super::framing::{self, Refusal};
use super::request::{Request, Words, split_target, text};
use super::{Answer, Reply};
use crate::limits::{LISTENER_BODY_BYTES_MAX, LISTENER_HEAD_BYTES_MAX};

/// A head as the engine hands it over.
#[derive(Clone, Copy, Debug)]
pub struct ParsedHead<'a> {
    /// The method's word.
    pub method: &'a str,
    /// The target, path and query.
    pub target: &'a str,
    /// The minor version, 0 or 1.
    pub version: u8,
    /// The header fields.
    pub headers: &'a [(&'a str, &'a [u8])],
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Refused by its head; nothing after it is served.
    Refused {
        /// The status of the answer.
        status: u16,
    },
    /// More bytes of the body must come first.
    Waits {
        /// How many the head announces.
        body_bytes: usize,
    },
    /// Answered.
    Answered {
        /// The status of the answer.
        status: u16,
        /// How many bytes of the body were taken.
        body_bytes: usize,
        /// Whether the connection ends.
        close: bool,
    },
}

/// Frames a request and has it answered into `out`; `rest` is what arrived behind the head.
pub fn serve<A: Answer>(answer: &A, peer: IpAddr, parsed: &ParsedHead<'_>, rest: &[u8], out: &mut BytesMut) -> Fate {
    let headers = parsed.headers.iter().copied();
    let head = framing::examine(parsed.method, parsed.version, headers, LISTENER_BODY_BYTES_MAX);
    let head = match head {
        Ok(head) if words_bytes(parsed.target, &head) <= LISTENER_HEAD_BYTES_MAX => head,
        Ok(_) => return refused(Refusal::HeadTooLarge, out),
        Err(refusal) => return refused(refusal, out),
    };
    let (method, body_bytes, close) = (head.method, head.body_bytes, head.close);
    let mut words = Words::default();
    let request = if body_bytes == 0 {
        let (path, query) = split_target(parsed.target);
        let (content_type, accept) = (text(head.content_type), text(head.accept));
        Request { method, path, query, content_type, accept, authorization: head.authorization, peer, body: &[] }
    } else {
        let Some(body) = rest.get(..body_bytes) else { return Fate::Waits { body_bytes } };
        words.keep(parsed.target, head.content_type, head.accept, head.authorization);
        words.request(method, peer, body)
    };
    let mut reply = Reply::new(out);
    answer.answer(&request, &mut reply);
    Fate::Answered { status: reply.status_code(), body_bytes, close: close || reply.close }
}

fn refused(refusal: Refusal, out: &mut BytesMut) -> Fate {
    out.clear();
    out.extend_from_slice(refusal.body().as_bytes());
    Fate::Refused { status: refusal.status() }
}
