//! Keeping the image young, while nothing else happens.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::reader::ImageReader;
use super::{path, writer};
use crate::disk::Disk;
use crate::limits::{IMAGE_FRAMES_BEHIND, IMAGE_FROM_BYTES, IMAGE_IDLE_S};
use crate::registry::{Registry, RegistryError};

/// When an image is worth writing.
#[derive(Clone, Copy, Debug)]
pub struct ImageOptions {
    /// From this many bytes of dossiers on: below, the store is read as quickly.
    pub from_bytes: u64,
    /// When nothing was registered for this long.
    pub idle: Duration,
    /// When it is this many frames behind: fewer are replayed in a moment.
    pub frames_behind: u64,
}

impl Default for ImageOptions {
    fn default() -> ImageOptions {
        let idle = Duration::from_secs(IMAGE_IDLE_S);
        ImageOptions { from_bytes: IMAGE_FROM_BYTES, idle, frames_behind: IMAGE_FRAMES_BEHIND }
    }
}

/// What is known of the image of an open registry.
pub(in crate::registry) struct Images {
    options: ImageOptions,
    /// The sequence it was taken at; 0 where there is none.
    taken_at: AtomicU64,
}

impl Images {
    /// Looks for the image of a directory.
    pub(in crate::registry) fn of(disk: &dyn Disk, directory: &Path, options: ImageOptions) -> Images {
        // What a crash left half-written.
        let _ = disk.remove(&writer::aside(&path(directory)));
        let taken_at = ImageReader::open(disk, &path(directory)).map_or(0, |image| image.meta.position.sequence);
        Images { options, taken_at: AtomicU64::new(taken_at) }
    }
}

/// How much of the machine writing an image may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One core, half of the time: look-ups go on.
    Gentle,
    /// All of it: nobody else is there.
    Full,
}

impl Registry {
    /// Writes the image if it is worth having, is behind, and nothing was registered for a while; says whether it did. Look-ups and
    /// registering go on; `go_on` is asked now and then, and false ends it with nothing changed.
    pub fn write_image(&self, go_on: impl FnMut() -> bool + Send) -> Result<bool, RegistryError> {
        self.write_image_at(Pace::Gentle, go_on)
    }

    /// What [`Registry::close`] does, and leaves an image for the next start where one is worth having: it is written while the store
    /// catches up. Without one the next start only takes longer, so failing to write it is no failure.
    pub fn close_with_image(self, time_unix_ms: u64) -> Result<(), RegistryError> {
        // The mark is the last frame, and the image stands behind it. Where it fails, closing says so.
        let marked = self.writer().mark(time_unix_ms).is_ok();
        if marked && let Err(error) = self.write_image_at(Pace::Full, || true) {
            tracing::warn!(%error, "the image could not be written; the next start takes longer");
        }
        self.finish(time_unix_ms)
    }

    /// Writes the image of this moment, if it is worth having and behind; at a gentle pace only if nothing happens beside it.
    fn write_image_at(&self, pace: Pace, go_on: impl FnMut() -> bool + Send) -> Result<bool, RegistryError> {
        let options = self.image.options;
        let (mut frozen, meta, tally) = {
            let writer = self.writer();
            let sequence = writer.position.sequence;
            let taken_at = self.image.taken_at.load(Ordering::Relaxed);
            let is_young = taken_at > 0 && sequence < taken_at.saturating_add(options.frames_behind);
            // An image must never be newer than the store: what lies between them is replayed into the memory alone.
            let stored = writer.behind.as_ref().is_some_and(|behind| behind.applied() == sequence);
            let is_time = pace == Pace::Full || (stored && writer.last_write.elapsed() >= options.idle);
            let bytes = writer.index.live_bytes();
            let untroubled = writer.behind.is_some() && self.troubles.list().iter().all(|(trouble, _)| trouble.is_of_snapshots());
            let worth_having = bytes >= options.from_bytes && leaves_room(&*self.disk, &self.directory, bytes);
            if is_young || !is_time || !untroubled || !worth_having {
                return Ok(false);
            }
            (writer.index.freeze(), writer.meta(), writer.tally.clone())
        };
        // In the order of the memory: it is read faster, and packs better.
        frozen.sort();
        let path = path(&self.directory);
        let failed = |source| RegistryError::Directory { path: path.clone(), source };
        let began = Instant::now();
        if !writer::write(&*self.disk, &path, &meta, &tally, &frozen, pace, go_on).map_err(failed)? {
            return Ok(false);
        }
        // Where the store was to catch up meanwhile, it must have before the image takes effect.
        if pace == Pace::Full && !self.drain_store() {
            writer::give_up(&*self.disk, &path).map_err(failed)?;
            return Ok(false);
        }
        writer::take_effect(&*self.disk, &path).map_err(failed)?;
        self.image.taken_at.store(meta.position.sequence, Ordering::Relaxed);
        tracing::info!(sequence = meta.position.sequence, seconds = began.elapsed().as_secs(), "wrote the image");
        Ok(true)
    }
}

/// The log comes first: an image is written only where as much again stays free.
fn leaves_room(disk: &dyn Disk, directory: &Path, image_bytes: u64) -> bool {
    disk.free_bytes(directory).unwrap_or(0) / 2 >= image_bytes
}
