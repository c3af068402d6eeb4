//! A model of the engine for simulations: sorted maps in memory. A flush writes them whole to one file through the disk's door, beside
//! the old one, and renames it; so what a crash leaves is what was last flushed, as far as that disk kept it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
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

/// The trees of a model; handles share them.
#[derive(Clone)]
pub(in crate::store) struct Model {
    disk: Arc<dyn Disk>,
    directory: Arc<PathBuf>,
    maps: Arc<Mutex<[Map; 3]>>,
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
            Err(error) if error.kind() == ErrorKind::NotFound => <[Map; 3]>::default(),
            Err(error) => return Err(refused(error)),
        };
        Ok(Model { disk: options.disk.clone(), directory: Arc::new(directory.to_owned()), maps: Arc::new(Mutex::new(maps)) })
    }

    pub(super) fn value(&self, tree: TreeName, key: &[u8]) -> Option<InlineArray> {
        map_of(&self.maps(), tree).get(key).map(|value| InlineArray::from(value.as_slice()))
    }

    pub(super) fn are_empty(&self) -> bool {
        self.maps().iter().all(Map::is_empty)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the engine that it stands for takes a range by value")]
    pub(super) fn each(
        &self,
        tree: TreeName,
        keys: Option<RangeInclusive<&[u8]>>,
        mut take: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let maps = self.maps();
        let all = map_of(&maps, tree).iter();
        let mut inside = all.filter(|(key, _)| keys.as_ref().is_none_or(|keys| keys.contains(&key.as_slice())));
        inside.try_for_each(|(key, value)| take(key, value))
    }

    pub(super) fn apply(&self, batch: StoreBatch) {
        let mut maps = self.maps();
        let [dossiers, history, ledger] = &mut *maps;
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

    fn maps(&self) -> MutexGuard<'_, [Map; 3]> {
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
    StoreError::Engine(error.to_string())
}

fn map_of(maps: &[Map; 3], tree: TreeName) -> &Map {
    let [dossiers, history, ledger] = maps;
    match tree {
        TreeName::Dossiers => dossiers,
        TreeName::History => history,
        TreeName::Ledger => ledger,
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
fn encode(maps: &[Map; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    for map in maps {
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

fn decode(bytes: &[u8]) -> Option<[Map; 3]> {
    let (mut rest, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(rest) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let mut maps = <[Map; 3]>::default();
    for map in &mut maps {
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
