//! What is judged the same way whether or not somebody owns the directory: a store against the log's state, and the snapshots.

use std::collections::BTreeMap;
use std::io;

use super::{Stopped, VerifyFault, VerifyReport};
use crate::disk::Disk;
use crate::log::{LogReader, Position};
use crate::record::StateChecksum;
use crate::registry::load;
use crate::registry::shelf::{Shelf, Shelved, examine};
use crate::registry::snapshot::{SnapshotError, SnapshotReader};
use crate::registry::writer::Writer;
use crate::store::{Store, StoreMeta};

/// The state that the log gives for a sequence.
#[derive(Clone)]
pub(super) struct State {
    pub(super) position: Position,
    /// By prefecture, masters included.
    pub(super) checksum: StateChecksum,
    /// Of the rows alone.
    pub(super) rows_checksum: StateChecksum,
    pub(super) rows: u64,
}

impl State {
    pub(super) fn of(writer: &Writer) -> State {
        State {
            position: writer.position,
            checksum: writer.checksum(),
            rows_checksum: writer.tally.checksum,
            rows: writer.tally.rows,
        }
    }
}

/// Judges a store by itself, and by the state that the log gives for its sequence. Nothing of it is kept in memory.
pub(super) fn judge_store(
    store: &Store,
    meta: &StoreMeta,
    by_the_log: Option<&State>,
    report: &mut VerifyReport,
) -> Result<(), String> {
    let state = by_the_log.ok_or("the store is ahead of the log")?;
    if state.position != meta.position {
        return Err("the store has another history than the log".to_owned());
    }
    if state.checksum != meta.checksum {
        return Err("the store's state is not the one the log gives for its sequence".to_owned());
    }
    if state.rows != meta.rows {
        return Err("the store lacks rows, or has too many".to_owned());
    }
    load::check_dossiers(store, meta.dossiers, &state.rows_checksum).map_err(|error| error.to_string())?;
    let ledger = load::ledger_from_store(store, meta)?;
    let mut content = state.rows_checksum;
    content.merge(&ledger.checksum);
    if content != meta.checksum {
        return Err("the store's content does not add up to its checksum".to_owned());
    }
    load::check_history(store, meta)?;
    if meta.position.sequence < report.sequence {
        let behind = report.sequence - meta.position.sequence;
        report.notes.push(format!("the store is {behind} frames behind the log; the next start replays them"));
    }
    Ok(())
}

/// The places at which snapshots of the log's stream were taken, for those that the log still reaches.
pub(super) fn places(shelf: &Shelf, log: &LogReader) -> BTreeMap<u64, Option<Position>> {
    let own = shelf.reached_by(log).filter(|shelved| !shelved.is_base);
    own.map(|shelved| (shelved.taken_at.sequence, None)).collect()
}

/// Reads every snapshot whole, and compares where they were taken with what the log says of those places.
pub(super) fn judge_snapshots(
    disk: &dyn Disk,
    shelf: &Shelf,
    log: &LogReader,
    places: &BTreeMap<u64, Option<Position>>,
) -> Result<(), Stopped> {
    if let Some((path, why)) = shelf.unusable.first() {
        return Err(Stopped::Fault(VerifyFault::at(path, why)));
    }
    for shelved in &shelf.snapshots {
        judge_snapshot(disk, shelved)?;
        if shelved.is_base || Some(shelved.taken_at.stream) != log.stream() {
            continue;
        }
        let sequence = shelved.taken_at.sequence;
        match places.get(&sequence) {
            Some(Some(position)) if *position != shelved.taken_at => {
                return Err(Stopped::Fault(VerifyFault::at(&shelved.path, "it has another history than the log")));
            }
            Some(None) => {
                let what = format!("the log ends before sequence {sequence}, at which {} was taken", shelved.path.display());
                return Err(Stopped::Fault(VerifyFault::at(log.directory(), what)));
            }
            // The log begins behind it.
            None | Some(Some(_)) => {}
        }
    }
    Ok(())
}

fn judge_snapshot(disk: &dyn Disk, shelved: &Shelved) -> Result<(), Stopped> {
    match SnapshotReader::open(disk, &shelved.path).and_then(|reader| examine(reader, &shelved.path)) {
        Ok(_) => Ok(()),
        // The owner took it down meanwhile.
        Err(SnapshotError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Stopped::by_snapshot(&shelved.path, &error)),
    }
}
