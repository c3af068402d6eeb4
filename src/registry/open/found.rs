//! The store as a start finds it, and what becomes of one that is not wanted.

use std::io::ErrorKind::NotFound;

use super::Opening;
use crate::disk::OpenMode;
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
    /// A rebuild of ours that never came to its end: there is nothing in it that is not in the log, or in `base.snap`.
    HalfRebuilt,
    Damaged(String),
    /// An earlier version of the program laid it out otherwise.
    Earlier,
    /// The engine cannot open it now: the disk is full, or it waits for something. Nothing is known to be wrong with it.
    Withheld(Trouble, String),
}

/// Damaged stores that are kept; see [`Opening::keep_few_aside`].
const STORES_ASIDE_MAX: usize = 3;
const ASIDE_PREFIX: &str = "store.bad-";

impl FoundStore {
    pub(super) fn facts(&self) -> StoreFacts {
        match self {
            FoundStore::Absent | FoundStore::Empty(_) => StoreFacts::None,
            FoundStore::Good { meta, .. } => StoreFacts::Good { sequence: meta.position.sequence },
            FoundStore::HalfRebuilt | FoundStore::Damaged(_) | FoundStore::Earlier | FoundStore::Withheld(..) => {
                StoreFacts::Damaged
            }
        }
    }

    pub(super) fn into_store(self) -> Option<Store> {
        match self {
            FoundStore::Empty(store) | FoundStore::Good { store, .. } => Some(store),
            FoundStore::Absent
            | FoundStore::HalfRebuilt
            | FoundStore::Damaged(_)
            | FoundStore::Earlier
            | FoundStore::Withheld(..) => None,
        }
    }

    pub(super) fn words(&self) -> String {
        match self {
            FoundStore::Absent => "absent".to_owned(),
            FoundStore::Empty(_) => "empty".to_owned(),
            FoundStore::Good { meta, .. } => format!("at sequence {}", meta.position.sequence),
            FoundStore::HalfRebuilt => "half rebuilt".to_owned(),
            FoundStore::Damaged(why) => format!("damaged ({why})"),
            FoundStore::Earlier => "laid out by an earlier version".to_owned(),
            FoundStore::Withheld(_, why) => why.clone(),
        }
    }
}

