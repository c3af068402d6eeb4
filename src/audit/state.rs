//! The state: a small file that says how far the audit was durable, so that segments that were taken away at the end are missed.

use std::path::{Path, PathBuf};

use super::chain::{AuditChain, AuditStream};
use super::files::{read_small, write_whole};
use super::{AuditError, FORMAT_VERSION, Fault};
use crate::disk::Disk;
use crate::head::{Format, cover, part};

const FORMAT: Format = Format { magic: *b"SHIKAAST", version: FORMAT_VERSION };
const STATE_BYTES: usize = 104;

/// Where the audit was durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) stream: AuditStream,
    /// The newest segment; 0 before the first.
    pub(super) segment: u64,
    pub(super) is_sealed: bool,
    /// Durable bytes of that segment.
    pub(super) offset: u64,
    pub(super) next_entry: u64,
    pub(super) chain: AuditChain,
    pub(super) unix_ms: u64,
}

/// A state's file as it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateFile {
    None,
    Damaged(Fault),
    Good(State),
}

impl State {
    pub(super) fn path(directory: &Path) -> PathBuf {
        directory.join("state")
    }

    pub(super) fn read(disk: &dyn Disk, directory: &Path) -> Result<StateFile, AuditError> {
        let path = State::path(directory);
        let Some(bytes) = read_small(disk, &path, STATE_BYTES as u64 + 1)? else { return Ok(StateFile::None) };
        match State::decode(&bytes) {
            Err(Fault::Newer(found)) => Err(AuditError::NewerFormat { path, found, known: FORMAT_VERSION }),
            Err(fault) => Ok(StateFile::Damaged(fault)),
            Ok(state) => Ok(StateFile::Good(state)),
        }
    }

    pub(super) fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<(), AuditError> {
        write_whole(disk, &State::path(directory), &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.begin(STATE_BYTES);
        out.extend_from_slice(&u32::from(self.is_sealed).to_le_bytes());
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.next_entry.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.unix_ms.to_le_bytes());
        cover(out)
    }

    fn decode(bytes: &[u8]) -> Result<State, Fault> {
        if bytes.len() != STATE_BYTES {
            return Err(Fault::Length);
        }
        FORMAT.check_covered(bytes)?;
        Ok(State {
            stream: AuditStream(part(bytes, 16)),
            segment: u64::from_le_bytes(part(bytes, 32)),
            is_sealed: u32::from_le_bytes(part(bytes, 12)) == 1,
            offset: u64::from_le_bytes(part(bytes, 40)),
            next_entry: u64::from_le_bytes(part(bytes, 48)),
            chain: AuditChain(part(bytes, 56)),
            unix_ms: u64::from_le_bytes(part(bytes, 88)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_as_it_was_written_and_every_flipped_byte_is_noticed() {
        let state = State {
            stream: AuditStream([3; 16]),
            segment: 4,
            is_sealed: true,
            offset: 5,
            next_entry: 6,
            chain: AuditChain([7; 32]),
            unix_ms: 8,
        };
        let bytes = state.encode();
        assert_eq!(bytes.len(), STATE_BYTES);
        assert_eq!(State::decode(&bytes), Ok(state));
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1;
            assert!(State::decode(&flipped).is_err(), "byte {place}");
        }
        assert_eq!(State::decode(&bytes[1..]), Err(Fault::Length));
    }
}
