//! `GET /v1/log/segments`, `/v1/log/segments/NAME` and `/v1/log/place`: the log's own bytes, and where in them to begin.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::pieces::{self, Readable};
use super::{Publisher, answer};
use crate::log::{Frame, SEGMENT_HEAD};
use crate::registry::{Registry, RegistryError, SegmentEntry, SegmentReader};

/// What is read of a segment at once while its frames are counted: many small frames, or the head of one large one.
const STRIDE_BYTES: u64 = 64 << 10;

#[derive(Debug, Deserialize)]
pub(super) struct Behind {
    /// The last sequence that is held.
    after: u64,
}

/// What was found of a segment.
enum Found {
    Segment { reader: SegmentReader, etag: String, sealed: bool },
    Place { first_sequence: u64, offset: u64 },
    List(Vec<Value>),
    Trimmed { oldest_sequence: u64 },
    Unknown,
}

/// Every segment with its length and its tag, oldest first.
pub(super) async fn list(State(publisher): State<Arc<Publisher>>) -> Response {
    beside(&publisher, &HeaderMap::new(), |registry| {
        let segments = registry.segments()?;
        let tags = tags(&segments);
        let list = segments.iter().zip(&tags).map(|(segment, tag)| {
            json!({ "name": name(segment.first_sequence), "bytes": segment.bytes, "sealed": segment.sealed, "etag": tag })
        });
        Ok(Found::List(list.collect()))
    })
    .await
}

/// A segment, or a part of it.
pub(super) async fn one(State(publisher): State<Arc<Publisher>>, Path(asked): Path<String>, headers: HeaderMap) -> Response {
    let Some(first_sequence) = sequence_of(&asked) else {
        return answer::not_found("no_segment", "a segment is named by its first sequence, 20 digits and `.seg`");
    };
    beside(&publisher, &headers, move |registry| {
        let segments = registry.segments()?;
        let oldest_sequence = segments.first().map_or(registry.sequence() + 1, |oldest| oldest.first_sequence);
        let found = segments.iter().zip(tags(&segments)).find(|(segment, _)| segment.first_sequence == first_sequence);
        let Some((segment, etag)) = found else {
            return Ok(if first_sequence < oldest_sequence { Found::Trimmed { oldest_sequence } } else { Found::Unknown });
        };
        match registry.segment(first_sequence) {
            Ok(reader) => Ok(Found::Segment { reader, etag, sealed: segment.sealed }),
            Err(RegistryError::NoSegment { .. }) => Ok(Found::Trimmed { oldest_sequence: registry.oldest_sequence()? }),
            Err(error) => Err(error),
        }
    })
    .await
}

/// In which segment, and at which byte of it, the frame behind a sequence begins. It is a hint: whoever reads there checks what he reads.
pub(super) async fn place(State(publisher): State<Arc<Publisher>>, Query(behind): Query<Behind>) -> Response {
    beside(&publisher, &HeaderMap::new(), move |registry| find_place(registry, behind.after)).await
}

/// Runs what reads the disk beside the listener's workers, and answers with what was found.
async fn beside(
    publisher: &Arc<Publisher>,
    headers: &HeaderMap,
    find: impl FnOnce(&Registry) -> Result<Found, RegistryError> + Send + 'static,
) -> Response {
    if let Some(stopped) = publisher.stopped() {
        return stopped;
    }
    let registry = publisher.registry.clone();
    match tokio::task::spawn_blocking(move || find(&registry)).await {
        Ok(Ok(Found::Segment { reader, etag, sealed })) => {
            let cache = if sealed { "private, immutable, max-age=86400" } else { "no-cache" };
            let bytes = reader.bytes();
            pieces::file(Arc::new(OpenSegment(reader)), bytes, &etag, cache, headers)
        }
        Ok(Ok(Found::Place { first_sequence, offset })) => {
            answer::object(json!({ "segment": name(first_sequence), "offset": offset }))
        }
        Ok(Ok(Found::List(segments))) => answer::object(json!({ "segments": segments })),
        Ok(Ok(Found::Trimmed { oldest_sequence })) => answer::gone(oldest_sequence),
        Ok(Ok(Found::Unknown)) => answer::not_found("no_segment", "there is no such segment"),
        Ok(Err(error)) => answer::failed(&error),
        Err(_) => answer::unavailable("failed", "the operator's log says why"),
    }
}

fn find_place(registry: &Registry, after: u64) -> Result<Found, RegistryError> {
    let segments = registry.segments()?;
    let next = after.saturating_add(1);
    let oldest_sequence = segments.first().map_or(registry.sequence() + 1, |oldest| oldest.first_sequence);
    if next < oldest_sequence {
        return Ok(Found::Trimmed { oldest_sequence });
    }
    let behind = segments.partition_point(|segment| segment.first_sequence <= next);
    let Some(segment) = behind.checked_sub(1).and_then(|place| segments.get(place)) else { return Ok(Found::Unknown) };
    let first_sequence = segment.first_sequence;
    let reader = match registry.segment(first_sequence) {
        Ok(reader) => reader,
        Err(RegistryError::NoSegment { .. }) => return Ok(Found::Trimmed { oldest_sequence: registry.oldest_sequence()? }),
        Err(error) => return Err(error),
    };
    let offset = offset_of(&reader, first_sequence, next)?;
    Ok(offset.map_or(Found::Unknown, |offset| Found::Place { first_sequence, offset }))
}

/// Steps from head to head until the frame of a sequence begins; the end of the segment where that is where it will.
fn offset_of(reader: &SegmentReader, first_sequence: u64, wanted: u64) -> Result<Option<u64>, RegistryError> {
    let (mut offset, mut sequence) = (SEGMENT_HEAD as u64, first_sequence);
    let (mut stride, mut stride_begins) = (Vec::new(), 0);
    while sequence < wanted {
        let at = usize::try_from(offset - stride_begins).unwrap_or(usize::MAX);
        let mut head = stride.get(at..).and_then(|rest: &[u8]| Frame::head_of(rest).ok());
        if head.is_none() {
            stride = reader.read(offset..offset + STRIDE_BYTES)?;
            stride_begins = offset;
            head = Frame::head_of(&stride).ok();
        }
        let Some((found, length)) = head.filter(|(found, _)| *found == sequence) else { return Ok(None) };
        sequence = found + 1;
        offset += length as u64;
    }
    Ok(Some(offset))
}

/// A sealed segment's tag is the hash of its content: the chain behind its last frame, which stands in the next one's header. The last
/// one's is its length and the chain before it: what was acknowledged of it does not change.
fn tags(segments: &[SegmentEntry]) -> Vec<String> {
    let next = segments.iter().skip(1).map(Some).chain([None]);
    let tag = |(segment, next): (&SegmentEntry, Option<&SegmentEntry>)| match next {
        Some(next) => format!("\"{:?}\"", next.before.chain),
        None => format!("\"{:?}-{}\"", segment.before.chain, segment.bytes),
    };
    segments.iter().zip(next).map(tag).collect()
}

fn name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.seg")
}

fn sequence_of(name: &str) -> Option<u64> {
    let digits =
        name.strip_suffix(".seg").filter(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

struct OpenSegment(SegmentReader);

impl Readable for OpenSegment {
    fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        self.0.read(range).map_err(io::Error::other)
    }
}
