//! Reading a snapshot back: not only whether its bytes are those that were written, but whether they add up to the state they name.

use std::path::Path;

use rkyv::util::AlignedVec;

use crate::domain::decision::Row as _;
use crate::log::FrameKind;
use crate::record::payload::{FeedRecord, MasterPiece};
use crate::record::{DossierRef, StateChecksum};
use crate::registry::ledger::Ledger;
use crate::registry::plan::content_of;
use crate::registry::snapshot::{DOSSIER, HISTORY, LEDGER, SnapshotError, SnapshotReader, SnapshotSummary};
use crate::store::{HISTORY_KEY_BYTES, history_hash};

/// Reads a snapshot whole, and adds up what is in it; nothing is kept in memory.
pub(in crate::registry) fn examine(reader: SnapshotReader, path: &Path) -> Result<SnapshotSummary, SnapshotError> {
    let (meta, is_part) = (reader.header().clone(), reader.held().is_some());
    let damaged = |what| SnapshotError::Damaged { path: path.to_owned(), what };
    let mut sums = Sums::of(Ledger::empty(meta.horizon));
    let mut wrong = None;
    let summary = reader.check_each(|kind, bytes| {
        wrong = wrong.or(sums.take(kind, bytes).err());
    })?;
    if let Some(what) = wrong {
        return Err(damaged(what));
    }
    // The place says what the whole stream's state comes to, which a part does not.
    let adds_up = sums.checksum() == meta.checksum
        && (is_part || sums.checksum().total() == meta.position.state_checksum)
        && (sums.history_checksum, sums.history_count) == (meta.history_checksum, meta.history_entries)
        && (sums.dossier_count, sums.row_count) == (meta.dossiers, meta.rows);
    if adds_up { Ok(summary) } else { Err(damaged("its content does not add up to its checksum")) }
}

/// What the records of a snapshot add up to.
pub(in crate::registry) struct Sums {
    rows: StateChecksum,
    row_count: u64,
    dossier_count: u64,
    history_checksum: u128,
    history_count: u64,
    ledger: Ledger,
    aligned: AlignedVec<8>,
    scratch: Vec<u8>,
}

impl Sums {
    pub(in crate::registry) fn of(ledger: Ledger) -> Sums {
        Sums {
            rows: StateChecksum::EMPTY,
            row_count: 0,
            dossier_count: 0,
            history_checksum: 0,
            history_count: 0,
            ledger,
            aligned: AlignedVec::new(),
            scratch: Vec::new(),
        }
    }

    /// Counts a record in, or says what is wrong with it.
    pub(in crate::registry) fn take(&mut self, kind: u8, bytes: &[u8]) -> Result<(), &'static str> {
        match kind {
            DOSSIER => self.dossier(bytes).ok_or("a dossier is not valid"),
            HISTORY => self.history(bytes).ok_or("an entry of the history is not valid"),
            LEDGER => self.ledger(bytes).ok_or("a ledger entry is not valid"),
            _ => Ok(()),
        }
    }

    /// The state checksum, masters included.
    pub(in crate::registry) fn checksum(&self) -> StateChecksum {
        let mut checksum = self.rows;
        checksum.merge(&self.ledger.checksum);
        checksum
    }

    pub(in crate::registry) fn row_count(&self) -> u64 {
        self.row_count
    }

    pub(in crate::registry) fn dossier_count(&self) -> u64 {
        self.dossier_count
    }

    pub(in crate::registry) fn history_checksum(&self) -> u128 {
        self.history_checksum
    }

    pub(in crate::registry) fn history_count(&self) -> u64 {
        self.history_count
    }

    fn dossier(&mut self, bytes: &[u8]) -> Option<()> {
        self.aligned.clear();
        self.aligned.extend_from_slice(bytes);
        let dossier = DossierRef::validated(&self.aligned).ok()?;
        for held in dossier.held_rows() {
            self.rows.add(held.row.authority().prefecture(), content_of(held.row, &mut self.scratch));
            self.row_count += 1;
        }
        self.dossier_count += 1;
        Some(())
    }

    fn history(&mut self, bytes: &[u8]) -> Option<()> {
        let (key, value) = bytes.split_at_checked(HISTORY_KEY_BYTES)?;
        self.history_checksum = self.history_checksum.wrapping_add(history_hash(key, value));
        self.history_count += 1;
        Some(())
    }

    fn ledger(&mut self, bytes: &[u8]) -> Option<()> {
        let (sequence, rest) = bytes.split_first_chunk::<8>()?;
        let (time, rest) = rest.split_first_chunk::<8>()?;
        let (kind, payload) = rest.split_first()?;
        let (sequence, time) = (u64::from_le_bytes(*sequence), u64::from_le_bytes(*time));
        match FrameKind::from_byte(*kind)? {
            FrameKind::Master => self.ledger.take_master(sequence, &MasterPiece::read(payload).ok()?).ok().map(|_| ()),
            FrameKind::Feed => {
                self.ledger.take_feed(sequence, time, &FeedRecord::read(payload).ok()?);
                Some(())
            }
            _ => None,
        }
    }
}
