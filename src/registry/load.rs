//! Filling the index at a start: from the store on both cores, or from a snapshot.

use rkyv::util::AlignedVec;

use super::RegistryError;
use super::files::FileHistory;
use super::ledger::Ledger;
use super::plan::content_of;
use super::tally::Tally;
use crate::domain::decision::Row as _;
use crate::index::{IndexError, IndexWriter, Loader};
use crate::log::FrameKind;
use crate::record::payload::{FeedRecord, MasterPiece};
use crate::record::{DossierRef, RecordError, StateChecksum};
use crate::store::{Store, StoreError, StoreMeta, history_hash, history_sequence};

/// What loading found.
#[derive(Default)]
pub(super) struct Loaded {
    pub(super) tally: Tally,
    pub(super) dossiers: u64,
}

/// Why the store cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    /// The store is not what it says: move it aside.
    #[error("{0}")]
    Damaged(String),
    /// Something else failed: destroy nothing.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl From<StoreError> for LoadError {
    fn from(error: StoreError) -> LoadError {
        LoadError::Damaged(error.to_string())
    }
}

/// Loads every dossier of the store into an index that nobody reads yet, and judges the whole by its checksum.
pub(super) fn from_store(index: &mut IndexWriter, store: &Store, meta: &StoreMeta) -> Result<Loaded, LoadError> {
    index.reserve(usize::try_from(meta.keys).unwrap_or(0)).map_err(RegistryError::from)?;
    let threads = std::thread::available_parallelism().map_or(2, |count| count.get()).clamp(1, 8) as u64;
    let step = meta.next_number / threads + 1;
    let parts = std::thread::scope(|scope| {
        let mut handles = Vec::new();
        for part in 0..threads {
            let loader = index.loader();
            let end = ((part + 1) * step).min(meta.next_number);
            let numbers = (part * step).min(end)..end;
            let store = store.clone();
            handles.push(scope.spawn(move || load_part(&store, loader, numbers)));
        }
        let join = |handle: std::thread::ScopedJoinHandle<'_, _>| {
            handle.join().unwrap_or_else(|_| Err(LoadError::Damaged("loading panicked".to_owned())))
        };
        handles.into_iter().map(join).collect::<Vec<Result<(Loader, Loaded), LoadError>>>()
    });
    let mut loaded = Loaded::default();
    let mut failed = None;
    for part in parts {
        match part {
            Ok((loader, part)) => {
                index.adopt(loader).map_err(RegistryError::from)?;
                loaded.tally.merge(part.tally);
                loaded.dossiers += part.dossiers;
            }
            Err(error) => failed = Some(error),
        }
    }
    match failed {
        Some(error) => Err(error),
        None => Ok(loaded),
    }
}

/// Reads every dossier of the store and judges them by the rows' checksum, without loading anything.
pub(super) fn check_dossiers(store: &Store, dossiers: u64, rows: &StateChecksum) -> Result<(), StoreError> {
    check_dossiers_unless(|| false, store, dossiers, rows).map(|_| ())
}

/// The same, unless it is to be given up, which is asked now and then; whether it was read to its end.
pub(super) fn check_dossiers_unless(
    given_up: impl Fn() -> bool,
    store: &Store,
    dossiers: u64,
    rows: &StateChecksum,
) -> Result<bool, StoreError> {
    let (mut checksum, mut count, mut ends_early) = (StateChecksum::EMPTY, 0u64, false);
    let (mut aligned, mut scratch) = (AlignedVec::<8>::new(), Vec::new());
    let scanned = store.scan_dossiers(0..u64::MAX, |bytes| {
        if count.is_multiple_of(ASK_EVERY) && given_up() {
            ends_early = true;
            return Err(StoreError::Engine("its reading was given up".to_owned()));
        }
        aligned.clear();
        aligned.extend_from_slice(bytes);
        let dossier = DossierRef::validated(&aligned).map_err(|_| StoreError::Damaged("dossiers"))?;
        for held in dossier.held_rows() {
            checksum.add(held.row.authority().prefecture(), content_of(held.row, &mut scratch));
        }
        count += 1;
        Ok(())
    });
    if ends_early {
        return Ok(false);
    }
    scanned?;
    if checksum == *rows && count == dossiers { Ok(true) } else { Err(StoreError::Damaged("dossiers")) }
}

/// After how many dossiers it is asked again whether to give up: some milliseconds.
const ASK_EVERY: u64 = 1024;

/// Reads the whole history and judges it by its checksum.
pub(super) fn check_history(store: &Store, meta: &StoreMeta) -> Result<(), String> {
    let mut checksum = 0u128;
    let scanned = store.scan_history(|key, value| {
        // The history may be ahead of the dossiers; what is ahead is replayed.
        if history_sequence(key).is_some_and(|sequence| sequence <= meta.position.sequence) {
            checksum = checksum.wrapping_add(history_hash(key, value));
        }
        Ok(())
    });
    scanned.map_err(|error| error.to_string())?;
    if checksum == meta.history_checksum { Ok(()) } else { Err("the history does not add up to its checksum".to_owned()) }
}

