//! Frames that another machine's writer made, taken as they came: what a follower's log is made of.
//!
//! A frame says through which sequence its log was durable when it was written, and recovery believes it. So no frame may lie in this log
//! before the own log is durable through there. A hub that syncs every frame says so in every frame; a long run of its frames is
//! therefore written as a segment of its own, which gets its name when all of it is durable, and only a short one frame by frame.

use super::frame::{FRAME_HEAD, Frame, FrameKind, frame_length};
use super::position::Position;
use super::segment::SEGMENT_HEAD;
use super::writer::LogWriter;
use super::{Fault, LogError};
use crate::limits::FOLLOWED_RUN_BYTES_MAX;
use crate::sabotage::{Sabotage, sabotaged};

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
            ..*self
        }
    }
}

impl LogWriter {
    /// The frames of another writer that come next and can be made durable together, from the beginning of `bytes`; or what is wrong with
    /// the first of them. What is wrong with a later one shows when it is the first.
    pub fn next_run<'b>(&self, bytes: &'b [u8]) -> Result<FrameRun<'b>, Fault> {
        let in_a_segment = self.segment_bytes_max.saturating_sub(SEGMENT_HEAD as u64);
        let bytes_max = usize::try_from(in_a_segment).unwrap_or(usize::MAX).min(FOLLOWED_RUN_BYTES_MAX);
        let is_long = is_long(bytes, bytes_max);
        let mut run = FrameRun::empty(bytes, self.position());
        while let Some(rest) = bytes.get(run.bytes.len()..).filter(|rest| !rest.is_empty()) {
            let frame = match read_next(rest, &run.end) {
                Ok(frame) => frame,
                Err(what) if run.frames == 0 => return Err(what),
                Err(_) => break,
            };
            let waits = frame.durable_through > self.durable_through() && !sabotaged(Sabotage::AppendAheadOfTheSync);
            let fits = run.frames == 0 || run.bytes.len() + frame.bytes.len() <= bytes_max;
            if !fits || waits && !is_long {
                break;
            }
            run = FrameRun { is_own_segment: run.is_own_segment || waits, ..run.with(&frame, bytes) };
        }
        Ok(run)
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
}

/// Whether so much comes that it is worth a segment of its own, by what the frames' heads say.
fn is_long(bytes: &[u8], bytes_max: usize) -> bool {
    let (mut frames, mut at) = (0, 0);
    while at < bytes_max
        && let Some(head) = bytes.get(at..).and_then(|rest| rest.first_chunk::<FRAME_HEAD>())
        && let Ok(length) = frame_length(head)
    {
        frames += 1;
        at += length;
    }
    frames >= OWN_SEGMENT_FRAMES_MIN && at >= OWN_SEGMENT_BYTES_MIN.min(bytes_max / 2)
}

