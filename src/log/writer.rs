//! Appending: one writer, which acknowledges nothing that it has not synced.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{Frame, FrameKind, PAYLOAD_BYTES_MAX};
use super::position::Position;
use super::segment::{self, SEGMENT_HEAD, SegmentHeader};
use super::{LogError, ReplayEnd, SEGMENT_BYTES_MAX};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::sabotage::{Sabotage, sabotaged};

/// The writer of a log.
#[derive(Debug)]
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    position: Position,
    durable_through: u64,
    ends_with_a_mark: bool,
    segment_bytes_max: u64,
    poisoned: bool,
    buffer: Vec<u8>,
}

impl LogWriter {
    /// Begins a log in an empty directory.
    pub fn begin(disk: Arc<dyn Disk>, directory: &Path, at: Position, time_unix_ms: u64) -> Result<LogWriter, LogError> {
        disk.create_directory(directory).map_err(LogError::disk(directory))?;
        sync_above(&*disk, directory)?;
        let (file, path) = begin_segment(&*disk, directory, at, time_unix_ms)?;
        Ok(LogWriter {
            disk,
            directory: directory.to_owned(),
            file,
            path,
            length: SEGMENT_HEAD as u64,
            position: at,
            durable_through: at.sequence,
            ends_with_a_mark: true,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            poisoned: false,
            buffer: Vec::new(),
        })
    }

    /// Goes on where reading ended; [`super::LogReader::make_durable`] synced what was read.
    pub(super) fn resume(disk: Arc<dyn Disk>, directory: &Path, end: &ReplayEnd) -> Result<LogWriter, LogError> {
        let file = disk.open(&end.segment, OpenMode::Append).map_err(LogError::disk(&end.segment))?;
        Ok(LogWriter {
            disk,
            directory: directory.to_owned(),
            file,
            path: end.segment.clone(),
            length: end.offset,
            position: end.position,
            durable_through: end.position.sequence,
            ends_with_a_mark: end.ends_with_a_mark,
            segment_bytes_max: SEGMENT_BYTES_MAX,
            poisoned: false,
            buffer: Vec::new(),
        })
    }

    /// The same with smaller segments than [`SEGMENT_BYTES_MAX`].
    #[must_use]
    pub fn with_segment_bytes_max(mut self, bytes: u64) -> LogWriter {
        self.segment_bytes_max = bytes;
        self
    }

