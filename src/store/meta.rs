//! What the store says of itself, in every batch.

use crate::domain::day::Day;
use crate::log::{Chain, Position, StreamId};
use crate::record::StateChecksum;
use crate::record::checksum::PARTS;

/// Where the store stands, and what its content must add up to there.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreMeta {
    /// The place in the stream up to which frames are applied.
    pub position: Position,
    /// The state checksum there.
    pub checksum: StateChecksum,
    /// The horizon there.
    pub horizon: Day,
    /// The number the next new dossier gets.
    pub next_number: u64,
    /// Dossiers.
    pub dossiers: u64,
    /// Current rows.
    pub rows: u64,
    /// Wrapping sum over the history's entries up to there.
    pub history_checksum: u128,
    /// Entries of the history up to there.
    pub history_entries: u64,
    /// Keys in the index there, so that a start takes the memory it needs at once.
    pub keys: u64,
    /// The time of the newest row change, ms since 1970.
    pub data_unix_ms: u64,
}

impl StoreMeta {
    /// How many bytes it takes.
    pub const LENGTH: usize = 16 + 8 + 32 + 16 + PARTS * 16 + 8 * 7 + 16;

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::LENGTH);
        out.extend_from_slice(&self.position.stream.0);
        out.extend_from_slice(&self.position.sequence.to_le_bytes());
        out.extend_from_slice(&self.position.chain.0);
        out.extend_from_slice(&self.position.state_checksum.to_le_bytes());
        for part in self.checksum.parts() {
            out.extend_from_slice(&part.to_le_bytes());
        }
        let numbers = [
            u64::from(self.horizon.packed()),
            self.next_number,
            self.dossiers,
            self.rows,
            self.keys,
            self.history_entries,
            self.data_unix_ms,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.history_checksum.to_le_bytes());
        out
    }

    /// Reads its bytes.
    pub fn decode(bytes: &[u8]) -> Option<StoreMeta> {
        if bytes.len() != Self::LENGTH {
            return None;
        }
        let mut rest = bytes;
        let stream = StreamId(take(&mut rest)?);
        let sequence = u64::from_le_bytes(take(&mut rest)?);
        let chain = Chain(take(&mut rest)?);
        let state_checksum = u128::from_le_bytes(take(&mut rest)?);
        let mut checksum = StateChecksum::EMPTY;
        for part in 0..PARTS {
            checksum.add(part, u128::from_le_bytes(take(&mut rest)?));
        }
        let mut number = || take(&mut rest).map(u64::from_le_bytes);
        let horizon = Day::from_packed(u32::try_from(number()?).ok()?).ok()?;
        let (next_number, dossiers, rows) = (number()?, number()?, number()?);
        let (keys, history_entries, data_unix_ms) = (number()?, number()?, number()?);
        let history_checksum = u128::from_le_bytes(take(&mut rest)?);
        Some(StoreMeta {
            position: Position { stream, sequence, chain, state_checksum },
            checksum,
            horizon,
            next_number,
            dossiers,
            rows,
            history_checksum,
            history_entries,
            keys,
            data_unix_ms,
        })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_says_of_itself_reads_as_it_was_written() {
        let mut checksum = StateChecksum::EMPTY;
        checksum.add(13, 5);
        checksum.add(0, u128::MAX);
        let position =
            Position { stream: StreamId([3; 16]), sequence: 9, chain: Chain([4; 32]), state_checksum: checksum.total() };
        let meta = StoreMeta {
            position,
            checksum,
            horizon: Day::parse(b"2024-11-01").unwrap(),
            next_number: 10,
            dossiers: 8,
            rows: 20,
            history_checksum: 77,
            history_entries: 6,
            keys: 40,
            data_unix_ms: 1_763_000_000_000,
        };
        let bytes = meta.encode();
        assert_eq!(StoreMeta::decode(&bytes), Some(meta));
        assert_eq!(StoreMeta::decode(&bytes[1..]), None);
    }
}
