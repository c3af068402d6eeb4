//! The audit as look-ups see it.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::batch::BatchEntry;
use super::entry::{BatchHead, Entry};
use super::pseudonym::{PseudonymKey, key_path};
use super::reader::list;
use super::recovery::recover;
use super::ring::Ring;
use super::status::{AuditCondition, AuditStatus};
use super::threads::{self, Threads};
use super::writer::Writer;
use super::{AuditError, Step};
use crate::disk::{Disk, RealDisk};
use crate::limits::{
    AUDIT_BLOCKS_QUEUED_MAX, AUDIT_RETENTION_DAYS, AUDIT_RING_WORDS, AUDIT_RINGS, AUDIT_SEGMENT_BYTES_MAX, AUDIT_SYNC_MS,
    AUDIT_WAIT_STEP_US,
};

/// There is no room for an entry, or the audit takes none any more: the look-up must not be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit cannot take an entry; see its condition in /v1/status")]
pub struct AuditFull;

/// How an audit is opened.
#[derive(Clone, Debug)]
pub struct AuditOptions {
    /// How long segments are kept, days.
    pub retention_days: u32,
    /// Between two syncs, ms.
    pub sync_ms: u64,
    /// A segment is sealed when the next block would make it larger, bytes.
    pub segment_bytes_max: u64,
    /// Words of each ring; a power of two.
    pub ring_words: usize,
    /// Blocks that may wait for the disk.
    pub blocks_queued_max: usize,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The time, ms since 1970, as segments are dated and pruned by it.
    pub now_unix_ms: fn() -> u64,
}

impl Default for AuditOptions {
    fn default() -> AuditOptions {
        AuditOptions {
            retention_days: AUDIT_RETENTION_DAYS,
            sync_ms: AUDIT_SYNC_MS,
            segment_bytes_max: AUDIT_SEGMENT_BYTES_MAX,
            ring_words: AUDIT_RING_WORDS,
            blocks_queued_max: AUDIT_BLOCKS_QUEUED_MAX,
            disk: Arc::new(RealDisk),
            now_unix_ms: system_unix_ms,
        }
    }
}

/// The audit of a data directory. Shared by all threads that answer look-ups; noting takes no lock, allocates nothing and does not ask the
/// system. Whoever opens it owns the directory.
#[derive(Debug)]
pub struct Auditor {
    rings: Vec<Arc<Ring>>,
    shared: Arc<Shared>,
    threads: Mutex<Option<Threads>>,
    notes: Vec<String>,
}

/// What look-ups and the audit's threads tell each other.
#[derive(Debug)]
pub(super) struct Shared {
    /// Nothing is taken any more.
    pub(super) refusing: AtomicBool,
    /// The threads are to write what is there and end.
    pub(super) stopping: AtomicBool,
    pub(super) lost: AtomicU64,
    pub(super) status: Mutex<AuditStatus>,
    refused: AtomicU64,
    requests: AtomicU32,
}

impl Auditor {
    /// Opens the audit in a directory, mends what a crash left, and begins a new segment. An entry for every look-up is taken from here on.
    pub fn open(directory: &Path, options: &AuditOptions) -> Result<Auditor, AuditError> {
        let Opened { writer, key, words } = open_writer(directory, options, (options.now_unix_ms)())?;
        let shared = Arc::new(Shared::new(threads::status_of(&writer)));
        let (mut rings, mut consumers) = (Vec::new(), Vec::new());
        for _ in 0..AUDIT_RINGS {
            let (ring, consumer) = Ring::with_words(options.ring_words);
            rings.push(ring);
            consumers.push(consumer);
        }
        let threads = Threads::start(&shared, consumers, key, writer, options)?;
        Ok(Auditor { rings, shared, threads: Mutex::new(Some(threads)), notes: words.into_iter().collect() })
    }

    /// What opening found that a person should know.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Notes a single look-up, before its answer leaves. An error means that nothing was noted.
    #[inline]
    pub fn note(&self, entry: &Entry) -> Result<(), AuditFull> {
        let (first, rest) = entry.words();
        self.try_push(first, &rest).map_err(|full| self.count_refusal(full))
    }

    /// Notes a single look-up; where there is no room, waits for some in steps of 200 µs, at most `max_wait`. Waiting sleeps the thread.
    #[inline]
    pub fn note_waiting(&self, entry: &Entry, max_wait: Duration) -> Result<(), AuditFull> {
        let (first, rest) = entry.words();
        self.push_waiting(first, &rest, max_wait)
    }

