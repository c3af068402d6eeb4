//! Writing an image, first under another name.
//!
//! Parts are packed side by side and written as they are done, in any order; what was written is brought to the disk meanwhile, so
//! that little is left to wait for at the end.

use std::io;
use std::iter::Peekable;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

use super::{MAGIC, PACKING_LEVEL, PART_BYTES, Pace, VERSION};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::index::Frozen;
use crate::record::DossierRef;
use crate::registry::tally::Tally;
use crate::store::StoreMeta;

/// Writes the image of a frozen index under its name aside, which [`take_effect`] then gives its own; `go_on` is asked between
/// parts. False, like an error, leaves everything as it was.
pub(in crate::registry) fn write(
    disk: &dyn Disk,
    path: &Path,
    meta: &StoreMeta,
    tally: &Tally,
    frozen: &Frozen,
    pace: Pace,
    go_on: impl FnMut() -> bool + Send,
) -> io::Result<bool> {
    let written = write_aside(disk, &aside(path), meta, tally, frozen, pace, go_on);
    if !matches!(written, Ok(true)) {
        give_up(disk, path)?;
    }
    written
}

/// Gives an image that was written its name.
pub(in crate::registry) fn take_effect(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.rename(&aside(path), path)
}

/// Takes away what was written: half an image is of no use, and its bytes may be what the log needs.
pub(in crate::registry) fn give_up(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.remove(&aside(path))
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
    pace: Pace,
    go_on: impl FnMut() -> bool + Send,
) -> io::Result<bool> {
    let mut file = disk.open(aside, OpenMode::Replace)?;
    file.append(&head(meta, tally))?;
    let (written, to_be_synced) = crossbeam_channel::bounded(1);
    // The same file once more, so that syncing it does not wait for writing it.
    let mut syncing = disk.open(aside, OpenMode::Append)?;
    let work = Work {
        source: Mutex::new(Source { dossiers: frozen.dossiers().peekable(), go_on }),
        sink: Mutex::new(Sink { file, parts: 0 }),
    };
    let packers = match pace {
        Pace::Gentle => 1,
        Pace::Full => thread::available_parallelism().map_or(1, NonZeroUsize::get),
    };
    let goes_on = thread::scope(|scope| {
        let packing: Vec<_> = (0..packers)
            .map(|_| {
                let (work, written) = (&work, written.clone());
                scope.spawn(move || work.pack_parts(pace, &written))
            })
            .collect();
        drop(written);
        let synced = sync_as_written(&mut *syncing, &to_be_synced);
        let panicked = |_| Err(io::Error::other("writing it panicked"));
        let packed = packing.into_iter().map(|packing| packing.join().unwrap_or_else(panicked));
        let goes_on = packed.collect::<Vec<_>>().into_iter().try_fold(true, |all, one| Ok::<_, io::Error>(all & one?));
        synced.and(goes_on)
    })?;
    if !goes_on {
        return Ok(false);
    }
    let Sink { mut file, parts } = work.sink.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut end = 0u64.to_le_bytes().to_vec();
    end.extend_from_slice(&parts.to_le_bytes());
    file.append(&end)?;
    file.sync()?;
    Ok(true)
}

/// What the packing threads share.
struct Work<I: Iterator, G> {
    source: Mutex<Source<I, G>>,
    sink: Mutex<Sink>,
}

struct Source<I: Iterator, G> {
    dossiers: Peekable<I>,
    go_on: G,
}

struct Sink {
    file: Box<dyn DiskFile>,
    parts: u64,
}

impl<'d, I: Iterator<Item = DossierRef<'d>>, G: FnMut() -> bool> Work<I, G> {
    /// Packs parts until there are no more dossiers, or until it is not to go on: then false.
    fn pack_parts(&self, pace: Pace, written: &Sender<()>) -> io::Result<bool> {
        let mut packer = Compressor::new(PACKING_LEVEL)?;
        let (mut dossiers, mut part) = (Vec::new(), Vec::new());
        loop {
            let began = Instant::now();
            {
                let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
                if !(source.go_on)() {
                    return Ok(false);
                }
                source.next_part(&mut dossiers);
            }
            if dossiers.is_empty() {
                return Ok(true);
            }
            part.clear();
            dossiers.drain(..).for_each(|dossier: DossierRef<'_>| part.extend_from_slice(dossier.as_bytes()));
            let packed = packed(&mut packer, &part)?;
            {
                let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
                sink.file.append(&packed)?;
                sink.parts += 1;
            }
            if matches!(written.try_send(()), Err(TrySendError::Disconnected(()))) {
                return Ok(false);
            }
            if pace == Pace::Gentle {
                // Half of the time is left to others: nobody waits for this image.
                thread::sleep(began.elapsed());
            }
        }
    }
}

impl<'d, I: Iterator<Item = DossierRef<'d>>, G> Source<I, G> {
    /// Takes as many dossiers as make a part.
    fn next_part(&mut self, part: &mut Vec<DossierRef<'d>>) {
        let mut bytes = 0;
        while bytes < PART_BYTES
            && let Some(dossier) = self.dossiers.next()
        {
            bytes += dossier.as_bytes().len();
            part.push(dossier);
        }
    }
}

/// Brings to the disk what was written, again and again, until nobody writes any more.
fn sync_as_written(file: &mut dyn DiskFile, written: &Receiver<()>) -> io::Result<()> {
    for () in written {
        file.sync()?;
    }
    Ok(())
}

fn head(meta: &StoreMeta, tally: &Tally) -> Vec<u8> {
    let mut totals = meta.encode();
    tally.encode(&mut totals);
    let mut head = MAGIC.to_vec();
    head.extend_from_slice(&VERSION.to_le_bytes());
    head.extend_from_slice(&[0; 4]);
    head.extend_from_slice(&(totals.len() as u64).to_le_bytes());
    head.extend_from_slice(&xxh3_64(&totals).to_le_bytes());
    head.extend_from_slice(&totals);
    head
}

/// A part with its lengths and its checksum in front.
fn packed(packer: &mut Compressor<'_>, part: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = packer.compress(part)?;
    let mut packed = Vec::with_capacity(bytes.len() + 24);
    packed.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    packed.extend_from_slice(&(part.len() as u64).to_le_bytes());
    packed.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    packed.extend_from_slice(&bytes);
    Ok(packed)
}
