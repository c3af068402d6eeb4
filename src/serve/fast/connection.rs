#![forbid(unsafe_code)]
//! One connection's service: frames each request, has it answered, and knows when to leave.

use std::io::{self, BufRead};
use std::net::{IpAddr, Ipv4Addr};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use may_minihttp::{BodyReader, HttpService, Response};
use rustix::net::SendFlags;

use super::Answer;
use super::farewell::Farewell;
use super::framing::{self, Head, Refusal};
use super::guard;
use super::recent::Recent;
use super::registry::{Place, Registry};
use super::reply::{Reply, ReplyHead, reason, write_head};
use super::request::{Method, Request, Words, split_target, text};
use crate::limits::{
    LISTENER_HEAD_BYTES_MAX, LISTENER_RETAINED_BYTES_MIN, LISTENER_RETAINED_BYTES_TOTAL_MAX, LISTENER_SCRATCH_KEPT_BYTES,
};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const PANICKED: &[u8] = br#"{"error":{"code":"internal","message":"the answer could not be made"}}"#;

/// The engine's own first size for a body; it gets the same back when a grown one is taken from it.
const BODY_BUFFER_BYTES: usize = 4096;

/// The service of one connection.
pub(super) struct Connection<A> {
    answer: Arc<A>,
    registry: Arc<Registry>,
    /// None for a connection that came above the cap: it is shut already and only has to find out.
    place: Option<Place>,
    peer: IpAddr,
    requests: u64,
    /// Bytes of answers since the connection began, and how many of them were acknowledged when last looked.
    produced: u64,
    acked: u64,
    /// An estimate of what the engine's buffers have grown to and keep.
    retained_bytes: u64,
    recent: Recent,
    words: Words,
    body: Vec<u8>,
}

/// How a request ends.
enum Ending {
    /// The engine writes the answer and goes on.
    Keep,
    /// This answer is the last: nothing after the request is served.
    Last { head: ReplyHead, body: BytesMut },
    /// Not even an answer.
    Cut,
}

/// What unwinds a coroutine out of the engine's loops.
struct Leaving;

/// Ends the coroutine: a connection's, or an acceptor's.
///
/// The engine offers no way to end a connection from within a service: an error becomes a 500 answer and the next request is served. It
/// does unwind cleanly, because this is how `may` itself cancels a coroutine. This is not a panic: no hook runs, nothing is printed.
/// (`may`'s own `cancel` is one, and prints where the panic hook was set after the engine's.)
pub(super) fn leave() -> ! {
    resume_unwind(Box::new(Leaving))
}

impl<A: Answer> HttpService for Connection<A> {
    fn call(&mut self, request: may_minihttp::Request<'_, '_, '_>, response: &mut Response<'_>) -> io::Result<()> {
        match self.serve(request, response) {
            Ending::Keep => Ok(()),
            Ending::Last { head, body } => {
                self.take_leave(head, &body);
                drop(body);
                leave()
            }
            Ending::Cut => leave(),
        }
    }
}

impl<A: Answer> Connection<A> {
    pub(super) fn new(answer: Arc<A>, registry: Arc<Registry>, place: Option<Place>, peer: Option<IpAddr>) -> Self {
        Self {
            answer,
            registry,
            place,
            peer: peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            requests: 0,
            produced: 0,
            acked: 0,
            retained_bytes: 0,
            recent: Recent::default(),
            words: Words::default(),
            body: Vec::new(),
        }
    }

