//! The one door to our own files. Everything the log, the snapshots, the image and the audit do to the disk goes through these two
//! traits, so that a test can put a failing disk behind them.

mod aside;
#[cfg(test)]
pub(crate) mod faulty;
mod real;
mod regular;
mod sequential;
#[cfg(any(test, feature = "simulation"))]
pub mod simulated;

use std::any::Any;
use std::io;
use std::path::Path;

pub(crate) use aside::keep_few;
pub use real::RealDisk;
pub(crate) use regular::open_regular;
pub use sequential::{Appending, Sequential};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading only; it must exist.
    Read,
    /// For reading and appending; it must exist.
    Append,
    /// New, for reading and appending; an older file of the name is replaced.
    Replace,
}

/// A directory tree of our own.
pub trait Disk: Send + Sync + std::fmt::Debug {
    /// Opens a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;
    /// Whether there is a file or directory of this name. Not being able to tell is an error, never "no".
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// The names of the files and directories in a directory, sorted.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Renames a file or directory, replacing another file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the directory's entries durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
    /// Makes a directory (mode 0700) and those above it.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;
    /// Holds a file, made if it is not there, against every other holder, and leaves this process's number in it. The inner error is
    /// what the one who has it left there.
    fn hold(&self, path: &Path) -> io::Result<Result<Held, String>>;
    /// How much room is left where a directory lies, bytes.
    fn free_bytes(&self, directory: &Path) -> io::Result<u64>;
}

/// An open file.
pub trait DiskFile: Send + Sync + std::fmt::Debug {
    /// Writes all of `bytes` at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Fills `bytes` from an offset; an end before that is an error.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// The file's length, bytes.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file to a length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Makes the file's bytes durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is held for as long as this lives.
pub struct Held {
    _guard: Box<dyn Any + Send + Sync>,
}

impl Held {
    /// Held by a guard, whose end lets go of it.
    pub fn by(guard: impl Any + Send + Sync) -> Held {
        Held { _guard: Box::new(guard) }
    }
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Held").finish_non_exhaustive()
    }
}
