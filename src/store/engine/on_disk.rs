//! The trees in sled. It may panic or abort a thread on damaged files, so every call goes through `guarded`.

use std::io::ErrorKind::{QuotaExceeded, StorageFull, Unsupported};
use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sled::InlineArray;

use super::TreeName;
use crate::store::batch::{StoreBatch, Writes};
use crate::store::{StoreError, words_of};

/// Entries of a leaf at most. A leaf that packs to 65,529 bytes exactly is written with its last byte overwritten by the length
/// (1.0.0-alpha.124): a slot of 64 KiB keeps four bytes for that, and whoever chose the slot counted two. So leaves stay far below: 128
/// dossiers or entries of history pack to some 20 KB.
const FANOUT: usize = 128;
type Tree = sled::Tree<FANOUT>;

const CACHE_BYTES: usize = 128 << 20;

/// A handle on sled's trees.
#[derive(Clone)]
pub(in crate::store) struct OnDisk {
    /// Always there until the handle is dropped.
    trees: Option<Handles>,
    core: Arc<Core>,
}

#[derive(Clone)]
struct Handles {
    dossiers: Tree,
    history: Tree,
    ledger: Tree,
}

/// The engine behind all handles on one store.
///
/// After a flush that failed, the next one waits for it for ever (1.0.0-alpha.124), and the engine flushes wherever one of its own handles
/// is dropped. So writing, flushing and dropping take turns, what is dropped was flushed before, and an engine that failed is neither asked
/// nor closed again: it stays as it is until the process ends.
struct Core {
    db: Mutex<Option<Box<sled::Db<FANOUT>>>>,
    failed: Arc<AtomicBool>,
}

impl Core {
    fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    fn note_failure(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Drops something that is or owns a handle of the engine's, in its turn and after a flush; keeps it for ever where the engine failed.
    fn let_go<T>(&self, handle: T, flush: impl FnOnce(&T) -> std::io::Result<()>) {
        let _turn = self.db();
        if self.has_failed() || guarded(|| flush(&handle)).is_err() {
            self.note_failure();
            std::mem::forget(handle);
        }
    }

    fn db(&self) -> MutexGuard<'_, Option<Box<sled::Db<FANOUT>>>> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        let Some(db) = self.db().take() else { return };
        if self.has_failed() || guarded(|| db.flush()).is_err() {
            self.note_failure();
            std::mem::forget(db);
        }
    }
}

impl OnDisk {
    pub(super) fn open(directory: &Path) -> Result<Box<OnDisk>, StoreError> {
        guarded(|| {
            let config = sled::Config::new()
                .path(directory)
                .cache_capacity_bytes(CACHE_BYTES)
                // Its own flusher thread would abort the whole process on an error; ours detaches the store instead.
                .flush_every_ms(None)
                .zstd_compression_level(1);
            let db: sled::Db<FANOUT> = config.open()?;
            let [dossiers, history, ledger] = TreeName::ALL.map(|tree| db.open_tree(tree.word()));
            let trees = Handles { dossiers: dossiers?, history: history?, ledger: ledger? };
            let core = Core { db: Mutex::new(Some(Box::new(db))), failed: Arc::default() };
            Ok(Box::new(OnDisk { trees: Some(trees), core: Arc::new(core) }))
        })
    }

    pub(super) fn value(&self, tree: TreeName, key: &[u8]) -> Result<Option<InlineArray>, StoreError> {
        self.ask(|trees| trees.tree(tree).get(key))
    }

    pub(super) fn are_empty(&self) -> Result<bool, StoreError> {
        self.ask(|trees| Ok(trees.dossiers.is_empty()? && trees.history.is_empty()? && trees.ledger.is_empty()?))
    }

    pub(super) fn each(
        &self,
        tree: TreeName,
        keys: Option<RangeInclusive<&[u8]>>,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut items = self.ask(|trees| {
            Ok(match keys {
                Some(keys) => trees.tree(tree).range(keys),
                None => trees.tree(tree).iter(),
            })
        })?;
        let mut each = || {
            while let Some((key, value)) = self.ask(|_| items.next().transpose())? {
                take(&key, &value)?;
            }
            Ok(())
        };
        let ended = each();
        // What goes through a tree owns a handle on it.
        self.core.let_go(items, |_| self.trees.as_ref().map_or(Ok(()), |trees| trees.tree(tree).flush().map(|_| ())));
        ended
    }

