#![forbid(unsafe_code)]
//! A reply: status, kind and body, and how its head looks on the wire.

use bytes::{BufMut, BytesMut};

use super::retry::RetryAfter;

/// What a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// One JSON value.
    Json,
    /// One JSON value a line.
    Ndjson,
    /// Tab-separated lines.
    Tsv,
    /// Plain text.
    Text,
    /// Prometheus' text exposition.
    Prometheus,
}

impl ContentType {
    /// The media type alone.
    pub fn media_type(self) -> &'static str {
        self.header().strip_prefix("Content-Type: ").unwrap_or("application/octet-stream")
    }

    /// The header line, as the engine wants it.
    pub(super) const fn header(self) -> &'static str {
        match self {
            Self::Json => "Content-Type: application/json",
            Self::Ndjson => "Content-Type: application/x-ndjson",
            Self::Tsv => "Content-Type: text/tab-separated-values; charset=utf-8",
            Self::Text => "Content-Type: text/plain; charset=utf-8",
            Self::Prometheus => "Content-Type: text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a reply's head says, the length of the body apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReplyHead {
    pub(super) status: u16,
    pub(super) content_type: ContentType,
    pub(super) retry_after: Option<RetryAfter>,
}

impl ReplyHead {
    /// A status with a JSON body.
    pub(super) const fn json(status: u16) -> Self {
        Self { status, content_type: ContentType::Json, retry_after: None }
    }
}

/// What the answering side writes into. It begins as an empty JSON body with status 200.
#[derive(Debug)]
pub struct Reply<'a> {
    pub(super) head: ReplyHead,
    pub(super) close: bool,
    body: &'a mut BytesMut,
}

impl<'a> Reply<'a> {
    /// A reply over a buffer. Public so that parsing and rendering can be tried without a listener.
    pub fn new(body: &'a mut BytesMut) -> Self {
        body.clear();
        Self { head: ReplyHead::json(200), close: false, body }
    }

    /// Sets the status; a code outside 200–599 becomes 500.
    pub fn status(&mut self, status: u16) -> &mut Self {
        self.head.status = if (200..600).contains(&status) { status } else { 500 };
        self
    }

    /// The status so far.
    pub fn status_code(&self) -> u16 {
        self.head.status
    }

    /// What the body is, as a media type.
    pub fn media_type(&self) -> &'static str {
        self.head.content_type.media_type()
    }

    /// Says what the body is.
    pub fn content_type(&mut self, content_type: ContentType) -> &mut Self {
        self.head.content_type = content_type;
        self
    }

    /// Says after how many seconds the question may be asked again, as `Retry-After`; counted as 1 to 60.
    pub fn retry_after_s(&mut self, seconds: u64) -> &mut Self {
        self.head.retry_after = Some(RetryAfter::seconds(seconds));
        self
    }

    /// The `Retry-After` line so far.
    pub fn retry_after(&self) -> Option<&'static str> {
        self.head.retry_after.map(RetryAfter::header)
    }

    /// The body, to append to.
    pub fn body(&mut self) -> &mut BytesMut {
        self.body
    }

    /// Ends the connection after this reply.
    pub fn close(&mut self) -> &mut Self {
        self.close = true;
        self
    }

    /// Forgets what was written, so that an error can take its place.
    pub fn discard(&mut self) -> &mut Self {
        self.body.clear();
        self.head = ReplyHead::json(200);
        self
    }
}

/// The reason phrase that goes with a status; the engine writes `Ok` for 200.
pub(super) const fn reason(status: u16) -> &'static str {
    match status {
        200 => "Ok",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

const BEFORE_STATUS: &str = "HTTP/1.1 ";
const AFTER_STATUS: &str = "\r\nServer: M\r\nDate: ";
const BEFORE_LENGTH: &str = "\r\nContent-Length: ";
const LINE_END: &str = "\r\n";
const CLOSE: &str = "\r\nConnection: close";
const DATE_BYTES: usize = 29;

/// The bytes a reply takes as the engine writes it, head and body. Knowing them is how the guard tells what has left the process.
pub(super) fn wire_bytes(head: ReplyHead, body_bytes: usize) -> u64 {
    let fixed = BEFORE_STATUS.len() + 4 + AFTER_STATUS.len() + DATE_BYTES + BEFORE_LENGTH.len() + 2 + 4;
    let digits = body_bytes.checked_ilog10().unwrap_or(0) as usize + 1;
    let retry_after = head.retry_after.map_or(0, |after| LINE_END.len() + after.header().len());
    (fixed + reason(head.status).len() + digits + head.content_type.header().len() + retry_after + body_bytes) as u64
}

/// Writes a reply's head in the engine's own form, with `Connection: close` where it is the last.
pub(super) fn write_head(out: &mut BytesMut, head: ReplyHead, body_bytes: usize, last: bool) {
    let mut date =
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap_or_default();
    // Its length is part of the accounting even if the clock is absurd.
    date.truncate(DATE_BYTES);
    out.put_slice(BEFORE_STATUS.as_bytes());
    out.put_slice(head.status.to_string().as_bytes());
    out.put_u8(b' ');
    out.put_slice(reason(head.status).as_bytes());
    out.put_slice(AFTER_STATUS.as_bytes());
    out.put_slice(format!("{date:<DATE_BYTES$}").as_bytes());
    out.put_slice(BEFORE_LENGTH.as_bytes());
    out.put_slice(body_bytes.to_string().as_bytes());
    out.put_slice(LINE_END.as_bytes());
    out.put_slice(head.content_type.header().as_bytes());
    if let Some(after) = head.retry_after {
        out.put_slice(LINE_END.as_bytes());
        out.put_slice(after.header().as_bytes());
    }
    if last {
        out.put_slice(CLOSE.as_bytes());
    }
    out.put_slice(b"\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_long_as_was_counted() {
        for status in [200, 400, 413, 501] {
            for content_type in [ContentType::Json, ContentType::Prometheus] {
                for retry_after in [None, Some(RetryAfter::seconds(9)), Some(RetryAfter::seconds(10))] {
                    for body_bytes in [0, 9, 10, 99, 100, 12_345] {
                        let head = ReplyHead { status, content_type, retry_after };
                        let mut out = BytesMut::new();
                        write_head(&mut out, head, body_bytes, false);
                        assert_eq!((out.len() + body_bytes) as u64, wire_bytes(head, body_bytes));
                    }
                }
            }
        }
    }
}