/// Works in the store's ledger, as far as `meta` stands.
pub(super) fn ledger_from_store(store: &Store, meta: &StoreMeta) -> Result<Ledger, String> {
    let mut ledger = Ledger::empty(meta.horizon);
    let mut failed = None;
    let scanned = store.scan_ledger(|sequence, kind, time_unix_ms, payload| {
        // The ledger may be ahead of the dossiers; what is ahead is replayed.
        if sequence > meta.position.sequence {
            return Ok(());
        }
        let taken = match FrameKind::from_byte(kind) {
            Some(FrameKind::Master) => MasterPiece::read(payload)
                .map_err(|error| error.to_string())
                .and_then(|piece| ledger.take_master(sequence, &piece).map(|_| ()).map_err(|error| error.to_string())),
            Some(FrameKind::Feed) => FeedRecord::read(payload)
                .map(|feed| ledger.take_feed(sequence, time_unix_ms, &feed))
                .map_err(|error| error.to_string()),
            _ => Err("an entry of an unknown kind".to_owned()),
        };
        if let Err(error) = taken {
            failed = Some(error);
        }
        Ok(())
    });
    scanned.map_err(|error| error.to_string())?;
    failed.map_or(Ok(ledger), Err)
}

/// Looks for a file in the store's ledger, which has the records of all.
pub(super) fn file_in_ledger(store: &Store, hash: &str) -> Result<Option<FileHistory>, StoreError> {
    let mut found = None;
    let finder = memchr::memmem::Finder::new(hash.as_bytes());
    store.scan_ledger(|sequence, kind, _, payload| {
        // A record that does not even hold the text is not worth reading.
        if FrameKind::from_byte(kind) == Some(FrameKind::Feed) && finder.find(payload).is_some() {
            let feed = FeedRecord::read(payload).map_err(|_| StoreError::Damaged("ledger"))?;
            if feed.file_hash == hash {
                found = Some(FileHistory::of(sequence, &feed));
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn load_part(store: &Store, loader: Loader, numbers: std::ops::Range<u64>) -> Result<(Loader, Loaded), LoadError> {
    let mut filling = Filling { loader, loaded: Loaded::default(), scratch: Vec::new() };
    let mut failed = None;
    store
        .scan_dossiers(numbers, |bytes| match filling.take(bytes) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(StoreError::Engine(error.to_string())),
            Err(error) => {
                let text = error.to_string();
                failed = Some(match error {
                    // More keys than the store itself speaks of: it is not what it says.
                    RegistryError::Index(IndexError::Full) => LoadError::Damaged(text.clone()),
                    error => error.into(),
                });
                Err(StoreError::Engine(text))
            }
        })
        .map_err(|error| failed.take().unwrap_or(LoadError::from(error)))?;
    Ok((filling.loader, filling.loaded))
}

/// Copies dossiers in and counts their rows.
pub(super) struct Filling {
    pub(super) loader: Loader,
    pub(super) loaded: Loaded,
    scratch: Vec<u8>,
}

impl Filling {
    pub(super) fn new(loader: Loader) -> Filling {
        Filling { loader, loaded: Loaded::default(), scratch: Vec::new() }
    }

    /// Copies one dossier in; the inner error says that its bytes are not a dossier. Returns its number.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Result<u64, RecordError>, RegistryError> {
        let dossier: DossierRef<'_> = match self.loader.copy(bytes)? {
            Ok(dossier) => dossier,
            Err(error) => return Ok(Err(error)),
        };
        for held in dossier.held_rows() {
            self.loaded.tally.add(held.row, content_of(held.row, &mut self.scratch));
        }
        self.loaded.dossiers += 1;
        Ok(Ok(dossier.number()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::RealDisk;
    use crate::record::fixture::{dossier, person};
    use crate::store::{Engine, ModelOptions, StoreBatch};

    #[test]
    fn a_reading_that_is_given_up_says_nothing_against_the_store() {
        let place = tempfile::tempdir().unwrap();
        let engine = Engine::Model(ModelOptions { disk: Arc::new(RealDisk), flush_every_frames: 1 });
        let store = engine.open(&place.path().join("store")).unwrap();
        let (mut batch, mut rows, mut scratch) = (StoreBatch::default(), StateChecksum::EMPTY, Vec::new());
        let made = dossier(1, &[(person(1), 1)]);
        let held = made.dossier(0).unwrap();
        batch.put_dossier(held.number(), held.as_bytes());
        for row in held.held_rows() {
            rows.add(row.row.authority().prefecture(), content_of(row.row, &mut scratch));
        }
        store.apply_unplaced(batch).unwrap();
        let judged = |given_up: bool, dossiers| check_dossiers_unless(move || given_up, &store, dossiers, &rows);
        assert!(matches!(judged(false, 1), Ok(true)));
        assert!(matches!(judged(false, 2), Err(StoreError::Damaged(_))));
        assert!(matches!((judged(true, 1), judged(true, 2)), (Ok(false), Ok(false))));
    }
}
