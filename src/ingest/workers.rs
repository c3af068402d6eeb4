//! Chunks worked on side by side, their results taken in the file's order.
//!
//! There is no reading thread: whichever worker is free reads the next chunk itself, under a lock, so that two workers keep two
//! cores busy. A worker needs a permit for each chunk and the consumer gives it back when it has taken the result, which bounds
//! what is under way even when one chunk takes long and those after it are already done.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, Sender};

use super::error::IngestError;
use super::reader::{Chunk, ChunkReader, FileSummary};
use crate::limits::INGEST_CHUNKS_IN_FLIGHT_PER_WORKER;

/// What a worker sends: a chunk's result and how much of the file was done by its end.
enum Message<T> {
    Done { number: u64, result: T, bytes_done: u64 },
    Failed(IngestError),
    End,
    Panicked,
}

impl ChunkReader {
    /// Reads the file to its end: each of `workers` threads makes a worker of its own, which may keep what it needs from chunk to
    /// chunk and is called on some of them; `take` is called on the caller's thread with each result in the file's order and the
    /// bytes of the file done so far. Stops at the first error of either. A worker that wants to keep a chunk's bytes leaves others
    /// in their place, whose room is used again.
    pub fn for_each_chunk<T, W, E>(
        mut self,
        workers: NonZeroUsize,
        worker: impl Fn() -> W + Sync,
        take: impl FnMut(T, u64) -> Result<(), E>,
    ) -> Result<FileSummary, E>
    where
        T: Send,
        W: FnMut(&mut Chunk) -> T,
        E: From<IngestError>,
    {
        let in_flight = workers.get() * INGEST_CHUNKS_IN_FLIGHT_PER_WORKER;
        let (give_permit, permits) = crossbeam_channel::bounded(in_flight);
        let (send, results) = crossbeam_channel::unbounded();
        for _ in 0..in_flight {
            // There is room for each, and the receiver is alive.
            let _ = give_permit.send(());
        }
        let source = Mutex::new(&mut self);
        thread::scope(|scope| {
            for _ in 0..workers.get() {
                let (permits, send, source, worker) = (permits.clone(), send.clone(), &source, &worker);
                scope.spawn(move || work_until_the_end(source, &permits, &send, worker));
            }
            drop(send);
            // Leaving this call drops the permits' sender, and the workers stop.
            take_in_order(&results, give_permit, take)
        })?;
        Ok(self.summary())
    }
}

fn work_until_the_end<T, W: FnMut(&mut Chunk) -> T>(
    source: &Mutex<&mut ChunkReader>,
    permits: &Receiver<()>,
    send: &Sender<Message<T>>,
    worker: impl Fn() -> W,
) {
    let _report = PanicReport(send);
    let mut work = worker();
    let mut buffer = Vec::new();
    while permits.recv().is_ok() {
        // A lock is only poisoned by a panic, and that is reported to the consumer anyway.
        let next = source.lock().unwrap_or_else(PoisonError::into_inner).next_chunk(std::mem::take(&mut buffer));
        let (message, goes_on) = match next {
            Ok(Some(mut chunk)) => {
                let result = work(&mut chunk);
                let message = Message::Done { number: chunk.number, result, bytes_done: chunk.bytes_done };
                buffer = chunk.bytes;
                (message, true)
            }
            Ok(None) => (Message::End, false),
            Err(error) => (Message::Failed(error), false),
        };
        if send.send(message).is_err() || !goes_on {
            return;
        }
    }
}

/// Without it the consumer would wait for ever for the chunk of a worker that panicked.
struct PanicReport<'a, T>(&'a Sender<Message<T>>);

impl<T> Drop for PanicReport<'_, T> {
    fn drop(&mut self) {
        if thread::panicking() {
            let _ = self.0.send(Message::Panicked);
        }
    }
}

