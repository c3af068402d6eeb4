//! The log read frame by frame, with the chain on the way, as far as it is acknowledged and on as it grows: for those who hand on frames
//! one by one, a broker's publisher and a bundle.

use crate::log::{Chain, FRAME_BYTES_MAX, Fault, Frame, LogError, Position, SEGMENT_HEAD};
use crate::registry::{Registry, RegistryError, SegmentReader};

/// What is read from a segment at a time, bytes.
const READ_BYTES: u64 = 2 << 20;

const _: () = assert!(READ_BYTES > FRAME_BYTES_MAX as u64);

/// Why the log cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The registry or its disk said no.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The frames behind a sequence are no longer kept.
    #[error("the log begins at sequence {oldest}: what follows {sequence} is no longer there")]
    Gone {
        /// Behind which frames were to be read.
        sequence: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// The log does not reach so far.
    #[error("the log ends at sequence {last}; there is no sequence {sequence}")]
    Beyond {
        /// What was asked for.
        sequence: u64,
        /// The last acknowledged one.
        last: u64,
    },
    /// Bytes of the own log that are not a frame, or not the next one.
    #[error("the log cannot be read behind sequence {after}: {fault}")]
    Damaged {
        /// The last good frame.
        after: u64,
        /// What is wrong.
        fault: Fault,
    },
}

/// A frame of the log, and the chain around it.
#[derive(Clone, Debug)]
pub(super) struct TailFrame {
    /// Its sequence.
    pub(super) sequence: u64,
    /// The chain before it.
    pub(super) before: Chain,
    /// The chain after it.
    pub(super) after: Chain,
    /// The whole frame.
    pub(super) bytes: Vec<u8>,
}

/// A place in the log from which reading goes on.
#[derive(Debug)]
pub(super) struct LogTail {
    place: Position,
    first_sequence: u64,
    reader: SegmentReader,
    /// Of the next frame in the segment, bytes.
    offset: u64,
    buffer: Vec<u8>,
    /// How much of the buffer was read already, bytes.
    used: usize,
}

impl LogTail {
    /// The place behind a sequence. The frames of its segment before that are read for their chain.
    pub(super) fn behind(registry: &Registry, sequence: u64) -> Result<LogTail, TailError> {
        let last = registry.standing().0.sequence;
        if sequence > last {
            return Err(TailError::Beyond { sequence, last });
        }
        let segments = registry.segments()?;
        let segment = segments.iter().rev().find(|segment| segment.before.sequence <= sequence);
        let oldest = || segments.first().map_or(last + 1, |segment| segment.first_sequence);
        let segment = segment.ok_or_else(|| TailError::Gone { sequence, oldest: oldest() })?;
        let mut tail = LogTail {
            place: segment.before,
            first_sequence: segment.first_sequence,
            reader: registry.segment(segment.first_sequence)?,
            offset: SEGMENT_HEAD as u64,
            buffer: Vec::new(),
            used: 0,
        };
        while tail.place.sequence < sequence {
            if tail.next(registry, sequence)?.is_none() {
                return Err(TailError::Beyond { sequence, last: tail.place.sequence });
            }
        }
        Ok(tail)
    }

    /// Where it stands: behind the last frame that was read.
    pub(super) fn place(&self) -> &Position {
        &self.place
    }

    /// The next frame, unless it lies behind `through`.
    pub(super) fn next(&mut self, registry: &Registry, through: u64) -> Result<Option<TailFrame>, TailError> {
        if self.place.sequence >= through {
            return Ok(None);
        }
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            let fault = match Frame::first_of(rest) {
                Ok(frame) if frame.sequence == self.place.sequence + 1 => {
                    let next = self.place.behind(&frame);
                    let (before, after, bytes) = (self.place.chain, next.chain, frame.bytes.to_vec());
                    self.used += bytes.len();
                    self.offset += bytes.len() as u64;
                    self.place = next;
                    return Ok(Some(TailFrame { sequence: next.sequence, before, after, bytes }));
                }
                Ok(_) => Fault::Sequence,
                Err(fault) => fault,
            };
            let read_bytes = rest.len() as u64;
            if fault != Fault::Short || read_bytes >= READ_BYTES {
                return Err(TailError::Damaged { after: self.place.sequence, fault });
            }
            if self.offset + read_bytes < self.reader.bytes() {
                self.buffer = self.reader.read(self.offset..self.offset + READ_BYTES)?;
                self.used = 0;
            } else if !self.go_on(registry)? {
                return Ok(None);
            }
        }
    }

    /// Where the segment was read to its end as it was opened: opens it as it is by now, or the next. False where there is no more.
    fn go_on(&mut self, registry: &Registry) -> Result<bool, TailError> {
        self.buffer.clear();
        self.used = 0;
        let opened = match registry.segment(self.first_sequence) {
            Err(RegistryError::NoSegment { .. }) => None,
            opened => Some(opened?),
        };
        if let Some(reader) = opened.filter(|reader| reader.bytes() > self.offset) {
            self.reader = reader;
            return Ok(true);
        }
        let next = self.place.sequence + 1;
        if next == self.first_sequence {
            return Ok(false);
        }
        let segments = registry.segments()?;
        let Some(segment) = segments.iter().find(|segment| segment.first_sequence == next) else {
            return match segments.first() {
                Some(oldest) if oldest.first_sequence > next => {
                    Err(TailError::Gone { sequence: self.place.sequence, oldest: oldest.first_sequence })
                }
                _ => Ok(false),
            };
        };
        if segment.before.chain != self.place.chain {
            return Err(TailError::Damaged { after: self.place.sequence, fault: Fault::Chain });
        }
        self.reader = registry.segment(next)?;
        (self.first_sequence, self.offset) = (next, SEGMENT_HEAD as u64);
        Ok(self.reader.bytes() > self.offset)
    }
}

impl From<LogError> for TailError {
    fn from(error: LogError) -> TailError {
        TailError::Registry(error.into())
    }
}
