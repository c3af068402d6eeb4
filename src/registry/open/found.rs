//! The store as a start finds it, and what becomes of one that is not wanted.

use std::fs;
use std::path::Path;

use super::Opening;
use crate::log::StreamId;
use crate::registry::RegistryError;
use crate::registry::recovery::StoreFacts;
use crate::registry::troubles::Trouble;
use crate::store::{Store, StoreError, StoreMeta};

/// The store as it was found.
pub(super) enum FoundStore {
    Absent,
    Empty(Store),
    Good {
        store: Store,
        meta: Box<StoreMeta>,
    },
    Damaged(String),
    /// The engine cannot open it while the disk is full; nothing is wrong with it.
    NoRoom(String),
}

impl FoundStore {
    pub(super) fn facts(&self) -> StoreFacts {
        match self {
            FoundStore::Absent | FoundStore::Empty(_) => StoreFacts::None,
            FoundStore::Good { meta, .. } => StoreFacts::Good { sequence: meta.position.sequence },
            FoundStore::Damaged(_) | FoundStore::NoRoom(_) => StoreFacts::Damaged,
        }
    }

    pub(super) fn into_store(self) -> Option<Store> {
        match self {
            FoundStore::Empty(store) | FoundStore::Good { store, .. } => Some(store),
            FoundStore::Absent | FoundStore::Damaged(_) | FoundStore::NoRoom(_) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            FoundStore::Absent => "absent".to_owned(),
            FoundStore::Empty(_) => "empty".to_owned(),
            FoundStore::Good { meta, .. } => format!("at sequence {}", meta.position.sequence),
            FoundStore::Damaged(why) => format!("damaged ({why})"),
            FoundStore::NoRoom(why) => why.clone(),
        }
    }
}

impl Opening<'_> {
    pub(super) fn open_store(&mut self, stream: Option<StreamId>) -> FoundStore {
        let path = self.store_path();
        if !path.exists() {
            return FoundStore::Absent;
        }
        let opened = Store::open(&path).and_then(|store| store.meta().map(|meta| (store, meta)));
        match opened {
            Ok((store, Some(meta))) if stream.is_none_or(|stream| stream == meta.position.stream) => {
                FoundStore::Good { store, meta: Box::new(meta) }
            }
            Ok((_, Some(_))) => FoundStore::Damaged("it belongs to another stream".to_owned()),
            Ok((store, None)) => match store.is_empty() {
                Ok(true) => FoundStore::Empty(store),
                Ok(false) => FoundStore::Damaged("filling it was never finished".to_owned()),
                Err(error) => FoundStore::Damaged(error.to_string()),
            },
            Err(error @ StoreError::NoRoom(_)) => FoundStore::NoRoom(error.to_string()),
            Err(error) => FoundStore::Damaged(error.to_string()),
        }
    }

    /// A store for a rebuild: an empty one is used, any other is moved aside; none where the disk has no room for one.
    pub(super) fn fresh_store(&mut self, found: FoundStore) -> Result<Option<Store>, RegistryError> {
        let path = self.store_path();
        let why = match found {
            FoundStore::Empty(store) => return Ok(Some(store)),
            FoundStore::Absent => return self.new_store(&path),
            FoundStore::NoRoom(why) => {
                self.start_without_writing(&why);
                return Ok(None);
            }
            FoundStore::Good { store, .. } => {
                drop(store);
                "it stands behind the beginning of the log".to_owned()
            }
            FoundStore::Damaged(why) => why,
        };
        let names = (self.options.now_unix_ms..).map(|time| self.directory.join(format!("store.bad-{time}")));
        let aside = names.into_iter().find(|name| !name.exists()).unwrap_or_else(|| self.directory.join("store.bad"));
        let moved = fs::rename(&path, &aside);
        moved.map_err(|source| RegistryError::Directory { path: path.clone(), source })?;
        let note = format!("the store was damaged ({why}); it was moved to {} and rebuilt from the log", aside.display());
        self.troubles.raise(Trouble::StoreRebuilt, note.clone());
        self.notes.push(note);
        self.new_store(&path)
    }

    fn new_store(&mut self, path: &Path) -> Result<Option<Store>, RegistryError> {
        match Store::open(path) {
            Ok(store) => Ok(Some(store)),
            Err(error @ StoreError::NoRoom(_)) => {
                self.start_without_writing(&error.to_string());
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Answers without registering, because the disk has no room for what a start writes.
    pub(super) fn start_without_writing(&mut self, why: &str) {
        let detail = format!("{why}; make room and restart: until then look-ups are answered and nothing is registered");
        self.troubles.raise(Trouble::NoRoomAtStart, detail.clone());
        self.notes.push(detail);
    }
}
