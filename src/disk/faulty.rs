//! A disk that does wrong what a test asks of it, and everything else as the real one does.
//!
//! The simulated disk crashes and forgets; this one has real files, and fails while a test watches.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::{Disk, DiskFile, Held, OpenMode, RealDisk};

/// What the disk does wrong, as long as it is set, and what it has seen.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) fail_writes: AtomicBool,
    pub(crate) fail_syncs: AtomicBool,
    pub(crate) fail_directory_syncs: AtomicBool,
    pub(crate) fail_cuts: AtomicBool,
    /// How making a directory is refused.
    pub(crate) refuse_directories: Mutex<Option<io::ErrorKind>>,
    /// There is room for half of each write.
    pub(crate) full: AtomicBool,
    /// Reads that reach beyond this offset fail.
    pub(crate) unreadable_from: Mutex<Option<u64>>,
    /// How many bytes it says are free.
    pub(crate) free_bytes: Mutex<Option<u64>>,
    /// The next write writes only so many bytes, and fails.
    pub(crate) short_write: Mutex<Option<usize>>,
    /// Every read differs from the one before.
    pub(crate) unsteady: AtomicBool,
    /// Syncing is left out: for a test that writes thousands of frames and survives no power failure.
    pub(crate) lazy: AtomicBool,
    /// How often files were synced.
    pub(crate) syncs: AtomicU64,
    /// What was removed, by the number in its name, and when a directory was made durable.
    pub(crate) removals: Mutex<Vec<String>>,
    reads: AtomicU64,
}

/// The disk.
#[derive(Clone, Debug)]
pub(crate) struct FaultyDisk(pub(crate) Arc<Faults>);

#[derive(Debug)]
struct FaultyFile(Box<dyn DiskFile>, Arc<Faults>);

/// Fails where a fault is set.
fn unless(fault: &AtomicBool) -> io::Result<()> {
    if fault.load(Ordering::SeqCst) { Err(failure()) } else { Ok(()) }
}

fn failure() -> io::Error {
    io::Error::other("the test's disk fails")
}

impl FaultyDisk {
    fn saw(&self, what: String) {
        self.0.removals.lock().unwrap().push(what);
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FaultyFile(RealDisk.open(path, mode)?, self.0.clone())))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        self.saw(format!("remove {}", name.trim_start_matches('0')));
        RealDisk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        unless(&self.0.fail_directory_syncs)?;
        self.saw("sync".to_owned());
        RealDisk.sync_directory(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        if let Some(refusal) = *self.0.refuse_directories.lock().unwrap() {
            return Err(refusal.into());
        }
        RealDisk.create_directory(directory)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Held, String>> {
        RealDisk.hold(path)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        match *self.0.free_bytes.lock().unwrap() {
            Some(free_bytes) => Ok(free_bytes),
            None => RealDisk.free_bytes(directory),
        }
    }
}

impl DiskFile for FaultyFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        unless(&self.1.fail_writes)?;
        if let Some(length) = self.1.short_write.lock().unwrap().take() {
            return self.0.append(&bytes[..length.min(bytes.len())]).and(Err(failure()));
        }
        if self.1.full.load(Ordering::SeqCst) && !bytes.is_empty() {
            return self.0.append(&bytes[..bytes.len() / 2]).and(Err(io::ErrorKind::StorageFull.into()));
        }
        self.0.append(bytes)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let unreadable_from = self.1.unreadable_from.lock().unwrap().unwrap_or(u64::MAX);
        if offset + bytes.len() as u64 > unreadable_from {
            return Err(failure());
        }
        self.0.read_exact_at(bytes, offset)?;
        let reads = self.1.reads.fetch_add(1, Ordering::SeqCst);
        if self.1.unsteady.load(Ordering::SeqCst)
            && let Some(last) = bytes.last_mut()
        {
            *last ^= 1 << (reads % 8);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        unless(&self.1.fail_cuts)?;
        self.0.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        unless(&self.1.fail_syncs)?;
        if self.1.lazy.load(Ordering::SeqCst) { Ok(()) } else { self.0.sync() }
    }
}
