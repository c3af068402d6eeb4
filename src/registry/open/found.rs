//! The store as a start finds it, and what becomes of one that is not wanted.

use super::Opening;
use crate::log::StreamId;
use crate::registry::RegistryError;
use crate::registry::recovery::StoreFacts;
use crate::registry::troubles::Trouble;
use crate::store::{Store, StoreMeta};

/// The store as it was found.
pub(super) enum FoundStore {
    Absent,
    Empty(Store),
    Good { store: Store, meta: Box<StoreMeta> },
    Damaged(String),
}

impl FoundStore {
    pub(super) fn facts(&self) -> StoreFacts {
        match self {
            FoundStore::Absent | FoundStore::Empty(_) => StoreFacts::None,
            FoundStore::Good { meta, .. } => StoreFacts::Good { sequence: meta.position.sequence },
            FoundStore::Damaged(_) => StoreFacts::Damaged,
        }
    }

    pub(super) fn into_store(self) -> Option<Store> {
        match self {
            FoundStore::Empty(store) | FoundStore::Good { store, .. } => Some(store),
            FoundStore::Absent | FoundStore::Damaged(_) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            FoundStore::Absent => "absent".to_owned(),
            FoundStore::Empty(_) => "empty".to_owned(),
            FoundStore::Good { meta, .. } => format!("at sequence {}", meta.position.sequence),
            FoundStore::Damaged(why) => format!("damaged ({why})"),
        }
    }
}

impl Opening<'_> {
    pub(super) fn open_store(&mut self, stream: Option<StreamId>) -> Result<FoundStore, RegistryError> {
        let path = self.store_path();
        if !self.exists(&path)? {
            return Ok(FoundStore::Absent);
        }
        let opened = self.options.engine.open(&path).and_then(|store| store.meta().map(|meta| (store, meta)));
        Ok(match opened {
            Ok((store, Some(meta))) if stream.is_none_or(|stream| stream == meta.position.stream) => {
                FoundStore::Good { store, meta: Box::new(meta) }
            }
            Ok((_, Some(_))) => FoundStore::Damaged("it belongs to another stream".to_owned()),
            Ok((store, None)) => match store.is_empty() {
                Ok(true) => FoundStore::Empty(store),
                Ok(false) => FoundStore::Damaged("filling it was never finished".to_owned()),
                Err(error) => FoundStore::Damaged(error.to_string()),
            },
            Err(error) => FoundStore::Damaged(error.to_string()),
        })
    }

    /// Throws away a store whose filling was given up: it holds nothing that is not elsewhere, and a start that is tried again and
    /// again must not leave one behind each time.
    pub(super) fn remove_unfinished_store(&self) -> Result<(), RegistryError> {
        let path = self.store_path();
        self.options.engine.discard(&path).map_err(RegistryError::directory(&path))
    }

    /// A store for a rebuild: an empty one is used, any other is moved aside.
    pub(super) fn fresh_store(&mut self, found: FoundStore) -> Result<Store, RegistryError> {
        let path = self.store_path();
        let why = match found {
            FoundStore::Empty(store) => return Ok(store),
            FoundStore::Absent => return Ok(self.options.engine.open(&path)?),
            FoundStore::Good { store, .. } => {
                drop(store);
                "it stands behind the beginning of the log".to_owned()
            }
            FoundStore::Damaged(why) => why,
        };
        let mut time = self.options.now_unix_ms;
        let aside = loop {
            let name = self.directory.join(format!("store.bad-{time}"));
            if !self.exists(&name)? {
                break name;
            }
            time += 1;
        };
        self.disk.rename(&path, &aside).map_err(RegistryError::directory(&path))?;
        let note = format!("the store was damaged ({why}); it was moved to {} and rebuilt from the log", aside.display());
        self.troubles.raise(Trouble::StoreRebuilt, note.clone());
        self.notes.push(note);
        Ok(self.options.engine.open(&path)?)
    }
}