    fn serve(&mut self, request: may_minihttp::Request<'_, '_, '_>, response: &mut Response<'_>) -> Ending {
        let Some(place) = &self.place else { return Ending::Cut };
        self.requests += 1;
        place.slot.requests.store(self.requests, Ordering::Relaxed);
        if self.produced - self.acked > self.registry.limits.unread_bytes_max && self.unread_too_much() {
            return Ending::Cut;
        }
        let headers = request.headers().iter().map(|header| (header.name, header.value));
        let target = request.path();
        let head = framing::examine(request.method(), request.version(), headers, self.registry.limits.body_bytes_max);
        let head = match head {
            Ok(head) if words_bytes(target, &head) <= LISTENER_HEAD_BYTES_MAX => head,
            Ok(_) => return self.refuse(Refusal::HeadTooLarge),
            Err(refusal) => return self.refuse(refusal),
        };
        if head.body_bytes == 0 {
            let (path, query) = split_target(target);
            let asked = Request {
                method: head.method,
                path,
                query,
                content_type: text(head.content_type),
                accept: text(head.accept),
                authorization: head.authorization,
                peer: self.peer,
                body: &[],
            };
            let answered = ask(&*self.answer, &asked, response);
            return self.conclude(answered, head.close, response);
        }
        let Head { method, body_bytes, close, expects_continue, .. } = head;
        self.words.keep(target, head.content_type, head.accept, head.authorization);
        if expects_continue {
            self.tell_to_continue();
        }
        self.serve_body(request.body(), body_bytes, method, close, response)
    }

    /// Answers a request that has a body: in place if all of it is in the engine's buffer, else gathered first.
    fn serve_body(
        &mut self,
        mut reader: BodyReader<'_, '_>,
        body_bytes: usize,
        method: Method,
        close: bool,
        response: &mut Response<'_>,
    ) -> Ending {
        self.wait_for_body(body_bytes);
        let answered = if reader.fill_buf().is_ok_and(|bytes| bytes.len() == body_bytes) {
            let body = reader.fill_buf().unwrap_or_default();
            ask(&*self.answer, &self.words.request(method, self.peer, body), response)
        } else {
            if !gather(&mut reader, body_bytes, &mut self.body) {
                return Ending::Cut;
            }
            ask(&*self.answer, &self.words.request(method, self.peer, &self.body), response)
        };
        self.wait_for_body(0);
        if self.body.capacity() > LISTENER_SCRATCH_KEPT_BYTES {
            self.body = Vec::new();
        }
        // The reader takes what it has seen out of the engine's buffer.
        drop(reader);
        self.conclude(answered, close, response)
    }

    fn wait_for_body(&self, body_bytes: usize) {
        if let Some(place) = &self.place {
            place.slot.body_bytes.store(body_bytes as u64, Ordering::Relaxed);
        }
    }

    fn conclude(&mut self, answered: Option<Answered>, close: bool, response: &mut Response<'_>) -> Ending {
        let Some(Answered { head, close: asked_to_close }) = answered else {
            self.registry.tally.failed_answers.add(1);
            return Ending::Last { head: ReplyHead::json(500), body: BytesMut::from(PANICKED) };
        };
        let body_bytes = response.body_mut().len();
        let close = close || asked_to_close || self.registry.stopping.load(Ordering::Relaxed);
        if close || self.too_large_to_stay(body_bytes) {
            return Ending::Last { head, body: std::mem::take(response.body_mut()) };
        }
        self.produced += self.recent.note(head, response.body_mut());
        if let Some(place) = &self.place {
            place.slot.produced.store(self.produced, Ordering::Relaxed);
        }
        response.status_code(usize::from(head.status), reason(head.status)).header(head.content_type.header());
        if let Some(after) = head.retry_after {
            response.header(after.header());
        }
        if body_bytes > LISTENER_RETAINED_BYTES_MIN {
            self.lighten(body_bytes, response);
        }
        Ending::Keep
    }

    fn too_large_to_stay(&self, body_bytes: usize) -> bool {
        body_bytes > LISTENER_RETAINED_BYTES_MIN
            && (body_bytes > self.registry.limits.last_answer_bytes
                || self.registry.tally.retained_bytes.value() > LISTENER_RETAINED_BYTES_TOTAL_MAX)
    }

    /// Takes a grown body away from the engine, which would keep its memory, and counts what its other buffer grows to.
    #[cold]
    fn lighten(&mut self, body_bytes: usize, response: &mut Response<'_>) {
        let body = std::mem::replace(response.body_mut(), BytesMut::with_capacity(BODY_BUFFER_BYTES));
        response.body_vec(body.into());
        let grown_bytes = 2 * body_bytes as u64;
        if grown_bytes > self.retained_bytes {
            self.registry.tally.retained_bytes.add(grown_bytes - self.retained_bytes);
            self.retained_bytes = grown_bytes;
        }
    }

