//! The log on real files: torn tails, corruption, sealed segments, failing disks.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::{Chain, Fault, FrameKind, LogError, LogReader, LogWriter, Position, ReplayEnd, StreamId};
use crate::disk::faulty::{Faults, FaultyDisk};
use crate::disk::{Disk, RealDisk};

const NOW: u64 = 1_795_273_200_000;

struct Log {
    directory: TempDir,
    disk: Arc<dyn Disk>,
}

impl Log {
    fn new() -> Log {
        Log { directory: TempDir::new().unwrap(), disk: Arc::new(RealDisk) }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    fn begin(&self) -> LogWriter {
        LogWriter::begin(self.disk.clone(), &self.path(), beginning(), NOW).unwrap()
    }

    /// A log of frames whose payloads are these, each synced.
    fn of(payloads: &[&str]) -> Log {
        let log = Log::new();
        append_all(&mut log.begin(), payloads);
        log
    }

    fn reader(&self) -> LogReader {
        LogReader::open(self.disk.clone(), &self.path()).unwrap().unwrap()
    }

    fn read(&self, store_applied: u64) -> Result<(Vec<String>, ReplayEnd), LogError> {
        self.read_from(&beginning(), store_applied)
    }

    fn read_from(&self, from: &Position, store_applied: u64) -> Result<(Vec<String>, ReplayEnd), LogError> {
        let mut payloads = Vec::new();
        let end = self.reader().replay(from, store_applied, |frame| {
            payloads.push(String::from_utf8(frame.payload.to_vec()).unwrap());
            Ok(())
        })?;
        Ok((payloads, end))
    }

    /// Reads and goes on writing, as a start does.
    fn resume(&self) -> LogWriter {
        let reader = self.reader();
        reader.make_durable().unwrap();
        let (_, end) = self.read(0).unwrap();
        reader.writer_behind(&end, NOW).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        self.reader().segment_paths().map(Path::to_owned).collect()
    }

    fn names(&self) -> Vec<String> {
        RealDisk.list(&self.path()).unwrap()
    }

    fn last(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }
}

fn beginning() -> Position {
    let stream = StreamId([7; 16]);
    Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 }
}

fn append_all(writer: &mut LogWriter, payloads: &[&str]) {
    for payload in payloads {
        writer.append(FrameKind::Feed, payload.as_bytes(), 1, NOW).unwrap();
        writer.sync().unwrap();
    }
}

/// The offset of each frame of a segment, and of its end.
fn offsets(segment: &Path) -> Vec<usize> {
    let bytes = fs::read(segment).unwrap();
    let mut offsets = vec![128];
    while let Some(head) = bytes.get(offsets[offsets.len() - 1]..).filter(|rest| rest.len() >= 56) {
        let payload = u32::from_le_bytes(head[4..8].try_into().unwrap()) as usize;
        offsets.push(offsets[offsets.len() - 1] + 56 + payload.next_multiple_of(8) + 8);
    }
    offsets
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset] ^= 0x11;
    fs::write(path, bytes).unwrap();
}

fn corruption(read: Result<(Vec<String>, ReplayEnd), LogError>) -> (PathBuf, u64, Fault) {
    match read {
        Err(LogError::Corrupt { path, offset, what }) => (path, offset, what),
        other => panic!("not corrupt: {:?}", other.map(|(payloads, _)| payloads)),
    }
}

#[test]
fn frames_read_as_they_were_appended_and_writing_goes_on_behind_them() {
    let log = Log::of(&["one", "", "three"]);
    let (payloads, end) = log.read(0).unwrap();
    assert_eq!(payloads, ["one", "", "three"]);
    assert_eq!((end.position.sequence, end.torn.is_none(), end.ends_with_a_mark), (3, true, false));
    let mut writer = log.resume();
    assert_eq!(writer.position(), end.position);
    append_all(&mut writer, &["four"]);
    assert_eq!(log.read(0).unwrap().0, ["one", "", "three", "four"]);
    assert_eq!(log.read(0).unwrap().1.position, writer.position());
}

#[test]
fn a_log_that_is_not_there_is_none_and_one_without_frames_is_empty() {
    let log = Log::new();
    assert!(LogReader::open(log.disk.clone(), &log.path()).unwrap().is_none());
    drop(log.begin());
    let (payloads, end) = log.read(0).unwrap();
    assert_eq!((payloads.len(), end.position, end.ends_with_a_mark), (0, beginning(), true));
}

