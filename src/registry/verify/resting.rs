//! Verifying a directory that nobody owns: the log is worked in beside an index of its own.

use std::path::Path;
use std::sync::Arc;

use super::judging::{State, judge_snapshots, judge_store, places};
use super::{Stopped, VerifyFault, VerifyReport, concluded};
use crate::disk::{Disk, RealDisk};
use crate::index::{self, IndexOptions};
use crate::log::{LogReader, Position};
use crate::registry::following::Following;
use crate::registry::ledger::{Ledger, NO_HORIZON};
use crate::registry::shelf::{self, Shelf};
use crate::registry::snapshot::SnapshotReader;
use crate::registry::troubles::Troubles;
use crate::registry::writer::Writer;
use crate::registry::{DirectoryLock, RegistryError};
use crate::store::{Engine, StoreError, StoreMeta};

/// Verifies a directory that nobody owns. Changes nothing in it.
pub fn verify(directory: &Path) -> Result<VerifyReport, RegistryError> {
    verify_on(&(Arc::new(RealDisk) as Arc<dyn Disk>), &Engine::Sled, directory)
}

/// The same behind another door, and with another keeper of the store.
pub fn verify_on(disk: &Arc<dyn Disk>, engine: &Engine, directory: &Path) -> Result<VerifyReport, RegistryError> {
    let exists = |path: &Path| disk.exists(path).map_err(RegistryError::directory(path));
    let mut report = VerifyReport::default();
    let (log_path, store_path) = (directory.join("log"), directory.join("store"));
    let following = match Following::of_whole(&**disk, directory) {
        Err(RegistryError::Following(error)) => {
            report.fault = Some(VerifyFault::at(directory, error.to_string()));
            return Ok(report);
        }
        following => following?,
    };
    let shelf = Shelf::look(&**disk, directory, following.as_ref().and_then(|following| following.prefectures))?;
    if !exists(&log_path)? && !exists(&store_path)? && shelf.is_empty() {
        return Ok(empty(report));
    }
    let _lock = DirectoryLock::take(&**disk, directory)?;
    // Before the store: where a later version wrote the log, this one must not touch its store either.
    let log = LogReader::open(disk.clone(), &log_path)?;
    let store = if exists(&store_path)? { Some(engine.open(&store_path)) } else { None };
    let is_earlier = matches!(store, Some(Err(StoreError::Earlier)));
    let (store, store_fault) = match store {
        None | Some(Err(StoreError::Earlier)) => (None, None),
        Some(Ok(store)) => match store.meta() {
            Ok(meta) => (meta.map(|meta| (store, meta)), None),
            Err(error) => (None, Some(error)),
        },
        Some(Err(error)) => (None, Some(error)),
    };
    let Some(log) = log else {
        if store.is_none() && store_fault.is_none() && !is_earlier && shelf.is_empty() {
            // A new stream was begun, and got no further than its directories.
            return Ok(empty(report));
        }
        report.fault = Some(VerifyFault::at(&log_path, "there is no log, though something was registered here"));
        return Ok(report);
    };
    let all = || -> Result<(), Stopped> {
        if let (Some(following), Some(stream)) = (&following, log.stream()) {
            let checked = following.check_stream(directory, stream);
            checked.map_err(|error| Stopped::Fault(VerifyFault::at(directory, error.to_string())))?;
        }
        let at_store = read_log(
            &log,
            &Place { disk: &**disk, directory, shelf: &shelf, following: following.as_ref() },
            store.as_ref().map(|(_, meta)| meta),
            &mut report,
        )?;
        let checked = match (&store, store_fault) {
            (_, Some(error)) => Err(error.to_string()),
            (Some((store, meta)), None) => judge_store(store, meta, at_store.as_ref(), &mut report),
            (None, None) if is_earlier => {
                report.notes.push(format!("{}; the next start rebuilds it from the log", StoreError::Earlier));
                Ok(())
            }
            (None, None) => {
                report.notes.push("there is no store; the next start rebuilds it from the log".to_owned());
                Ok(())
            }
        };
        checked.map_err(|what| Stopped::Fault(VerifyFault::at(&store_path, what)))
    };
    let ended = all();
    concluded(report, ended)
}

