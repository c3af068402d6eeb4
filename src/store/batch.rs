//! What a run of frames changes in the store.

use sled::InlineArray;

use super::value::{self, HistoryEntry};
use super::{META_KEY, StoreMeta, dossier_key};

/// Everything that a run of frames changes in the store.
#[derive(Default)]
pub struct StoreBatch {
    pub(super) dossiers: Writes,
    pub(super) history: Writes,
    pub(super) ledger: Writes,
    pub(super) ledger_obsolete: Writes,
    bytes: usize,
}

/// What becomes of keys, in order; the last word about a key counts.
#[derive(Default)]
pub(super) struct Writes(pub(super) Vec<(InlineArray, Option<InlineArray>)>);

impl Writes {
    fn insert(&mut self, key: &[u8], value: Vec<u8>) {
        self.0.push((key.into(), Some(value.into())));
    }

    fn remove(&mut self, key: &[u8]) {
        self.0.push((key.into(), None));
    }
}

impl StoreBatch {
    /// Sets a dossier.
    pub fn put_dossier(&mut self, number: u64, dossier: &[u8]) {
        let value = value::sealed(dossier);
        self.bytes += value.len();
        self.dossiers.insert(&dossier_key(number), value);
    }

    /// Takes a dossier out.
    pub fn remove_dossier(&mut self, number: u64) {
        self.bytes += 16;
        self.dossiers.remove(&dossier_key(number));
    }

    /// Adds an entry of the history.
    pub fn put_history(&mut self, entry: &HistoryEntry<'_>) {
        self.put_history_raw(&entry.key(), &entry.value());
    }

    /// Copies an entry of the history as it lies in another store or a snapshot.
    pub fn put_history_raw(&mut self, key: &[u8], bytes: &[u8]) {
        let value = value::sealed(bytes);
        self.bytes += value.len();
        self.history.insert(key, value);
    }

    /// Adds a master piece or a feed record.
    pub fn put_ledger(&mut self, sequence: u64, kind: u8, time_unix_ms: u64, payload: &[u8]) {
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&time_unix_ms.to_le_bytes());
        bytes.extend_from_slice(payload);
        self.bytes += bytes.len();
        self.ledger.insert(&sequence.to_be_bytes(), value::sealed(&bytes));
    }

    /// Takes a master piece out that a newer table replaced.
    pub fn remove_ledger(&mut self, sequence: u64) {
        self.ledger_obsolete.remove(&sequence.to_be_bytes());
    }

    /// About how much memory it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn put_meta(&mut self, meta: &StoreMeta) {
        self.dossiers.insert(META_KEY, value::sealed(&meta.encode()));
    }
}