#[test]
fn reading_begins_behind_any_place_and_checks_its_chain() {
    let log = Log::of(&["one", "two", "three", "four"]);
    let mut places = vec![beginning()];
    let reader = log.reader();
    let mut chain = beginning().chain;
    reader
        .replay(&beginning(), 0, |frame| {
            chain = chain.after(frame.bytes);
            places.push(Position { sequence: frame.sequence, chain, state_checksum: frame.state_checksum, ..beginning() });
            Ok(())
        })
        .unwrap();
    for (place, from) in places.iter().enumerate() {
        assert_eq!(log.read_from(from, from.sequence).unwrap().0, ["one", "two", "three", "four"][place..]);
        let other = Position { chain: Chain([1; 32]), ..*from };
        assert!(
            matches!(log.read_from(&other, from.sequence), Err(LogError::OtherHistory { sequence }) if sequence == from.sequence)
        );
    }
    let ahead = Position { sequence: 9, ..places[4] };
    assert_eq!(log.read_from(&ahead, 9).unwrap().1.position.sequence, 4);
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_and_kept() {
    let whole = Log::of(&["one", "two", "the third frame"]);
    let segment = whole.last();
    let (bytes, offsets) = (fs::read(&segment).unwrap(), offsets(&segment));
    let (start, end) = (offsets[2], offsets[3]);
    for length in start + 1..end {
        // Cut there; and of full length, but zeros from there on.
        for holes in [false, true] {
            let log = Log::new();
            fs::create_dir(log.path()).unwrap();
            let mut torn = bytes[..length].to_vec();
            if holes {
                torn.resize(end, 0);
                if torn == bytes {
                    continue;
                }
            }
            fs::write(log.path().join(segment.file_name().unwrap()), &torn).unwrap();
            let (payloads, read) = log.read(0).unwrap();
            let tail = read.torn.clone().unwrap();
            assert_eq!(payloads, ["one", "two"]);
            assert_eq!((tail.offset, tail.length, tail.sequence), (start as u64, (torn.len() - start) as u64, 3));
            let mut writer = log.reader().writer_behind(&read, NOW).unwrap();
            append_all(&mut writer, &["another third"]);
            let (payloads, read) = log.read(0).unwrap();
            assert_eq!((payloads, read.torn), (vec!["one".to_owned(), "two".to_owned(), "another third".to_owned()], None));
            let kept = log.names().into_iter().find(|name| name.starts_with("torn-00000000000000000003-")).unwrap();
            assert_eq!(fs::read(log.path().join(kept)).unwrap(), &torn[start..]);
        }
    }
}

#[test]
fn of_many_torn_tails_the_oldest_and_the_newest_are_kept() {
    let log = Log::of(&["one"]);
    for crash in 0..20_u8 {
        let mut file = fs::OpenOptions::new().append(true).open(log.last()).unwrap();
        std::io::Write::write_all(&mut file, &[crash; 9]).unwrap();
        let (_, read) = log.read(0).unwrap();
        let mut writer = log.reader().writer_behind(&read, NOW + u64::from(crash)).unwrap();
        append_all(&mut writer, &["another"]);
    }
    let names = log.names();
    let kept = names.iter().filter(|name| name.starts_with("torn-"));
    let crashes: Vec<u8> = kept.map(|name| fs::read(log.path().join(name)).unwrap()[0]).collect();
    assert_eq!(crashes, [0, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(log.read(0).unwrap().0.len(), 21);
}

#[test]
fn a_bad_frame_that_a_later_one_vouches_for_is_corruption() {
    let log = Log::of(&["one", "two", "three"]);
    let segment = log.last();
    let offset = offsets(&segment)[1];
    flip(&segment, offset + 60);
    let (path, at, what) = corruption(log.read(0));
    assert_eq!((path, at, what), (segment, offset as u64, Fault::Checksum));
}

#[test]
fn a_bad_frame_before_others_that_do_not_vouch_for_it_is_a_torn_tail() {
    let log = Log::new();
    let mut writer = log.begin();
    append_all(&mut writer, &["one"]);
    // Two frames in one sync, of which none says that the other was durable.
    writer.append(FrameKind::Feed, b"two", 1, NOW).unwrap();
    writer.append(FrameKind::Feed, b"three", 1, NOW).unwrap();
    let segment = log.last();
    let offset = offsets(&segment)[1];
    flip(&segment, offset + 60);
    let (payloads, end) = log.read(0).unwrap();
    assert_eq!((payloads.len(), end.torn.unwrap().sequence), (1, 2));
}

#[test]
fn a_bad_last_frame_that_the_store_has_applied_is_corruption() {
    let log = Log::of(&["one", "two"]);
    let segment = log.last();
    let offset = offsets(&segment)[1];
    flip(&segment, offset + 60);
    assert!(log.read(1).unwrap().1.torn.is_some());
    assert_eq!(corruption(log.read(2)).1, offset as u64);
}

#[test]
fn a_mark_vouches_for_the_frame_before_it() {
    let log = Log::of(&["one"]);
    let mut writer = log.resume();
    assert!(!writer.ends_with_a_mark());
    writer.append(FrameKind::Mark, b"", 1, NOW).unwrap();
    writer.sync().unwrap();
    assert!(writer.ends_with_a_mark());
    assert!(log.resume().ends_with_a_mark());
    let segment = log.last();
    flip(&segment, 128 + 57);
    assert_eq!(corruption(log.read(0)).1, 128);
}

#[test]
fn segments_roll_continue_each_other_and_seal_what_they_hold() {
    let log = Log::new();
    let mut writer = log.begin().with_segment_bytes_max(400);
    let payloads: Vec<String> = (0..20).map(|n| format!("payload number {n}")).collect();
    let named: Vec<&str> = payloads.iter().map(String::as_str).collect();
    append_all(&mut writer, &named);
    let segments = log.segments();
    assert!(segments.len() > 4);
    assert!(segments.iter().all(|segment| fs::metadata(segment).unwrap().len() <= 400));
    assert_eq!(log.read(0).unwrap().0, payloads);
    // A frame larger than a segment gets one of its own.
    append_all(&mut writer, &[&"x".repeat(1000), "behind"]);
    assert_eq!(log.read(0).unwrap().0.len(), 22);
    assert_eq!(log.read(0).unwrap().1.position, writer.position());
    for place in 0..log.segments().len() {
        log.reader().check_sealed(place).unwrap();
    }
}

#[test]
fn a_byte_flipped_anywhere_in_a_sealed_segment_is_named_with_file_and_offset() {
    let log = Log::new();
    append_all(&mut log.begin().with_segment_bytes_max(400), &["payload one", "payload two", "payload three", "payload four"]);
    let segments = log.segments();
    assert!(segments.len() >= 2);
    let sealed = &segments[0];
    let (length, frames) = (fs::metadata(sealed).unwrap().len() as usize, offsets(sealed));
    for offset in 0..length {
        flip(sealed, offset);
        // A format that is newer must say so with a right checksum; one flipped byte is not believed.
        let (path, at, _) = corruption(log.read(0));
        let expected = if offset < 128 { 0 } else { *frames.iter().rfind(|frame| **frame <= offset).unwrap() };
        assert_eq!((&path, at), (sealed, expected as u64), "byte {offset}");
        assert!(log.reader().check_sealed(0).is_err(), "byte {offset}");
        flip(sealed, offset);
    }
    assert_eq!(log.read(0).unwrap().0.len(), 4);
}

#[test]
fn a_torn_tail_in_a_sealed_segment_is_corruption() {
    let log = Log::new();
    append_all(&mut log.begin().with_segment_bytes_max(400), &["payload one", "payload two", "payload three", "payload four"]);
    let sealed = log.segments().remove(0);
    let length = fs::metadata(&sealed).unwrap().len();
    fs::File::options().write(true).open(&sealed).unwrap().set_len(length - 9).unwrap();
    assert_eq!(corruption(log.read(0)).0, sealed);
    let at_a_frame = *offsets(&sealed).iter().rev().nth(1).unwrap() as u64;
    fs::File::options().write(true).open(&sealed).unwrap().set_len(at_a_frame).unwrap();
    assert_eq!(corruption(log.read(0)), (sealed, at_a_frame, Fault::Missing));
}

#[test]
fn a_segment_of_another_stream_or_chain_or_name_is_named() {
    let log = Log::new();
    append_all(&mut log.begin().with_segment_bytes_max(300), &["payload one", "payload two", "payload three"]);
    let segments = log.segments();
    let original = fs::read(&segments[1]).unwrap();
    let with = |at: usize, value: u8| {
        let mut bytes = original.clone();
        bytes[at] = value;
        let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..120]);
        bytes[120..128].copy_from_slice(&checksum.to_le_bytes());
        fs::write(&segments[1], bytes).unwrap();
        let found = corruption(log.read(0));
        assert_eq!(found.0, segments[1]);
        (found.1, found.2)
    };
    assert_eq!(with(16, 9), (16, Fault::Stream));
    assert_eq!(with(32, 99), (32, Fault::Sequence));
    assert_eq!(with(48, original[48] ^ 1), (48, Fault::Chain));
    fs::write(&segments[1], &original).unwrap();
    fs::rename(&segments[0], log.path().join("00000000000000000000.seg")).unwrap();
    assert!(log.reader().beginning().is_err());
}

#[test]
fn damage_at_or_before_the_place_to_begin_behind_is_passed_over_and_reported() {
    let payloads: Vec<String> = (1..=8).map(|n| format!("payload {n}")).collect();
    let named: Vec<&str> = payloads.iter().map(String::as_str).collect();
    for segment_bytes_max in [1 << 20, 500] {
        let log = Log::new();
        append_all(&mut log.begin().with_segment_bytes_max(segment_bytes_max), &named);
        let mut places = Vec::new();
        let mut chain = beginning().chain;
        let take = |frame: &super::Frame<'_>| {
            chain = chain.after(frame.bytes);
            places.push(Position { sequence: frame.sequence, chain, state_checksum: 1, ..beginning() });
            Ok(())
        };
        log.reader().replay(&beginning(), 0, take).unwrap();
        for from in &places {
            // The segment in which the next frame lies, or would.
            let named = |segment: &PathBuf| segment.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
            let start = log.segments().into_iter().rfind(|segment| named(segment) <= from.sequence + 1).unwrap();
            let last_before = (from.sequence + 1 - named(&start)) as usize;
            let frames = offsets(&start);
            let damaged = std::iter::once(40).chain(frames.iter().take(last_before).map(|frame| frame + 60));
            for offset in damaged.filter(|_| last_before > 0) {
                flip(&start, offset);
                let (read, end) = log.read_from(from, from.sequence).unwrap();
                assert_eq!(read, payloads[from.sequence as usize..], "{from:?} {offset}");
                assert!(matches!(end.damage, Some(LogError::Corrupt { .. })), "{from:?} {offset}");
                assert_eq!(end.position.sequence, 8);
                flip(&start, offset);
            }
        }
    }
}