fn take_in_order<T, E: From<IngestError>>(
    results: &Receiver<Message<T>>,
    give_permit: Sender<()>,
    mut take: impl FnMut(T, u64) -> Result<(), E>,
) -> Result<(), E> {
    // Moved in so that it is dropped on every way out.
    let give_permit = give_permit;
    let mut waiting = BTreeMap::new();
    let mut next_number = 0u64;
    let mut failure = None;
    for message in results {
        match message {
            Message::Done { number, result, bytes_done } => {
                waiting.insert(number, (result, bytes_done));
            }
            // Chunks before the failure may still be under way, and what they find comes first.
            Message::Failed(error) => failure = failure.or(Some(error)),
            Message::End => {}
            // The scope passes the panic on.
            Message::Panicked => return Ok(()),
        }
        while let Some((result, bytes_done)) = waiting.remove(&next_number) {
            next_number += 1;
            take(result, bytes_done)?;
            let _ = give_permit.try_send(());
        }
    }
    failure.map_or(Ok(()), |error| Err(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Debug)]
    enum Stop {
        Asked,
        Ingest(IngestError),
    }

    impl From<IngestError> for Stop {
        fn from(error: IngestError) -> Stop {
            Stop::Ingest(error)
        }
    }

    fn file(lines: usize) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let rows: String = (2..2 + lines).map(|line| format!("{line},\"x\ny\"\n")).collect();
        fs::write(file.path(), format!("h\n{rows}")).unwrap();
        file
    }

    fn reader(file: &tempfile::NamedTempFile) -> ChunkReader {
        ChunkReader::open_with(file.path(), 64).unwrap()
    }

    fn workers(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn results_come_in_the_files_order_however_many_work() {
        let file = file(2000);
        for count in 1..=4 {
            let mut lines = Vec::new();
            let summary = reader(&file).for_each_chunk(
                workers(count),
                || |chunk: &mut Chunk| chunk.records().map(|record| record.line).collect::<Vec<u64>>(),
                |result, _| {
                    lines.extend(result);
                    Ok::<(), Stop>(())
                },
            );
            assert_eq!(summary.unwrap().lines, 4001);
            assert_eq!(lines, (0..2000).map(|row| 2 + 2 * row).collect::<Vec<u64>>());
        }
    }

    #[test]
    fn a_worker_may_keep_the_bytes_of_a_chunk() {
        let file = file(2000);
        let mut bytes = b"h\n".to_vec();
        let done = reader(&file).for_each_chunk(
            workers(2),
            || |chunk: &mut Chunk| std::mem::replace(&mut chunk.bytes, b"left behind".to_vec()),
            |kept, _| {
                bytes.extend(kept);
                Ok::<(), Stop>(())
            },
        );
        assert!(done.is_ok());
        assert_eq!(bytes, fs::read(file.path()).unwrap());
    }

    #[test]
    fn what_is_under_way_is_limited_even_behind_a_slow_chunk() {
        let file = file(2000);
        let (begun, taken) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let done = reader(&file).for_each_chunk(
            workers(2),
            || {
                |_: &mut Chunk| {
                    let ahead = begun.fetch_add(1, Ordering::SeqCst) + 1 - taken.load(Ordering::SeqCst);
                    assert!(ahead <= 2 * INGEST_CHUNKS_IN_FLIGHT_PER_WORKER + 1);
                }
            },
            |(), _| {
                taken.fetch_add(1, Ordering::SeqCst);
                Ok::<(), Stop>(())
            },
        );
        assert!(done.is_ok());
        assert!(begun.load(Ordering::SeqCst) > 100);
    }

    #[test]
    fn an_error_of_the_consumer_stops_everything() {
        let file = file(2000);
        let mut taken = 0;
        let stopped = reader(&file).for_each_chunk(
            workers(2),
            || |_: &mut Chunk| (),
            |(), _| {
                taken += 1;
                if taken == 3 { Err(Stop::Asked) } else { Ok(()) }
            },
        );
        assert!(matches!(stopped, Err(Stop::Asked)));
        assert_eq!(taken, 3);
    }

    #[test]
    fn an_error_of_the_file_comes_after_what_stood_before_it() {
        let file = file(500);
        let long = "x".repeat(2 * crate::limits::INGEST_RECORD_BYTES_MAX);
        let rows = fs::read_to_string(file.path()).unwrap();
        fs::write(file.path(), format!("{rows}{long}")).unwrap();
        let mut records = 0;
        let stopped = reader(&file).for_each_chunk(
            workers(2),
            || |chunk: &mut Chunk| chunk.records().count(),
            |count, _| {
                records += count;
                Ok::<(), Stop>(())
            },
        );
        assert!(matches!(stopped, Err(Stop::Ingest(IngestError::RecordTooLong { line: 1002, .. }))));
        assert!(records >= 490);
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_worker_that_panics_is_not_waited_for() {
        let file = file(2000);
        let _ = reader(&file).for_each_chunk(
            workers(2),
            || |chunk: &mut Chunk| assert_ne!(chunk.number, 5, "as asked"),
            |(), _| Ok::<(), Stop>(()),
        );
    }
}
