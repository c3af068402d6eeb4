//! Writing an image, first under another name.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use super::{MAGIC, PART_BYTES, VERSION};
use crate::index::Frozen;
use crate::registry::tally::Tally;
use crate::store::StoreMeta;

/// Writes the image of a frozen index; `go_on` is asked between parts, and false leaves everything as it was. Half of the time is left
/// to others: nobody waits for an image.
pub(in crate::registry) fn write(
    path: &Path,
    meta: &StoreMeta,
    tally: &Tally,
    frozen: &Frozen,
    mut go_on: impl FnMut() -> bool,
) -> io::Result<bool> {
    let aside = aside(path);
    let written = write_aside(&aside, meta, tally, frozen, &mut go_on);
    if matches!(written, Ok(true)) {
        fs::rename(&aside, path)?;
    } else {
        // Half an image is of no use, and its bytes may be what the log needs.
        fs::remove_file(&aside)?;
    }
    written
}

/// The name under which an image is written.
pub(super) fn aside(path: &Path) -> PathBuf {
    path.with_extension("tmp")
}

fn write_aside(
    aside: &Path,
    meta: &StoreMeta,
    tally: &Tally,
    frozen: &Frozen,
    go_on: &mut impl FnMut() -> bool,
) -> io::Result<bool> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside)?;
    write_head(&mut file, meta, tally)?;
    let mut part = Vec::with_capacity(2 * PART_BYTES);
    let mut parts = 0u64;
    let mut began = Instant::now();
    let mut dossiers = frozen.dossiers().peekable();
    while let Some(dossier) = dossiers.next() {
        part.extend_from_slice(dossier.as_bytes());
        if part.len() < PART_BYTES && dossiers.peek().is_some() {
            continue;
        }
        write_part(&mut file, &part)?;
        part.clear();
        parts += 1;
        if !go_on() {
            return Ok(false);
        }
        std::thread::sleep(began.elapsed());
        began = Instant::now();
    }
    file.write_all(&0u64.to_le_bytes())?;
    file.write_all(&parts.to_le_bytes())?;
    file.sync_all()?;
    Ok(true)
}

fn write_head(file: &mut File, meta: &StoreMeta, tally: &Tally) -> io::Result<()> {
    let mut totals = meta.encode();
    tally.encode(&mut totals);
    file.write_all(MAGIC)?;
    file.write_all(&VERSION.to_le_bytes())?;
    file.write_all(&[0; 4])?;
    file.write_all(&(totals.len() as u64).to_le_bytes())?;
    file.write_all(&xxh3_64(&totals).to_le_bytes())?;
    file.write_all(&totals)
}

fn write_part(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(&(bytes.len() as u64).to_le_bytes())?;
    file.write_all(&xxh3_64(bytes).to_le_bytes())?;
    file.write_all(bytes)
}
