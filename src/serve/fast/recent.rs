#![forbid(unsafe_code)]
//! The last answers of a connection, kept a little while.
//!
//! The engine collects the answers to pipelined requests and writes them together. When a request among them is refused and the socket is
//! taken over, the answers before it would be lost with the engine's buffer; here they can still be had. What is older than a few
//! kilobytes is forgotten: then the connection is cut without an answer, which a client must expect of a pipeline that it broke.

use bytes::BytesMut;

use super::reply::{ReplyHead, wire_bytes, write_head};

const ANSWERS_MAX: usize = 64;
const BODIES_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug)]
struct Answered {
    head: ReplyHead,
    body_bytes: usize,
}

/// Answers in the order in which they were given, up to a bound.
#[derive(Debug, Default)]
struct Page {
    answers: Vec<Answered>,
    bodies: Vec<u8>,
    wire_bytes: u64,
}

impl Page {
    fn clear(&mut self) {
        self.answers.clear();
        self.bodies.clear();
        self.wire_bytes = 0;
    }

    fn write(&self, out: &mut BytesMut) {
        let mut bodies = self.bodies.as_slice();
        for answer in &self.answers {
            write_head(out, answer.head, answer.body_bytes, false);
            let Some((body, rest)) = bodies.split_at_checked(answer.body_bytes) else { return };
            out.extend_from_slice(body);
            bodies = rest;
        }
    }
}

/// Two pages: when one is full the other is forgotten, so that the latest page's worth is always there without moving bytes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    older: Page,
    newer: Page,
}

impl Recent {
    /// Notes an answer and returns the bytes it takes on the wire.
    #[inline]
    pub(super) fn note(&mut self, head: ReplyHead, body: &[u8]) -> u64 {
        let bytes = wire_bytes(head, body.len());
        if self.newer.answers.len() == ANSWERS_MAX || self.newer.bodies.len() + body.len() > BODIES_BYTES_MAX {
            self.turn(body.len());
        }
        if body.len() <= BODIES_BYTES_MAX {
            self.newer.answers.push(Answered { head, body_bytes: body.len() });
            self.newer.bodies.extend_from_slice(body);
            self.newer.wire_bytes += bytes;
        }
        bytes
    }

    /// The last `pending` bytes that were answered, if they are still known.
    pub(super) fn last(&self, pending: u64) -> Option<BytesMut> {
        let known = self.older.wire_bytes + self.newer.wire_bytes;
        let written = usize::try_from(known.checked_sub(pending)?).ok()?;
        let mut out = BytesMut::new();
        if pending > 0 {
            self.older.write(&mut out);
            self.newer.write(&mut out);
            let _ = out.split_to(written.min(out.len()));
        }
        Some(out)
    }

    #[cold]
    fn turn(&mut self, body_bytes: usize) {
        std::mem::swap(&mut self.older, &mut self.newer);
        self.newer.clear();
        if body_bytes > BODIES_BYTES_MAX {
            // What is not noted would leave a hole.
            self.older.clear();
        } else if self.newer.answers.capacity() == 0 {
            self.newer.answers.reserve_exact(ANSWERS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::ContentType;
    use super::*;

    const TSV: ReplyHead = ReplyHead { content_type: ContentType::Tsv, ..ReplyHead::json(200) };

    #[test]
    fn the_last_answers_come_back_until_they_are_forgotten() {
        let mut recent = Recent::default();
        let mut lengths = Vec::new();
        for number in 0..1000_usize {
            lengths.push(recent.note(TSV, number.to_string().as_bytes()));
            let pending: u64 = lengths.iter().rev().take(ANSWERS_MAX / 2).sum();
            let bytes = recent.last(pending).unwrap();
            assert_eq!(bytes.len() as u64, pending);
            assert!(bytes.starts_with(b"HTTP/1.1 200 Ok\r\n"));
            assert!(bytes.ends_with(format!("\r\n\r\n{number}").as_bytes()));
            // A head that left in part is continued where it stood; the date in it may be another by then.
            let rest = recent.last(pending - 5).unwrap();
            assert_eq!(rest.len() as u64, pending - 5);
            assert!(rest.starts_with(b"1.1 200 Ok\r\n"), "{rest:?}");
        }
        assert!(recent.last(lengths.iter().sum()).is_none());
        recent.note(TSV, &[0; BODIES_BYTES_MAX + 1]);
        assert!(recent.last(1).is_none());
        assert!(recent.last(0).unwrap().is_empty());
    }
}
