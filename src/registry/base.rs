//! The snapshot that a restored directory began with.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::RegistryError;
use super::snapshot::SnapshotReader;
use crate::disk::{Appending, Disk, OpenMode, Sequential};
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::StoreMeta;

/// Where it lies.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("snapshots").join("base.snap")
}

/// Copies a snapshot to a place on the shelf, durably, and gives what the copy says of itself. The copy is read back before it gets its
/// name: what a disk read wrongly once must not become what the directory began with.
pub(super) fn copy_in(disk: &dyn Disk, snapshot: &Path, directory: &Path, copy: &Path) -> Result<StoreMeta, RegistryError> {
    let folder = copy.parent().unwrap_or(directory);
    disk.create_directory(folder).map_err(RegistryError::directory(folder))?;
    disk.sync_directory(directory).map_err(RegistryError::directory(directory))?;
    let aside = copy.with_extension("snap.tmp");
    write_copy(disk, snapshot, &aside).map_err(RegistryError::directory(&aside))?;
    if !sabotaged(Sabotage::SkipReadingTheCopy) {
        SnapshotReader::open(disk, &aside)?.check()?;
    }
    let meta = SnapshotReader::open(disk, &aside)?.header().clone();
    disk.rename(&aside, copy).map_err(RegistryError::directory(copy))?;
    disk.sync_directory(folder).map_err(RegistryError::directory(folder))?;
    Ok(meta)
}

fn write_copy(disk: &dyn Disk, from: &Path, to: &Path) -> std::io::Result<()> {
    let mut from = Sequential::of(disk.open(from, OpenMode::Read)?)?;
    let mut to = Appending::to(disk.open(to, OpenMode::Replace)?);
    let mut bytes = vec![0; 1 << 20];
    loop {
        let read = from.read(&mut bytes)?;
        match bytes.get(..read) {
            Some([]) | None => return to.sync(),
            Some(bytes) => to.write_all(bytes)?,
        }
    }
}
