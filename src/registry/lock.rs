//! One owner of a directory at a time.

use std::path::Path;

use super::RegistryError;
use crate::disk::{Disk, Held};

/// Holds the directory against a second owner.
#[derive(Debug)]
pub struct DirectoryLock {
    _held: Held,
}

impl DirectoryLock {
    /// Takes the directory, which is made if it is not there; says who has it otherwise.
    pub fn take(disk: &dyn Disk, directory: &Path) -> Result<DirectoryLock, RegistryError> {
        disk.create_directory(directory).map_err(RegistryError::directory(directory))?;
        let path = directory.join("LOCK");
        match disk.hold(&path).map_err(RegistryError::directory(&path))? {
            Ok(held) => Ok(DirectoryLock { _held: held }),
            Err(owner) => Err(RegistryError::InUse { path: directory.to_owned(), owner }),
        }
    }
}
