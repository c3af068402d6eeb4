//! What a start does to the log's files before and after it reads them: nothing is cut, rewritten or removed anywhere else.

use std::path::Path;

use super::reader::{LogReader, ReplayEnd, TornTail};
use super::writer::{LogWriter, POISONED, leave_poisoned};
use super::{Fault, LogError};
use crate::disk::{OpenMode, keep_few};
use crate::sabotage::{Sabotage, sabotaged};

/// Torn tails that are kept.
const TORN_TAILS_ASIDE_MAX: usize = 8;

impl LogReader {
    /// Makes durable what is going to be believed: removes what a crash left half-begun, and syncs the last segment and the names in the
    /// directory, or rewrites the segment if a sync had failed. A process that was killed may have given the segment its name and no
    /// more. Comes before reading, so that nothing is handed on that a power failure could still take back.
    pub fn make_durable(&self) -> Result<(), LogError> {
        for name in self.disk.list(&self.directory).map_err(LogError::disk(&self.directory))? {
            if name.ends_with(".tmp") {
                let path = self.directory.join(name);
                self.disk.remove(&path).map_err(LogError::disk(&path))?;
            }
        }
        let Some(last) = self.segment_paths().last().filter(|_| !sabotaged(Sabotage::BelieveWhatNobodySynced)) else {
            return Ok(());
        };
        let marker = self.directory.join(POISONED);
        if self.disk.exists(&marker).map_err(LogError::disk(&marker))? {
            self.rewrite(last)?;
            return self.disk.remove(&marker).map_err(LogError::disk(&marker));
        }
        let mut file = self.disk.open(last, OpenMode::Append).map_err(LogError::disk(last))?;
        let synced = file.sync().map_err(LogError::disk(last));
        let synced = synced.and_then(|()| {
            let directory = &self.directory;
            self.disk.sync_directory(directory).map_err(LogError::disk(directory))
        });
        synced.inspect_err(|_| leave_poisoned(&*self.disk, &self.directory))
    }

    /// Makes the log ready for writing behind what was read; a torn tail is cut, and its bytes kept aside.
    pub fn writer_behind(&self, end: &ReplayEnd, now_unix_ms: u64) -> Result<LogWriter, LogError> {
        if let Some(torn) = &end.torn {
            self.cut(torn, now_unix_ms)?;
        }
        LogWriter::resume(self.disk.clone(), &self.directory, end)
    }

    fn cut(&self, torn: &TornTail, now_unix_ms: u64) -> Result<(), LogError> {
        let path = &torn.path;
        let mut file = self.disk.open(path, OpenMode::Append).map_err(LogError::disk(path))?;
        let mut bytes = vec![0; usize::try_from(torn.length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, torn.offset).map_err(LogError::disk(path))?;
        let aside = self.directory.join(format!("torn-{:020}-{now_unix_ms}.bin", torn.sequence));
        let mut kept = self.disk.open(&aside, OpenMode::Replace).map_err(LogError::disk(&aside))?;
        kept.append(&bytes).and_then(|()| kept.sync()).map_err(LogError::disk(&aside))?;
        self.disk.sync_directory(&self.directory).map_err(LogError::disk(&self.directory))?;
        file.cut(torn.offset).and_then(|()| file.sync()).map_err(LogError::disk(path))?;
        let is_torn = |name: &str| name.starts_with("torn-");
        if let Err(error) = keep_few(&*self.disk, &self.directory, TORN_TAILS_ASIDE_MAX, is_torn) {
            tracing::warn!(%error, "torn tails that are too many could not be removed");
        }
        Ok(())
    }

    /// After a failed sync the system may hold bytes as clean that never reached the disk; only writing them anew helps.
    fn rewrite(&self, path: &Path) -> Result<(), LogError> {
        let aside = path.with_extension("seg.tmp");
        self.copy_over(path, &aside).inspect_err(|_| {
            // On a full disk half a copy would take the room that everything else needs.
            if let Err(error) = self.disk.remove(&aside) {
                tracing::warn!(%error, "half a copy of the log's last segment could not be removed");
            }
        })
    }

    fn copy_over(&self, path: &Path, aside: &Path) -> Result<(), LogError> {
        let old = self.disk.open(path, OpenMode::Read).map_err(LogError::disk(path))?;
        let length = old.length().map_err(LogError::disk(path))?;
        let mut new = self.disk.open(aside, OpenMode::Replace).map_err(LogError::disk(aside))?;
        let mut offset = 0;
        while offset < length {
            let step = usize::try_from((length - offset).min(1 << 20)).unwrap_or(1 << 20);
            let mut bytes = vec![0; step];
            old.read_exact_at(&mut bytes, offset).map_err(LogError::disk(path))?;
            // What a failing disk reads wrongly once must not become what the log says for ever.
            let mut again = vec![0; step];
            old.read_exact_at(&mut again, offset).map_err(LogError::disk(path))?;
            if again != bytes {
                return Err(LogError::Corrupt { path: path.to_owned(), offset, what: Fault::Unsteady });
            }
            new.append(&bytes).map_err(LogError::disk(aside))?;
            offset += step as u64;
        }
        new.sync().map_err(LogError::disk(aside))?;
        self.disk.rename(aside, path).map_err(LogError::disk(path))?;
        self.disk.sync_directory(&self.directory).map_err(LogError::disk(&self.directory))
    }
}
