//! Letting old segments go. The oldest goes first, and each removal is durable before the next one begins: whatever a crash leaves is a
//! log without a gap, which only begins later.

use super::reader::LogReader;
use super::{LogError, SegmentHeader};
use crate::sabotage::{Sabotage, sabotaged};

/// What a trimming came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Segments that were removed.
    pub segments: usize,
    /// The sequence that the log begins with.
    pub first_sequence: u64,
}

impl LogReader {
    /// Removes the segments whose every frame is at or before `covered_sequence` and older than `before_unix_ms`. A frame is as old as
    /// the segment behind its own: that one was begun after it was written.
    ///
    /// The last segment stays whatever its age, and so does one that is not followed by a header that can be read: the log must
    /// begin with one.
    pub fn trim(&self, covered_sequence: u64, before_unix_ms: u64) -> Result<Trimmed, LogError> {
        let mut trimmed = Trimmed { segments: 0, first_sequence: self.first_sequence() };
        let covered_sequence = if sabotaged(Sabotage::TrimTooFar) { u64::MAX } else { covered_sequence };
        let followers = self.headers().skip(1);
        for (path, next) in self.segment_paths().zip(followers) {
            let Ok(next) = next else { break };
            if next.first_sequence > covered_sequence.saturating_add(1) || next.created_unix_ms >= before_unix_ms {
                break;
            }
            self.disk.remove(path).map_err(LogError::disk(path))?;
            self.disk.sync_directory(&self.directory).map_err(LogError::disk(&self.directory))?;
            trimmed = Trimmed { segments: trimmed.segments + 1, first_sequence: next.first_sequence };
        }
        Ok(trimmed)
    }

    /// When the oldest segment was begun, ms since 1970; `None` where its header cannot be read.
    pub fn begun_unix_ms(&self) -> Option<u64> {
        self.headers().next()?.ok().map(|header| header.created_unix_ms)
    }

    fn headers(&self) -> impl Iterator<Item = Result<&SegmentHeader, LogError>> {
        self.segments.iter().map(super::reader::Segment::header)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::Trimmed;
    use crate::disk::RealDisk;
    use crate::disk::faulty::{Faults, FaultyDisk};
    use crate::log::{Chain, FrameKind, LogError, LogReader, LogWriter, Position, StreamId};

    const NOW: u64 = 1_795_273_200_000;
    const DAY_MS: u64 = 24 * 3600 * 1000;

    /// A log with a segment a day. Day n, counted from 0, holds the sequences 2n+1 and 2n+2, and its frames are older than the
    /// beginning of day n+1.
    struct Days(TempDir);

    impl Days {
        fn of(days: u64) -> Days {
            let log = Days(TempDir::new().unwrap());
            let writer = LogWriter::begin(Arc::new(RealDisk), &log.path(), beginning(), NOW).unwrap();
            let mut writer = writer.with_segment_bytes_max(400);
            for day in 0..days {
                for half in ["morning", "evening"] {
                    let payload = format!("{half} {day} {}", "x".repeat(60));
                    writer.append(FrameKind::Feed, payload.as_bytes(), 1, NOW + day * DAY_MS).unwrap();
                    writer.sync().unwrap();
                }
            }
            assert_eq!(log.segments().len() as u64, days);
            log
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("log")
        }

        fn reader(&self) -> LogReader {
            LogReader::open(Arc::new(RealDisk), &self.path()).unwrap().unwrap()
        }

        fn segments(&self) -> Vec<PathBuf> {
            self.reader().segment_paths().map(Path::to_owned).collect()
        }
    }

    fn beginning() -> Position {
        let stream = StreamId([7; 16]);
        Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 }
    }

    #[test]
    fn trimming_stops_at_what_is_not_covered_and_at_what_is_young() {
        for (covered, before_day, gone) in
            [(0, 99, 0), (1, 99, 0), (2, 99, 1), (3, 99, 1), (8, 99, 4), (99, 0, 0), (99, 1, 0), (99, 3, 2)]
        {
            let log = Days::of(6);
            let whole = log.segments();
            let trimmed = log.reader().trim(covered, NOW + before_day * DAY_MS).unwrap();
            assert_eq!(trimmed, Trimmed { segments: gone, first_sequence: 2 * gone as u64 + 1 }, "{covered} {before_day}");
            assert_eq!(log.segments(), whole[gone..]);
        }
    }

    #[test]
    fn the_last_segment_stays_whatever_is_asked() {
        let log = Days::of(3);
        assert_eq!(log.reader().trim(u64::MAX, u64::MAX).unwrap(), Trimmed { segments: 2, first_sequence: 5 });
        assert_eq!(log.reader().trim(u64::MAX, u64::MAX).unwrap(), Trimmed { segments: 0, first_sequence: 5 });
    }

    #[test]
    fn a_trimmed_log_is_read_from_every_place_it_reaches_and_from_none_before() {
        let log = Days::of(5);
        let mut places = vec![beginning()];
        let whole = log.reader().replay(&beginning(), 0, |frame| {
            let before = places[places.len() - 1];
            let chain = before.chain.after(frame.bytes);
            places.push(Position { sequence: frame.sequence, chain, state_checksum: frame.state_checksum, ..before });
            Ok(())
        });
        assert_eq!(whole.unwrap().position.sequence, 10);
        log.reader().trim(5, u64::MAX).unwrap();
        assert_eq!(log.reader().beginning().unwrap(), places[4]);
        for (sequence, place) in places.iter().enumerate() {
            let mut frames = 0;
            let read = log.reader().replay(place, 0, |_| {
                frames += 1;
                Ok(())
            });
            match read {
                Ok(end) => assert_eq!((sequence >= 4, frames, end.position.sequence), (true, 10 - sequence, 10)),
                Err(LogError::BeginsTooLate { first: 5, needed }) => assert_eq!(needed, sequence as u64 + 1),
                Err(error) => panic!("{sequence}: {error}"),
            }
        }
    }

    #[test]
    fn trimming_never_leaves_a_log_that_begins_with_a_header_that_cannot_be_read() {
        let log = Days::of(4);
        let segments = log.segments();
        let mut bytes = fs::read(&segments[2]).unwrap();
        bytes[50] ^= 1;
        fs::write(&segments[2], bytes).unwrap();
        assert_eq!(log.reader().trim(u64::MAX, u64::MAX).unwrap().segments, 1);
        assert_eq!(log.segments(), segments[1..]);
    }

    #[test]
    fn each_removal_is_durable_before_the_next() {
        let log = Days::of(4);
        let faults = Arc::new(Faults::default());
        let reader = LogReader::open(Arc::new(FaultyDisk(faults.clone())), &log.path()).unwrap().unwrap();
        reader.trim(u64::MAX, u64::MAX).unwrap();
        assert_eq!(*faults.removals.lock().unwrap(), ["remove 1", "sync", "remove 3", "sync", "remove 5", "sync"]);
    }
}
