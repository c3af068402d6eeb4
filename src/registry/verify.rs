//! Reading everything, believing nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ledger::{Ledger, NO_HORIZON};
use super::load;
use super::plan::content_of;
use super::snapshot::SnapshotReader;
use super::tally::Tally;
use super::troubles::{Trouble, Troubles};
use super::write_behind::WriteBehind;
use super::writer::{ReplayError, Writer};
use super::{DirectoryLock, Registry, RegistryError, base};
use crate::disk::RealDisk;
use crate::index::{self, IndexOptions};
use crate::log::{Fault, LogError, LogReader, Position};
use crate::record::StateChecksum;
use crate::store::{Store, StoreError, StoreMeta};

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyReport {
    /// The first thing that is wrong; `None` when all is well.
    pub fault: Option<VerifyFault>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// Segments read.
    pub segments: usize,
    /// The last sequence.
    pub sequence: u64,
    /// Current rows there.
    pub rows: u64,
    /// The state checksum there, hex.
    pub state_checksum: String,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyFault {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

/// Verifies a directory that nobody owns. Changes nothing in it.
pub fn verify(directory: &Path) -> Result<VerifyReport, RegistryError> {
    let mut report = VerifyReport::default();
    let (log_path, store_path, base_path) = (directory.join("log"), directory.join("store"), base::path(directory));
    if ![&log_path, &store_path, &base_path].iter().any(|path| path.exists()) {
        return Ok(empty(report));
    }
    let _lock = DirectoryLock::take(directory)?;
    // Before the store: where a later version wrote the log, this one must not touch its store either.
    let log = LogReader::open(Arc::new(RealDisk), &log_path)?;
    let store = if store_path.exists() { Some(Store::open(&store_path)) } else { None };
    let (store, store_fault) = match store {
        None => (None, None),
        Some(Ok(store)) => match store.meta() {
            Ok(meta) => (meta.map(|meta| (store, meta)), None),
            Err(error) => (None, Some(error)),
        },
        Some(Err(error)) => (None, Some(error)),
    };
    let Some(log) = log else {
        if store.is_none() && store_fault.is_none() && !base_path.exists() {
            // A new stream was begun, and got no further than its directories.
            return Ok(empty(report));
        }
        let what = "there is no log, though something was registered here".to_owned();
        report.fault = Some(VerifyFault { path: log_path, offset: None, what });
        return Ok(report);
    };
    let read = read_log(&log, directory, store.as_ref().map(|(_, meta)| meta), &mut report);
    let at_store = match read {
        Ok(at_store) => at_store,
        Err(error) => {
            report.fault = Some(log_fault(directory, error)?);
            return Ok(report);
        }
    };
    let checked = match (store, store_fault) {
        (_, Some(error)) => Err(error.to_string()),
        (Some((store, meta)), None) => check_store(&store, &meta, at_store, &mut report),
        (None, None) => {
            report.notes.push("there is no store; the next start rebuilds it from the log".to_owned());
            Ok(())
        }
    };
    if let Err(what) = checked {
        report.fault = Some(VerifyFault { path: store_path, offset: None, what });
    }
    Ok(report)
}

fn empty(mut report: VerifyReport) -> VerifyReport {
    report.notes.push("empty: nothing was ever registered".to_owned());
    report
}

/// Replays the whole log beside an index of its own; gives the state at the store's sequence.
fn read_log(
    log: &LogReader,
    directory: &Path,
    store: Option<&StoreMeta>,
    report: &mut VerifyReport,
) -> Result<Option<(StateChecksum, Position)>, RegistryError> {
    report.segments = log.segment_paths().len();
    let beginning = log.beginning()?;
    let mut writer = bare_writer(beginning)?;
    if beginning.sequence > 0 {
        SnapshotReader::open(&base::path(directory))?.load(&mut writer, None, beginning)?;
    }
    let applied = store.map_or(0, |meta| meta.position.sequence);
    let mut at_store = (applied == writer.position.sequence).then(|| (writer.checksum(), writer.position));
    let end = log.replay(&beginning, applied, |frame| {
        writer.replay(frame).map_err(|error| match error {
            ReplayError::State => Fault::State,
            _ => Fault::Payload,
        })?;
        if frame.sequence == applied {
            at_store = Some((writer.checksum(), writer.position));
        }
        Ok(())
    })?;
    if let Some(torn) = &end.torn {
        report.notes.push(format!(
            "a torn tail of {} bytes at offset {} of {}: never acknowledged, cut at the next start",
            torn.length,
            torn.offset,
            torn.path.display()
        ));
    }
    report.sequence = writer.position.sequence;
    report.rows = writer.tally.rows;
    report.state_checksum = format!("{:032x}", writer.total());
    Ok(at_store)
}

/// Judges a store by itself, and by the state that the log gives for its sequence.
fn check_store(
    store: &Store,
    meta: &StoreMeta,
    by_the_log: Option<(StateChecksum, Position)>,
    report: &mut VerifyReport,
) -> Result<(), String> {
    let (mut index, _reader) = index::create(IndexOptions::default()).map_err(|error| error.to_string())?;
    let loaded = load::from_store(&mut index, store, meta).map_err(|error| error.to_string())?;
    let ledger = load::ledger_from_store(store, meta)?;
    if loaded.tally.rows != meta.rows || loaded.dossiers != meta.dossiers {
        return Err("the store lacks rows, or has too many".to_owned());
    }
    load::check_history(store, meta)?;
    match by_the_log {
        None => return Err("the store is ahead of the log".to_owned()),
        Some((_, position)) if position != meta.position => {
            return Err("the store has another history than the log".to_owned());
        }
        Some((checksum, _)) if checksum != meta.checksum => {
            return Err("the store's state is not the one the log gives for its sequence".to_owned());
        }
        Some(_) => {}
    }
    let mut content = loaded.tally.checksum;
    content.merge(&ledger.checksum);
    if content != meta.checksum {
        return Err("the store's content does not add up to its checksum".to_owned());
    }
    if meta.position.sequence < report.sequence {
        let behind = report.sequence - meta.position.sequence;
        report.notes.push(format!("the store is {behind} frames behind the log; the next start replays them"));
    }
    Ok(())
}

fn log_fault(directory: &Path, error: RegistryError) -> Result<VerifyFault, RegistryError> {
    match error {
        RegistryError::Log(LogError::Corrupt { path, offset, what }) => {
            Ok(VerifyFault { path, offset: Some(offset), what: what.to_string() })
        }
        RegistryError::Log(error @ (LogError::BeginsTooLate { .. } | LogError::OtherHistory { .. })) => {
            Ok(VerifyFault { path: directory.join("log"), offset: None, what: error.to_string() })
        }
        RegistryError::NoVerifiedState { path, detail } => Ok(VerifyFault { path, offset: None, what: detail }),
        RegistryError::Snapshot(error) => Ok(VerifyFault { path: base::path(directory), offset: None, what: error.to_string() }),
        other => Err(other),
    }
}

fn bare_writer(position: Position) -> Result<Writer, RegistryError> {
    let (index, reader) = index::create(IndexOptions::default())?;
    let ledger = Ledger::empty(NO_HORIZON);
    Ok(Writer::new(index, reader, ledger, position, Arc::new(Troubles::default())))
}

impl Registry {
    /// Checks one sealed segment of the log, counted from the oldest; damage stops writing and is listed as a trouble. `false` when
    /// there is no such sealed segment.
    pub fn scrub_segment(&self, place: usize) -> Result<bool, RegistryError> {
        let checked = LogReader::open(Arc::new(RealDisk), &self.directory().join("log")).and_then(|log| {
            let Some(log) = log else { return Ok(false) };
            if place + 1 >= log.segment_paths().len() {
                return Ok(false);
            }
            log.check_sealed(place).map(|()| true)
        });
        match checked {
            Ok(there) => Ok(there),
            Err(error @ LogError::Corrupt { .. }) => {
                tracing::error!(%error, "the log is damaged; nothing more is acknowledged, look-ups go on");
                self.troubles().raise(Trouble::LogCorrupt, error.to_string());
                Err(error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Verifies while running: the log's frames and chain, the state in memory, and the store at its own sequence. Look-ups go on;
    /// writing waits while the store is read.
    pub fn verify_running(&self) -> Result<VerifyReport, RegistryError> {
        let mut report = VerifyReport::default();
        let writer = self.writer();
        report.fault = match self.read_own_log(writer.position, &mut report) {
            Ok(()) => None,
            Err(error) => Some(log_fault(self.directory(), error.into())?),
        };
        report.sequence = writer.position.sequence;
        report.rows = writer.tally.rows;
        report.state_checksum = format!("{:032x}", writer.total());
        if report.fault.is_some() {
            return Ok(report);
        }
        let mut tally = Tally::default();
        let mut scratch = Vec::new();
        for position in writer.index.positions() {
            for held in writer.index.dossier(position).held_rows() {
                tally.add(held.row, content_of(held.row, &mut scratch));
            }
        }
        if tally.checksum != writer.tally.checksum {
            let what = "the rows in memory do not add up to the state checksum".to_owned();
            report.fault = Some(VerifyFault { path: self.directory().to_owned(), offset: None, what });
            return Ok(report);
        }
        let mut what = None;
        let behind = writer.behind.as_ref().filter(|behind| behind.drain());
        match behind.and_then(WriteBehind::store) {
            None => report.notes.push("the store is detached and was not read".to_owned()),
            Some(store) => match store.meta() {
                Ok(Some(meta)) => {
                    let state = Some((writer.checksum(), writer.position));
                    what = check_store(&store, &meta, state, &mut report).err();
                }
                Ok(None) => what = Some("the store says nothing of itself".to_owned()),
                Err(error) => what = Some(error.to_string()),
            },
        }
        if let (Some(what), Some(behind)) = (&what, &writer.behind) {
            behind.detach(&StoreError::Engine(what.clone()));
        }
        report.fault = what.map(|what| VerifyFault { path: self.directory().join("store"), offset: None, what });
        Ok(report)
    }

    /// Reads the log up to a place that was acknowledged; it must be there, as it was.
    fn read_own_log(&self, place: Position, report: &mut VerifyReport) -> Result<(), LogError> {
        let directory = self.directory().join("log");
        let needed = place.sequence;
        let log = LogReader::open(Arc::new(RealDisk), &directory)?;
        let log = log.ok_or(LogError::BeginsTooLate { first: 0, needed })?;
        report.segments = log.segment_paths().len();
        let beginning = log.beginning()?;
        let mut checksum = (beginning.sequence == place.sequence).then_some(beginning.state_checksum);
        let end = log.replay(&beginning, needed, |frame| {
            if frame.sequence == place.sequence {
                checksum = Some(frame.state_checksum);
            }
            Ok(())
        })?;
        match checksum {
            Some(checksum) if checksum == place.state_checksum => Ok(()),
            Some(_) => Err(LogError::OtherHistory { sequence: needed }),
            None => Err(LogError::Corrupt { path: end.segment, offset: end.offset, what: Fault::Missing }),
        }
    }
}
