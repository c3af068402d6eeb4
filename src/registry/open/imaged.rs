//! Starting from the image: the memory as it once was, and the frames between it and the store.

use std::path::Path;
use std::time::Instant;

use super::Opening;
use crate::disk::Disk;
use crate::log::{Fault, LogReader};
use crate::registry::image::{self, ImageReader};
use crate::registry::writer::Writer;
use crate::registry::{RegistryError, load};
use crate::store::{Store, StoreMeta};

impl Opening<'_> {
    /// Loads the image, if there is one, and works in the frames between it and the store, which must then agree with it; `None` when
    /// anything is wrong with it, which is no trouble: the store has it all.
    pub(super) fn load_image(
        &mut self,
        log: &LogReader,
        store: &Store,
        meta: &StoreMeta,
    ) -> Result<Option<Writer>, RegistryError> {
        let path = image::path(self.directory);
        if !self.exists(&path)? || self.exists(&self.failed_path())? {
            return Ok(None);
        }
        let began = Instant::now();
        let mut writer = self.empty_writer(meta.position)?;
        match fill_from_image(&*self.disk, &path, log, store, meta, &mut writer) {
            Ok(frames) => {
                let seconds = began.elapsed().as_secs_f64();
                let dossiers = writer.dossiers;
                self.notes.push(format!("loaded {dossiers} recipients from the image and {frames} frames in {seconds:.1} s"));
                Ok(Some(writer))
            }
            Err(why) => {
                self.notes.push(format!("the image is of no use ({why}); loading from the store"));
                Ok(None)
            }
        }
    }
}

/// Fills an empty writer from an image and the log's frames between it and the store; returns how many frames. The words say what is
/// wrong.
fn fill_from_image(
    disk: &dyn Disk,
    path: &Path,
    log: &LogReader,
    store: &Store,
    meta: &StoreMeta,
    writer: &mut Writer,
) -> Result<u64, String> {
    let image = ImageReader::open(disk, path).map_err(|error| error.to_string())?;
    let taken = image.meta.position;
    if taken.stream != meta.position.stream || taken.sequence > meta.position.sequence {
        return Err("it is of another stream, or newer than the store".to_owned());
    }
    writer.dossiers = image.load(&mut writer.index).map_err(|error| error.to_string())?;
    writer.position = taken;
    writer.ledger = load::ledger_from_store(store, &image.meta)?;
    writer.next_number = image.meta.next_number;
    writer.history_checksum = image.meta.history_checksum;
    writer.history_entries = image.meta.history_entries;
    writer.data_unix_ms = image.meta.data_unix_ms;
    writer.tally = image.tally;
    if !stands_at(writer, &image.meta) {
        return Err("its content does not add up to what it says".to_owned());
    }
    let mut frames = 0;
    let replayed = log.replay(&taken, meta.position.sequence, |frame| {
        if frame.sequence > meta.position.sequence {
            return Ok(());
        }
        frames += 1;
        writer.replay(frame).map_err(|_| Fault::State)
    });
    replayed.map_err(|error| error.to_string())?;
    if stands_at(writer, meta) { Ok(frames) } else { Err("it and the log do not add up to what the store says".to_owned()) }
}

/// Whether a writer is where `meta` says, with all that it says but for the number of keys, which is only there to take memory by.
fn stands_at(writer: &Writer, meta: &StoreMeta) -> bool {
    let own = writer.meta();
    StoreMeta { keys: meta.keys, ..own } == *meta
}
