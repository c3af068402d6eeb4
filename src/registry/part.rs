//! A part of a snapshot: the rows of some prefectures, and the national issuers', for a directory that holds no others.
//!
//! It is read twice: what is left must be added up before any of it can be written, because a snapshot says first what it holds.

use std::path::Path;
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::RegistryError;
use super::ledger::Ledger;
use super::shelf::{Sums, examine};
use super::snapshot::{DOSSIER, HISTORY, LEDGER, META, SnapshotError, SnapshotReader, SnapshotWriter};
use crate::disk::Disk;
use crate::domain::decision::Row as _;
use crate::domain::prefectures::Prefectures;
use crate::record::{ArchivedRow, DossierBatch, DossierRef, RecordError, row};
use crate::store::{HISTORY_VALUE_HEAD, StoreMeta};

/// Writes what a snapshot holds of some prefectures as a snapshot of its own, durably, and reads it back; gives what it says of itself.
pub(super) fn copy_part(
    disk: &Arc<dyn Disk>,
    snapshot: &Path,
    directory: &Path,
    copy: &Path,
    held: Prefectures,
) -> Result<StoreMeta, RegistryError> {
    let folder = copy.parent().unwrap_or(directory);
    disk.create_directory(folder).map_err(RegistryError::directory(folder))?;
    disk.sync_directory(directory).map_err(RegistryError::directory(directory))?;
    let meta = meta_of_part(&**disk, snapshot, held)?;
    let mut out = SnapshotWriter::create(disk.clone(), copy, Some(held))?;
    out.record(META, &[&meta.encode()])?;
    out.held(held)?;
    let mut failed = None;
    each_of_part(&**disk, snapshot, held, |kind, bytes| {
        if failed.is_none() {
            failed = out.record(kind, &[bytes]).err();
        }
    })?;
    failed.map_or(Ok(()), Err)?;
    out.finish()?;
    examine(SnapshotReader::open(&**disk, copy)?, copy)?;
    Ok(meta)
}

/// What a part says of itself: where the whole was taken, and what is left of it.
fn meta_of_part(disk: &dyn Disk, snapshot: &Path, held: Prefectures) -> Result<StoreMeta, SnapshotError> {
    let whole = SnapshotReader::open(disk, snapshot)?.header().clone();
    let mut sums = Sums::of(Ledger::empty(whole.horizon));
    let mut is_valid = true;
    each_of_part(disk, snapshot, held, |kind, bytes| is_valid &= sums.take(kind, bytes).is_ok())?;
    if !is_valid {
        return Err(SnapshotError::Damaged { path: snapshot.to_owned(), what: "what it holds is not valid" });
    }
    // Only memory is taken by it.
    let keys = u128::from(whole.keys) * u128::from(sums.row_count()) / u128::from(whole.rows.max(1));
    Ok(StoreMeta {
        checksum: sums.checksum(),
        dossiers: sums.dossier_count(),
        rows: sums.row_count(),
        history_checksum: sums.history_checksum(),
        history_entries: sums.history_count(),
        keys: u64::try_from(keys).unwrap_or(whole.keys),
        ..whole
    })
}

/// Shows every record of a part, and checks the whole it is of.
fn each_of_part(
    disk: &dyn Disk,
    snapshot: &Path,
    held: Prefectures,
    mut show: impl FnMut(u8, &[u8]),
) -> Result<(), SnapshotError> {
    let mut sieve = Sieve { held, aligned: AlignedVec::new() };
    let mut is_valid = true;
    SnapshotReader::open(disk, snapshot)?.check_each(|kind, bytes| {
        let sieved = match kind {
            DOSSIER => sieve.dossier(bytes, |left| show(DOSSIER, left)),
            HISTORY => sieve.history(bytes).map(|is_held| {
                if is_held {
                    show(HISTORY, bytes);
                }
            }),
            LEDGER => {
                show(LEDGER, bytes);
                Ok(())
            }
            _ => Ok(()),
        };
        is_valid &= sieved.is_ok();
    })?;
    if is_valid { Ok(()) } else { Err(SnapshotError::Damaged { path: snapshot.to_owned(), what: "what it holds is not valid" }) }
}

/// Leaves rows of other prefectures out.
struct Sieve {
    held: Prefectures,
    aligned: AlignedVec<8>,
}

impl Sieve {
    /// Shows what is left of a dossier, if anything.
    fn dossier(&mut self, bytes: &[u8], show: impl FnOnce(&[u8])) -> Result<(), RecordError> {
        self.align(bytes);
        let dossier = DossierRef::validated(&self.aligned)?;
        let is_held = |row: &ArchivedRow| self.held.hold(row.authority().prefecture());
        let rows: Vec<_> = dossier.held_rows().filter(|held| is_held(held.row)).collect();
        if rows.len() == dossier.row_count() {
            show(bytes);
        } else if !rows.is_empty() {
            let mut batch = DossierBatch::with_capacity(bytes.len());
            let place = batch.push(dossier.number(), &rows).ok_or(RecordError::Length)?;
            show(batch.dossier(place).ok_or(RecordError::Length)?.as_bytes());
        }
        Ok(())
    }

    /// Whether an entry of the history is of a row that is held.
    fn history(&mut self, bytes: &[u8]) -> Result<bool, RecordError> {
        self.align(bytes.get(HISTORY_VALUE_HEAD..).ok_or(RecordError::Length)?);
        Ok(self.held.hold(row::validated(&self.aligned)?.authority().prefecture()))
    }

    fn align(&mut self, bytes: &[u8]) {
        self.aligned.clear();
        self.aligned.extend_from_slice(bytes);
    }
}
