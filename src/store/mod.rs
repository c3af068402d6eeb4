//! The store: a view of the log in sled, that makes a start quick and keeps the history.
//!
//! It is never the only copy. Values carry their own checksums, the state checksum judges the whole at every start, and what
//! fails is moved aside and rebuilt from the log. One thread writes it, behind the log; nobody reads it while serving, history
//! apart. The door to the engine is narrow: another one could take its place, and in simulations a model does.

mod batch;
mod engine;
mod meta;
mod opening;
mod value;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

pub use batch::StoreBatch;
pub use engine::Engine;
#[cfg(any(test, feature = "simulation"))]
pub use engine::ModelOptions;
pub use meta::StoreMeta;
pub use opening::hear_engine;
pub use value::{HISTORY_KEY_BYTES, HISTORY_VALUE_HEAD, HistoryEntry, HistoryKind, history_hash, history_sequence, run_of};

use engine::{OnDisk, TreeName, Trees};
use value::HISTORY_PREFIX_BYTES;

/// What the store could not do.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine said no.
    #[error("the store failed: {0}")]
    Engine(String),
    /// The disk had no room.
    #[error("the store has no room: {0}")]
    NoRoom(String),
    /// The engine does not come to an end; what it waits for, nobody knows.
    #[error("the store's engine gave no word in {0} s")]
    NoWord(u64),
    /// An earlier version of the program laid it out otherwise; nothing is wrong with it.
    #[error("the store has the layout of an earlier version")]
    Earlier,
    /// The engine panicked.
    #[error("the store panicked: {0}")]
    Panicked(String),
    /// A value does not match its checksum, or is not what its key says.
    #[error("the store holds a damaged value in its tree `{0}`")]
    Damaged(&'static str),
}

const META_KEY: &[u8] = b"m";
const DOSSIER_PREFIX: u8 = b'd';

/// The store. A handle is for one thread; clone it for another.
#[derive(Clone)]
pub struct Store {
    trees: Trees,
    engine: Engine,
    directory: Arc<PathBuf>,
}

impl Store {
    fn of(trees: Trees, engine: Engine, directory: &Path) -> Store {
        Store { trees, engine, directory: Arc::new(directory.to_owned()) }
    }

    /// What keeps it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Whether no other handle on this store is held.
    pub fn is_the_only_handle(&self) -> bool {
        Arc::strong_count(&self.directory) == 1
    }

    /// Closes the store and opens it again, which must be durable and have no other handle. The engine never lets go of a leaf that it
    /// wrote (1.0.0-alpha.124 forgets which of them were flushed), so a store that writes for long holds everything it wrote.
    pub fn reopened(self) -> Result<Store, StoreError> {
        let (engine, directory) = (self.engine.clone(), self.directory.clone());
        let has_failed = self.trees.has_failed();
        drop(self);
        if has_failed.load(Ordering::Acquire) {
            return Err(StoreError::Engine("it failed when it was closed".to_owned()));
        }
        engine.open(&directory)
    }

    /// What the store says it is; `None` when nothing was ever applied.
    pub fn meta(&self) -> Result<Option<StoreMeta>, StoreError> {
        let Some(value) = self.trees.value(TreeName::Dossiers, META_KEY)? else { return Ok(None) };
        let bytes = value::opened(&value).ok_or(StoreError::Damaged("dossiers"))?;
        StoreMeta::decode(bytes).map(Some).ok_or(StoreError::Damaged("dossiers"))
    }

    /// Whether nothing at all is in it.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        self.trees.are_empty()
    }

    /// Writes a batch that ends on a frame boundary, and says where that is. What history and ledger gain goes first: it overwrites
    /// itself when replayed, so that they may be ahead of the dossiers but never behind. What the ledger loses goes last: at the
    /// place before, it is still needed.
    pub fn apply(&self, mut batch: StoreBatch, meta: &StoreMeta) -> Result<(), StoreError> {
        batch.put_meta(meta);
        self.apply_unplaced(batch)
    }

    /// Writes a part of a store that is being filled; until [`Store::apply`] says where it stands, it counts as empty.
    pub fn apply_unplaced(&self, batch: StoreBatch) -> Result<(), StoreError> {
        self.trees.apply(batch)
    }

    /// Makes everything applied durable.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.trees.flush()
    }

    /// Calls `take` with every dossier whose number lies in a range, in order of their numbers.
    pub fn scan_dossiers(
        &self,
        numbers: std::ops::Range<u64>,
        mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(last) = numbers.end.checked_sub(1).filter(|last| *last >= numbers.start) else { return Ok(()) };
        let (first, last) = (dossier_key(numbers.start), dossier_key(last));
        self.trees.each(TreeName::Dossiers, Some(&first[..]..=&last[..]), |_, value| {
            take(value::opened(value).ok_or(StoreError::Damaged("dossiers"))?)
        })
    }

    /// Calls `take` with sequence, kind, time (ms since 1970) and payload of every master piece and feed record, oldest first.
    pub fn scan_ledger(&self, mut take: impl FnMut(u64, u8, u64, &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.trees.each(TreeName::Ledger, None, |key, value| {
            let damaged = StoreError::Damaged("ledger");
            let sequence = key.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes)).ok_or(damaged.clone())?;
            let bytes = value::opened(value).ok_or(damaged.clone())?;
            let (kind, rest) = bytes.split_first().ok_or(damaged.clone())?;
            let (time, payload) = rest.split_first_chunk::<8>().ok_or(damaged)?;
            take(sequence, *kind, u64::from_le_bytes(*time), payload)
        })
    }

    /// Calls `take` with the key and the value of every entry of the history.
    pub fn scan_history(&self, mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>) -> Result<(), StoreError> {
        self.trees
            .each(TreeName::History, None, |key, value| take(key, value::opened(value).ok_or(StoreError::Damaged("history"))?))
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

    fn last_in_run(&self, prefix: &[u8; HISTORY_PREFIX_BYTES]) -> Result<Option<HistoryKind>, StoreError> {
        let mut end = [u8::MAX; HISTORY_KEY_BYTES];
        for (place, byte) in end.iter_mut().zip(prefix) {
            *place = *byte;
        }
        let mut last = None;
        self.trees.each(TreeName::History, Some(&prefix[..]..=&end[..]), |key, _| {
            last = Some(HistoryKind::of_key(key).ok_or(StoreError::Damaged("history"))?);
            Ok(())
        })?;
        Ok(last)
    }
}

fn dossier_key(number: u64) -> [u8; 9] {
    let mut key = [DOSSIER_PREFIX; 9];
    if let Some(last) = key.last_chunk_mut::<8>() {
        *last = number.to_be_bytes();
    }
    key
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
