//! The audit's two threads: one empties the rings and packs blocks, the other writes them.
//!
//! They are two because a sync may take a second, in which a busy machine fills its rings many times over. Between them stand at most
//! [`crate::limits::AUDIT_BLOCKS_QUEUED_MAX`] blocks.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::AuditError;
use super::auditor::{AuditOptions, Shared};
use super::encoder::{Content, Encoder};
use super::entry::read_record;
use super::pseudonym::PseudonymKey;
use super::retention::{Daybreak, Pruned, prune};
use super::ring::Consumer;
use super::status::{AuditCondition, AuditStatus};
use super::writer::{Writer, day_in_japan};
use crate::limits::{AUDIT_FLUSH_MS, AUDIT_POLL_MS, AUDIT_SPACE_RETRY_MS};

/// Records taken from one ring before the next one has its turn.
const RECORDS_IN_A_ROW: usize = 16_384;

#[derive(Debug)]
pub(super) struct Threads {
    packing: JoinHandle<()>,
    writing: JoinHandle<()>,
}

impl Threads {
    pub(super) fn start(
        shared: &Arc<Shared>,
        consumers: Vec<Consumer>,
        key: PseudonymKey,
        writer: Writer,
        options: &AuditOptions,
    ) -> Result<Threads, AuditError> {
        let (to_disk, from_packing) = crossbeam_channel::bounded(options.blocks_queued_max);
        let packer = Packer { shared: shared.clone(), encoder: Encoder::new(key), to_disk, oldest: None };
        let scribe = Scribe {
            shared: shared.clone(),
            from_packing,
            writer,
            sync_pause: Duration::from_millis(options.sync_ms),
            retention_days: options.retention_days,
            now_unix_ms: options.now_unix_ms,
            pruned_on: None,
        };
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            std::thread::Builder::new().name(name.to_owned()).spawn(work).map_err(AuditError::Thread)
        };
        let writing = spawn("audit-disk", Box::new(move || scribe.run()))?;
        let packing = spawn("audit", Box::new(move || packer.run(consumers)))?;
        Ok(Threads { packing, writing })
    }

    /// Waits for both: what is packed last is written after it.
    pub(super) fn join(self) {
        for thread in [self.packing, self.writing] {
            if thread.join().is_err() {
                tracing::error!("a thread of the audit panicked");
            }
        }
    }
}

/// Empties the rings.
struct Packer {
    shared: Arc<Shared>,
    encoder: Encoder,
    to_disk: Sender<Content>,
    /// When the first entry of the block was taken.
    oldest: Option<Instant>,
}

impl Packer {
    fn run(mut self, mut consumers: Vec<Consumer>) {
        let mut record = Vec::new();
        loop {
            // Read before the rings are: whatever was noted before the stop is then taken.
            let stopping = self.shared.stopping.load(Ordering::Acquire);
            let mut most = 0;
            for consumer in &mut consumers {
                most = self.take_from(consumer, &mut record).max(most);
            }
            let is_due = self.oldest.is_some_and(|oldest| oldest.elapsed() >= Duration::from_millis(AUDIT_FLUSH_MS));
            if is_due || (stopping && most == 0) {
                self.hand_over();
            }
            if stopping && most == 0 {
                return;
            }
            // Resting while entries gather makes many of them cost one look; only a ring that was not emptied cannot wait.
            if !stopping && most < RECORDS_IN_A_ROW {
                std::thread::sleep(Duration::from_millis(AUDIT_POLL_MS));
            }
        }
    }

    fn take_from(&mut self, consumer: &mut Consumer, record: &mut Vec<u64>) -> usize {
        let mut taken = 0;
        while taken < RECORDS_IN_A_ROW && consumer.take(record) {
            self.pack(record);
            taken += 1;
        }
        if taken > 0 {
            consumer.release();
        }
        taken
    }

