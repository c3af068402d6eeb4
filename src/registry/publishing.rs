//! The log as others read it: its segments, byte for byte, as far as they are acknowledged; the newest snapshot; and word of what comes.
//!
//! Nothing here waits for the writer. A segment that is trimmed away while it is read stays readable for who has opened it.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::watch;

use super::acknowledged::Standing;
use super::shelf;
use super::troubles::Trouble;
use super::{Registry, RegistryError};
use crate::disk::{DiskFile, OpenMode};
use crate::limits::SEGMENT_READ_BYTES_MAX;
use crate::log::{LogError, LogReader, Position, SegmentEnd, SegmentHeader};
use crate::record::StateChecksum;
use crate::sabotage::{Sabotage, sabotaged};

/// A segment of the log, as far as it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The sequence of its first frame, which names it.
    pub first_sequence: u64,
    /// The place before its first frame: sequence, chain and state checksum. Of a sealed segment's content the next entry's is the hash.
    pub before: Position,
    /// Its header and its acknowledged frames, bytes.
    pub bytes: u64,
    /// Whether the next one has begun, so that nothing of it changes any more.
    pub sealed: bool,
    /// When it was begun, ms since 1970.
    pub created_unix_ms: u64,
}

/// An open segment; it can be read to the end of what was acknowledged when it was opened, whatever becomes of its name.
#[derive(Debug)]
pub struct SegmentReader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    bytes: u64,
}

impl SegmentReader {
    /// How many bytes can be read, the header among them.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Reads a range, cut to what can be read and to [`SEGMENT_READ_BYTES_MAX`] from its beginning on.
    pub fn read(&self, range: Range<u64>) -> Result<Vec<u8>, RegistryError> {
        let end = range.end.min(self.bytes).min(range.start.saturating_add(SEGMENT_READ_BYTES_MAX));
        let length = usize::try_from(end.saturating_sub(range.start)).unwrap_or(0);
        let mut bytes = vec![0; length];
        if length > 0 {
            self.file.read_exact_at(&mut bytes, range.start).map_err(LogError::disk(&self.path))?;
        }
        Ok(bytes)
    }

    /// What the segment says of itself.
    fn entry(&self, end: &SegmentEnd) -> Result<SegmentEntry, RegistryError> {
        let header = SegmentHeader::read(&*self.file, &self.path)?;
        let (first_sequence, created_unix_ms) = (header.first_sequence, header.created_unix_ms);
        let sealed = first_sequence < end.first_sequence;
        Ok(SegmentEntry { first_sequence, before: header.position(), bytes: self.bytes, sealed, created_unix_ms })
    }
}

impl Registry {
    /// Place and state checksum, by prefecture, of the newest acknowledged moment. Where not all prefectures are held, the parts of those
    /// that are not are 0, and the place's own checksum is that of the whole stream.
    pub fn standing(&self) -> (Position, StateChecksum) {
        let standing = self.acknowledged.read();
        (standing.position, standing.checksum)
    }

