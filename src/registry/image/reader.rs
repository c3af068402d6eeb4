//! Reading an image: several threads take its parts in turn. Whatever does not add up makes the whole of it worthless.

use std::io::Read;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Decompressor;

use super::{HEAD_BYTES, MAGIC, PART_BYTES_MAX, TOTALS_BYTES_MAX, VERSION};
use crate::disk::{Disk, OpenMode, Sequential};
use crate::index::{IndexWriter, Loader};
use crate::registry::tally::Tally;
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::StoreMeta;

/// Why an image is not believed. The caller does without it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(in crate::registry) struct NotAnImage(pub(super) String);

impl From<std::io::Error> for NotAnImage {
    fn from(error: std::io::Error) -> NotAnImage {
        NotAnImage(error.to_string())
    }
}

/// An image whose head was read.
pub(in crate::registry) struct ImageReader {
    /// Where it was taken, and what it adds up to there.
    pub(in crate::registry) meta: StoreMeta,
    /// The tally there.
    pub(in crate::registry) tally: Tally,
    parts: Mutex<Parts>,
}

/// What comes next in the file.
struct Parts {
    file: Sequential,
    taken: u64,
    ended: bool,
}

impl ImageReader {
    /// Reads the head.
    pub(in crate::registry) fn open(disk: &dyn Disk, path: &Path) -> Result<ImageReader, NotAnImage> {
        let mut file = Sequential::of(disk.open(path, OpenMode::Read)?)?;
        let mut head = [0u8; HEAD_BYTES];
        file.read_exact(&mut head)?;
        let word =
            |at: usize| head.get(at..).and_then(|rest| rest.first_chunk::<8>()).map_or(0, |word| u64::from_le_bytes(*word));
        if !head.starts_with(MAGIC) || word(8) != u64::from(VERSION) {
            return Err(NotAnImage("it is not an image of this version".to_owned()));
        }
        let (length, checksum) = (word(16), word(24));
        if length > TOTALS_BYTES_MAX {
            return Err(NotAnImage("its head has an impossible length".to_owned()));
        }
        let mut totals = vec![0; usize::try_from(length).unwrap_or(0)];
        file.read_exact(&mut totals)?;
        let meta = totals.split_at_checked(StoreMeta::LENGTH).filter(|_| xxh3_64(&totals) == checksum);
        let read = meta.and_then(|(meta, tally)| Some((StoreMeta::decode(meta)?, Tally::decode(tally)?)));
        let (meta, tally) = read.ok_or_else(|| NotAnImage("its head does not match its checksum".to_owned()))?;
        Ok(ImageReader { meta, tally, parts: Mutex::new(Parts { file, taken: 0, ended: false }) })
    }

    /// Copies every dossier into an index that nobody reads yet, on all cores; returns how many.
    pub(in crate::registry) fn load(&self, index: &mut IndexWriter) -> Result<u64, NotAnImage> {
        let refused = |error: &dyn std::fmt::Display| NotAnImage(error.to_string());
        index.reserve(usize::try_from(self.meta.keys).unwrap_or(0)).map_err(|error| refused(&error))?;
        let threads = std::thread::available_parallelism().map_or(2, |count| count.get()).clamp(1, 8);
        let loaded = std::thread::scope(|scope| {
            let handles: Vec<_> =
                (0..threads).map(|_| index.loader()).map(|loader| scope.spawn(|| self.load_parts(loader))).collect();
            let panicked = |_| Err(NotAnImage("loading it panicked".to_owned()));
            handles.into_iter().map(|handle| handle.join().unwrap_or_else(panicked)).collect::<Vec<_>>()
        });
        let mut dossiers = 0;
        for loaded in loaded {
            let (loader, count) = loaded?;
            index.adopt(loader).map_err(|error| refused(&error))?;
            dossiers += count;
        }
        Ok(dossiers)
    }

    fn load_parts(&self, mut loader: Loader) -> Result<(Loader, u64), NotAnImage> {
        let mut unpacker = Decompressor::new()?;
        let (mut packed, mut part) = (Vec::new(), Vec::new());
        let mut count = 0;
        while let Some(length) = self.next_part(&mut packed)? {
            part.clear();
            part.reserve(length);
            let unpacked = unpacker.decompress_to_buffer(&packed, &mut part)?;
            if unpacked != length {
                return Err(NotAnImage("a part is not as long as it says".to_owned()));
            }
            let mut rest = part.as_slice();
            while let Some(length) = rest.first_chunk::<4>() {
                let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(0);
                let split = rest.split_at_checked(length).filter(|(dossier, _)| !dossier.is_empty());
                let (dossier, behind) =
                    split.ok_or_else(|| NotAnImage("a dossier does not end where its part does".to_owned()))?;
                let copied = loader.copy(dossier).map_err(|error| NotAnImage(error.to_string()))?;
                copied.map_err(|error| NotAnImage(error.to_string()))?;
                rest = behind;
                count += 1;
            }
        }
        Ok((loader, count))
    }

    /// Reads the next part, checked, as it was packed; returns its length unpacked, or `None` behind the last.
    fn next_part(&self, packed: &mut Vec<u8>) -> Result<Option<usize>, NotAnImage> {
        let taken = {
            let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
            if parts.ended {
                return Ok(None);
            }
            let taken = parts.take_next(packed);
            // Behind the end there is nothing, and behind a fault nothing that anybody wants.
            parts.ended = !matches!(taken, Ok(Some(_)));
            taken?
        };
        let Some(Taken { length_unpacked, checksum }) = taken else { return Ok(None) };
        if xxh3_64(packed) != checksum && !sabotaged(Sabotage::BelieveTheImage) {
            return Err(NotAnImage("a part does not match its checksum".to_owned()));
        }
        Ok(Some(usize::try_from(length_unpacked).unwrap_or(0)))
    }
}

/// What a part says of itself.
struct Taken {
    length_unpacked: u64,
    checksum: u64,
}

impl Parts {
    /// Reads the next part as it was packed, unchecked; `None` where the file says that it ends, and does.
    fn take_next(&mut self, packed: &mut Vec<u8>) -> Result<Option<Taken>, NotAnImage> {
        let [length, second] = self.read_words()?;
        if length == 0 {
            let whole = second == self.taken && self.file.read(&mut [0])? == 0;
            return if whole { Ok(None) } else { Err(NotAnImage("it does not end where it says".to_owned())) };
        }
        let [checksum] = self.read_words()?;
        if length > PART_BYTES_MAX || second > PART_BYTES_MAX {
            return Err(NotAnImage("a part has an impossible length".to_owned()));
        }
        self.taken += 1;
        packed.resize(usize::try_from(length).unwrap_or(0), 0);
        self.file.read_exact(packed)?;
        Ok(Some(Taken { length_unpacked: second, checksum }))
    }

    fn read_words<const N: usize>(&mut self) -> Result<[u64; N], NotAnImage> {
        let mut words = [[0u8; 8]; N];
        self.file.read_exact(words.as_flattened_mut())?;
        Ok(words.map(u64::from_le_bytes))
    }
}