    pub(super) fn apply(&self, batch: StoreBatch) -> Result<(), StoreError> {
        let _turn = self.core.db();
        self.ask(|trees| {
            trees.history.apply_batch(batch_of(batch.history))?;
            trees.ledger.apply_batch(batch_of(batch.ledger))?;
            trees.dossiers.apply_batch(batch_of(batch.dossiers))?;
            trees.ledger.apply_batch(batch_of(batch.ledger_obsolete))
        })
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let db = self.core.db();
        self.ask(|_| db.as_ref().map_or(Ok(()), |db| db.flush().map(|_| ())))
    }

    pub(super) fn has_failed(&self) -> Arc<AtomicBool> {
        self.core.failed.clone()
    }

    /// Calls the engine, unless it failed before; a failure is remembered.
    fn ask<T>(&self, call: impl FnOnce(&Handles) -> std::io::Result<T>) -> Result<T, StoreError> {
        let trees = self.trees.as_ref().filter(|_| !self.core.has_failed());
        let trees = trees.ok_or_else(|| StoreError::Engine("it failed before".to_owned()))?;
        guarded(|| call(trees)).inspect_err(|_| self.core.note_failure())
    }
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        let Some(trees) = self.trees.take() else { return };
        self.core.let_go(trees, |trees| trees.ledger.flush().map(|_| ()));
    }
}

impl Handles {
    fn tree(&self, tree: TreeName) -> &Tree {
        match tree {
            TreeName::Dossiers => &self.dossiers,
            TreeName::History => &self.history,
            TreeName::Ledger => &self.ledger,
        }
    }
}

fn batch_of(writes: Writes) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, value) in writes.0 {
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }
    batch
}

/// Calls the engine; its panics become errors.
fn guarded<T>(call: impl FnOnce() -> std::io::Result<T>) -> Result<T, StoreError> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) if matches!(error.kind(), StorageFull | QuotaExceeded) => Err(StoreError::NoRoom(error.to_string())),
        // Its leaves were made for another number of entries. A file system's refusal comes as the same kind, and without its number.
        Ok(Err(error)) if error.kind() == Unsupported && error.to_string().contains("LEAF_FANOUT") => Err(StoreError::Earlier),
        Ok(Err(error)) => Err(StoreError::Engine(error.to_string())),
        Err(panic) => Err(StoreError::Panicked(words_of(&*panic))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's fault that keeps our leaves small. Where this fails the engine was mended, and they may grow.
    #[test]
    fn the_engine_spoils_a_leaf_that_packs_to_65529_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let open = || sled::Config::new().path(directory.path()).flush_every_ms(None).zstd_compression_level(1).open().unwrap();
        // Text that packs to three quarters of its length: some of these come to that many bytes.
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut letter = || {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            b'0' + u8::try_from(random >> 58).unwrap()
        };
        let texts: Vec<Vec<u8>> = (0..400).map(|nth| (0..87_006 + nth / 10).map(|_| letter()).collect()).collect();
        {
            let db: sled::Db<FANOUT> = open();
            for (nth, text) in texts.iter().enumerate() {
                db.open_tree(nth.to_string()).unwrap().insert(b"text", text.as_slice()).unwrap();
            }
            db.flush().unwrap();
        }
        let db: sled::Db<FANOUT> = open();
        let is_spoilt = |(nth, text): &(usize, &Vec<u8>)| {
            let tree = db.open_tree(nth.to_string()).unwrap();
            let read = guarded(|| tree.get(b"text"));
            !read.is_ok_and(|read| read.is_some_and(|read| read == text.as_slice()))
        };
        let spoilt = texts.iter().enumerate().filter(is_spoilt).count();
        assert!((1..20).contains(&spoilt), "{spoilt} of {} leaves are spoilt", texts.len());
    }
}
