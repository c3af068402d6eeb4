//! The log on a simulated disk: what was acknowledged is there after a power failure, and a disk that reads wrongly cuts nothing.

use std::path::Path;
use std::sync::Arc;

use super::{Chain, FrameKind, LogError, LogReader, LogWriter, Position, ReplayEnd, StreamId};
use crate::disk::simulated::{Aftermath, Faults, SimulatedDisk};

const NOW: u64 = 1_795_273_200_000;

fn directory() -> &'static Path {
    Path::new("/var/data/log")
}

fn beginning() -> Position {
    let stream = StreamId([7; 16]);
    Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 }
}

fn begin(disk: &SimulatedDisk) -> LogWriter {
    LogWriter::begin(Arc::new(disk.clone()), directory(), beginning(), NOW).unwrap()
}

fn append(writer: &mut LogWriter, payload: &str) -> Result<u64, LogError> {
    writer.append(FrameKind::Feed, payload.as_bytes(), 1, NOW)?;
    writer.sync()
}

fn reader(disk: &SimulatedDisk) -> LogReader {
    LogReader::open(Arc::new(disk.clone()), directory()).unwrap().expect("the log is gone")
}

fn read(disk: &SimulatedDisk) -> Result<(usize, ReplayEnd), LogError> {
    let Some(reader) = LogReader::open(Arc::new(disk.clone()), directory())? else { panic!("the log is gone") };
    let mut frames = 0;
    let end = reader.replay(&beginning(), 0, |_| {
        frames += 1;
        Ok(())
    })?;
    Ok((frames, end))
}

/// Goes on writing, as a start does.
fn resume(disk: &SimulatedDisk) -> LogWriter {
    let reader = reader(disk);
    reader.make_durable().unwrap();
    let (_, end) = read(disk).unwrap();
    reader.writer_behind(&end, NOW).unwrap()
}

#[test]
fn a_new_log_lasts_with_the_directories_that_were_made_for_it() {
    let disk = SimulatedDisk::new(1);
    append(&mut begin(&disk), "one").unwrap();
    let disk = disk.after_power_failure(Aftermath::Lost);
    assert_eq!(read(&disk).unwrap().0, 1);
}

#[test]
fn a_segment_that_a_killed_process_had_just_named_lasts_once_the_next_start_goes_on_with_it() {
    let disk = SimulatedDisk::new(2);
    let mut writer = begin(&disk).with_segment_bytes_max(200);
    append(&mut writer, "one").unwrap();
    // The header aside, its bytes, its sync, its name; and then the process is gone.
    disk.set_faults(Faults { power_fails_after: Some(4), ..Faults::default() });
    assert!(append(&mut writer, "two, in a segment of its own").is_err());
    let disk = disk.after_kill();
    assert_eq!(reader(&disk).segment_paths().len(), 2);
    append(&mut resume(&disk), "two").unwrap();
    let disk = disk.after_power_failure(Aftermath::Lost);
    assert_eq!(read(&disk).unwrap().0, 2);
}

#[test]
fn no_bit_that_flips_while_a_whole_log_is_read_makes_a_torn_tail_of_its_end() {
    let disk = SimulatedDisk::new(3);
    let mut writer = begin(&disk);
    (0..4).for_each(|_| assert!(append(&mut writer, "some payload").is_ok()));
    let mut noticed = 0;
    for seed in 0..500 {
        let reading = disk.fork(seed).after_kill();
        reading.set_faults(Faults { flips_per_million: 200_000, ..Faults::default() });
        match read(&reading) {
            Ok((frames, end)) => assert_eq!((frames, end.torn), (4, None), "seed {seed}"),
            Err(_) => noticed += 1,
        }
    }
    assert!(noticed > 50, "{noticed}");
}

#[test]
fn a_part_of_a_frame_that_was_cut_off_does_not_come_back_in_a_sealed_segment() {
    for seed in 0..60 {
        let disk = SimulatedDisk::new(seed);
        let mut writer = begin(&disk).with_segment_bytes_max(3_000);
        append(&mut writer, "one").unwrap();
        // Room for a part of the next frame, which would fit the segment.
        disk.set_faults(Faults { capacity_bytes: Some(disk.used_bytes() + 900), ..Faults::default() });
        assert!(append(&mut writer, &"two".repeat(500)).is_err());
        disk.set_faults(Faults::default());
        append(&mut writer, &"two, in a segment of its own".repeat(100)).unwrap();
        assert_eq!(reader(&disk).segment_paths().len(), 2);
        let disk = disk.after_power_failure(Aftermath::Torn);
        assert_eq!(read(&disk).unwrap().0, 2, "seed {seed}");
    }
}
