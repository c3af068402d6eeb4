//! What keeps the store's trees: sled, or in a simulation a model of it. The rest of the room knows three sorted trees and no more.

#[cfg(any(test, feature = "simulation"))]
mod model;
mod on_disk;

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sled::InlineArray;

use super::batch::StoreBatch;
use super::{Store, StoreError, opening};
use crate::limits::STORE_OPEN_S_MAX;
#[cfg(any(test, feature = "simulation"))]
pub use model::ModelOptions;
pub(super) use on_disk::OnDisk;

/// What keeps a store.
#[derive(Clone, Debug, Default)]
pub enum Engine {
    /// sled, in files of its own.
    #[default]
    Sled,
    /// A model in memory, which loses at a crash what was not flushed; what was flushed lies on a simulated disk.
    #[cfg(any(test, feature = "simulation"))]
    Model(ModelOptions),
}

impl Engine {
    /// Opens or makes the store in a directory of its own.
    pub fn open(&self, directory: &Path) -> Result<Store, StoreError> {
        let trees = match self {
            Engine::Sled => {
                let directory = directory.to_owned();
                let timeout = Duration::from_secs(STORE_OPEN_S_MAX);
                Trees::OnDisk(opening::in_a_thread_of_its_own(timeout, move || OnDisk::open(&directory))?)
            }
            #[cfg(any(test, feature = "simulation"))]
            Engine::Model(options) => Trees::Model(model::Model::open(options, directory)?),
        };
        Ok(Store::of(trees, self.clone(), directory))
    }

    /// Throws away everything of a store that nobody has open.
    pub fn discard(&self, directory: &Path) -> std::io::Result<()> {
        match self {
            Engine::Sled => std::fs::remove_dir_all(directory),
            #[cfg(any(test, feature = "simulation"))]
            Engine::Model(options) => model::discard(options, directory),
        }
    }

    /// After how many frames a store is flushed that is written in step with the log, by the thread that writes it. In a simulation the
    /// n-th operation of the disk must be the same one every time; a thread of its own would decide it by chance.
    pub(crate) fn in_step(&self) -> Option<u64> {
        match self {
            Engine::Sled => None,
            #[cfg(any(test, feature = "simulation"))]
            Engine::Model(options) => Some(options.flush_every_frames),
        }
    }
}

/// One of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TreeName {
    Dossiers,
    History,
    Ledger,
}

impl TreeName {
    pub(super) const ALL: [TreeName; 3] = [TreeName::Dossiers, TreeName::History, TreeName::Ledger];

    pub(super) const fn word(self) -> &'static str {
        match self {
            TreeName::Dossiers => "dossiers",
            TreeName::History => "history",
            TreeName::Ledger => "ledger",
        }
    }
}

/// The trees of an open store. A handle is for one thread (sled's are not `Sync`); clone it for another.
#[derive(Clone)]
pub(super) enum Trees {
    /// Boxed: sled keeps tens of kilobytes of its own in every handle, and a few of them by value would fill a thread's stack.
    OnDisk(Box<OnDisk>),
    #[cfg(any(test, feature = "simulation"))]
    Model(model::Model),
}

impl Trees {
    /// The value of a key.
    pub(super) fn value(&self, tree: TreeName, key: &[u8]) -> Result<Option<InlineArray>, StoreError> {
        match self {
            Trees::OnDisk(trees) => trees.value(tree, key),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(model) => Ok(model.value(tree, key)),
        }
    }

    /// Whether nothing at all is in them.
    pub(super) fn are_empty(&self) -> Result<bool, StoreError> {
        match self {
            Trees::OnDisk(trees) => trees.are_empty(),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(model) => Ok(model.are_empty()),
        }
    }

    /// Calls `take` with every key in a range and its value, in order; with all keys where there is no range.
    pub(super) fn each(
        &self,
        tree: TreeName,
        keys: Option<RangeInclusive<&[u8]>>,
        take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Trees::OnDisk(trees) => trees.each(tree, keys, take),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(model) => model.each(tree, keys, take),
        }
    }

    /// Applies a batch: history and ledger, then the dossiers, then what the ledger loses, each whole or not at all.
    pub(super) fn apply(&self, batch: StoreBatch) -> Result<(), StoreError> {
        match self {
            Trees::OnDisk(trees) => trees.apply(batch),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(model) => {
                model.apply(batch);
                Ok(())
            }
        }
    }

    /// What says, also after the handle is dropped, whether the engine failed.
    pub(super) fn has_failed(&self) -> Arc<AtomicBool> {
        match self {
            Trees::OnDisk(trees) => trees.has_failed(),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(_) => Arc::default(),
        }
    }

    /// Makes everything applied durable.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        match self {
            Trees::OnDisk(trees) => trees.flush(),
            #[cfg(any(test, feature = "simulation"))]
            Trees::Model(model) => model.flush(),
        }
    }
}
