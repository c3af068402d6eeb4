//! Opening a directory: what is there, what the tables say about it, and the registry that comes of it.

mod found;
mod imaged;
mod starts;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use found::FoundStore;

use super::following::Following;
use super::image::{ImageOptions, Images};
use super::recovery::{BaseFacts, LogFacts, Start, decide};
use super::shelf::{Shelf, ShelfStanding, Shelved, StandingCell, examine};
use super::snapshot::{SnapshotError, SnapshotReader};
use super::troubles::{Trouble, Troubles};
use super::writer::Writer;
use super::{DirectoryLock, Reader, Registry, RegistryError};
use crate::background;
use crate::disk::{Disk, RealDisk};
use crate::index::IndexOptions;
use crate::log::{LogError, LogReader, SEGMENT_BYTES_MAX};
use crate::store::Engine;

/// How a registry is opened.
#[derive(Clone, Debug)]
pub struct OpenOptions {
    /// The time, ms since 1970.
    pub now_unix_ms: u64,
    /// The age from which data are too old, seconds.
    pub data_age_max_s: Option<u64>,
    /// How the index takes its memory.
    pub index: IndexOptions,
    /// A segment of the log is sealed when the next frame would make it larger than this.
    pub segment_bytes_max: u64,
    /// When the image is written.
    pub image: ImageOptions,
    /// The door to our own files.
    pub disk: Arc<dyn Disk>,
    /// What keeps the store.
    pub engine: Engine,
    /// After this long without a frame, the last one is vouched for by a mark.
    pub mark_idle: Duration,
}

impl OpenOptions {
    /// The defaults at a time.
    pub fn at(now_unix_ms: u64) -> OpenOptions {
        OpenOptions {
            now_unix_ms,
            data_age_max_s: None,
            index: IndexOptions::default(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            image: ImageOptions::default(),
            disk: Arc::new(RealDisk),
            engine: Engine::Sled,
            mark_idle: MARK_IDLE,
        }
    }
}

/// Short enough that an idle registry is soon safe from taking its last frame for a torn tail; long enough to write no mark in between
/// the batches of an import.
const MARK_IDLE: Duration = Duration::from_secs(1);

/// Everything that opening works on.
struct Opening<'o> {
    directory: &'o Path,
    options: &'o OpenOptions,
    disk: Arc<dyn Disk>,
    troubles: Arc<Troubles>,
    notes: Vec<String>,
    shelf: Shelf,
    following: Option<Arc<Following>>,
}

pub(super) fn open(directory: &Path, options: &OpenOptions) -> Result<Registry, RegistryError> {
    let lock = DirectoryLock::take(&*options.disk, directory)?;
    let disk = options.disk.clone();
    let following = Following::of_whole(&*disk, directory)?.map(Arc::new);
    if following.is_some() {
        background::keep_engine_behind();
    }
    let shelf = Shelf::look(&*disk, directory, following.as_ref().and_then(|following| following.prefectures))?;
    let troubles = Arc::new(Troubles::default());
    let opening = Opening { directory, options, disk, troubles, notes: Vec::new(), shelf, following };
    opening.run(lock)
}