    /// Begins the entries of a batch; each piece of it waits for room at most `max_wait`, which may be zero.
    pub fn batch(&self, head: BatchHead, max_wait: Duration) -> BatchEntry<'_> {
        let request = self.shared.requests.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        BatchEntry::new(self, head, max_wait, request)
    }

    /// The audit at this moment. Takes a lock that its thread takes too: not for the way of a look-up.
    pub fn status(&self) -> AuditStatus {
        let status = self.shared.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        AuditStatus {
            waiting_words: self.rings.iter().map(|ring| ring.used_words()).sum(),
            refused: self.shared.refused.load(Ordering::Relaxed),
            lost: self.shared.lost.load(Ordering::Relaxed),
            ..status
        }
    }

    /// Takes no more entries, writes what was taken, seals the segment and ends the threads. Comes after the last look-up was answered. A
    /// second call does nothing.
    pub fn close(&self) -> Result<(), AuditError> {
        let Some(threads) = self.threads.lock().unwrap_or_else(PoisonError::into_inner).take() else { return Ok(()) };
        self.shared.refusing.store(true, Ordering::Relaxed);
        self.shared.stopping.store(true, Ordering::Release);
        threads.join();
        let status = self.status();
        let why = status.why.unwrap_or_else(|| status.condition.word().to_owned());
        // Words that still wait were noted after the threads had ended: too late.
        let lost = status.lost + u64::from(status.waiting_words > 0);
        match status.condition {
            _ if lost > 0 => Err(AuditError::Lost { entries: lost, why }),
            AuditCondition::Closed => Ok(()),
            AuditCondition::Poisoned => Err(AuditError::Poisoned),
            AuditCondition::Recording | AuditCondition::OutOfSpace => Err(AuditError::Unsealed { why }),
        }
    }

    #[inline]
    pub(super) fn push_waiting(&self, first: u64, rest: &[u64], max_wait: Duration) -> Result<(), AuditFull> {
        match self.try_push(first, rest) {
            Ok(()) => Ok(()),
            Err(AuditFull) => self.wait_and_push(first, rest, max_wait),
        }
    }

    #[cold]
    fn wait_and_push(&self, first: u64, rest: &[u64], max_wait: Duration) -> Result<(), AuditFull> {
        let until = Instant::now() + max_wait;
        while Instant::now() < until && !self.shared.refusing.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_micros(AUDIT_WAIT_STEP_US));
            if self.try_push(first, rest).is_ok() {
                return Ok(());
            }
        }
        Err(self.count_refusal(AuditFull))
    }

    #[inline]
    fn try_push(&self, first: u64, rest: &[u64]) -> Result<(), AuditFull> {
        if self.shared.refusing.load(Ordering::Relaxed) {
            return Err(AuditFull);
        }
        let own = own_ring();
        match self.rings.get(own) {
            Some(ring) if ring.push(first, rest).is_ok() => Ok(()),
            _ => self.push_elsewhere(first, rest),
        }
    }

    /// The other threads' rings, when the own one is full.
    #[cold]
    fn push_elsewhere(&self, first: u64, rest: &[u64]) -> Result<(), AuditFull> {
        if self.rings.iter().any(|ring| ring.push(first, rest).is_ok()) { Ok(()) } else { Err(AuditFull) }
    }

    #[cold]
    fn count_refusal(&self, full: AuditFull) -> AuditFull {
        self.shared.refused.fetch_add(1, Ordering::Relaxed);
        full
    }
}

/// An audit that is dropped is closed; what that found is logged.
impl Drop for Auditor {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the audit was not closed in order");
        }
    }
}

impl Shared {
    fn new(status: AuditStatus) -> Shared {
        Shared {
            refusing: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            status: Mutex::new(status),
            refused: AtomicU64::new(0),
            requests: AtomicU32::new(0),
        }
    }
}

/// What opening makes.
pub(super) struct Opened {
    pub(super) writer: Writer,
    pub(super) key: PseudonymKey,
    pub(super) words: Option<String>,
}

/// Mends what a crash left and begins a new segment.
pub(super) fn open_writer(directory: &Path, options: &AuditOptions, now_unix_ms: u64) -> Result<Opened, AuditError> {
    let disk = &options.disk;
    disk.create_directory(directory).map_err(AuditError::disk(directory, Step::Write))?;
    if let Some(above) = directory.parent() {
        // Durable segments in a directory that is not itself durable would be lost with it.
        disk.sync_directory(above).map_err(AuditError::disk(above, Step::Sync))?;
    }
    let key = key_of(&**disk, directory)?;
    let recovered = recover(&**disk, directory, now_unix_ms)?;
    let (durable, end) = (recovered.durable, recovered.end);
    let mut writer = Writer::behind(disk.clone(), directory, durable, end, key.check(), options.segment_bytes_max);
    writer.start(recovered.note, now_unix_ms)?;
    Ok(Opened { writer, key, words: recovered.words })
}

/// The key of the directory; made where nothing was written with another.
fn key_of(disk: &dyn Disk, directory: &Path) -> Result<PseudonymKey, AuditError> {
    match PseudonymKey::read(disk, directory)? {
        Some(key) => Ok(key),
        None if list(disk, directory)?.is_empty() => PseudonymKey::make(disk, directory),
        None => Err(AuditError::KeyMissing { path: key_path(directory) }),
    }
}

/// The ring of this thread. Threads take turns, so that as many workers as there are rings never write to one cache line.
#[inline]
fn own_ring() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static OWN: Cell<usize> = const { Cell::new(usize::MAX) };
    }
    OWN.with(|own| {
        if own.get() == usize::MAX {
            own.set(NEXT.fetch_add(1, Ordering::Relaxed) % AUDIT_RINGS);
        }
        own.get()
    })
}

fn system_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
