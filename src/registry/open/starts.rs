//! The ways a start can go, each to its end: a writer that stands behind everything that is verified.

use std::time::Instant;

use super::Opening;
use super::found::FoundStore;
use crate::domain::masters::{MasterKind, built_in};
use crate::index;
use crate::log::{Chain, Fault, LogError, LogReader, LogWriter, Position, ReplayEnd, StreamId};
use crate::registry::ledger::{Ledger, NO_HORIZON};
use crate::registry::load::{self, LoadError};
use crate::registry::snapshot::SnapshotReader;
use crate::registry::troubles::Trouble;
use crate::registry::view::today_in_japan;
use crate::registry::write_behind::{Filling, Unjudged, WriteBehind};
use crate::registry::writer::{ReplayError, Writer};
use crate::registry::{RegistryError, horizon_on};
use crate::store::{Store, StoreMeta};

impl Opening<'_> {
    pub(super) fn new_stream(&mut self, store: Option<Store>) -> Result<Writer, RegistryError> {
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
        self.attach(&mut writer, store, Filling::InPlace, None)?;
        self.begin_stream(&mut writer)?;
        Ok(writer)
    }

    /// Loads the store and replays the log behind it; `None` when the store fails its judgement.
    pub(super) fn start_from_store(
        &mut self,
        log: &LogReader,
        store: Store,
        meta: &StoreMeta,
    ) -> Result<Option<Writer>, RegistryError> {
        let (mut writer, unjudged) = match self.load_image(log, &store, meta)? {
            Some(writer) => {
                let unjudged = Unjudged { dossiers: writer.dossiers, rows: writer.tally.checksum };
                (writer, Some(unjudged))
            }
            None => match self.load_store(&store, meta)? {
                Some(writer) => (writer, None),
                None => return Ok(None),
            },
        };
        let applied = meta.position.sequence;
        self.attach(&mut writer, store, Filling::InPlace, unjudged)?;
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

    pub(super) fn start_from_log(&mut self, log: &LogReader, found: FoundStore) -> Result<Writer, RegistryError> {
        let mut writer = self.empty_writer(self.verified(log.beginning())?)?;
        if let Some(store) = self.fresh_store(found)? {
            self.attach(&mut writer, store, Filling::Anew, None)?;
        }
        self.rebuild(log, writer)
    }

    pub(super) fn start_from_base(
        &mut self,
        log: &LogReader,
        base: Option<SnapshotReader>,
        found: FoundStore,
    ) -> Result<Writer, RegistryError> {
        let beginning = self.verified(log.beginning())?;
        let mut writer = self.empty_writer(beginning)?;
        let store = self.fresh_store(found)?;
        if let Some(base) = base {
            base.load(&mut writer, store.as_ref(), beginning)?;
        }
        if let Some(store) = store {
            self.attach(&mut writer, store, Filling::Anew, None)?;
        }
        self.rebuild(log, writer)
    }

    pub(super) fn store_only(&mut self, store: &Store, meta: &StoreMeta, detail: &str) -> Result<Option<Writer>, RegistryError> {
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

    /// A rebuild needs the whole log. The store says nothing of itself before it is as far.
    fn rebuild(&mut self, log: &LogReader, mut writer: Writer) -> Result<Writer, RegistryError> {
        let replayed = self.replay(log, &mut writer);
        let end = self.verified(replayed)?;
        writer.store_is_filled(self.options.now_unix_ms);
        self.go_on(log, &mut writer, &end)?;
        Ok(writer)
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

    /// Makes the log writable behind what was replayed, unless the disk has no room for that.
    fn go_on(&mut self, log: &LogReader, writer: &mut Writer, end: &ReplayEnd) -> Result<(), RegistryError> {
        if self.troubles.has(Trouble::NoRoomAtStart) {
            return Ok(());
        }
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
        let log = match log.writer_behind(end, self.options.now_unix_ms) {
            Err(error) if error.is_out_of_room() => {
                self.start_without_writing(&error.to_string());
                return Ok(());
            }
            log => log?,
        };
        writer.log = Some(log.with_segment_bytes_max(self.options.segment_bytes_max));
        self.begin_stream(writer)
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

    fn attach(
        &self,
        writer: &mut Writer,
        store: Store,
        filling: Filling,
        unjudged: Option<Unjudged>,
    ) -> Result<(), RegistryError> {
        let (applied, troubles) = (writer.position.sequence, self.troubles.clone());
        let started = WriteBehind::start(store, applied, filling, unjudged, troubles, self.failed_path());
        let behind = started.map_err(|source| RegistryError::Directory { path: self.store_path(), source })?;
        writer.behind = Some(behind);
        Ok(())
    }

    pub(super) fn empty_writer(&self, position: Position) -> Result<Writer, RegistryError> {
        let (index, reader) = index::create(self.options.index)?;
        let ledger = Ledger::empty(NO_HORIZON);
        Ok(Writer::new(index, reader, ledger, position, self.troubles.clone()))
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
}
