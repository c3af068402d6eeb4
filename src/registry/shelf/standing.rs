//! What `status` says of the shelf and of the log's beginning, kept beside them so that asking costs no look at the disk.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use super::{Shelf, Shelved};
use crate::disk::{Disk, OpenMode};
use crate::log::LogReader;

/// Snapshots and log, as far as they are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShelfStanding {
    /// The newest snapshot that the server took and read back whole.
    pub newest: Option<NewestSnapshot>,
    /// How many of those there are.
    pub kept: usize,
    /// The first sequence that the log still holds.
    pub log_first_sequence: u64,
    /// When the oldest segment of the log was begun, ms since 1970; 0 where it does not say.
    pub log_begun_unix_ms: u64,
}

/// The newest snapshot that was read back whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewestSnapshot {
    /// The sequence it was taken at.
    pub sequence: u64,
    /// When it was written, ms since 1970; 0 where the disk does not say.
    pub unix_ms: u64,
    /// Its length, bytes.
    pub bytes: u64,
}

impl ShelfStanding {
    /// As it is on the disk.
    pub(in crate::registry) fn look(disk: &dyn Disk, shelf: &Shelf, log: Option<&LogReader>) -> ShelfStanding {
        let own: Vec<&Shelved> = shelf.snapshots.iter().filter(|shelved| shelved.is_own).collect();
        let newest = own.first().map(|shelved| NewestSnapshot {
            sequence: shelved.taken_at.sequence,
            unix_ms: written_unix_ms(&shelved.path),
            bytes: disk.open(&shelved.path, OpenMode::Read).and_then(|file| file.length()).unwrap_or(0),
        });
        ShelfStanding {
            newest,
            kept: own.len(),
            log_first_sequence: log.map_or(0, LogReader::first_sequence),
            log_begun_unix_ms: log.and_then(LogReader::begun_unix_ms).unwrap_or(0),
        }
    }
}

/// When a file was last written. Only `status` and the schedule go by it.
fn written_unix_ms(path: &Path) -> u64 {
    let modified = std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| u64::try_from(since.as_millis()).ok()).unwrap_or(0)
}

/// The standing of an open registry.
#[derive(Debug, Default)]
pub(in crate::registry) struct StandingCell(Mutex<ShelfStanding>);

impl StandingCell {
    pub(in crate::registry) fn of(standing: ShelfStanding) -> StandingCell {
        StandingCell(Mutex::new(standing))
    }

    pub(in crate::registry) fn read(&self) -> ShelfStanding {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::registry) fn set(&self, standing: ShelfStanding) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }
}
