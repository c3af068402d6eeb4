//! The fuzzer's door to loading a snapshot, without the directory and the store around it.

use std::path::Path;
use std::sync::Arc;

use super::RegistryError;
use super::ledger::{Ledger, NO_HORIZON};
use super::snapshot::{SnapshotReader, SnapshotSummary};
use super::troubles::Troubles;
use super::writer::Writer;
use crate::disk::RealDisk;
use crate::index::{self, IndexOptions};
use crate::log::{Chain, Position, StreamId};

/// Reads a snapshot as a restore does, and loads it into memory as the first start behind it does.
pub fn restore_into_memory(file: &Path) -> Result<SnapshotSummary, RegistryError> {
    let summary = SnapshotReader::open(&RealDisk, file)?.check()?;
    let reader = SnapshotReader::open(&RealDisk, file)?;
    let from = reader.header().position;
    let stream = StreamId([7; 16]);
    let beginning = Position { stream, chain: Chain::beginning(stream, Some((from.stream, from.sequence))), ..from };
    let (index, index_reader) = index::create(IndexOptions { segment_words_log2: 14, slots: 64 })?;
    let mut writer = Writer::new(index, index_reader, Ledger::empty(NO_HORIZON), beginning, Arc::new(Troubles::default()));
    reader.load(&mut writer, None, beginning)?;
    Ok(summary)
}
