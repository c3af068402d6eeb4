//! What a frame of the log carries: row changes, a master table, a feed record, a horizon.

use serde::{Deserialize, Serialize};

use super::row::{self, ArchivedRow};
use super::{RecordError, padded};
use crate::domain::day::Day;
use crate::domain::masters::MasterKind;
use crate::domain::registration::Operation;

/// Bytes before each row in a payload of changes: operation, zero, length (u16), zero (u32).
const CHANGE_HEAD: usize = 8;

/// Builds a payload of row changes, row by row.
///
/// ```text
/// u32 changes, u32 zero, then for each: u8 operation (1 upsert, 2 withdraw), u8 zero, u16 length, u32 zero, the row, padding
/// ```
#[derive(Clone, Debug)]
pub struct ChangesBuilder {
    bytes: Vec<u8>,
    count: u32,
}

impl ChangesBuilder {
    /// An empty payload.
    pub fn new() -> ChangesBuilder {
        ChangesBuilder { bytes: vec![0; 8], count: 0 }
    }

    /// Appends one change of an already archived and validated row.
    pub fn push(&mut self, operation: Operation, row: &[u8]) {
        let code = match operation {
            Operation::Upsert => 1,
            Operation::Withdraw => 2,
        };
        let length = u16::try_from(row.len()).unwrap_or(u16::MAX).to_le_bytes();
        self.bytes.extend_from_slice(&[code, 0, length[0], length[1], 0, 0, 0, 0]);
        self.bytes.extend_from_slice(row);
        self.bytes.resize(padded(self.bytes.len()), 0);
        self.count += 1;
        if let Some(count) = self.bytes.first_chunk_mut::<4>() {
            *count = self.count.to_le_bytes();
        }
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many changes it holds.
    pub fn count(&self) -> u32 {
        self.count
    }
}

impl Default for ChangesBuilder {
    fn default() -> ChangesBuilder {
        ChangesBuilder::new()
    }
}

/// One change in a payload.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    /// What is to be done.
    pub operation: Operation,
    /// The row, validated.
    pub row: &'a ArchivedRow,
    /// Its archived bytes.
    pub bytes: &'a [u8],
}

/// Reads a payload of changes that begins on a word; each row is validated.
pub fn read_changes(payload: &[u8]) -> Result<Vec<Change<'_>>, RecordError> {
    let (count, mut rest) = payload.split_first_chunk::<4>().ok_or(RecordError::Length)?;
    rest = rest.get(4..).ok_or(RecordError::Length)?;
    let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| RecordError::Length)?;
    let mut changes = Vec::with_capacity(count.min(payload.len() / CHANGE_HEAD));
    for _ in 0..count {
        let (head, after) = rest.split_first_chunk::<CHANGE_HEAD>().ok_or(RecordError::Length)?;
        let [code, _, low, high, ..] = *head;
        let operation = match code {
            1 => Operation::Upsert,
            2 => Operation::Withdraw,
            _ => return Err(RecordError::Inside),
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        let bytes = after.get(..length).ok_or(RecordError::Length)?;
        changes.push(Change { operation, row: row::validated(bytes)?, bytes });
        rest = after.get(padded(length)..).ok_or(RecordError::Length)?;
    }
    if rest.is_empty() { Ok(changes) } else { Err(RecordError::Length) }
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
