//! The ways a start can go, each to its end: a writer that stands behind everything that is verified.

use std::time::Instant;

use super::Opening;
use super::found::FoundStore;
use crate::domain::masters::{MasterKind, built_in};
use crate::index;
use crate::log::{LogError, LogReader, LogWriter, Position, ReplayEnd, StreamId};
use crate::registry::ledger::{Ledger, NO_HORIZON};
use crate::registry::load::{self, LoadError};
use crate::registry::shelf::Shelved;
use crate::registry::snapshot::{SnapshotError, SnapshotReader};
use crate::registry::troubles::Trouble;
use crate::registry::view::today_in_japan;
use crate::registry::write_behind::{Filling, Haste, Marker, Unjudged, WriteBehind};
use crate::registry::writer::Writer;
use crate::registry::{RegistryError, horizon_on};
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::{Store, StoreMeta};

impl Opening<'_> {
    pub(super) fn new_stream(&mut self, store: Option<Store>) -> Result<Writer, RegistryError> {
        let mut id = [0; 16];
        let random = getrandom::fill(&mut id).map_err(|error| std::io::Error::other(error.to_string()));
        random.map_err(RegistryError::directory(self.directory))?;
        let stream = StreamId(id);
        let position = Position::beginning(stream);
        let now = self.options.now_unix_ms;
        let mut writer = self.empty_writer(position)?;
        let log = LogWriter::begin(self.disk.clone(), &self.log_path(), position, now)?;
        writer.log = Some(log.with_segment_bytes_max(self.options.segment_bytes_max));
        let store = store.map_or_else(|| self.options.engine.open(&self.store_path()), Ok)?;
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
        let mut reached = meta.position.sequence;
        self.unmark_rebuilding();
        self.attach(&mut writer, store, Filling::InPlace, unjudged)?;
        let mut replayed = self.replay(log, &mut writer);
        if matches!(&replayed, Err(RegistryError::Log(error @ LogError::Disk { .. })) if !error.is_out_of_room()) {
            // Once is no answer: what the disk refuses now, it may give in a moment.
            reached = writer.position.sequence;
            replayed = self.replay(log, &mut writer);
        }
        match replayed {
            Ok(end) => self.go_on_if_whole(log, &mut writer, end, ("store", reached))?,
            Err(RegistryError::Log(LogError::OtherHistory { .. })) => return Ok(None),
            Err(RegistryError::Log(error @ LogError::Corrupt { .. })) => {
                self.troubles.raise(Trouble::LogCorrupt, error.to_string());
            }
            Err(RegistryError::Log(error)) if error.is_out_of_room() => {
                let sequence = writer.position.sequence;
                let why = format!("what was loaded stands at sequence {sequence}, and going on needs room: {error}");
                self.start_without_writing(Trouble::NoRoomAtStart, &why);
                writer.behind = None;
            }
            Err(RegistryError::Log(error @ LogError::Disk { .. })) => {
                let sequence = writer.position.sequence;
                let detail =
                    format!("what was loaded stands at sequence {sequence}, and the log behind it cannot be read: {error}");
                self.troubles.raise(Trouble::LogCorrupt, detail);
            }
            Err(RegistryError::Index(error)) => {
                let sequence = writer.position.sequence;
                self.troubles.raise(Trouble::MemoryBehind, format!("replaying stopped in sequence {sequence}: {error}"));
                writer.behind = None;
            }
            Err(error) => return Err(error),
        }
        Ok(Some(writer))
    }

    pub(super) fn start_from_log(&mut self, log: &LogReader, found: FoundStore) -> Result<Writer, RegistryError> {
        let mut writer = self.empty_writer(self.verified(log.beginning().map_err(RegistryError::from))?)?;
        let store = self.fresh_store(found)?;
        if let Some(store) = store {
            self.attach(&mut writer, store, Filling::Anew, None)?;
        }
        let replayed = self.replay(log, &mut writer);
        self.rebuilt(log, writer, replayed, "log")
    }

    /// Rebuilds from a snapshot that was read whole before; the inner error says that it is not one the log goes on from after all.
    pub(super) fn start_from_base(
        &mut self,
        log: &LogReader,
        base: &Shelved,
        found: FoundStore,
    ) -> Result<Result<Writer, SnapshotError>, RegistryError> {
        let at = self.verified(base.continued_at(log).map_err(RegistryError::from))?;
        let mut writer = self.empty_writer(at)?;
        let store = self.fresh_store(found)?;
        let filled = store.is_some();
        match SnapshotReader::open(&*self.disk, &base.path)?.load(&mut writer, store.as_ref(), at) {
            Ok(()) => {}
            Err(RegistryError::Snapshot(error)) => {
                drop(store);
                self.give_up_rebuilding(filled)?;
                return Ok(Err(error));
            }
            Err(error) => return Err(error),
        }
        if let Some(store) = store {
            self.attach(&mut writer, store, Filling::Anew, None)?;
        }
        let sequence = writer.position.sequence;
        match self.replay(log, &mut writer) {
            Err(RegistryError::Log(LogError::OtherHistory { .. })) => {
                drop(writer);
                self.give_up_rebuilding(filled)?;
                Ok(Err(SnapshotError::Damaged { path: base.path.clone(), what: "the log beside it has another history" }))
            }
            replayed => {
                self.notes.push(format!("rebuilt from {} (sequence {sequence}) and the log behind it", base.path.display()));
                self.rebuilt(log, writer, replayed, "snapshot").map(Ok)
            }
        }
    }

    /// Answers from the store alone. It stays attached, so that a snapshot can be taken of it.
    pub(super) fn store_only(&mut self, store: Store, meta: &StoreMeta, detail: &str) -> Result<Option<Writer>, RegistryError> {
        let writer = self.load_store(&store, meta)?;
        self.troubles.raise(Trouble::LogLost, detail.to_owned());
        match writer {
            Some(mut writer) => {
                self.attach(&mut writer, store, Filling::InPlace, None)?;
                Ok(Some(writer))
            }
            None => Err(RegistryError::NoVerifiedState {
                path: self.directory.to_owned(),
                detail: format!("{detail}; and the store does not add up to its checksum"),
            }),
        }
    }

    /// A rebuild needs the whole log. The store says nothing of itself before it is as far; one that never gets there is thrown away.
    fn rebuilt(
        &mut self,
        log: &LogReader,
        mut writer: Writer,
        replayed: Result<ReplayEnd, RegistryError>,
        from: &'static str,
    ) -> Result<Writer, RegistryError> {
        let end = match self.verified(replayed) {
            Ok(end) => end,
            Err(error) => {
                let filled = writer.behind.is_some();
                drop(writer);
                self.give_up_rebuilding(filled)?;
                return Err(error);
            }
        };
        writer.store_is_filled(self.options.now_unix_ms);
        let sequence = writer.position.sequence;
        self.go_on_if_whole(log, &mut writer, end, (from, sequence))?;
        Ok(writer)
    }

    /// Makes the log writable, unless something of it is damaged, or it ends before what stands beside it: then sequences would be
    /// given a second time. The store stays attached either way, so that a snapshot can be taken.
    fn go_on_if_whole(
        &mut self,
        log: &LogReader,
        writer: &mut Writer,
        end: ReplayEnd,
        (what, stands_at): (&'static str, u64),
    ) -> Result<(), RegistryError> {
        let ends_at = end.position.sequence;
        let snapshot = self.shelf.newest_of(log).filter(|snapshot| snapshot.taken_at.sequence > ends_at);
        if ends_at < stands_at {
            self.troubles
                .raise(Trouble::LogLost, format!("the log ends at sequence {ends_at}, the {what} stands at {stands_at}"));
        } else if let Some(snapshot) = snapshot {
            let (path, sequence) = (snapshot.path.display(), snapshot.taken_at.sequence);
            self.troubles.raise(Trouble::LogLost, format!("the log ends at sequence {ends_at}, {path} stands at {sequence}"));
        } else if let Some(damage) = end.damage {
            self.troubles.raise(Trouble::LogCorrupt, damage.to_string());
        } else {
            self.go_on(log, writer, &end)?;
        }
        Ok(())
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
        if self.exists(&self.failed_path())?
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
            && (writer.held().is_some() || writer.total() == meta.position.state_checksum)
            && writer.dossiers == meta.dossiers
            && writer.tally.rows == meta.rows;
        if !adds_up && !sabotaged(Sabotage::BelieveTheStore) {
            return Ok(None);
        }
        let seconds = began.elapsed().as_secs_f64();
        self.notes.push(format!("loaded {} recipients from the store in {seconds:.1} s", loaded.dossiers));
        Ok(Some(writer))
    }

    /// Works in the log's frames behind the writer's place, which the store vouches for. A frame for which memory has no room says
    /// nothing about the log.
    fn replay(&mut self, log: &LogReader, writer: &mut Writer) -> Result<ReplayEnd, RegistryError> {
        log.make_durable()?;
        let began = Instant::now();
        let mut frames = 0u64;
        let mut failed = None;
        let from = writer.position;
        let replayed = log.replay(&from, from.sequence, |frame| {
            frames += 1;
            writer.replay(frame).map_err(|error| {
                tracing::error!(%error, sequence = frame.sequence, "a frame of the log cannot be worked in");
                error.into_fault(&mut failed)
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let end = replayed?;
        if frames > 0 {
            self.notes.push(format!("replayed {frames} frames of the log in {:.1} s", began.elapsed().as_secs_f64()));
        }
        Ok(end)
    }

    /// Makes the log writable behind what was replayed, unless the disk has no room for that.
    fn go_on(&mut self, log: &LogReader, writer: &mut Writer, end: &ReplayEnd) -> Result<(), RegistryError> {
        if Trouble::OF_A_START.iter().any(|trouble| self.troubles.has(*trouble)) {
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
                self.start_without_writing(Trouble::NoRoomAtStart, &error.to_string());
                return Ok(());
            }
            log => log?,
        };
        writer.log = Some(log.with_segment_bytes_max(self.options.segment_bytes_max));
        self.begin_stream(writer)
    }

    /// Writes what every stream begins with, as far as it is not there: a crash may have come in between. Where a stream is followed that
    /// comes from its hub.
    fn begin_stream(&self, writer: &mut Writer) -> Result<(), RegistryError> {
        if self.following.is_some() {
            return Ok(());
        }
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
        let applied = writer.position.sequence;
        let marker = Marker { disk: self.disk.clone(), path: self.failed_path() };
        let haste = if self.following.is_some() { Haste::Following } else { Haste::Registering };
        let started = WriteBehind::start(store, applied, filling, unjudged, self.troubles.clone(), marker, haste);
        let behind = started.map_err(RegistryError::directory(&self.store_path()))?;
        writer.behind = Some(behind);
        Ok(())
    }

    pub(super) fn empty_writer(&self, position: Position) -> Result<Writer, RegistryError> {
        let (index, reader) = index::create(self.options.index)?;
        let ledger = Ledger::empty(NO_HORIZON);
        let writer = Writer::new(index, reader, ledger, position, self.troubles.clone());
        Ok(Writer { mark_idle: self.options.mark_idle, follows: self.following.clone(), ..writer })
    }

    /// What is corrupt cannot be rebuilt from.
    fn verified<T>(&self, read: Result<T, RegistryError>) -> Result<T, RegistryError> {
        read.map_err(|error| match error {
            RegistryError::Log(error @ (LogError::Corrupt { .. } | LogError::OtherHistory { .. })) => {
                RegistryError::NoVerifiedState { path: self.directory.to_owned(), detail: error.to_string() }
            }
            error => error,
        })
    }
}
