//! What a frame of the log carries: row changes, a master table, a feed record, a horizon.

use rkyv::util::AlignedVec;
use serde::{Deserialize, Serialize};

use super::row::{self, ArchivedRow, Row};
use super::{Digest, RecordError, padded};
use crate::domain::day::Day;
use crate::domain::masters::MasterKind;
use crate::domain::registration::Operation;

/// Bytes before each row in a payload of changes: operation, zero, length (u16), zero (u32).
const CHANGE_HEAD: usize = 8;
/// Bytes before the first change: count (u32), zero (u32).
const CHANGES_HEAD: usize = 8;

/// A payload of row changes, every row in it valid.
///
/// ```text
/// u32 changes, u32 zero, then for each: u8 operation (1 upsert, 2 withdraw), u8 zero, u16 length, u32 zero, the row, padding
/// ```
#[derive(Debug)]
pub struct Changes {
    bytes: AlignedVec<8>,
    count: u32,
    /// Of every change, or of none.
    digests: Vec<Digest>,
}

/// One change in a payload.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The row.
    pub row: &'a ArchivedRow,
    /// Its archived bytes.
    pub bytes: &'a [u8],
}

impl Changes {
    /// No changes yet.
    pub fn new() -> Changes {
        Changes::with_capacity(0)
    }

    /// No changes yet, with room for this many bytes of them.
    pub fn with_capacity(bytes: usize) -> Changes {
        let mut changes = Changes { bytes: AlignedVec::with_capacity(bytes.max(CHANGES_HEAD)), count: 0, digests: Vec::new() };
        changes.clear();
        changes
    }

    /// Archives one change in.
    pub fn push(&mut self, operation: Operation, row: &Row<'_>) -> Result<(), RecordError> {
        let head = self.bytes.len();
        self.bytes.resize(head + CHANGE_HEAD, 0);
        match row.archive_into(&mut self.bytes) {
            Ok(length) => {
                self.finish(head, operation, length);
                Ok(())
            }
            Err(error) => {
                self.bytes.resize(head, 0);
                Err(error)
            }
        }
    }

    /// Copies a change of another payload.
    pub fn push_copy(&mut self, change: &Change<'_>) {
        let head = self.bytes.len();
        self.bytes.resize(head + CHANGE_HEAD, 0);
        self.bytes.extend_from_slice(change.bytes);
        self.finish(head, change.operation, change.bytes.len());
    }

    /// Empties the payload, and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.resize(CHANGES_HEAD, 0);
        self.count = 0;
        self.digests.clear();
    }

    /// Reads a payload from the disk or another machine; every row is validated, once.
    pub fn validated(payload: &[u8]) -> Result<Changes, RecordError> {
        let mut bytes = AlignedVec::with_capacity(payload.len());
        bytes.extend_from_slice(payload);
        let count = payload.first_chunk::<4>().map(|count| u32::from_le_bytes(*count)).ok_or(RecordError::Length)?;
        let changes = Changes { bytes, count, digests: Vec::new() };
        let mut read = 0;
        let mut at = CHANGES_HEAD;
        while at < changes.bytes.len() {
            let (_, row, end) = changes.at(at).ok_or(RecordError::Length)?;
            row::validated(row)?;
            at = end;
            read += 1;
        }
        if read == count && at == changes.bytes.len() { Ok(changes) } else { Err(RecordError::Length) }
    }

    /// The changes, in order.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut at = CHANGES_HEAD;
        std::iter::from_fn(move || {
            let (operation, bytes, end) = self.at(at)?;
            at = end;
            // SAFETY: every row in a payload was archived by `push`, was already in another payload, or passed `validated`; rows lie
            // on words of an aligned buffer.
            let row = unsafe { row::trusted(bytes) };
            Some(Change { operation, row, bytes })
        })
    }

    /// Hashes every row, so that whoever registers them need not. `scratch` is emptied.
    pub fn digest(&mut self, scratch: &mut Vec<u8>) {
        let mut digests = std::mem::take(&mut self.digests);
        digests.clear();
        digests.extend(self.iter().map(|change| Digest::of(change.row, scratch)));
        self.digests = digests;
    }

    /// The digests of all changes; none where they were not asked for.
    pub fn digests(&self) -> &[Digest] {
        &self.digests
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many changes it holds.
    pub fn count(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX)
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Operation, row and end of the change that begins at an offset.
    fn at(&self, at: usize) -> Option<(Operation, &[u8], usize)> {
        let [code, _, low, high, ..] = self.bytes.get(at..)?.first_chunk::<CHANGE_HEAD>()?;
        let operation = match code {
            1 => Operation::Upsert,
            2 => Operation::Withdraw,
            _ => return None,
        };
        let start = at + CHANGE_HEAD;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let end = start + padded(length);
        self.bytes.get(..end)?;
        Some((operation, self.bytes.get(start..start + length)?, end))
    }

    fn finish(&mut self, head: usize, operation: Operation, length: usize) {
        let code = match operation {
            Operation::Upsert => 1,
            Operation::Withdraw => 2,
        };
        let [low, high] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
        if let Some(bytes) = self.bytes.get_mut(head..).and_then(|rest| rest.first_chunk_mut::<4>()) {
            *bytes = [code, 0, low, high];
        }
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.count += 1;
        self.digests.clear();
        if let Some(count) = self.bytes.first_chunk_mut::<4>() {
            *count = self.count.to_le_bytes();
        }
    }
}