/// The trouble of a store that the engine cannot open now, though nothing may be wrong with it.
fn withholding(error: &StoreError) -> Option<Trouble> {
    match error {
        StoreError::NoRoom(_) => Some(Trouble::NoRoomAtStart),
        StoreError::NoWord(_) => Some(Trouble::StoreNotOpened),
        _ => None,
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
                Ok(false) if self.exists(&self.rebuilding_path())? => FoundStore::HalfRebuilt,
                Ok(false) => FoundStore::Damaged("filling it was never finished".to_owned()),
                Err(error) => FoundStore::Damaged(error.to_string()),
            },
            Err(StoreError::Earlier) => FoundStore::Earlier,
            Err(error) => match withholding(&error) {
                Some(trouble) => FoundStore::Withheld(trouble, error.to_string()),
                None => FoundStore::Damaged(error.to_string()),
            },
        })
    }

    /// What becomes of the store when a rebuild is refused: what this start filled is thrown away, a store that it never touched stays,
    /// and one of an earlier layout goes back to its place.
    pub(super) fn give_up_rebuilding(&self, filled: bool) -> Result<(), RegistryError> {
        if filled {
            self.remove_unfinished_store()?;
        }
        let (earlier, path) = (self.earlier_path(), self.store_path());
        if self.exists(&earlier)? && !self.exists(&path)? {
            self.disk.rename(&earlier, &path).map_err(RegistryError::directory(&earlier))?;
        }
        Ok(())
    }

    /// Throws away a store whose filling was given up: it holds nothing that is not elsewhere, and a start that is tried again and
    /// again must not leave one behind each time.
    fn remove_unfinished_store(&self) -> Result<(), RegistryError> {
        let path = self.store_path();
        self.options.engine.discard(&path).map_err(RegistryError::directory(&path))?;
        self.unmark_rebuilding();
        Ok(())
    }

    /// A store for a rebuild: an empty one is used, half a rebuild begun again, any other moved aside; none where the disk has no room for
    /// one. A marker says that what is in it is ours, as long as it does not say of itself where it stands.
    pub(super) fn fresh_store(&mut self, found: FoundStore) -> Result<Option<Store>, RegistryError> {
        let path = self.store_path();
        match found {
            FoundStore::Empty(store) => {
                self.mark_rebuilding();
                return Ok(Some(store));
            }
            FoundStore::Absent => {}
            FoundStore::Withheld(trouble, why) => {
                self.start_without_writing(trouble, &why);
                return Ok(None);
            }
            FoundStore::HalfRebuilt => {
                self.remove_unfinished_store()?;
                let note = "rebuilding the store from the log had not come to its end, and is begun again".to_owned();
                self.troubles.raise(Trouble::StoreRebuilt, note.clone());
                self.notes.push(note);
            }
            FoundStore::Good { store, .. } => {
                drop(store);
                self.move_aside("it stands behind the beginning of the log")?;
            }
            FoundStore::Damaged(why) => self.move_aside(&why)?,
            FoundStore::Earlier => self.lay_earlier_store_by()?,
        }
        self.mark_rebuilding();
        match self.options.engine.open(&path) {
            Ok(store) => Ok(Some(store)),
            Err(error) => match withholding(&error) {
                Some(trouble) => {
                    self.start_without_writing(trouble, &error.to_string());
                    Ok(None)
                }
                None => Err(error.into()),
            },
        }
    }

    /// Answers without registering, because what a start writes cannot be written now.
    pub(super) fn start_without_writing(&mut self, trouble: Trouble, why: &str) {
        let remedy = if trouble == Trouble::NoRoomAtStart { "make room and restart" } else { "restart" };
        let detail = format!("{why}; {remedy}: until then look-ups are answered and nothing is registered");
        self.troubles.raise(trouble, detail.clone());
        self.notes.push(detail);
    }

    /// Takes the marker away from a store that is whole.
    pub(super) fn unmark_rebuilding(&self) {
        let removed = self.disk.remove(&self.rebuilding_path());
        if let Err(error) = removed.or_else(|error| if error.kind() == NotFound { Ok(()) } else { Err(error) }) {
            tracing::warn!(%error, "the marker of a rebuild that is done could not be removed");
        }
    }

    /// Without the marker half a rebuild is kept like any damaged store: no reason not to start.
    fn mark_rebuilding(&self) {
        if let Err(error) = self.disk.open(&self.rebuilding_path(), OpenMode::Replace) {
            tracing::warn!(%error, "the marker of a rebuild could not be written");
        }
    }

    /// Keeps a store of an earlier layout until the new one is whole: an earlier version of the program could still open it.
    fn lay_earlier_store_by(&mut self) -> Result<(), RegistryError> {
        self.remove_earlier_store()?;
        let path = self.store_path();
        self.disk.rename(&path, &self.earlier_path()).map_err(RegistryError::directory(&path))?;
        self.notes.push(format!("{} and is rebuilt from the log", StoreError::Earlier));
        Ok(())
    }

    /// Removes what was laid by, if anything was.
    pub(super) fn remove_earlier_store(&self) -> Result<(), RegistryError> {
        let path = self.earlier_path();
        if self.exists(&path)? {
            self.options.engine.discard(&path).map_err(RegistryError::directory(&path))?;
        }
        Ok(())
    }

    fn move_aside(&mut self, why: &str) -> Result<(), RegistryError> {
        let path = self.store_path();
        let mut time = self.options.now_unix_ms;
        let aside = loop {
            let name = self.directory.join(format!("{ASIDE_PREFIX}{time}"));
            if !self.exists(&name)? {
                break name;
            }
            time += 1;
        };
        self.disk.rename(&path, &aside).map_err(RegistryError::directory(&path))?;
        let note = format!("the store was damaged ({why}); it was moved to {} and rebuilt from the log", aside.display());
        self.troubles.raise(Trouble::StoreRebuilt, note.clone());
        self.notes.push(note);
        if let Err(error) = self.keep_few_aside() {
            tracing::warn!(%error, "damaged stores that are too many could not be removed");
        }
        Ok(())
    }

    /// Keeps the oldest of the damaged stores, which shows what began it, and the newest, which show how it stands; those between go, or
    /// a program that is started again and again on a failing disk would fill it.
    fn keep_few_aside(&self) -> std::io::Result<()> {
        let since = |name: &String| name.strip_prefix(ASIDE_PREFIX).and_then(|time| time.parse::<u64>().ok());
        let names = self.disk.list(self.directory)?;
        let mut aside: Vec<_> = names.iter().filter_map(|name| Some((since(name)?, self.directory.join(name)))).collect();
        aside.sort();
        let surplus = aside.len().saturating_sub(STORES_ASIDE_MAX);
        for (_, between) in aside.iter().skip(1).take(surplus) {
            self.options.engine.discard(between)?;
        }
        Ok(())
    }
}
