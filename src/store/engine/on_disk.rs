//! The trees in sled. It may panic or abort a thread on damaged files, so every call goes through `guarded`.

use std::ops::RangeInclusive;
use std::panic::AssertUnwindSafe;
use std::path::Path;

use sled::InlineArray;

use super::TreeName;
use crate::store::batch::{StoreBatch, Writes};
use crate::store::{StoreError, words_of};

const FANOUT: usize = 1024;
type Tree = sled::Tree<FANOUT>;

const CACHE_BYTES: usize = 128 << 20;

/// sled's trees.
#[derive(Clone)]
pub(in crate::store) struct OnDisk {
    db: sled::Db<FANOUT>,
    dossiers: Tree,
    history: Tree,
    ledger: Tree,
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
            Ok(Box::new(OnDisk { dossiers: dossiers?, history: history?, ledger: ledger?, db }))
        })
    }

    pub(super) fn value(&self, tree: TreeName, key: &[u8]) -> Result<Option<InlineArray>, StoreError> {
        guarded(|| self.tree(tree).get(key))
    }

    pub(super) fn are_empty(&self) -> Result<bool, StoreError> {
        guarded(|| Ok(self.dossiers.is_empty()? && self.history.is_empty()? && self.ledger.is_empty()?))
    }

    pub(super) fn each(
        &self,
        tree: TreeName,
        keys: Option<RangeInclusive<&[u8]>>,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut items = guarded(|| {
            Ok(match keys {
                Some(keys) => self.tree(tree).range(keys),
                None => self.tree(tree).iter(),
            })
        })?;
        while let Some((key, value)) = guarded(|| items.next().transpose())? {
            take(&key, &value)?;
        }
        Ok(())
    }

    pub(super) fn apply(&self, batch: StoreBatch) -> Result<(), StoreError> {
        guarded(|| {
            self.history.apply_batch(batch_of(batch.history))?;
            self.ledger.apply_batch(batch_of(batch.ledger))?;
            self.dossiers.apply_batch(batch_of(batch.dossiers))?;
            self.ledger.apply_batch(batch_of(batch.ledger_obsolete))
        })
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        guarded(|| self.db.flush().map(|_| ()))
    }

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
pub(in crate::store) fn guarded<T>(call: impl FnOnce() -> std::io::Result<T>) -> Result<T, StoreError> {
    match std::panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(StoreError::Engine(error.to_string())),
        Err(panic) => Err(StoreError::Panicked(words_of(&*panic))),
    }
}