/// Where the verification reads.
struct Place<'p> {
    disk: &'p dyn Disk,
    directory: &'p Path,
    shelf: &'p Shelf,
    following: Option<&'p Following>,
}

fn empty(mut report: VerifyReport) -> VerifyReport {
    report.notes.push("empty: nothing was ever registered".to_owned());
    report
}

/// Works the whole log in, from its beginning or, where that was trimmed, from the oldest snapshot it still reaches; reads the
/// snapshots; gives the state at the store's sequence.
fn read_log(
    log: &LogReader,
    here: &Place<'_>,
    store: Option<&StoreMeta>,
    report: &mut VerifyReport,
) -> Result<Option<State>, Stopped> {
    let by_log = |error| Stopped::by_log(here.directory, error);
    report.segments = log.segment_paths().len();
    let mut writer = beginning(log, here)?;
    let from = writer.position;
    for place in 0..log.segments_before(from.sequence) {
        log.check_sealed(place).map_err(by_log)?;
    }
    let applied = store.map_or(0, |meta| meta.position.sequence);
    let mut at_store = (applied == from.sequence).then(|| State::of(&writer));
    let mut places = places(here.shelf, log);
    if let Some(place) = places.get_mut(&from.sequence) {
        *place = Some(from);
    }
    let mut failed = None;
    let end = log.replay(&from, applied.max(from.sequence), |frame| {
        writer.replay(frame).map_err(|error| error.into_fault(&mut failed))?;
        if frame.sequence == applied {
            at_store = Some(State::of(&writer));
        }
        if let Some(place) = places.get_mut(&frame.sequence) {
            *place = Some(writer.position);
        }
        Ok(())
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let end = end.map_err(by_log)?;
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
    if let Some(damage) = end.damage {
        return Err(by_log(damage));
    }
    judge_snapshots(here.disk, here.shelf, log, &places)?;
    Ok(at_store)
}

/// A writer that stands where replaying begins.
fn beginning(log: &LogReader, here: &Place<'_>) -> Result<Writer, Stopped> {
    let Place { disk, directory, shelf, following } = *here;
    let by_log = |error| Stopped::by_log(directory, error);
    if log.first_sequence() == 1 {
        return Ok(bare_writer(log.beginning().map_err(by_log)?, following)?);
    }
    let Some(oldest) = shelf.reached_by(log).next_back() else {
        let (path, what) = match shelf.unusable.first() {
            Some((path, why)) => (path.clone(), why.clone()),
            None => {
                let what =
                    format!("the log begins at sequence {}, and there is no snapshot it goes on from", log.first_sequence());
                (shelf::path(directory), what)
            }
        };
        return Err(Stopped::Fault(VerifyFault::at(&path, what)));
    };
    let at = oldest.continued_at(log).map_err(by_log)?;
    let mut writer = bare_writer(at, following)?;
    let loaded = SnapshotReader::open(disk, &oldest.path).map_err(RegistryError::from);
    match loaded.and_then(|reader| reader.load(&mut writer, None, at)) {
        Ok(()) => Ok(writer),
        Err(RegistryError::Snapshot(error)) => Err(Stopped::by_snapshot(&oldest.path, &error)),
        Err(error) => Err(error.into()),
    }
}

fn bare_writer(position: Position, following: Option<&Following>) -> Result<Writer, RegistryError> {
    let (index, reader) = index::create(IndexOptions::default())?;
    let ledger = Ledger::empty(NO_HORIZON);
    let writer = Writer::new(index, reader, ledger, position, Arc::new(Troubles::default()));
    Ok(Writer { follows: following.cloned().map(Arc::new), ..writer })
}