impl Default for Changes {
    fn default() -> Changes {
        Changes::new()
    }
}

/// How many bytes of a payload a change of this row takes.
pub fn change_bytes(row: &[u8]) -> usize {
    CHANGE_HEAD + padded(row.len())
}

/// One piece of a master table: `u8 kind, u8 zero, u16 piece (from 0), u16 pieces, u16 zero`, then the text. The table takes
/// effect with its last piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MasterPiece {
    /// Which table.
    pub kind: MasterKind,
    /// Which piece, from 0.
    pub piece: u16,
    /// Of how many.
    pub pieces: u16,
    /// Its bytes of the text; a character may be split between pieces.
    pub text: Vec<u8>,
}

impl MasterPiece {
    /// Splits a text into pieces of at most `bytes_max`.
    pub fn split(kind: MasterKind, text: &str, bytes_max: usize) -> Vec<MasterPiece> {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(bytes_max.max(1)).collect();
        let pieces = u16::try_from(chunks.len()).unwrap_or(u16::MAX);
        let numbered = (0..pieces).zip(chunks);
        numbered.map(|(piece, text)| MasterPiece { kind, piece, pieces, text: text.to_vec() }).collect()
    }

    /// The payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.kind as u8, 0];
        bytes.extend_from_slice(&self.piece.to_le_bytes());
        bytes.extend_from_slice(&self.pieces.to_le_bytes());
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&self.text);
        bytes
    }

    /// Reads a payload.
    pub fn read(payload: &[u8]) -> Result<MasterPiece, RecordError> {
        let (head, text) = payload.split_first_chunk::<8>().ok_or(RecordError::Length)?;
        let [kind, _, p0, p1, n0, n1, ..] = *head;
        let kind = MasterKind::from_byte(kind).ok_or(RecordError::Inside)?;
        let (piece, pieces) = (u16::from_le_bytes([p0, p1]), u16::from_le_bytes([n0, n1]));
        if piece >= pieces {
            return Err(RecordError::Inside);
        }
        Ok(MasterPiece { kind, piece, pieces, text: text.to_vec() })
    }
}

/// Whether a feed record says that applying began, or that it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedPhase {
    /// Applying begins.
    Began,
    /// Everything is applied.
    Ended,
}

/// Which file was applied: the source of each authority's freshness, and what holds an older file back. Stored as JSON: it is
/// rare, and an operator may want to read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedRecord {
    /// Began or ended.
    pub phase: FeedPhase,
    /// The file's name, without its folder.
    pub file_name: String,
    /// BLAKE3 of its bytes, hex.
    pub file_hash: String,
    /// The authorities whose rows it has.
    pub authorities: Vec<String>,
    /// Rows in the file.
    pub rows: u64,
    /// Rows rejected.
    pub rejects: u64,
    /// The gates that would have held it, overridden by `accepted_by`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates_overridden: Vec<String>,
    /// The account that said `--accept`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_by: Option<String>,
}

impl FeedRecord {
    /// The payload.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a payload.
    pub fn read(payload: &[u8]) -> Result<FeedRecord, RecordError> {
        serde_json::from_slice(payload).map_err(|_| RecordError::Inside)
    }
}

/// The payload of a pruning frame: the new horizon.
pub fn horizon_to_bytes(horizon: Day) -> [u8; 8] {
    u64::from(horizon.packed()).to_le_bytes()
}

/// Reads the payload of a pruning frame.
pub fn read_horizon(payload: &[u8]) -> Result<Day, RecordError> {
    let packed: [u8; 8] = payload.try_into().map_err(|_| RecordError::Length)?;
    let packed = u32::try_from(u64::from_le_bytes(packed)).map_err(|_| RecordError::Inside)?;
    Day::from_packed(packed).map_err(|_| RecordError::Inside)
}