/// The frame that bytes begin with, which must be the next behind a place. It can only speak of frames before it.
fn read_next<'b>(bytes: &'b [u8], at: &Position) -> Result<Frame<'b>, Fault> {
    let frame = Frame::first_of(bytes)?;
    let follows = frame.sequence == at.sequence + 1 && frame.durable_through < frame.sequence;
    if follows { Ok(frame) } else { Err(Fault::Sequence) }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::disk::simulated::SimulatedDisk;
    use crate::log::{LogReader, StreamId};

    const NOW: u64 = 1_795_273_200_000;

    fn directory() -> &'static Path {
        Path::new("/var/data/log")
    }

    fn begin(disk: &SimulatedDisk) -> LogWriter {
        LogWriter::begin(Arc::new(disk.clone()), directory(), Position::beginning(StreamId([7; 16])), NOW).unwrap()
    }

    /// A hub's frames of so many bytes each, synced in steps, with the places behind them.
    fn hub(frames: usize, payload_bytes: usize, sync_every: usize) -> (Vec<u8>, Vec<Position>) {
        let disk = SimulatedDisk::new(1);
        let mut writer = begin(&disk);
        let mut places = vec![writer.position()];
        for n in 1..=frames {
            writer.append(FrameKind::Feed, &vec![0x20; payload_bytes], n as u128, NOW).unwrap();
            if n % sync_every == 0 {
                writer.sync().unwrap();
            }
            places.push(writer.position());
        }
        let bytes = disk.bytes_of(&LogReader::segment_path(directory(), 1)).unwrap();
        (bytes[SEGMENT_HEAD..].to_vec(), places)
    }

    /// Takes everything, and gives how many frames came in each run.
    fn take_all(writer: &mut LogWriter, bytes: &[u8]) -> Vec<usize> {
        let (mut rest, mut runs) = (bytes, Vec::new());
        while !rest.is_empty() {
            let run = writer.next_run(rest).unwrap();
            writer.take_run(&run).unwrap();
            assert_eq!(writer.durable_through(), writer.position().sequence);
            runs.push(run.frames());
            rest = &rest[run.bytes().len()..];
        }
        runs
    }

    fn read(disk: &SimulatedDisk) -> (usize, Position) {
        let log = LogReader::open(Arc::new(disk.clone()), directory()).unwrap().unwrap();
        let mut frames = 0;
        let end = log.replay(&log.beginning().unwrap(), 0, |_| {
            frames += 1;
            Ok(())
        });
        (frames, end.unwrap().position)
    }

    #[test]
    fn a_long_run_of_frames_that_each_ask_for_a_sync_is_made_durable_with_few() {
        let (bytes, places) = hub(2_000, 400, 1);
        let disk = SimulatedDisk::new(2);
        let mut writer = begin(&disk);
        let before = disk.changes();
        assert_eq!(take_all(&mut writer, &bytes), [2_000]);
        // The file, header and frames, a sync, the name, and the directory's sync.
        assert_eq!(disk.changes() - before, 6);
        assert_eq!(read(&disk), (2_000, places[2_000]));
    }

    #[test]
    fn a_short_run_is_taken_frame_by_frame_where_each_asks_for_the_one_before() {
        let (bytes, places) = hub(20, 400, 1);
        let disk = SimulatedDisk::new(3);
        assert_eq!(take_all(&mut begin(&disk), &bytes), [1; 20]);
        assert_eq!(read(&disk), (20, places[20]));
    }

    #[test]
    fn frames_that_ask_for_no_sync_between_them_are_taken_together() {
        let (bytes, places) = hub(20, 400, 5);
        let disk = SimulatedDisk::new(4);
        assert_eq!(take_all(&mut begin(&disk), &bytes), [5; 4]);
        assert_eq!(read(&disk), (20, places[20]));
    }

    #[test]
    fn a_run_is_never_longer_than_a_segment_and_a_frame_never_parted() {
        let (bytes, places) = hub(600, 2_000, 1);
        let disk = SimulatedDisk::new(5);
        let mut writer = begin(&disk).with_segment_bytes_max(1 << 20);
        let runs = take_all(&mut writer, &bytes);
        assert!(runs[0] > 400 && runs.iter().sum::<usize>() == 600, "{runs:?}");
        for path in LogReader::open(Arc::new(disk.clone()), directory()).unwrap().unwrap().segment_paths() {
            assert!(disk.bytes_of(path).unwrap().len() <= 1 << 20);
        }
        assert_eq!(read(&disk), (600, places[600]));
    }

    #[test]
    fn what_is_taken_back_leaves_the_log_as_it_was_before_it() {
        for (frames, sync_every) in [(20, 20), (2_000, 1)] {
            let (bytes, places) = hub(frames, 400, sync_every);
            let frame_bytes = bytes.len() / frames;
            for kept in [0, 1, frames - 1] {
                let disk = SimulatedDisk::new(6);
                let mut writer = begin(&disk);
                let run = writer.next_run(&bytes).unwrap();
                assert_eq!(run.frames(), frames);
                let offset = writer.take_run(&run).unwrap();
                writer.take_back(offset + (kept * frame_bytes) as u64, places[kept]).unwrap();
                assert_eq!((writer.position(), writer.durable_through()), (places[kept], kept as u64));
                assert_eq!(read(&disk), (kept, places[kept]));
                take_all(&mut writer, &bytes[kept * frame_bytes..]);
                assert_eq!(read(&disk), (frames, places[frames]));
            }
        }
    }

    #[test]
    fn a_frame_that_calls_itself_or_a_later_one_durable_is_none() {
        let (_, places) = hub(1, 8, 1);
        let mut bytes = Vec::new();
        let frame = |durable_through| Frame {
            kind: FrameKind::Mark,
            sequence: 1,
            durable_through,
            time_unix_ms: NOW,
            state_checksum: 0,
            payload: &[],
            bytes: &[],
        };
        frame(1).encode(&mut bytes);
        assert_eq!(read_next(&bytes, &places[0]).unwrap_err(), Fault::Sequence);
        bytes.clear();
        frame(0).encode(&mut bytes);
        assert!(read_next(&bytes, &places[0]).is_ok());
    }
}