    /// Appends a frame, unsynced; returns its sequence. `state_checksum` is the whole checksum of the state after it.
    pub fn append(&mut self, kind: FrameKind, payload: &[u8], state_checksum: u128, time_unix_ms: u64) -> Result<u64, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Err(LogError::PayloadTooLarge(payload.len()));
        }
        let sequence = self.position.sequence + 1;
        let durable_through = self.durable_through;
        self.buffer.clear();
        Frame { kind, sequence, durable_through, time_unix_ms, state_checksum, payload, bytes: &[] }.encode(&mut self.buffer);
        if self.length + self.buffer.len() as u64 > self.segment_bytes_max && self.length > SEGMENT_HEAD as u64 {
            self.roll(time_unix_ms)?;
        }
        if let Err(source) = self.file.append(&self.buffer) {
            self.recover_from_short_write();
            return Err(LogError::Disk { path: self.path.clone(), source });
        }
        self.length += self.buffer.len() as u64;
        let chain = self.position.chain.after(&self.buffer);
        self.position = Position { sequence, chain, state_checksum, ..self.position };
        self.ends_with_a_mark = kind == FrameKind::Mark;
        Ok(sequence)
    }

    /// Makes everything appended durable; returns the last durable sequence. A sync that fails poisons the writer: what the disk
    /// dropped cannot be known, and is never asked for again.
    pub fn sync(&mut self) -> Result<u64, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if self.durable_through < self.position.sequence {
            if let Err(source) = self.sync_file() {
                self.poison();
                return Err(LogError::Disk { path: self.path.clone(), source });
            }
            self.durable_through = self.position.sequence;
        }
        Ok(self.durable_through)
    }

    /// The place behind the last appended frame.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The last synced sequence.
    pub fn durable_through(&self) -> u64 {
        self.durable_through
    }

    /// How many bytes the disk still takes; without end where nobody knows.
    pub fn room_bytes(&self) -> u64 {
        self.disk.free_bytes(&self.directory).unwrap_or(u64::MAX)
    }

    /// Whether the last frame is a mark, or there is none yet.
    pub fn ends_with_a_mark(&self) -> bool {
        self.ends_with_a_mark
    }

    /// Whether a sync failed.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    fn sync_file(&mut self) -> std::io::Result<()> {
        if sabotaged(Sabotage::SkipTheLogsSync) {
            return Ok(());
        }
        match self.file.sync() {
            Err(_) if sabotaged(Sabotage::AcknowledgeAFailedSync) => Ok(()),
            synced => synced,
        }
    }

    fn roll(&mut self, time_unix_ms: u64) -> Result<(), LogError> {
        self.sync()?;
        match begin_segment(&*self.disk, &self.directory, self.position, time_unix_ms) {
            Ok((file, path)) => {
                self.file = file;
                self.path = path;
                self.length = SEGMENT_HEAD as u64;
                Ok(())
            }
            Err(error) => {
                // A segment that got its name begins with the next frame: no frame may come to lie in the one before any more.
                let begun = self.directory.join(segment::file_name(self.position.sequence + 1));
                if self.disk.exists(&begun).unwrap_or(true) {
                    self.poison();
                }
                Err(error)
            }
        }
    }

    /// A write that failed may have left a part of the frame behind. It is cut off, so that the next frame does not come to lie
    /// behind it; where even that fails, nothing more is written.
    fn recover_from_short_write(&mut self) {
        if !sabotaged(Sabotage::LeaveHalfAFrame) && self.file.cut(self.length).is_err() {
            self.poison();
        }
    }

    fn poison(&mut self) {
        if sabotaged(Sabotage::GoOnAfterAFailedSync) {
            return;
        }
        self.poisoned = true;
        leave_poisoned(&*self.disk, &self.directory);
    }
}

/// The marker of a failed sync.
pub(super) const POISONED: &str = "POISONED";

/// Leaves the marker of a failed sync for the next start.
pub(super) fn leave_poisoned(disk: &dyn Disk, directory: &Path) {
    let written = disk.open(&directory.join(POISONED), OpenMode::Replace).and_then(|mut file| file.sync());
    if let Err(error) = written {
        tracing::error!(%error, "the log is poisoned, and the marker for the next start could not be written");
    }
}

/// Makes a directory's name durable, and the names of those it lies in: any of them may have been made a moment ago, and a durable
/// segment would be lost with it. What may not be opened was made by somebody else.
fn sync_above(disk: &dyn Disk, directory: &Path) -> Result<(), LogError> {
    for above in directory.ancestors().skip(1) {
        if sabotaged(Sabotage::SkipTheDirectoriesAbove) {
            break;
        }
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_directory(above) {
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
            synced => synced.map_err(LogError::disk(above))?,
        }
    }
    Ok(())
}

/// Writes a new segment's header aside, syncs it, and only then gives it its name: a segment that exists has a whole header.
fn begin_segment(
    disk: &dyn Disk,
    directory: &Path,
    at: Position,
    created_unix_ms: u64,
) -> Result<(Box<dyn DiskFile>, PathBuf), LogError> {
    let first_sequence = at.sequence + 1;
    let header =
        SegmentHeader { stream: at.stream, first_sequence, created_unix_ms, chain: at.chain, state_checksum: at.state_checksum };
    let path = directory.join(segment::file_name(first_sequence));
    let aside = path.with_extension("seg.tmp");
    let mut file = disk.open(&aside, OpenMode::Replace).map_err(LogError::disk(&aside))?;
    file.append(&header.encode()).map_err(LogError::disk(&aside))?;
    file.sync().map_err(LogError::disk(&aside))?;
    disk.rename(&aside, &path).map_err(LogError::disk(&path))?;
    if !sabotaged(Sabotage::SkipTheSegmentsDirectory) {
        disk.sync_directory(directory).map_err(LogError::disk(directory))?;
    }
    Ok((file, path))
}
