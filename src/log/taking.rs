//! Frames that another machine's writer made, taken as they came: what a follower's log is made of.
//!
//! A frame says through which sequence its log was durable when it was written, and recovery believes it. So no frame may lie in this log
//! before the own log is durable through there. A hub that syncs every frame says so in every frame; a long run of its frames is
//! therefore written as a segment of its own, which gets its name when all of it is durable, and only a short one frame by frame.

use super::frame::{Frame, FrameKind};
use super::position::Position;
use super::segment::SEGMENT_HEAD;
use super::writer::LogWriter;
use super::{Fault, LogError};
use crate::limits::FOLLOWED_RUN_BYTES_MAX;

/// A run becomes a segment of its own from this many frames on; fewer are synced as quickly one by one.
const OWN_SEGMENT_FRAMES_MIN: usize = 8;
/// And from this many bytes on: below, there would be too many segments.
const OWN_SEGMENT_BYTES_MIN: usize = 256 << 10;

/// Frames one behind the other, the first of them the next one of a log, that can be appended and synced together.
#[derive(Clone, Copy, Debug)]
pub struct FrameRun<'b> {
    bytes: &'b [u8],
    frames: usize,
    /// The place behind them.
    end: Position,
    /// The time of the first, ms since 1970.
    time_unix_ms: u64,
    ends_with_a_mark: bool,
    is_own_segment: bool,
}

impl<'b> FrameRun<'b> {
    /// The frames' bytes.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// How many frames there are.
    pub fn frames(&self) -> usize {
        self.frames
    }

    fn empty(bytes: &'b [u8], at: Position) -> FrameRun<'b> {
        let bytes = bytes.get(..0).unwrap_or_default();
        FrameRun { bytes, frames: 0, end: at, time_unix_ms: 0, ends_with_a_mark: true, is_own_segment: false }
    }

    /// The same with the frame that follows in `all`.
    fn with(&self, frame: &Frame<'_>, all: &'b [u8]) -> FrameRun<'b> {
        FrameRun {
            bytes: all.get(..self.bytes.len() + frame.bytes.len()).unwrap_or(all),
            frames: self.frames + 1,
            end: self.end.behind(frame),
            time_unix_ms: if self.frames == 0 { frame.time_unix_ms } else { self.time_unix_ms },
            ends_with_a_mark: frame.kind == FrameKind::Mark,
            is_own_segment: false,
        }
    }
}

impl LogWriter {
    /// The frames of another writer that come next and can be made durable together, from the beginning of `bytes`; or what is wrong with
    /// the first of them. What is wrong with a later one shows when it is the first.
    pub fn next_run<'b>(&self, bytes: &'b [u8]) -> Result<FrameRun<'b>, Fault> {
        let own_segment = self.segment_bytes_max.saturating_sub(SEGMENT_HEAD as u64);
        let bytes_max = usize::try_from(own_segment).unwrap_or(usize::MAX).min(FOLLOWED_RUN_BYTES_MAX);
        let mut all = FrameRun::empty(bytes, self.position());
        // The beginning of it of which no frame asks for another to be durable.
        let mut appended = all;
        while let Some(rest) = bytes.get(all.bytes.len()..).filter(|rest| !rest.is_empty()) {
            let frame = match self.read_next(rest, &all.end) {
                Ok(frame) => frame,
                Err(what) if all.frames == 0 => return Err(what),
                Err(_) => break,
            };
            if all.frames > 0 && all.bytes.len() + frame.bytes.len() > bytes_max {
                break;
            }
            let may_follow = appended.frames == all.frames && frame.durable_through <= self.durable_through();
            all = all.with(&frame, bytes);
            if may_follow {
                appended = all;
            }
        }
        let is_long = all.frames >= OWN_SEGMENT_FRAMES_MIN && all.bytes.len() >= OWN_SEGMENT_BYTES_MIN.min(bytes_max / 2);
        let is_own_segment = is_long && appended.frames < all.frames;
        Ok(if is_own_segment { FrameRun { is_own_segment, ..all } } else { appended })
    }

    /// Appends a run byte for byte and makes it durable; gives the offset at which it begins in its segment.
    pub fn take_run(&mut self, run: &FrameRun<'_>) -> Result<u64, LogError> {
        if run.is_own_segment {
            self.sync()?;
            self.begin_next_segment(run.bytes, run.time_unix_ms)?;
        } else {
            self.append_bytes(run.bytes, run.time_unix_ms)?;
        }
        self.pass(run.end, run.ends_with_a_mark);
        if run.is_own_segment {
            self.is_durable();
        } else {
            self.sync()?;
        }
        Ok(self.end().bytes - run.bytes.len() as u64)
    }

    /// Takes back what was taken last, from an offset in the last segment on: a frame that cannot be worked in must not stay where the
    /// next start would find it. Where even that fails, nothing more is written.
    pub fn take_back(&mut self, offset: u64, to: Position) -> Result<(), LogError> {
        self.cut_to(offset, to)
    }

    fn read_next<'b>(&self, bytes: &'b [u8], at: &Position) -> Result<Frame<'b>, Fault> {
        let frame = Frame::first_of(bytes)?;
        // A frame can only speak of those before it.
        let follows = frame.sequence == at.sequence + 1 && frame.durable_through < frame.sequence;
        if follows { Ok(frame) } else { Err(Fault::Sequence) }
    }
}
