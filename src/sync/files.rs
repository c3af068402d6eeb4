//! Small files that are written whole: aside first, synced, and only then under their name.

use std::io;
use std::path::Path;

use crate::disk::{Disk, OpenMode};

/// Writes a file, durably; whoever reads it sees the old content or the new.
pub(super) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("tmp");
    let mut file = disk.open(&aside, OpenMode::Replace)?;
    file.append(bytes)?;
    file.sync()?;
    disk.rename(&aside, path)?;
    disk.sync_directory(path.parent().unwrap_or(path))
}

/// Reads a file that is not longer than a limit; `None` where there is none.
pub(super) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let length = file.length()?;
    if length > bytes_max {
        return Err(io::Error::other(format!("{length} bytes, where {bytes_max} are expected at most")));
    }
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Removes a file, durably; one that is not there is removed already.
pub(super) fn remove(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => disk.sync_directory(path.parent().unwrap_or(path)),
    }
}