    /// The log's segments, oldest first and without a gap, as far as they are acknowledged. Costs a look at the directory, and one at each
    /// segment that was sealed since the last time.
    pub fn segments(&self) -> Result<Vec<SegmentEntry>, RegistryError> {
        let end = self.published_end()?;
        let names = self.segment_names()?;
        let mut sealed = self.sealed.lock().unwrap_or_else(PoisonError::into_inner);
        sealed.retain(|first_sequence, _| names.contains(first_sequence));
        let mut entries = Vec::with_capacity(names.len());
        for first_sequence in names.into_iter().filter(|first_sequence| *first_sequence <= end.first_sequence) {
            let entry = match sealed.get(&first_sequence) {
                Some(entry) => *entry,
                None => match self.segment(first_sequence).and_then(|segment| segment.entry(&end)) {
                    Ok(entry) => entry,
                    // It was trimmed away since its name was read.
                    Err(RegistryError::NoSegment { .. }) => continue,
                    Err(error) => return Err(error),
                },
            };
            if entry.sealed {
                sealed.insert(first_sequence, entry);
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Opens a segment for reading.
    pub fn segment(&self, first_sequence: u64) -> Result<SegmentReader, RegistryError> {
        let end = self.published_end()?;
        let path = LogReader::segment_path(&self.log_path(), first_sequence);
        let gone = || RegistryError::NoSegment { first_sequence };
        if first_sequence > end.first_sequence {
            return Err(gone());
        }
        let file = match self.disk.open(&path, OpenMode::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(gone()),
            Err(source) => return Err(LogError::Disk { path, source }.into()),
        };
        let length = file.length().map_err(LogError::disk(&path))?;
        let is_all_shown = first_sequence < end.first_sequence || sabotaged(Sabotage::HandOnWhatIsNotAcknowledged);
        let bytes = if is_all_shown { length } else { end.bytes.min(length) };
        Ok(SegmentReader { file, path, bytes })
    }

    /// Reads bytes of a segment, the range cut to what is acknowledged and to [`SEGMENT_READ_BYTES_MAX`]. Who reads on and on opens the
    /// segment once with [`Registry::segment`].
    pub fn read_segment(&self, first_sequence: u64, range: Range<u64>) -> Result<Vec<u8>, RegistryError> {
        self.segment(first_sequence)?.read(range)
    }

    /// The first sequence that the log still holds.
    pub fn oldest_sequence(&self) -> Result<u64, RegistryError> {
        let names = self.segment_names()?;
        Ok(names.first().copied().unwrap_or_else(|| self.sequence() + 1))
    }

    /// The newest snapshot that was read back whole: its sequence, its file and its length in bytes.
    pub fn newest_snapshot(&self) -> Option<(u64, PathBuf, u64)> {
        let newest = self.standing.read().newest?;
        let path = shelf::path(&self.directory).join(shelf::file_name(newest.sequence));
        Some((newest.sequence, path, newest.bytes))
    }

    /// Waits until something behind a sequence is acknowledged, or the time is over; gives the acknowledged sequence.
    pub fn wait_beyond(&self, sequence: u64, timeout: Duration) -> u64 {
        self.acknowledged.wait_beyond(sequence, timeout)
    }

    /// The acknowledged sequence, for those who wait for the next without holding a thread.
    pub fn arrivals(&self) -> watch::Receiver<u64> {
        self.acknowledged.subscribe()
    }

    /// Where the acknowledged log ends; refused where what lies in it is not to be believed.
    fn published_end(&self) -> Result<SegmentEnd, RegistryError> {
        let distrusted =
            self.troubles.list().into_iter().find(|(trouble, _)| matches!(trouble, Trouble::LogCorrupt | Trouble::LogLost));
        let refuse = |trouble: &'static str, detail| Err(RegistryError::NotHandedOn { trouble, detail });
        if let Some((trouble, detail)) = distrusted {
            return refuse(trouble.word(), detail);
        }
        match self.acknowledged.read() {
            Standing { end: Some(end), .. } => Ok(end),
            Standing { end: None, .. } => match self.troubles.stops_writing() {
                Some((trouble, detail)) => refuse(trouble.word(), detail),
                None => refuse("read_only", "opened for reading only".to_owned()),
            },
        }
    }

    /// The first sequences of the segments, without a gap. The oldest go first when the log is trimmed, so that names read while it is are
    /// whole from the first one on that is still there.
    fn segment_names(&self) -> Result<Vec<u64>, RegistryError> {
        let directory = self.log_path();
        let names = self.disk.list(&directory).map_err(LogError::disk(&directory))?;
        let mut sequences: Vec<u64> = names.iter().filter_map(|name| LogReader::sequence_of(name)).collect();
        while let Some(oldest) = sequences.first() {
            let path = LogReader::segment_path(&directory, *oldest);
            if self.disk.exists(&path).map_err(LogError::disk(&path))? {
                break;
            }
            sequences.remove(0);
        }
        Ok(sequences)
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }
}