#[test]
fn a_log_that_begins_too_late_says_so() {
    let log = Log::new();
    append_all(&mut log.begin().with_segment_bytes_max(300), &["payload one", "payload two", "payload three"]);
    fs::remove_file(&log.segments()[0]).unwrap();
    assert!(matches!(log.read(0), Err(LogError::BeginsTooLate { needed: 1, .. })));
}

#[test]
fn a_payload_of_the_largest_size_fits_and_a_larger_one_is_refused() {
    let log = Log::new();
    let mut writer = log.begin();
    let largest = vec![b'x'; super::PAYLOAD_BYTES_MAX];
    writer.append(FrameKind::Feed, &largest, 1, NOW).unwrap();
    let larger = vec![b'x'; super::PAYLOAD_BYTES_MAX + 1];
    assert!(matches!(writer.append(FrameKind::Feed, &larger, 1, NOW), Err(LogError::PayloadTooLarge(_))));
    assert_eq!(writer.position().sequence, 1);
    assert_eq!(fs::metadata(log.last()).unwrap().len(), 128 + super::FRAME_BYTES_MAX as u64);
    assert_eq!(log.read(0).unwrap().1.position, writer.position());
}

fn on_a_faulty_disk() -> (Log, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Log { disk: Arc::new(FaultyDisk(faults.clone())), ..Log::new() }, faults)
}

