//! A disk in memory that does, by a seed, what disks do at their worst: it loses and reorders what was not synced, tears writes at
//! sectors, fails any operation, fails a sync and forgets what it should have written, fills up, flips bits, and loses files.
//!
//! What a program sees is the *cache*; what a power failure leaves is drawn from what was synced and from the changes since. An entry of a
//! directory (a file created, renamed or removed) is such a change too, and durable only once the directory was synced. After a power
//! failure or a kill every handle from before is dead, as the process that held it is.

mod aftermath;
mod chance;
mod content;
mod entries;
mod faults;
mod machine;
#[cfg(test)]
mod tests;
mod tree;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use aftermath::Aftermath;
pub use chance::Chance;
pub use faults::Faults;

use super::{Disk, DiskFile, Held, OpenMode};
use machine::Machine;
use tree::Id;

/// What a disk writes whole or not at all, bytes.
pub const SECTOR_BYTES: usize = 512;

/// A handle on a simulated machine's disk, as one process has it.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    machine: Arc<Mutex<Machine>>,
    /// Which start of the machine or process the handle belongs to.
    boot: u64,
}

impl SimulatedDisk {
    /// An empty disk; the seed decides whatever is left to chance.
    pub fn new(seed: u64) -> SimulatedDisk {
        SimulatedDisk { machine: Arc::new(Mutex::new(Machine::new(seed))), boot: 0 }
    }

    /// Another machine with the same disk, to try something else on. Handles of this one do not reach it.
    #[must_use]
    pub fn fork(&self, seed: u64) -> SimulatedDisk {
        let machine = self.machine().fork(seed);
        SimulatedDisk { boot: machine.boot, machine: Arc::new(Mutex::new(machine)) }
    }

    /// Sets what goes wrong from here on; operations are counted from here.
    pub fn set_faults(&self, faults: Faults) {
        self.machine().set_faults(faults);
    }

    /// Cuts the power now: nothing works any more.
    pub fn cut_power(&self) {
        self.machine().is_off = true;
    }

    /// Whether the power has failed.
    pub fn is_off(&self) -> bool {
        self.machine().is_off
    }

    /// The machine started again after a power failure, without faults.
    #[must_use]
    pub fn after_power_failure(&self, aftermath: Aftermath) -> SimulatedDisk {
        let boot = self.machine().restart(aftermath);
        SimulatedDisk { machine: self.machine.clone(), boot }
    }

    /// The same machine after its process was killed, without faults: what was written is there, durable or not.
    #[must_use]
    pub fn after_kill(&self) -> SimulatedDisk {
        let boot = self.machine().end_process();
        SimulatedDisk { machine: self.machine.clone(), boot }
    }

    /// Operations that could change the disk, since the faults were set.
    pub fn changes(&self) -> u64 {
        self.machine().changes
    }

    /// All operations since the faults were set.
    pub fn operations(&self) -> u64 {
        self.machine().operations
    }

    /// The bytes of all files that have a name.
    pub fn used_bytes(&self) -> u64 {
        self.machine().tree.used_bytes()
    }

    /// The last operations in words, the newest last.
    pub fn last_operations(&self) -> Vec<String> {
        self.machine().trace.iter().cloned().collect()
    }

    /// Makes a file vanish, durably, as a damaged directory does.
    pub fn lose(&self, path: &Path) {
        self.machine().tree.lose(path);
    }

    /// Flips one bit of a file where it lies.
    pub fn flip(&self, path: &Path, bit: u64) {
        self.machine().tree.flip(path, bit);
    }

    /// Every file below a directory, sorted.
    pub fn files_below(&self, directory: &Path) -> Vec<PathBuf> {
        self.machine().tree.files_below(directory)
    }

    /// A file's bytes as a program sees them; `None` where there is none.
    pub fn bytes_of(&self, path: &Path) -> Option<Vec<u8>> {
        let machine = self.machine();
        let id = machine.tree.find(path).ok()?;
        machine.tree.content(id).map(|content| content.bytes().to_vec())
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimulatedDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        let id = self.machine().open(self.boot, path, mode)?;
        Ok(Box::new(SimulatedFile { disk: self.clone(), id, path: path.to_owned() }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.machine().exists(self.boot, path)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        self.machine().list(self.boot, directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.machine().rename(self.boot, from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.machine().remove(self.boot, path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.machine().sync_directory(self.boot, directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.machine().create_directory(self.boot, directory)
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Held, String>> {
        if !self.machine().hold(self.boot, path)? {
            return Ok(Err("another process of the simulation".to_owned()));
        }
        Ok(Ok(Held::by(Hold { disk: self.clone(), path: path.to_owned() })))
    }

    fn free_bytes(&self, _directory: &Path) -> io::Result<u64> {
        self.machine().free_bytes(self.boot)
    }
}

/// Lets go of a held file at its end.
struct Hold {
    disk: SimulatedDisk,
    path: PathBuf,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.disk.machine().let_go(self.disk.boot, &self.path);
    }
}

#[derive(Debug)]
struct SimulatedFile {
    disk: SimulatedDisk,
    id: Id,
    path: PathBuf,
}

impl DiskFile for SimulatedFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.machine().append(self.disk.boot, self.id, &self.path, bytes)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.machine().read(self.disk.boot, self.id, &self.path, bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.machine().length(self.disk.boot, self.id, &self.path)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.disk.machine().cut(self.disk.boot, self.id, &self.path, length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.machine().sync(self.disk.boot, self.id, &self.path)
    }
}
