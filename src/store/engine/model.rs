//! A model of the engine for simulations: sorted maps in memory. A flush writes them whole to one file through the disk's door, beside
//! the old one, and renames it; so what a crash leaves is what was last flushed, as far as that disk kept it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::{Bound, RangeInclusive};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sled::InlineArray;
use xxhash_rust::xxh3::xxh3_64;

use super::TreeName;
use crate::disk::{Disk, OpenMode};
use crate::store::StoreError;
use crate::store::batch::{StoreBatch, Writes};

/// How a model is kept.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Where what is flushed lies.
    pub disk: Arc<dyn Disk>,
    /// A flush follows every so many frames.
    pub flush_every_frames: u64,
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct Maps {
    dossiers: Map,
    history: Map,
    ledger: Map,
}

impl Maps {
    fn of(&self, tree: TreeName) -> &Map {
        match tree {
            TreeName::Dossiers => &self.dossiers,
            TreeName::History => &self.history,
            TreeName::Ledger => &self.ledger,
        }
    }
}

/// The trees of a model; handles share them.
#[derive(Clone)]
pub(in crate::store) struct Model {
    disk: Arc<dyn Disk>,
    directory: Arc<PathBuf>,
    maps: Arc<Mutex<Maps>>,
}

impl Model {
    pub(super) fn open(options: &ModelOptions, directory: &Path) -> Result<Model, StoreError> {
        options.disk.create_directory(directory).map_err(refused)?;
        let maps = match options.disk.open(&directory.join(FILE), OpenMode::Read) {
            Ok(file) => {
                let mut bytes = vec![0; usize::try_from(file.length().map_err(refused)?).unwrap_or(0)];
                file.read_exact_at(&mut bytes, 0).map_err(refused)?;
                decode(&bytes).ok_or(StoreError::Damaged("model"))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Maps::default(),
            Err(error) => return Err(refused(error)),
        };
        Ok(Model { disk: options.disk.clone(), directory: Arc::new(directory.to_owned()), maps: Arc::new(Mutex::new(maps)) })
    }

    pub(super) fn value(&self, tree: TreeName, key: &[u8]) -> Option<InlineArray> {
        self.maps().of(tree).get(key).map(|value| InlineArray::from(value.as_slice()))
    }

    pub(super) fn are_empty(&self) -> bool {
        let maps = self.maps();
        TreeName::ALL.iter().all(|tree| maps.of(*tree).is_empty())
    }

    pub(super) fn each(
        &self,
        tree: TreeName,
        keys: Option<RangeInclusive<&[u8]>>,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let maps = self.maps();
        let map = maps.of(tree);
        let mut items: Box<dyn Iterator<Item = (&Vec<u8>, &Vec<u8>)>> = match keys.map(RangeInclusive::into_inner) {
            Some((first, last)) => Box::new(map.range::<[u8], _>((Bound::Included(first), Bound::Included(last)))),
            None => Box::new(map.iter()),
        };
        items.try_for_each(|(key, value)| take(key, value))
    }

    pub(super) fn apply(&self, batch: StoreBatch) {
        let mut maps = self.maps();
        let Maps { dossiers, history, ledger } = &mut *maps;
        write(history, batch.history);
        write(ledger, batch.ledger);
        write(dossiers, batch.dossiers);
        write(ledger, batch.ledger_obsolete);
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let bytes = encode(&self.maps());
        let (path, aside) = (self.directory.join(FILE), self.directory.join("model.tmp"));
        let mut file = self.disk.open(&aside, OpenMode::Replace).map_err(refused)?;
        file.append(&bytes).and_then(|()| file.sync()).map_err(refused)?;
        self.disk.rename(&aside, &path).map_err(refused)?;
        self.disk.sync_directory(&self.directory).map_err(refused)
    }

    fn maps(&self) -> MutexGuard<'_, Maps> {
        self.maps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is left of a flushed model is one file; its directory stays.
pub(super) fn discard(options: &ModelOptions, directory: &Path) -> std::io::Result<()> {
    match options.disk.remove(&directory.join(FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

const FILE: &str = "model";

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn refused(error: std::io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::NoRoom(error.to_string()),
        // As long as the engine was waited for.
        ErrorKind::TimedOut => StoreError::NoWord(0),
        _ => StoreError::Engine(error.to_string()),
    }
}

fn write(map: &mut Map, writes: Writes) {
    for (key, value) in writes.0 {
        match value {
            Some(value) => map.insert(key.to_vec(), value.to_vec()),
            None => map.remove(&key[..]),
        };
    }
}

/// Three times: a count, then for each entry the lengths of key and value, and both; a checksum behind it all.
fn encode(maps: &Maps) -> Vec<u8> {
    let mut out = Vec::new();
    for map in TreeName::ALL.map(|tree| maps.of(tree)) {
        out.extend_from_slice(&(map.len() as u64).to_le_bytes());
        for (key, value) in map {
            out.extend_from_slice(&(key.len() as u64).to_le_bytes());
            out.extend_from_slice(&(value.len() as u64).to_le_bytes());
            out.extend_from_slice(key);
            out.extend_from_slice(value);
        }
    }
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn decode(bytes: &[u8]) -> Option<Maps> {
    let (mut rest, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(rest) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let mut maps = Maps::default();
    for map in [&mut maps.dossiers, &mut maps.history, &mut maps.ledger] {
        for _ in 0..length(&mut rest)? {
            let (key, value) = (length(&mut rest)?, length(&mut rest)?);
            let (key, behind) = rest.split_at_checked(key)?;
            let (value, behind) = behind.split_at_checked(value)?;
            rest = behind;
            map.insert(key.to_vec(), value.to_vec());
        }
    }
    rest.is_empty().then_some(maps)
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let (length, behind) = rest.split_first_chunk::<8>()?;
    *rest = behind;
    usize::try_from(u64::from_le_bytes(*length)).ok()
}
