//! Values with their checksum behind them, and entries of the history.

use xxhash_rust::xxh3::xxh3_64;

/// What happened to a row that is no longer current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum HistoryKind {
    /// A newer registration took its place.
    Superseded = 1,
    /// It was withdrawn.
    Withdrawn = 2,
    /// It had ended before the horizon when it was registered.
    RegisteredEnded = 3,
    /// A pruning took it out: it had ended before the new horizon.
    Pruned = 4,
    /// It was withdrawn after it had left the current state.
    WithdrawnLater = 5,
}

impl HistoryKind {
    /// The kind that an entry's key ends with.
    pub fn of_key(key: &[u8]) -> Option<HistoryKind> {
        let byte = key.get(HISTORY_KEY_BYTES - 1)?;
        [
            HistoryKind::Superseded,
            HistoryKind::Withdrawn,
            HistoryKind::RegisteredEnded,
            HistoryKind::Pruned,
            HistoryKind::WithdrawnLater,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == *byte)
    }

    /// Whether the last registration of the identity still stands, though it is not current.
    pub fn still_stands(self) -> bool {
        matches!(self, HistoryKind::RegisteredEnded | HistoryKind::Pruned)
    }
}

/// What an entry's value says before its row: since which sequence and time, and until which time, bytes.
const HISTORY_SINCE_BYTES: usize = 8 + 4 + 4;

/// Where the row begins in an entry, key and value one behind the other.
pub const HISTORY_VALUE_HEAD: usize = HISTORY_KEY_BYTES + HISTORY_SINCE_BYTES;

/// The length of an entry's key.
pub const HISTORY_KEY_BYTES: usize = HISTORY_PREFIX_BYTES + 8 + 1;
/// Run and identity.
pub(super) const HISTORY_PREFIX_BYTES: usize = 4 + 16;

/// Entries of a run: see [`run_of`].
const RUN_ENTRIES: u64 = 1 << 17;

/// The run that the next entry belongs to, when there are `entries` already.
///
/// Identities are hashes, so keys that began with them would fall all over a tree of millions of leaves, and every batch would rewrite
/// it. A run holds about 130,000 entries, some 30 MB: writing stays within it, and finding an identity asks each run once.
pub fn run_of(entries: u64) -> u32 {
    u32::try_from(entries / RUN_ENTRIES).unwrap_or(u32::MAX)
}

/// What the keys of an identity's entries in a run begin with.
pub(super) fn history_prefix(run: u32, identity: u128) -> [u8; HISTORY_PREFIX_BYTES] {
    let mut prefix = [0; HISTORY_PREFIX_BYTES];
    let parts = run.to_be_bytes().into_iter().chain(identity.to_be_bytes());
    for (place, byte) in prefix.iter_mut().zip(parts) {
        *place = byte;
    }
    prefix
}

/// A row that is no longer current.
#[derive(Clone, Copy, Debug)]
pub struct HistoryEntry<'a> {
    /// The run it belongs to.
    pub run: u32,
    /// The hash of its identity.
    pub identity: u128,
    /// What happened.
    pub kind: HistoryKind,
    /// The sequence at which it became known.
    pub since_sequence: u64,
    /// The time of that, seconds since 1970.
    pub since_unix_s: u32,
    /// The sequence at which it stopped being current.
    pub until_sequence: u64,
    /// The time of that, seconds since 1970.
    pub until_unix_s: u32,
    /// Its archived bytes.
    pub row: &'a [u8],
}

impl HistoryEntry<'_> {
    /// Run, identity, sequence and kind: replaying a frame writes the same keys again.
    pub fn key(&self) -> [u8; HISTORY_KEY_BYTES] {
        let mut key = [self.kind as u8; HISTORY_KEY_BYTES];
        let prefix = history_prefix(self.run, self.identity);
        let parts = prefix.into_iter().chain(self.until_sequence.to_be_bytes());
        for (place, byte) in key.iter_mut().zip(parts) {
            *place = byte;
        }
        key
    }

    /// Its share of the history's checksum.
    pub fn hash(&self) -> u128 {
        history_hash(&self.key(), &self.value())
    }

    /// The rest.
    pub fn value(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HISTORY_SINCE_BYTES + self.row.len());
        value.extend_from_slice(&self.since_sequence.to_le_bytes());
        value.extend_from_slice(&self.since_unix_s.to_le_bytes());
        value.extend_from_slice(&self.until_unix_s.to_le_bytes());
        value.extend_from_slice(self.row);
        value
    }
}

/// An entry's share of the history's checksum, from its key and value.
pub fn history_hash(key: &[u8], value: &[u8]) -> u128 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(key);
    hasher.update(value);
    hasher.digest128()
}

/// The sequence at which an entry of this key stopped being current.
pub fn history_sequence(key: &[u8]) -> Option<u64> {
    key.get(20..)?.first_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

/// Bytes with their checksum behind them.
pub(super) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(bytes.len() + 8);
    value.extend_from_slice(bytes);
    value.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
    value
}

/// The bytes before their checksum, if it matches.
pub(super) fn opened(value: &[u8]) -> Option<&[u8]> {
    let (bytes, checksum) = value.split_last_chunk::<8>()?;
    (xxh3_64(bytes).to_le_bytes() == *checksum).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_in_a_value_is_noticed() {
        let value = sealed(b"a dossier");
        assert_eq!(opened(&value), Some(&b"a dossier"[..]));
        for place in 0..value.len() {
            let mut flipped = value.clone();
            flipped[place] ^= 1;
            assert_eq!(opened(&flipped), None);
        }
    }

    #[test]
    fn an_entry_of_the_history_sorts_behind_older_ones_of_its_identity() {
        let entry = |until_sequence, kind| HistoryEntry {
            run: 3,
            identity: 7,
            kind,
            since_sequence: 1,
            since_unix_s: 2,
            until_sequence,
            until_unix_s: 3,
            row: b"row",
        };
        assert!(entry(8, HistoryKind::Withdrawn).key() < entry(300, HistoryKind::Superseded).key());
        assert_eq!(HistoryKind::of_key(&entry(8, HistoryKind::Withdrawn).key()), Some(HistoryKind::Withdrawn));
        assert_eq!(HistoryKind::of_key(b"short"), None);
    }
}
