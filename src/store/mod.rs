//! The store: a view of the log in sled, that makes a start quick and keeps the history.
//!
//! It is never the only copy. Values carry their own checksums, the state checksum judges the whole at every start, and what
//! fails is moved aside and rebuilt from the log. One thread writes it, behind the log; nobody reads it while serving, history
//! apart. sled may panic or abort a thread on damaged files, so every call goes through `guarded`. The door is narrow: another
//! engine could take its place.

mod meta;
mod opening;
mod value;

use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use meta::StoreMeta;
pub use value::{HISTORY_KEY_BYTES, HistoryEntry, HistoryKind, history_hash, history_sequence, run_of};

/// What the store could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine said no.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The disk had no room for what the engine wanted to write.
    #[error("the store has no room on the disk: {0}")]
    NoRoom(String),
    /// The engine panicked.
    #[error("the store panicked: {0}")]
    Panicked(String),
    /// A value does not match its checksum, or is not what its key says.
    #[error("the store holds a damaged value in its tree `{0}`")]
    Damaged(&'static str),
}

const FANOUT: usize = 1024;
type Tree = sled::Tree<FANOUT>;

const META_KEY: &[u8] = b"m";
const DOSSIER_PREFIX: u8 = b'd';
const CACHE_BYTES: usize = 128 << 20;

/// The store. A handle is for one thread (sled's are not `Sync`); clone it for another.
#[derive(Clone)]
pub struct Store {
    /// Boxed: sled keeps tens of kilobytes of its own in every handle, and a few of them by value would fill a thread's stack. Always
    /// there until the handle is dropped.
    trees: Option<Box<Trees>>,
    directory: Arc<PathBuf>,
    engine: Arc<Engine>,
}

/// The engine behind all handles on one store.
///
/// After a flush that failed, the next one waits for it for ever (1.0.0-alpha.124), and the engine flushes wherever one of its own handles
/// is dropped. So writing, flushing and dropping take turns, what is dropped was flushed before, and an engine that failed is neither asked
/// nor closed again: it stays as it is until the process ends.
struct Engine {
    db: Mutex<Option<Box<sled::Db<FANOUT>>>>,
    failed: Arc<AtomicBool>,
}

impl Engine {
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn note_failure(&self) {
        self.failed.store(true, Ordering::Release);
    }

    fn db(&self) -> MutexGuard<'_, Option<Box<sled::Db<FANOUT>>>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let Some(db) = self.db().take() else { return };
        if self.has_failed() || guarded(|| db.flush()).is_err() {
            self.note_failure();
            std::mem::forget(db);
        }
    }
}

#[derive(Clone)]
struct Trees {
    dossiers: Tree,
    history: Tree,
    ledger: Tree,
}

/// Everything that a run of frames changes in the store.
#[derive(Default)]
pub struct StoreBatch {
    dossiers: sled::Batch,
    history: sled::Batch,
    ledger: sled::Batch,
    ledger_obsolete: sled::Batch,
    bytes: usize,
}

impl StoreBatch {
    /// Sets a dossier.
    pub fn put_dossier(&mut self, number: u64, dossier: &[u8]) {
        let value = value::sealed(dossier);
        self.bytes += value.len();
        self.dossiers.insert(dossier_key(number), value);
    }

    /// Takes a dossier out.
    pub fn remove_dossier(&mut self, number: u64) {
        self.bytes += 16;
        self.dossiers.remove(dossier_key(number));
    }

    /// Adds an entry of the history.
    pub fn put_history(&mut self, entry: &HistoryEntry<'_>) {
        let value = value::sealed(&entry.value());
        self.bytes += value.len();
        self.history.insert(entry.key(), value);
    }

