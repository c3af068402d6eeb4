#![forbid(unsafe_code)]
//! A reply: status, kind and body, and how its head looks on the wire.

use bytes::{BufMut, BytesMut};

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

/// What the answering side writes into. It begins as an empty JSON body with status 200.
#[derive(Debug)]
pub struct Reply<'a> {
    pub(super) status: u16,
    pub(super) content_type: ContentType,
    pub(super) close: bool,
    body: &'a mut BytesMut,
}

impl<'a> Reply<'a> {
    /// A reply over a buffer. Public so that parsing and rendering can be tried without a listener.
    pub fn new(body: &'a mut BytesMut) -> Self {
        body.clear();
        Self { status: 200, content_type: ContentType::Json, close: false, body }
    }

    /// Sets the status; a code outside 200–599 becomes 500.
    pub fn status(&mut self, status: u16) -> &mut Self {
        self.status = if (200..600).contains(&status) { status } else { 500 };
        self
    }

    /// The status so far.
    pub fn status_code(&self) -> u16 {
        self.status
    }

    /// What the body is, as a media type.
    pub fn media_type(&self) -> &'static str {
        self.content_type.media_type()
    }

    /// Says what the body is.
    pub fn content_type(&mut self, content_type: ContentType) -> &mut Self {
        self.content_type = content_type;
        self
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
        self.status = 200;
        self.content_type = ContentType::Json;
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
const CLOSE: &str = "\r\nConnection: close";
const DATE_BYTES: usize = 29;

/// The bytes a reply takes as the engine writes it, head and body. Knowing them is how the guard tells what has left the process.
pub(super) fn wire_bytes(status: u16, content_type: ContentType, body_bytes: usize) -> u64 {
    let fixed = BEFORE_STATUS.len() + 4 + AFTER_STATUS.len() + DATE_BYTES + BEFORE_LENGTH.len() + 2 + 4;
    let digits = body_bytes.checked_ilog10().unwrap_or(0) as usize + 1;
    (fixed + reason(status).len() + digits + content_type.header().len() + body_bytes) as u64
}

/// Writes a reply's head in the engine's own form, with `Connection: close` where it is the last.
pub(super) fn write_head(out: &mut BytesMut, status: u16, content_type: ContentType, body_bytes: usize, last: bool) {
    let mut date =
        jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&jiff::Timestamp::now()).unwrap_or_default();
    // Its length is part of the accounting even if the clock is absurd.
    date.truncate(DATE_BYTES);
    out.put_slice(BEFORE_STATUS.as_bytes());
    out.put_slice(status.to_string().as_bytes());
    out.put_u8(b' ');
    out.put_slice(reason(status).as_bytes());
    out.put_slice(AFTER_STATUS.as_bytes());
    out.put_slice(format!("{date:<DATE_BYTES$}").as_bytes());
    out.put_slice(BEFORE_LENGTH.as_bytes());
    out.put_slice(body_bytes.to_string().as_bytes());
    out.put_slice(b"\r\n");
    out.put_slice(content_type.header().as_bytes());
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
                for body_bytes in [0, 9, 10, 99, 100, 12_345] {
                    let mut head = BytesMut::new();
                    write_head(&mut head, status, content_type, body_bytes, false);
                    assert_eq!((head.len() + body_bytes) as u64, wire_bytes(status, content_type, body_bytes));
                }
            }
        }
    }
}