    fn pack(&mut self, record: &[u64]) {
        let Some(taken) = read_record(record) else {
            // No caller writes such a record; if one ever did, its loss would be told and not passed over.
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if !self.encoder.has_room_for(&taken) {
            self.hand_over();
        }
        self.encoder.add(&taken);
        if self.oldest.is_none() {
            self.oldest = Some(Instant::now());
        }
    }

    /// Waits while too many blocks wait for the disk.
    fn hand_over(&mut self) {
        self.oldest = None;
        if self.encoder.is_empty() {
            return;
        }
        if let Err(unsent) = self.to_disk.send(self.encoder.finish()) {
            // The other thread takes blocks until this one ends, whatever the disk does; only a panic of its own ends it before.
            self.shared.refusing.store(true, Ordering::Relaxed);
            self.shared.lost.fetch_add(u64::from(unsent.into_inner().entries), Ordering::Relaxed);
        }
    }
}

/// Writes blocks.
struct Scribe {
    shared: Arc<Shared>,
    from_packing: Receiver<Content>,
    writer: Writer,
    sync_pause: Duration,
    retention_days: u32,
    now_unix_ms: fn() -> u64,
    /// The day on which segments were last pruned.
    pruned_on: Option<u64>,
}

impl Scribe {
    fn run(mut self) {
        let mut next_sync = Instant::now() + self.sync_pause;
        loop {
            self.prune_on_a_new_day();
            match self.from_packing.recv_deadline(next_sync) {
                Ok(content) => self.write(&content),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.close(),
            }
            if Instant::now() >= next_sync {
                self.sync();
                next_sync = Instant::now() + self.sync_pause;
            }
        }
    }

    /// Writes a block; on a full disk tries until there is room. What can never be written is counted as lost.
    fn write(&mut self, content: &Content) {
        loop {
            let appended = self.writer.append(content, (self.now_unix_ms)());
            self.tell(&appended);
            match appended {
                Ok(()) => return,
                Err(error) if error.is_want_of_space() && !self.is_stopping() => self.wait_for_space(),
                Err(_) => {
                    self.shared.lost.fetch_add(u64::from(content.entries), Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    fn sync(&mut self) {
        if !self.writer.is_poisoned() {
            let synced = self.writer.sync((self.now_unix_ms)());
            self.tell(&synced);
        }
    }

    fn close(&mut self) {
        if self.writer.is_poisoned() {
            return;
        }
        // Where there is no room for a seal, what was written is at least durable.
        self.sync();
        let closed = self.writer.close((self.now_unix_ms)());
        self.tell(&closed);
        if closed.is_ok() && self.shared.lost.load(Ordering::Relaxed) == 0 {
            self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).condition = AuditCondition::Closed;
        }
    }

    fn prune_on_a_new_day(&mut self) {
        let now_unix_ms = (self.now_unix_ms)();
        let today = day_in_japan(now_unix_ms);
        if self.pruned_on == Some(today) || self.writer.is_poisoned() {
            return;
        }
        let daybreak = Daybreak::of(today, self.pruned_on.replace(today));
        match prune(&mut self.writer, now_unix_ms, self.retention_days, daybreak) {
            Ok(Pruned::Nothing) => {}
            Ok(Pruned::Segments(segments)) => {
                tracing::info!(segments, "segments of the audit older than the retention are removed");
            }
            Ok(Pruned::Doubted) => {
                tracing::warn!(
                    "the clock jumped, or the whole audit is older than its retention; is the clock right? Nothing is removed today"
                );
            }
            Err(error) => {
                tracing::error!(%error, "the audit could not be pruned");
                self.tell(&Err(error));
            }
        }
    }

    fn wait_for_space(&self) {
        let until = Instant::now() + Duration::from_millis(AUDIT_SPACE_RETRY_MS);
        while Instant::now() < until && !self.is_stopping() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn is_stopping(&self) -> bool {
        self.shared.stopping.load(Ordering::Relaxed)
    }

    /// Puts what happened where everybody can see it.
    fn tell(&self, outcome: &Result<(), AuditError>) {
        let poisoned = self.writer.is_poisoned();
        if poisoned {
            // What cannot become durable is not taken any more.
            self.shared.refusing.store(true, Ordering::Relaxed);
        }
        let mut status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner);
        let (condition, why) = match outcome {
            _ if poisoned => (AuditCondition::Poisoned, None),
            Err(error) if error.is_want_of_space() => (AuditCondition::OutOfSpace, None),
            _ => (AuditCondition::Recording, Some(None)),
        };
        if let Err(error) = outcome
            && status.condition != condition
        {
            tracing::error!(%error, condition = condition.word(), "the audit cannot write");
            status.why = Some(error.to_string());
        }
        let why = why.unwrap_or_else(|| status.why.take());
        *status = AuditStatus { condition, why, ..status_of(&self.writer) };
    }
}

/// The status of a writer that works.
pub(super) fn status_of(writer: &Writer) -> AuditStatus {
    let (end, durable) = (writer.end(), writer.durable());
    AuditStatus {
        condition: AuditCondition::Recording,
        why: None,
        segment: end.segment,
        written_entry: end.next_entry - 1,
        durable_entry: durable.next_entry - 1,
        durable_chain: durable.chain,
        waiting_words: 0,
        refused: 0,
        lost: 0,
    }
}
