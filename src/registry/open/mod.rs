//! Opening a directory: what is there, what the tables say about it, and the registry that comes of it.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;

use super::ledger::Ledger;
use super::ledger::NO_HORIZON;
use super::load::{self, LoadError};
use super::recovery::{BaseFacts, LogFacts, Start, StoreFacts, decide};
use super::snapshot::SnapshotReader;
use super::tally::Tally;
use super::troubles::{Trouble, Troubles};
use super::view::{View, today_in_japan};
use super::write_behind::{Filling, WriteBehind};
use super::writer::{Figures, ReplayError, Writer};
use super::{Reader, Registry, RegistryError, base, horizon_on};
use crate::disk::{Disk, RealDisk};
use crate::domain::masters::{MasterKind, built_in};
use crate::index::{self, IndexOptions};
use crate::log::{Chain, Fault, LogError, LogReader, LogWriter, Position, ReplayEnd, SEGMENT_BYTES_MAX, StreamId};
use crate::store::{Store, StoreMeta};

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
    /// The door to the log's files.
    pub disk: Arc<dyn Disk>,
}

impl OpenOptions {
    /// The defaults at a time.
    pub fn at(now_unix_ms: u64) -> OpenOptions {
        OpenOptions {
            now_unix_ms,
            data_age_max_s: None,
            index: IndexOptions::default(),
            segment_bytes_max: SEGMENT_BYTES_MAX,
            disk: Arc::new(RealDisk),
        }
    }
}

/// Holds the directory against a second owner.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory, which is made if it is not there; says who has it otherwise.
    pub fn take(directory: &Path) -> Result<DirectoryLock, RegistryError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| RegistryError::Directory { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail(directory))?;
        let path = directory.join("LOCK");
        let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(fail(&path))?;
        let mode = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&file, mode) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(RegistryError::InUse { path: directory.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(error) => return Err(fail(&path)(error.into())),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(fail(&path))?;
        Ok(DirectoryLock { _file: file })
    }
}

/// Everything that opening works on.
struct Opening<'o> {
    directory: &'o Path,
    options: &'o OpenOptions,
    disk: Arc<dyn Disk>,
    troubles: Arc<Troubles>,
    notes: Vec<String>,
}

pub(super) fn open(directory: &Path, options: &OpenOptions) -> Result<Registry, RegistryError> {
    let lock = DirectoryLock::take(directory)?;
    let opening =
        Opening { directory, options, disk: options.disk.clone(), troubles: Arc::new(Troubles::default()), notes: Vec::new() };
    opening.run(lock)
}