#[test]
fn a_bad_frame_that_reads_differently_a_second_time_is_corruption() {
    let (log, faults) = on_a_faulty_disk();
    append_all(&mut log.begin(), &["one", "two"]);
    let segment = log.last();
    let length = fs::metadata(&segment).unwrap().len();
    fs::File::options().write(true).open(&segment).unwrap().set_len(length - 3).unwrap();
    let reader = log.reader();
    assert!(log.read(0).unwrap().1.torn.is_some());
    faults.unsteady.store(true, Ordering::SeqCst);
    assert!(matches!(reader.replay(&beginning(), 0, |_| Ok(())), Err(LogError::Corrupt { .. })));
}

#[test]
fn a_failed_sync_poisons_is_never_tried_again_and_the_next_start_rewrites_the_tail() {
    let (log, faults) = on_a_faulty_disk();
    let mut writer = log.begin();
    append_all(&mut writer, &["one"]);
    writer.append(FrameKind::Feed, b"two", 1, NOW).unwrap();
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(matches!(writer.sync(), Err(LogError::Disk { .. })));
    assert!(writer.is_poisoned());
    faults.fail_syncs.store(false, Ordering::SeqCst);
    let syncs = faults.syncs.load(Ordering::SeqCst);
    assert!(matches!(writer.sync(), Err(LogError::Poisoned)));
    assert!(matches!(writer.append(FrameKind::Feed, b"three", 1, NOW), Err(LogError::Poisoned)));
    assert_eq!((faults.syncs.load(Ordering::SeqCst), writer.durable_through()), (syncs, 1));
    drop(writer);
    assert!(log.names().contains(&"POISONED".to_owned()));

    use std::os::unix::fs::MetadataExt as _;
    let (segment, bytes) = (log.last(), fs::read(log.last()).unwrap());
    let inode = fs::metadata(&segment).unwrap().ino();
    let mut writer = log.resume();
    assert_ne!(fs::metadata(&segment).unwrap().ino(), inode, "the tail is a new file");
    assert_eq!(fs::read(&segment).unwrap(), bytes);
    assert_eq!(log.names().len(), 1);
    append_all(&mut writer, &["three"]);
    assert_eq!(log.read(0).unwrap().0, ["one", "two", "three"]);
}

