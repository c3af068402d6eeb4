//! The log's writer: frames of an import's size appended, with one sync behind all of them and with one behind each.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::sync::Arc;

use common::{NOW_UNIX_MS, changes, criterion, directory, population, registrations};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use shikaku::disk::RealDisk;
use shikaku::log::{Chain, FrameKind, LogReader, LogWriter, Position, StreamId};
use tempfile::TempDir;

const RECIPIENTS: u64 = 100;
const FRAMES: u64 = 32;

/// A log of its own, gone when the bench lets go of it: an hour of appending would otherwise fill the disk.
struct Log {
    writer: LogWriter,
    directory: TempDir,
}

impl Log {
    fn begin() -> Log {
        let directory = directory();
        let writer = LogWriter::begin(Arc::new(RealDisk), &directory.path().join("log"), beginning(), NOW_UNIX_MS).unwrap();
        Log { writer, directory }
    }

    fn append(mut self, payload: &[u8], sync_each: bool) -> Log {
        for _ in 0..FRAMES {
            self.writer.append(FrameKind::Changes, payload, 0, NOW_UNIX_MS).unwrap();
            if sync_each {
                self.writer.sync().unwrap();
            }
        }
        self.writer.sync().unwrap();
        self
    }
}

fn beginning() -> Position {
    let stream = StreamId([7; 16]);
    Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 }
}

fn appending(criterion: &mut Criterion) {
    let payload = changes(registrations(&population(RECIPIENTS), 0..RECIPIENTS));
    let log = Log::begin().append(payload.as_bytes(), true);
    let reader = LogReader::open(Arc::new(RealDisk), &log.directory.path().join("log")).unwrap().unwrap();
    let mut read = 0;
    let end = reader.replay(&beginning(), 0, |frame| {
        assert_eq!(frame.payload, payload.as_bytes());
        read += 1;
        Ok(())
    });
    assert_eq!((end.unwrap().position, read, log.writer.durable_through()), (log.writer.position(), FRAMES, FRAMES));
    let mut group = criterion.benchmark_group("frame append");
    group.throughput(Throughput::Bytes(FRAMES * payload.as_bytes().len() as u64));
    for (name, sync_each) in [("32 frames, one sync", false), ("32 frames, each synced", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(Log::begin, |log| log.append(payload.as_bytes(), sync_each), BatchSize::PerIteration);
        });
    }
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = appending);
criterion_main!(benches);
