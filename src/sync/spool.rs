//! Frames that wait until they arrive at a signed place. A few lie in memory, more in a file of the data directory; what a crash leaves
//! of it is worth nothing, because the own log says where to go on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskFile, OpenMode};
use crate::limits::{SPOOL_BYTES_MAX, SPOOL_MEMORY_BYTES};

/// Whole frames, in runs of about [`SPOOL_MEMORY_BYTES`].
#[derive(Debug)]
pub(super) struct Spool {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes_max: u64,
    /// The run that is being filled.
    memory: Vec<u8>,
    /// The runs before it, one behind the other, made when the first is written.
    file: Option<Box<dyn DiskFile>>,
    /// The length of each run in the file, bytes.
    runs: Vec<usize>,
    spilled_bytes: u64,
}

/// Why a frame was not spooled.
#[derive(Debug)]
pub(super) enum SpoolError {
    /// There is no room for it, by our own limit.
    Full,
    /// The disk said no.
    Disk(io::Error),
}

impl Spool {
    /// An empty one. What an earlier process left is removed.
    pub(super) fn new(disk: Arc<dyn Disk>, path: &Path) -> Spool {
        // Mostly there is nothing.
        let _ = disk.remove(path);
        let (memory, runs) = (Vec::new(), Vec::new());
        Spool { disk, path: path.to_owned(), bytes_max: SPOOL_BYTES_MAX, memory, file: None, runs, spilled_bytes: 0 }
    }

    pub(super) fn with_bytes_max(mut self, bytes_max: u64) -> Spool {
        self.bytes_max = bytes_max;
        self
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub(super) fn bytes(&self) -> u64 {
        self.spilled_bytes + self.memory.len() as u64
    }

    /// Adds one whole frame.
    pub(super) fn add(&mut self, frame: &[u8]) -> Result<(), SpoolError> {
        if self.bytes() + frame.len() as u64 > self.bytes_max {
            return Err(SpoolError::Full);
        }
        if self.spills_before(frame) {
            self.spill().map_err(SpoolError::Disk)?;
        }
        self.memory.extend_from_slice(frame);
        Ok(())
    }

    /// Whether adding a frame takes room on the disk.
    pub(super) fn spills_before(&self, frame: &[u8]) -> bool {
        self.memory.len() + frame.len() > SPOOL_MEMORY_BYTES && !self.memory.is_empty()
    }

    fn spill(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            None => self.file.insert(self.disk.open(&self.path, OpenMode::Replace)?),
        };
        file.append(&self.memory)?;
        self.runs.push(self.memory.len());
        self.spilled_bytes += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }

    /// Calls `take` with every run in order, and is empty afterwards, whatever came of it.
    pub(super) fn drain<E: From<io::Error>>(&mut self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let memory = std::mem::take(&mut self.memory);
        let drained = self.each_spilled(&mut take).and_then(|()| if memory.is_empty() { Ok(()) } else { take(&memory) });
        self.memory = memory;
        self.clear();
        drained
    }

    fn each_spilled<E: From<io::Error>>(&self, take: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let Some(file) = &self.file else { return Ok(()) };
        let (mut offset, mut run) = (0, Vec::new());
        for length in &self.runs {
            run.resize(*length, 0);
            file.read_exact_at(&mut run, offset)?;
            offset += *length as u64;
            take(&run)?;
        }
        Ok(())
    }

    /// Forgets everything. The file goes too: between two places a follower that keeps up needs none.
    pub(super) fn clear(&mut self) {
        self.memory.clear();
        self.runs.clear();
        self.spilled_bytes = 0;
        if self.file.take().is_some()
            && let Err(error) = self.disk.remove(&self.path)
        {
            tracing::warn!(%error, file = %self.path.display(), "the spool could not be removed");
        }
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn frames(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|place| vec![u8::try_from(place % 251).unwrap(); 200_000 + place]).collect()
    }

    #[test]
    fn what_goes_in_comes_out_in_order_through_memory_or_the_file_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spool");
        let mut spool = Spool::new(Arc::new(RealDisk), &path);
        for count in [0, 1, 3, 100] {
            let frames = frames(count);
            for frame in &frames {
                spool.add(frame).unwrap();
            }
            assert_eq!(path.exists(), count == 100, "a few frames need no file");
            assert_eq!(spool.bytes(), frames.iter().map(|frame| frame.len() as u64).sum::<u64>());
            let mut out = Vec::new();
            let drained = spool.drain(|run| {
                assert!(run.len() <= SPOOL_MEMORY_BYTES);
                out.extend_from_slice(run);
                Ok::<(), io::Error>(())
            });
            drained.unwrap();
            assert!(out == frames.concat() && spool.bytes() == 0 && !path.exists());
        }
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Arc::new(RealDisk), &directory.path().join("spool")).with_bytes_max(1000);
        spool.add(&[1; 600]).unwrap();
        assert!(matches!(spool.add(&[2; 401]), Err(SpoolError::Full)));
        spool.add(&[3; 400]).unwrap();
    }

    #[test]
    fn one_that_is_given_up_in_the_middle_is_empty_too() {
        let directory = tempfile::tempdir().unwrap();
        let mut spool = Spool::new(Arc::new(RealDisk), &directory.path().join("spool"));
        for frame in frames(50) {
            spool.add(&frame).unwrap();
        }
        assert!(spool.drain(|_| Err(io::Error::other("no"))).is_err());
        assert_eq!(spool.bytes(), 0);
    }
}