#[test]
fn a_sync_that_fails_at_the_start_leaves_the_marker() {
    let (log, faults) = on_a_faulty_disk();
    append_all(&mut log.begin(), &["one"]);
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(log.reader().make_durable().is_err());
    assert!(log.names().contains(&"POISONED".to_owned()));
    faults.fail_syncs.store(false, Ordering::SeqCst);
    log.resume();
    assert_eq!(log.names().len(), 1);
}

#[test]
fn a_short_write_is_cut_back_and_the_next_frame_takes_its_place() {
    let (log, faults) = on_a_faulty_disk();
    let mut writer = log.begin();
    append_all(&mut writer, &["one"]);
    let (length, position) = (fs::metadata(log.last()).unwrap().len(), writer.position());
    for short in [0, 1, 8, 40, 70] {
        *faults.short_write.lock().unwrap() = Some(short);
        assert!(matches!(writer.append(FrameKind::Feed, b"two", 1, NOW), Err(LogError::Disk { .. })));
        assert_eq!((fs::metadata(log.last()).unwrap().len(), writer.position()), (length, position));
        assert!(!writer.is_poisoned());
    }
    append_all(&mut writer, &["two again"]);
    assert_eq!(log.read(0).unwrap().0, ["one", "two again"]);
}

#[test]
fn a_short_write_that_cannot_be_cut_back_poisons() {
    let (log, faults) = on_a_faulty_disk();
    let mut writer = log.begin();
    append_all(&mut writer, &["one"]);
    *faults.short_write.lock().unwrap() = Some(20);
    faults.fail_cuts.store(true, Ordering::SeqCst);
    assert!(writer.append(FrameKind::Feed, b"two", 1, NOW).is_err());
    assert!(writer.is_poisoned());
    faults.fail_cuts.store(false, Ordering::SeqCst);
    let mut writer = log.resume();
    append_all(&mut writer, &["two"]);
    assert_eq!(log.read(0).unwrap().0, ["one", "two"]);
}

#[test]
fn a_segment_that_could_not_be_begun_is_begun_by_the_next_frame() {
    let (log, faults) = on_a_faulty_disk();
    let mut writer = log.begin().with_segment_bytes_max(300);
    append_all(&mut writer, &["payload one"]);
    *faults.short_write.lock().unwrap() = Some(5);
    assert!(writer.append(FrameKind::Feed, &[b'x'; 200], 1, NOW).is_err());
    assert!(!writer.is_poisoned());
    append_all(&mut writer, &["two", "payload three, a longer one", "four"]);
    assert_eq!(log.read(0).unwrap().0, ["payload one", "two", "payload three, a longer one", "four"]);
    drop(writer);
    log.resume();
    assert!(log.names().iter().all(|name| name.ends_with(".seg")));
}

#[test]
fn a_segment_whose_directory_could_not_be_synced_stops_the_writer_and_loses_nothing() {
    let (log, faults) = on_a_faulty_disk();
    let mut writer = log.begin().with_segment_bytes_max(300);
    append_all(&mut writer, &["payload one"]);
    faults.fail_directory_syncs.store(true, Ordering::SeqCst);
    assert!(writer.append(FrameKind::Feed, &[b'x'; 200], 1, NOW).is_err());
    faults.fail_directory_syncs.store(false, Ordering::SeqCst);
    // A small frame would fit into the old segment, behind which the new one has begun already.
    assert!(matches!(writer.append(FrameKind::Feed, b"2", 1, NOW), Err(LogError::Poisoned)));
    drop(writer);
    let mut writer = log.resume();
    append_all(&mut writer, &["two"]);
    assert_eq!(log.read(0).unwrap().0, ["payload one", "two"]);
    assert_eq!(log.segments().len(), 2);
}