    /// Adds a master piece or a feed record.
    pub fn put_ledger(&mut self, sequence: u64, kind: u8, time_unix_ms: u64, payload: &[u8]) {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&time_unix_ms.to_le_bytes());
        bytes.extend_from_slice(payload);
        self.bytes += bytes.len();
        self.ledger.insert(sequence.to_be_bytes(), value::sealed(&bytes));
    }

    /// Takes a master piece out that a newer table replaced.
    pub fn remove_ledger(&mut self, sequence: u64) {
        self.ledger_obsolete.remove(sequence.to_be_bytes());
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Store {
    /// Opens or makes the store in a directory of its own.
    pub fn open(directory: &Path) -> Result<Store, StoreError> {
        let directory = directory.to_owned();
        opening::in_a_thread_of_its_own(move || Store::open_here(&directory))
    }

    fn open_here(directory: &Path) -> Result<Store, StoreError> {
        guarded(|| {
            let config = sled::Config::new()
                .path(directory)
                .cache_capacity_bytes(CACHE_BYTES)
                // Its own flusher thread would abort the whole process on an error; ours detaches the store instead.
                .flush_every_ms(None)
                .zstd_compression_level(1);
            let db: sled::Db<FANOUT> = config.open()?;
            let dossiers = db.open_tree("dossiers")?;
            let history = db.open_tree("history")?;
            let ledger = db.open_tree("ledger")?;
            let trees = Box::new(Trees { dossiers, history, ledger });
            let engine = Arc::new(Engine { db: Mutex::new(Some(Box::new(db))), failed: Arc::default() });
            Ok(Store { trees: Some(trees), directory: Arc::new(directory.to_owned()), engine })
        })
    }

    /// Whether no other handle on this store is held.
    pub fn is_the_only_handle(&self) -> bool {
        Arc::strong_count(&self.directory) == 1
    }

    /// Closes the store and opens it again, which must be durable and have no other handle. The engine never lets go of a leaf that it
    /// wrote (1.0.0-alpha.124 forgets which of them were flushed), so a store that writes for long holds everything it wrote.
    pub fn reopened(self) -> Result<Store, StoreError> {
        let directory = self.directory.clone();
        let failed = self.engine.failed.clone();
        drop(self);
        if failed.load(Ordering::Acquire) {
            return Err(StoreError::Engine("it failed when it was closed".to_owned()));
        }
        Store::open(&directory)
    }

    /// Calls the engine, unless it failed before; a failure is remembered.
    fn ask<T>(&self, call: impl FnOnce(&Trees) -> std::io::Result<T>) -> Result<T, StoreError> {
        let trees = self.trees.as_deref().filter(|_| !self.engine.has_failed());
        let trees = trees.ok_or_else(|| StoreError::Engine("it failed before".to_owned()))?;
        guarded(|| call(trees)).inspect_err(|_| self.engine.note_failure())
    }

    /// What the store says it is; `None` when nothing was ever applied.
    pub fn meta(&self) -> Result<Option<StoreMeta>, StoreError> {
        let value = self.ask(|trees| trees.dossiers.get(META_KEY))?;
        let Some(value) = value else { return Ok(None) };
        let bytes = value::opened(&value).ok_or(StoreError::Damaged("dossiers"))?;
        StoreMeta::decode(bytes).map(Some).ok_or(StoreError::Damaged("dossiers"))
    }

    /// Whether nothing at all is in it.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        self.ask(|trees| Ok(trees.dossiers.is_empty()? && trees.history.is_empty()? && trees.ledger.is_empty()?))
    }

    /// Writes a batch that ends on a frame boundary, and says where that is. What history and ledger gain goes first: it overwrites
    /// itself when replayed, so that they may be ahead of the dossiers but never behind. What the ledger loses goes last: at the
    /// place before, it is still needed.
    pub fn apply(&self, mut batch: StoreBatch, meta: &StoreMeta) -> Result<(), StoreError> {
        batch.dossiers.insert(META_KEY, value::sealed(&meta.encode()));
        self.apply_unplaced(batch)
    }

    /// Writes a part of a store that is being filled; until [`Store::apply`] says where it stands, it counts as empty.
    pub fn apply_unplaced(&self, batch: StoreBatch) -> Result<(), StoreError> {
        let _turn = self.engine.db();
        self.ask(|trees| {
            trees.history.apply_batch(batch.history)?;
            trees.ledger.apply_batch(batch.ledger)?;
            trees.dossiers.apply_batch(batch.dossiers)?;
            trees.ledger.apply_batch(batch.ledger_obsolete)
        })
    }

    /// Makes everything applied durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        let db = self.engine.db();
        self.ask(|_| db.as_ref().map_or(Ok(()), |db| db.flush().map(|_| ())))
    }

    /// Calls `take` with every dossier whose number lies in a range, in order of their numbers.
    pub fn scan_dossiers(
        &self,
        numbers: std::ops::Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut items = self.ask(|trees| Ok(trees.dossiers.range(dossier_key(numbers.start)..dossier_key(numbers.end))))?;
        while let Some(item) = self.ask(|_| items.next().transpose())? {
            take(value::opened(&item.1).ok_or(StoreError::Damaged("dossiers"))?)?;
        }
        Ok(())
    }

    /// Calls `take` with sequence, kind, time (ms since 1970) and payload of every master piece and feed record, oldest first.
    pub fn scan_ledger(&self, mut take: impl FnMut(u64, u8, u64, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut items = self.ask(|trees| Ok(trees.ledger.iter()))?;
        while let Some((key, value)) = self.ask(|_| items.next().transpose())? {
            let damaged = StoreError::Damaged("ledger");
            let sequence = key.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(damaged.clone())?;
            let bytes = value::opened(&value).ok_or(damaged.clone())?;
            let (kind, rest) = bytes.split_first().ok_or(damaged.clone())?;
            let (time, payload) = rest.split_first_chunk::<8>().ok_or(damaged)?;
            take(sequence, *kind, u64::from_le_bytes(*time), payload)?;
        }
        Ok(())
    }

    /// Calls `take` with the key and the value of every entry of the history.
    pub fn scan_history(&self, mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut items = self.ask(|trees| Ok(trees.history.iter()))?;
        while let Some((key, value)) = self.ask(|_| items.next().transpose())? {
            take(&key, value::opened(&value).ok_or(StoreError::Damaged("history"))?)?;
        }
        Ok(())
    }

    /// The kind of the last thing that happened to a row of this identity that is no longer current; `None` when nothing did.
    /// `entries` is how many entries the history has; each run of them is asked once, the newest first.
    pub fn last_history(&self, identity: u128, entries: u64) -> Result<Option<HistoryKind>, StoreError> {
        for run in (0..=run_of(entries)).rev() {
            let last = self.last_in_run(&value::history_prefix(run, identity))?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    fn last_in_run(&self, prefix: &[u8]) -> Result<Option<HistoryKind>, StoreError> {
        let mut items = self.ask(|trees| Ok(trees.history.scan_prefix(prefix)))?;
        let mut last = None;
        while let Some((key, _)) = self.ask(|_| items.next().transpose())? {
            last = Some(HistoryKind::of_key(&key).ok_or(StoreError::Damaged("history"))?);
        }
        Ok(last)
    }

    /// Copies an entry of the history as it lies in another store or a snapshot.
    pub fn put_history_raw(batch: &mut StoreBatch, key: &[u8], bytes: &[u8]) {
        let value = value::sealed(bytes);
        batch.bytes += value.len();
        batch.history.insert(key, value);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _turn = self.engine.db();
        let Some(trees) = self.trees.take() else { return };
        if self.engine.has_failed() || guarded(|| trees.ledger.flush()).is_err() {
            self.engine.note_failure();
            std::mem::forget(trees);
        }
    }
}

fn dossier_key(number: u64) -> [u8; 9] {
    let mut key = [DOSSIER_PREFIX; 9];
    if let Some(last) = key.last_chunk_mut::<8>() {
        *last = number.to_be_bytes();
    }
    key
}

/// Calls the engine; its panics become errors.
fn guarded<T>(call: impl FnOnce() -> std::io::Result<T>) -> Result<T, StoreError> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if matches!(error.kind(), StorageFull | QuotaExceeded) => Err(StoreError::NoRoom(error.to_string())),
        Ok(Err(error)) => Err(StoreError::Engine(error.to_string())),
        Err(panic) => Err(StoreError::Panicked(words_of(&*panic))),
    }
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message").to_owned()
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
