//! One owner of a directory at a time.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use super::RegistryError;

/// Holds the directory against a second owner.
#[derive(Debug)]
pub struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// Takes the directory, which is made if it is not there; says who has it otherwise.
    pub fn take(directory: &Path) -> Result<DirectoryLock, RegistryError> {
        let fail = |path: &Path| {
            let path = path.to_owned();
            move |source| RegistryError::Directory { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(fail(directory))?;
        let path = directory.join("LOCK");
        let opened = fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = opened.map_err(fail(&path))?;
        let mode = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        match rustix::fs::flock(&file, mode) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut owner = String::new();
                let _ = file.read_to_string(&mut owner);
                return Err(RegistryError::InUse { path: directory.to_owned(), owner: owner.trim().to_owned() });
            }
            Err(error) => return Err(fail(&path)(error.into())),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(fail(&path))?;
        Ok(DirectoryLock { _file: file })
    }
}
