//! Small whole files, through the disk's door.

use std::path::{Path, PathBuf};

use super::{AuditError, Step};
use crate::disk::{Disk, OpenMode};

/// Reads a whole file of at most `bytes_max`; `None` when there is none.
pub(super) fn read_small(disk: &dyn Disk, path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, AuditError> {
    let file = match disk.open(path, OpenMode::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(AuditError::disk(path, Step::Read)(source)),
    };
    let length = file.length().map_err(AuditError::disk(path, Step::Read))?.min(bytes_max);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    file.read_exact_at(&mut bytes, 0).map_err(AuditError::disk(path, Step::Read))?;
    Ok(Some(bytes))
}

/// Writes a whole file aside, makes it durable, and gives it its name.
pub(super) fn write_whole(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), AuditError> {
    let aside = aside(path);
    let mut file = disk.open(&aside, OpenMode::Replace).map_err(AuditError::disk(&aside, Step::Write))?;
    file.append(bytes).map_err(AuditError::disk(&aside, Step::Write))?;
    file.sync().map_err(AuditError::disk(&aside, Step::Sync))?;
    take_name(disk, &aside, path)
}

/// Gives a synced file its name, durably.
pub(super) fn take_name(disk: &dyn Disk, aside: &Path, path: &Path) -> Result<(), AuditError> {
    disk.rename(aside, path).map_err(AuditError::disk(path, Step::Write))?;
    let directory = path.parent().unwrap_or(path);
    disk.sync_directory(directory).map_err(AuditError::disk(directory, Step::Sync))
}

/// The name under which a file is written before it gets its own; a start removes what bears such a name.
pub(super) fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ASIDE);
    PathBuf::from(name)
}

/// How such names end.
pub(super) const ASIDE: &str = ".tmp";
