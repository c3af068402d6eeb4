//! Segments of the log: read, mended as a start mends them, written on, and read again.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use shikaku::disk::Disk;
use shikaku::log::{Fault, FrameKind, LogReader, Position, ReplayEnd};
use shikaku::record::payload::{Changes, FeedRecord, MasterPiece, read_horizon};
use shikaku_fuzz::memory_disk::MemoryDisk;
use shikaku_fuzz::sealing::{first_sequence, join, seal_segment};

const SEALED: u8 = 1;
const TWO_SEGMENTS: u8 = 2;
const JOINED: u8 = 4;

fuzz_target!(|bytes: &[u8]| {
    let Some((how, bytes)) = bytes.split_first() else { return };
    let (cut, bytes) = bytes.split_at_checked(2).unwrap_or((&[0, 0], bytes));
    let at = usize::from(u16::from_le_bytes([cut[0], cut[1]])).min(bytes.len());
    let (first, second) = if how & TWO_SEGMENTS == 0 { (bytes, &[][..]) } else { bytes.split_at(at) };
    let (mut first, mut second) = (first.to_vec(), second.to_vec());
    if how & SEALED != 0 {
        seal_segment(&mut first);
        seal_segment(&mut second);
    }
    if how & JOINED != 0 {
        join(&first, &mut second);
    }
    let disk = MemoryDisk::default();
    let directory = Path::new("/log");
    for segment in [first, second].into_iter().filter(|segment| !segment.is_empty()) {
        let name = format!("{:020}.seg", first_sequence(&segment).unwrap_or(1));
        disk.put(&directory.join(name), segment);
    }
    let Ok(Some(log)) = LogReader::open(Arc::new(disk.clone()), directory) else { return };
    for place in 0..2 {
        let _ = log.check_sealed(place);
    }
    let Ok(beginning) = log.beginning() else { return };
    if log.make_durable().is_err() {
        return;
    }
    if let Ok(end) = log.replay(&beginning, beginning.sequence, take) {
        go_on(&disk, directory, &log, &beginning, &end);
    }
});

/// What was read can be written on, and reads the same again with what was written.
fn go_on(disk: &MemoryDisk, directory: &Path, log: &LogReader, beginning: &Position, end: &ReplayEnd) {
    let mut writer = log.writer_behind(end, 7).expect("a log that was read can be written");
    if end.position.sequence < u64::MAX - 1 {
        writer.append(FrameKind::Mark, &[], end.position.state_checksum, 7).expect("a disk in memory takes a frame");
        writer.sync().expect("a disk in memory syncs");
    }
    let again = LogReader::open(Arc::new(disk.clone()) as Arc<dyn Disk>, directory).expect("it reads").expect("it is there");
    let end_again = again.replay(beginning, beginning.sequence, take).expect("what was mended reads");
    assert_eq!(end_again.position, writer.position());
    assert!(end_again.torn.is_none() && end_again.damage.is_none());
}

fn take(frame: &shikaku::log::Frame<'_>) -> Result<(), Fault> {
    let read = match frame.kind {
        FrameKind::Changes => Changes::validated(frame.payload).map(|changes| assert!(changes.iter().count() == changes.count())),
        FrameKind::Master => MasterPiece::read(frame.payload).map(|_| ()),
        FrameKind::Feed => FeedRecord::read(frame.payload).map(|_| ()),
        FrameKind::Pruning => read_horizon(frame.payload).map(|_| ()),
        FrameKind::Mark => Ok(()),
    };
    read.map_err(|_| Fault::Payload)
}