impl Opening<'_> {
    fn run(mut self, lock: DirectoryLock) -> Result<Registry, RegistryError> {
        let log = LogReader::open(self.disk.clone(), &self.log_path());
        let (log, newer) = match log {
            Ok(log) => (log, None),
            Err(error @ (LogError::NewerFormat { .. } | LogError::UnknownFeatures { .. })) => (None, Some(error)),
            Err(error) => return Err(error.into()),
        };
        if let (Some(following), Some(stream)) = (&self.following, log.as_ref().and_then(LogReader::stream)) {
            following.check_stream(self.directory, stream)?;
        }
        let mut store = match newer {
            // Whatever a later version keeps its store in, this one must not touch it.
            Some(_) => FoundStore::Absent,
            None => self.open_store(log.as_ref().and_then(LogReader::stream))?,
        };
        loop {
            let log_facts = match (&log, &newer) {
                (_, Some(_)) => LogFacts::Newer,
                (None, None) => LogFacts::None,
                (Some(log), None) => LogFacts::Readable { first_sequence: log.first_sequence() },
            };
            let base = log.as_ref().and_then(|log| self.shelf.reached_by(log).next().cloned());
            let base_facts = match &base {
                Some(base) => BaseFacts::At { sequence: base.taken_at.sequence },
                None if !self.shelf.is_empty() => BaseFacts::Useless,
                None => BaseFacts::None,
            };
            let start = decide(log_facts, store.facts(), base_facts);
            tracing::debug!(?log_facts, store = ?store.facts(), ?base_facts, ?start, "deciding how to start");
            if start == Start::FromBase
                && let Some(base) = &base
                && let Err(error) = SnapshotReader::open(&*self.disk, &base.path).and_then(|reader| examine(reader, &base.path))
            {
                self.give_up_snapshot(base, &error);
                continue;
            }
            let outcome = match (start, &log, store) {
                (Start::NewStream, _, found) if self.following.is_none() => self.new_stream(found.into_store()).map(Some),
                (Start::FromStore, Some(log), FoundStore::Good { store, meta }) => self.start_from_store(log, store, &meta),
                (Start::FromLog, Some(log), found) => self.start_from_log(log, found).map(Some),
                (Start::FromBase, Some(log), found) => match base {
                    Some(base) => match self.start_from_base(log, &base, found)? {
                        Ok(writer) => Ok(Some(writer)),
                        Err(error) => {
                            self.give_up_snapshot(&base, &error);
                            // A thread that never came back may hold the store.
                            let withheld =
                                self.troubles.list().into_iter().find(|(trouble, _)| *trouble == Trouble::StoreNotOpened);
                            store = match withheld {
                                Some((trouble, why)) => FoundStore::Withheld(trouble, why),
                                None => self.open_store(log.stream())?,
                            };
                            continue;
                        }
                    },
                    None => return Err(self.refusal(newer, &found)),
                },
                (Start::StoreOnlyLogLost, _, FoundStore::Good { store, meta }) => {
                    let detail = format!("the store stands at sequence {}, the log does not reach it", meta.position.sequence);
                    self.store_only(store, &meta, &detail)
                }
                (_, _, found) => return Err(self.refusal(newer, &found)),
            };
            match outcome? {
                Some(writer) => return self.finish(writer, lock),
                // The store failed its judgement while it was loaded.
                None => store = FoundStore::Damaged("its content does not add up to its checksum".to_owned()),
            }
        }
    }

    fn finish(self, mut writer: Writer, lock: DirectoryLock) -> Result<Registry, RegistryError> {
        let marker = self.failed_path();
        let mut unjudged = Trouble::OF_A_START.into_iter().chain([Trouble::StoreDetached]);
        let was_judged = unjudged.all(|trouble| !self.troubles.has(trouble));
        if was_judged && self.exists(&marker)? {
            // To its last page, or it was rebuilt.
            self.disk.remove(&marker).map_err(RegistryError::directory(&marker))?;
        }
        if self.troubles.stops_writing().is_none()
            && let Err(error) = self.remove_earlier_store()
        {
            tracing::warn!(%error, "the store of an earlier version could not be removed");
        }
        writer.publish_view(true);
        let log = LogReader::open(self.disk.clone(), &self.log_path()).ok().flatten();
        let standing = ShelfStanding::look(&*self.disk, &self.shelf, log.as_ref());
        let reader =
            Reader { index: writer.reader.clone(), view: writer.view.clone(), data_age_max_s: self.options.data_age_max_s };
        Ok(Registry {
            directory: self.directory.to_owned(),
            stream: writer.position.stream,
            image: Images::of(&*self.disk, self.directory, self.options.image),
            standing: StandingCell::of(standing),
            following: self.following,
            acknowledged: writer.acknowledged.clone(),
            sealed: Mutex::default(),
            log_files: Mutex::new(()),
            disk: self.disk,
            reader,
            figures: writer.figures.clone(),
            troubles: self.troubles,
            writer: Mutex::new(writer),
            notes: self.notes,
            _lock: lock,
        })
    }

    fn refusal(&self, newer: Option<LogError>, found: &FoundStore) -> RegistryError {
        if let Some(error) = newer {
            return error.into();
        }
        let mut detail = format!("the log is missing or begins too late; the store is {}", found.words());
        for (_, why) in &self.shelf.unusable {
            detail.push_str("; ");
            detail.push_str(why);
        }
        RegistryError::NoVerifiedState { path: self.directory.to_owned(), detail }
    }

    /// A snapshot that is not what it seemed: the next older one is tried, or the whole log.
    fn give_up_snapshot(&mut self, snapshot: &Shelved, error: &SnapshotError) {
        let words = error.to_string();
        tracing::warn!(detail = words, "a snapshot cannot be rebuilt from");
        self.troubles.raise(Trouble::SnapshotDamaged, words.clone());
        self.notes.push(format!("a snapshot cannot be rebuilt from: {words}"));
        self.shelf.give_up(&snapshot.path, words);
    }

    fn exists(&self, path: &Path) -> Result<bool, RegistryError> {
        self.disk.exists(path).map_err(RegistryError::directory(path))
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The marker of a store that failed while it was in use.
    fn failed_path(&self) -> PathBuf {
        self.directory.join("store.failed")
    }

    /// The marker of a store that is being rebuilt.
    fn rebuilding_path(&self) -> PathBuf {
        self.directory.join("store.rebuilding")
    }

    /// Where a store of an earlier layout waits until the new one is whole.
    fn earlier_path(&self) -> PathBuf {
        self.directory.join("store.earlier")
    }

    fn store_path(&self) -> PathBuf {
        self.directory.join("store")
    }
}