    #[cold]
    fn refuse(&self, refusal: Refusal) -> Ending {
        self.registry.tally.poisoned.add(1);
        Ending::Last { head: ReplyHead::json(refusal.status()), body: BytesMut::from(refusal.body()) }
    }

    /// Asks the kernel how much the peer has read by now.
    #[cold]
    fn unread_too_much(&mut self) -> bool {
        let traffic = self.place.as_ref().and_then(|place| place.slot.socket.with(guard::traffic));
        let Some(Ok(traffic)) = traffic else { return true };
        self.acked = traffic.acked.min(self.produced);
        let too_much = self.produced - self.acked > self.registry.limits.unread_bytes_max;
        if too_much {
            self.registry.tally.swept_unread.add(1);
        }
        too_much
    }

    /// Sends the interim answer past the engine, which has no word for it. Only when nothing else is on its way out, because it must not
    /// land inside another answer; a client that pipelined then waits for its own patience instead.
    #[cold]
    fn tell_to_continue(&mut self) {
        let Some(place) = &self.place else { return };
        let sent = place.slot.socket.with(|fd| {
            let idle = guard::traffic(fd).is_ok_and(|traffic| traffic.written == self.produced);
            idle && rustix::net::send(fd, CONTINUE, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) == Ok(CONTINUE.len())
        });
        if sent == Some(true) {
            self.produced += CONTINUE.len() as u64;
            place.slot.produced.store(self.produced, Ordering::Relaxed);
        }
    }

    /// Hands the socket over with the last answer, and with those before it that the engine has not written yet.
    #[cold]
    fn take_leave(&mut self, head: ReplyHead, body: &[u8]) {
        let Some(place) = &self.place else { return };
        let farewell = place.slot.socket.with(|fd| {
            let pending = self.produced.checked_sub(guard::traffic(fd).ok()?.written)?;
            let mut out = self.recent.last(pending)?;
            write_head(&mut out, head, body.len(), true);
            out.extend_from_slice(body);
            self.produced += out.len() as u64 - pending;
            Some(Farewell::begin(guard::duplicate(fd).ok()?, out))
        });
        place.slot.produced.store(self.produced, Ordering::Relaxed);
        if let Some(Some(farewell)) = farewell {
            self.registry.see_off(farewell);
        }
    }
}

impl<A> Drop for Connection<A> {
    fn drop(&mut self) {
        if self.retained_bytes > 0 {
            self.registry.tally.retained_bytes.take(self.retained_bytes);
        }
    }
}

#[derive(Clone, Copy)]
struct Answered {
    head: ReplyHead,
    close: bool,
}

/// Has a request answered into the engine's body buffer. None if the answer panicked.
#[inline]
fn ask<A: Answer>(answer: &A, request: &Request<'_>, response: &mut Response<'_>) -> Option<Answered> {
    let mut reply = Reply::new(response.body_mut());
    // The buffer is cleared by whoever uses it next, so that a half-written body harms nobody.
    catch_unwind(AssertUnwindSafe(|| answer.answer(request, &mut reply))).ok()?;
    if request.method == Method::Head {
        reply.body().clear();
    }
    Some(Answered { head: reply.head, close: reply.close })
}

/// Reads a body as it arrives. False if the peer, or the sweeper, ended it before.
fn gather(reader: &mut BodyReader<'_, '_>, body_bytes: usize, body: &mut Vec<u8>) -> bool {
    body.clear();
    body.reserve(body_bytes);
    while body.len() < body_bytes {
        let bytes = match reader.fill_buf() {
            Ok(bytes) if !bytes.is_empty() => bytes,
            _ => return false,
        };
        body.extend_from_slice(bytes);
        let taken = bytes.len();
        reader.consume(taken);
    }
    true
}

/// The bytes of a head that a request keeps.
pub(super) fn words_bytes(target: &str, head: &Head<'_>) -> usize {
    let bytes = |word: Option<&[u8]>| word.map_or(0, <[u8]>::len);
    target.len() + bytes(head.content_type) + bytes(head.accept) + bytes(head.authorization)
}
