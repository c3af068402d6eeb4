//! Writing an image, first under another name.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use super::{MAGIC, PART_BYTES, VERSION};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::index::Frozen;
use crate::registry::tally::Tally;
use crate::store::StoreMeta;

/// Writes the image of a frozen index; `go_on` is asked between parts, and false leaves everything as it was. Half of the time is left
/// to others: nobody waits for an image.
pub(in crate::registry) fn write(
    disk: &dyn Disk,
    path: &Path,
    meta: &StoreMeta,
    tally: &Tally,
    frozen: &Frozen,
    mut go_on: impl FnMut() -> bool,
) -> io::Result<bool> {
    let aside = aside(path);
    let written = write_aside(disk, &aside, meta, tally, frozen, &mut go_on);
    if matches!(written, Ok(true)) {
        disk.rename(&aside, path)?;
    } else {
        // Half an image is of no use, and its bytes may be what the log needs.
        disk.remove(&aside)?;
    }
    written
}

/// The name under which an image is written.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

fn write_aside(
    disk: &dyn Disk,
    aside: &Path,
    meta: &StoreMeta,
    tally: &Tally,
    frozen: &Frozen,
    go_on: &mut impl FnMut() -> bool,
) -> io::Result<bool> {
    let mut file = disk.open(aside, OpenMode::Replace)?;
    write_head(&mut *file, meta, tally)?;
    let mut part = Vec::with_capacity(2 * PART_BYTES);
    let mut parts = 0u64;
    let mut began = Instant::now();
    let mut dossiers = frozen.dossiers().peekable();
    while let Some(dossier) = dossiers.next() {
        part.extend_from_slice(dossier.as_bytes());
        if part.len() < PART_BYTES && dossiers.peek().is_some() {
            continue;
        }
        write_part(&mut *file, &part)?;
        part.clear();
        parts += 1;
        if !go_on() {
            return Ok(false);
        }
        std::thread::sleep(began.elapsed());
        began = Instant::now();
    }
    let mut end = 0u64.to_le_bytes().to_vec();
    end.extend_from_slice(&parts.to_le_bytes());
    file.append(&end)?;
    file.sync()?;
    Ok(true)
}

fn write_head(file: &mut dyn DiskFile, meta: &StoreMeta, tally: &Tally) -> io::Result<()> {
    let mut totals = meta.encode();
    tally.encode(&mut totals);
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&(totals.len() as u64).to_le_bytes());
    head.extend_from_slice(&xxh3_64(&totals).to_le_bytes());
    file.append(&head)?;
    file.append(&totals)
}

fn write_part(file: &mut dyn DiskFile, bytes: &[u8]) -> io::Result<()> {
    let mut head = (bytes.len() as u64).to_le_bytes().to_vec();
    head.extend_from_slice(&xxh3_64(bytes).to_le_bytes());
    file.append(&head)?;
    file.append(bytes)
}
