//! A file on its way out, a piece at a time: whoever reads slowly holds one piece, and no thread.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::task::JoinHandle;

use super::answer;
use super::range::Asked;
use crate::limits::SYNC_PIECE_BYTES;

/// An open file of which any part can be read.
pub(super) trait Readable: Send + Sync + 'static {
    /// Reads a range that lies within the file.
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>>;
}

/// Answers with a file, or with the part of it that is asked for.
pub(super) fn file(readable: Arc<dyn Readable>, bytes: u64, etag: &str, cache: &'static str, asked: &HeaderMap) -> Response {
    let text = |name: header::HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    if answer::is_known(asked, etag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag.to_owned())]).into_response();
    }
    let (status, range) = match Asked::of(text(header::RANGE), text(header::IF_RANGE), etag, bytes) {
        Asked::Whole => (StatusCode::OK, 0..bytes),
        Asked::Part(part) => (StatusCode::PARTIAL_CONTENT, part),
        Asked::Outside => {
            let mut refused = answer::refused(StatusCode::RANGE_NOT_SATISFIABLE, "outside", "nothing of the file lies there");
            set(&mut refused, header::CONTENT_RANGE, &format!("bytes */{bytes}"));
            return refused;
        }
    };
    let content_range = format!("bytes {}-{}/{bytes}", range.start, range.end.saturating_sub(1));
    let mut answer = Response::new(Body::new(Pieces { readable, left: range, reading: None }));
    *answer.status_mut() = status;
    set(&mut answer, header::CONTENT_TYPE, "application/octet-stream");
    set(&mut answer, header::ACCEPT_RANGES, "bytes");
    set(&mut answer, header::CACHE_CONTROL, cache);
    set(&mut answer, header::ETAG, etag);
    if status == StatusCode::PARTIAL_CONTENT {
        set(&mut answer, header::CONTENT_RANGE, &content_range);
    }
    answer
}

fn set(answer: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

struct Pieces {
    readable: Arc<dyn Readable>,
    left: Range<u64>,
    /// The piece that is being read, on a thread for such work.
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = &mut *self;
        if this.left.is_empty() {
            return Poll::Ready(None);
        }
        let end = this.left.end.min(this.left.start + SYNC_PIECE_BYTES as u64);
        let (readable, piece) = (this.readable.clone(), this.left.start..end);
        let reading = this.reading.get_or_insert_with(|| tokio::task::spawn_blocking(move || readable.read(piece)));
        let read = ready!(Pin::new(reading).poll(context));
        this.reading = None;
        let bytes = read.map_err(io::Error::other).and_then(|read| read);
        let bytes = bytes.and_then(|bytes| {
            let whole = bytes.len() as u64 == end - this.left.start;
            whole.then_some(bytes).ok_or_else(|| io::Error::other("the file ends too early"))
        });
        this.left.start = end;
        Poll::Ready(Some(bytes.map(|bytes| Frame::data(bytes.into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.end - self.left.start)
    }
}
