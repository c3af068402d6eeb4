//! What a follower remembers beside its log, in `DIR/intake`: the newest checkpoint it accepted, and whether it is in quarantine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checkpoint::CHECKPOINT_BYTES_MAX;
use super::files;
use crate::disk::Disk;

/// The directory of what is remembered, and of what is on its way.
pub const INTAKE_DIRECTORY: &str = "intake";

const CHECKPOINT: &str = "checkpoint";
const QUARANTINE: &str = "quarantine";
const QUARANTINE_BYTES_MAX: u64 = 64 << 10;

/// Why nothing is taken from the hub until an operator says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The trouble's word.
    pub trouble: String,
    /// What was found.
    pub detail: String,
    /// Since when, ms since 1970.
    pub since_unix_ms: u64,
}

/// The files in `DIR/intake`.
#[derive(Clone, Debug)]
pub struct Remembered {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl Remembered {
    /// Of a data directory.
    pub fn of(disk: Arc<dyn Disk>, data: &Path) -> Remembered {
        Remembered { disk, directory: data.join(INTAKE_DIRECTORY) }
    }

    /// A file beside those that are remembered, for what is on its way.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Makes the directory.
    pub fn prepare(&self) -> io::Result<()> {
        self.disk.create_directory(&self.directory)
    }

    /// The newest checkpoint that was accepted, signed.
    pub fn checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        files::read_small(&*self.disk, &self.path(CHECKPOINT), CHECKPOINT_BYTES_MAX as u64)
    }

    /// Writes it down.
    pub fn remember(&self, signed: &[u8]) -> io::Result<()> {
        files::write_whole(&*self.disk, &self.path(CHECKPOINT), signed)
    }

    /// Whether there is a quarantine. One that cannot be read is one.
    pub fn quarantine(&self) -> io::Result<Option<Quarantine>> {
        let bytes = files::read_small(&*self.disk, &self.path(QUARANTINE), QUARANTINE_BYTES_MAX)?;
        Ok(bytes.map(|bytes| {
            serde_json::from_slice(&bytes).unwrap_or_else(|_| Quarantine {
                trouble: crate::registry::Trouble::HubRefused.word().to_owned(),
                detail: format!("{} cannot be read", self.path(QUARANTINE).display()),
                since_unix_ms: 0,
            })
        }))
    }

    /// Begins a quarantine, durably.
    pub fn begin_quarantine(&self, quarantine: &Quarantine) -> io::Result<()> {
        let text = serde_json::to_vec(quarantine).map_err(io::Error::other)?;
        files::write_whole(&*self.disk, &self.path(QUARANTINE), &text)
    }

    /// Ends it, by an operator's word.
    pub fn end_quarantine(&self) -> io::Result<()> {
        files::remove(&*self.disk, &self.path(QUARANTINE))
    }

    /// Forgets the newest checkpoint: what comes next is judged by the own log alone.
    pub fn forget_checkpoint(&self) -> io::Result<()> {
        files::remove(&*self.disk, &self.path(CHECKPOINT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_quarantine_lasts_until_it_is_ended_and_one_that_cannot_be_read_is_one() {
        let directory = tempfile::tempdir().unwrap();
        let remembered = Remembered::of(Arc::new(RealDisk), directory.path());
        remembered.prepare().unwrap();
        assert_eq!(remembered.quarantine().unwrap(), None);
        let quarantine = Quarantine { trouble: "hub_forked".to_owned(), detail: "why".to_owned(), since_unix_ms: 7 };
        remembered.begin_quarantine(&quarantine).unwrap();
        assert_eq!(remembered.quarantine().unwrap(), Some(quarantine));
        std::fs::write(remembered.path(QUARANTINE), "{").unwrap();
        assert_eq!(remembered.quarantine().unwrap().unwrap().trouble, "hub_refused");
        remembered.end_quarantine().unwrap();
        remembered.end_quarantine().unwrap();
        assert_eq!(remembered.quarantine().unwrap(), None);
    }
}