impl Opening<'_> {
    fn run(mut self, lock: DirectoryLock) -> Result<Registry, RegistryError> {
        let log = LogReader::open(self.disk.clone(), &self.log_path());
        let (log, newer) = match log {
            Ok(log) => (log, None),
            Err(error @ LogError::NewerFormat { .. }) => (None, Some(error)),
            Err(error) => return Err(error.into()),
        };
        let mut store = self.open_store(log.as_ref().and_then(LogReader::stream));
        loop {
            let log_facts = match (&log, &newer) {
                (_, Some(_)) => LogFacts::Newer,
                (None, None) => LogFacts::None,
                (Some(log), None) => LogFacts::Readable { first_sequence: log.first_sequence() },
            };
            let base_path = base::path(self.directory);
            let base = SnapshotReader::open(&base_path).ok();
            let base_facts = match &base {
                Some(base) => BaseFacts::At { sequence: base.header().position.sequence },
                None if base_path.exists() => BaseFacts::Damaged,
                None => BaseFacts::None,
            };
            let start = decide(log_facts, store.facts(), base_facts);
            tracing::debug!(?log_facts, store = ?store.facts(), ?base_facts, ?start, "deciding how to start");
            let outcome = match (start, &log, store) {
                (Start::NewStream, _, found) => self.new_stream(found.into_store()).map(Some),
                (Start::FromStore, Some(log), FoundStore::Good { store, meta }) => self.start_from_store(log, store, &meta),
                (Start::FromLog, Some(log), found) => self.start_from_log(log, found).map(Some),
                (Start::FromBase, Some(log), found) => self.start_from_base(log, base, found).map(Some),
                (Start::StoreOnlyLogLost, _, FoundStore::Good { store, meta }) => {
                    let detail = format!("the store stands at sequence {}, the log does not reach it", meta.position.sequence);
                    self.store_only(&store, &meta, &detail)
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

    fn open_store(&mut self, stream: Option<StreamId>) -> FoundStore {
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
            Err(error) => FoundStore::Damaged(error.to_string()),
        }
    }

    fn new_stream(&mut self, store: Option<Store>) -> Result<Writer, RegistryError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| RegistryError::Directory {
            path: self.directory.to_owned(),
            source: std::io::Error::other(error.to_string()),
        })?;
        let stream = StreamId(id);
        let position = Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 };
        let now = self.options.now_unix_ms;
        let mut writer = self.empty_writer(position)?;
        let log = LogWriter::begin(self.disk.clone(), &self.log_path(), position, now)?;
        writer.log = Some(log.with_segment_bytes_max(self.options.segment_bytes_max));
        let store = store.map_or_else(|| Store::open(&self.store_path()), Ok)?;
        self.attach(&mut writer, store, Filling::InPlace)?;
        self.begin_stream(&mut writer)?;
        Ok(writer)
    }

    /// Writes what every stream begins with, as far as it is not there: a crash may have come in between.
    fn begin_stream(&self, writer: &mut Writer) -> Result<(), RegistryError> {
        let now = self.options.now_unix_ms;
        for kind in MasterKind::ALL {
            if writer.ledger.text(kind).is_none() {
                writer.set_master(kind, &built_in(kind), now)?;
            }
        }
        if writer.ledger.horizon == NO_HORIZON {
            writer.prune(horizon_on(today_in_japan(now / 1000)), now)?;
        }
        Ok(())
    }

    /// Loads the store and replays the log behind it; `None` when the store fails its judgement.
    fn start_from_store(&mut self, log: &LogReader, store: Store, meta: &StoreMeta) -> Result<Option<Writer>, RegistryError> {
        let Some(mut writer) = self.load_store(&store, meta)? else { return Ok(None) };
        let applied = meta.position.sequence;
        self.attach(&mut writer, store, Filling::InPlace)?;
        match self.replay(log, &mut writer) {
            Ok(end) if end.position.sequence < applied => {
                let detail = format!("the log ends at sequence {}, the store stands at {applied}", end.position.sequence);
                self.troubles.raise(Trouble::LogLost, detail);
                writer.behind = None;
            }
            Ok(ReplayEnd { damage: Some(damage), .. }) => {
                self.troubles.raise(Trouble::LogCorrupt, damage.to_string());
                writer.behind = None;
            }
            Ok(end) => self.go_on(log, &mut writer, &end)?,
            Err(LogError::OtherHistory { .. }) => return Ok(None),
            Err(error @ LogError::Corrupt { .. }) => {
                self.troubles.raise(Trouble::LogCorrupt, error.to_string());
                writer.behind = None;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Some(writer))
    }

    fn start_from_log(&mut self, log: &LogReader, found: FoundStore) -> Result<Writer, RegistryError> {
        let mut writer = self.empty_writer(self.verified(log.beginning())?)?;
        let store = self.fresh_store(found)?;
        self.attach(&mut writer, store, Filling::Anew)?;
        self.rebuild(log, writer)
    }

    fn start_from_base(
        &mut self,
        log: &LogReader,
        base: Option<SnapshotReader>,
        found: FoundStore,
    ) -> Result<Writer, RegistryError> {
        let beginning = self.verified(log.beginning())?;
        let mut writer = self.empty_writer(beginning)?;
        let store = self.fresh_store(found)?;
        if let Some(base) = base {
            base.load(&mut writer, Some(&store), beginning)?;
        }
        self.attach(&mut writer, store, Filling::Anew)?;
        self.rebuild(log, writer)
    }

    /// A rebuild needs the whole log. The store says nothing of itself before it is as far.
    fn rebuild(&mut self, log: &LogReader, mut writer: Writer) -> Result<Writer, RegistryError> {
        let replayed = self.replay(log, &mut writer);
        let end = self.verified(replayed)?;
        writer.store_is_filled(self.options.now_unix_ms);
        self.go_on(log, &mut writer, &end)?;
        Ok(writer)
    }

    /// What is corrupt cannot be rebuilt from.
    fn verified<T>(&self, read: Result<T, LogError>) -> Result<T, RegistryError> {
        read.map_err(|error| match error {
            error @ (LogError::Corrupt { .. } | LogError::OtherHistory { .. }) => {
                RegistryError::NoVerifiedState { path: self.directory.to_owned(), detail: error.to_string() }
            }
            error => error.into(),
        })
    }

    fn store_only(&mut self, store: &Store, meta: &StoreMeta, detail: &str) -> Result<Option<Writer>, RegistryError> {
        let writer = self.load_store(store, meta)?;
        self.troubles.raise(Trouble::LogLost, detail.to_owned());
        match writer {
            Some(writer) => Ok(Some(writer)),
            None => Err(RegistryError::NoVerifiedState {
                path: self.directory.to_owned(),
                detail: format!("{detail}; and the store does not add up to its checksum"),
            }),
        }
    }

    /// Loads the store into a new index; `None` when it does not add up.
    fn load_store(&mut self, store: &Store, meta: &StoreMeta) -> Result<Option<Writer>, RegistryError> {
        let began = Instant::now();
        let mut writer = self.empty_writer(meta.position)?;
        let loaded = match load::from_store(&mut writer.index, store, meta) {
            Ok(loaded) => loaded,
            Err(LoadError::Damaged(detail)) => {
                tracing::warn!(detail, "the store is damaged");
                return Ok(None);
            }
            Err(LoadError::Registry(error)) => return Err(error),
        };
        if self.failed_path().exists()
            && let Err(detail) = load::check_history(store, meta)
        {
            tracing::warn!(detail, "the store is damaged");
            return Ok(None);
        }
        let ledger = match load::ledger_from_store(store, meta) {
            Ok(ledger) => ledger,
            Err(detail) => {
                tracing::warn!(detail, "the store is damaged");
                return Ok(None);
            }
        };
        writer.ledger = ledger;
        writer.tally = loaded.tally;
        writer.dossiers = loaded.dossiers;
        writer.next_number = meta.next_number;
        writer.history_checksum = meta.history_checksum;
        writer.history_entries = meta.history_entries;
        writer.data_unix_ms = meta.data_unix_ms;
        let adds_up = writer.checksum() == meta.checksum
            && writer.total() == meta.position.state_checksum
            && writer.dossiers == meta.dossiers
            && writer.tally.rows == meta.rows;
        if !adds_up {
            return Ok(None);
        }
        let seconds = began.elapsed().as_secs_f64();
        self.notes.push(format!("loaded {} recipients from the store in {seconds:.1} s", loaded.dossiers));
        Ok(Some(writer))
    }

    /// Works in the log's frames behind the writer's place, which the store vouches for.
    fn replay(&mut self, log: &LogReader, writer: &mut Writer) -> Result<ReplayEnd, LogError> {
        log.make_durable()?;
        let began = Instant::now();
        let mut frames = 0u64;
        let from = writer.position;
        let end = log.replay(&from, from.sequence, |frame| {
            frames += 1;
            writer.replay(frame).map_err(|error| match error {
                ReplayError::State => Fault::State,
                error => {
                    tracing::error!(%error, sequence = frame.sequence, "a frame of the log cannot be worked in");
                    Fault::Payload
                }
            })
        })?;
        if frames > 0 {
            self.notes.push(format!("replayed {frames} frames of the log in {:.1} s", began.elapsed().as_secs_f64()));
        }
        Ok(end)
    }

    /// Makes the log writable behind what was replayed.
    fn go_on(&mut self, log: &LogReader, writer: &mut Writer, end: &ReplayEnd) -> Result<(), RegistryError> {
        if let Some(torn) = &end.torn {
            let note = format!(
                "cut a torn tail of {} bytes at offset {} of {} (sequence {} was never acknowledged); its bytes are kept beside it",
                torn.length,
                torn.offset,
                torn.path.display(),
                torn.sequence,
            );
            self.troubles.raise(Trouble::TornTailCut, note.clone());
            self.notes.push(note);
        }
        let log = log.writer_behind(end, self.options.now_unix_ms)?;
        writer.log = Some(log.with_segment_bytes_max(self.options.segment_bytes_max));
        self.begin_stream(writer)
    }

    /// A store for a rebuild: an empty one is used, any other is moved aside.
    fn fresh_store(&mut self, found: FoundStore) -> Result<Store, RegistryError> {
        let path = self.store_path();
        let why = match found {
            FoundStore::Empty(store) => return Ok(store),
            FoundStore::Absent => return Ok(Store::open(&path)?),
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
        Ok(Store::open(&path)?)
    }

    fn attach(&self, writer: &mut Writer, store: Store, filling: Filling) -> Result<(), RegistryError> {
        let started = WriteBehind::start(store, writer.position.sequence, filling, self.troubles.clone(), self.failed_path());
        let behind = started.map_err(|source| RegistryError::Directory { path: self.store_path(), source })?;
        writer.behind = Some(behind);
        Ok(())
    }

    fn empty_writer(&self, position: Position) -> Result<Writer, RegistryError> {
        let (index, reader) = index::create(self.options.index)?;
        let ledger = Ledger::empty(NO_HORIZON);
        Ok(Writer::new(index, reader, ledger, position, self.troubles.clone()))
    }

    fn finish(self, mut writer: Writer, lock: DirectoryLock) -> Result<Registry, RegistryError> {
        let marker = self.failed_path();
        if marker.exists() && self.troubles.list().iter().all(|(trouble, _)| *trouble != Trouble::StoreDetached) {
            // It was judged to its last page, or rebuilt.
            fs::remove_file(&marker).map_err(|source| RegistryError::Directory { path: marker, source })?;
        }
        writer.publish_view(true);
        let reader =
            Reader { index: writer.reader.clone(), view: writer.view.clone(), data_age_max_s: self.options.data_age_max_s };
        Ok(Registry {
            directory: self.directory.to_owned(),
            stream: writer.position.stream,
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
        let detail = format!("the log is missing or begins too late; the store is {}", found.words());
        RegistryError::NoVerifiedState { path: self.directory.to_owned(), detail }
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// The marker of a store that failed while it was in use.
    fn failed_path(&self) -> PathBuf {
        self.directory.join("store.failed")
    }

    fn store_path(&self) -> PathBuf {
        self.directory.join("store")
    }
}

/// The store as it was found.
enum FoundStore {
    Absent,
    Empty(Store),
    Good { store: Store, meta: Box<StoreMeta> },
    Damaged(String),
}

impl FoundStore {
    fn facts(&self) -> StoreFacts {
        match self {
            FoundStore::Absent | FoundStore::Empty(_) => StoreFacts::None,
            FoundStore::Good { meta, .. } => StoreFacts::Good { sequence: meta.position.sequence },
            FoundStore::Damaged(_) => StoreFacts::Damaged,
        }
    }

    fn into_store(self) -> Option<Store> {
        match self {
            FoundStore::Empty(store) | FoundStore::Good { store, .. } => Some(store),
            FoundStore::Absent | FoundStore::Damaged(_) => None,
        }
    }

    fn words(&self) -> String {
        match self {
            FoundStore::Absent => "absent".to_owned(),
            FoundStore::Empty(_) => "empty".to_owned(),
            FoundStore::Good { meta, .. } => format!("at sequence {}", meta.position.sequence),
            FoundStore::Damaged(why) => format!("damaged ({why})"),
        }
    }
}

impl Writer {
    pub(super) fn new(
        index: index::IndexWriter,
        reader: index::IndexReader,
        ledger: Ledger,
        position: Position,
        troubles: Arc<Troubles>,
    ) -> Writer {
        let sources = Arc::new(crate::domain::decision::Sources::default());
        let view = View::new(ledger.masters.clone(), sources, (position.sequence, 0), ledger.horizon, 0);
        Writer {
            index,
            reader,
            ledger,
            tally: Tally::default(),
            dossiers: 0,
            next_number: 1,
            history_checksum: 0,
            history_entries: 0,
            data_unix_ms: 0,
            position,
            log: None,
            behind: None,
            view: Arc::new(ArcSwap::from_pointee(view)),
            figures: Arc::new(Figures::default()),
            troubles,
            old_views: Vec::new(),
            last_write: Instant::now(),
            scratch: Vec::new(),
        }
    }
}
