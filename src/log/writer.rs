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

/// How far the last segment of a log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// The sequence of its first frame.
    pub first_sequence: u64,
    /// Its header and its frames, bytes.
    pub bytes: u64,
}

/// The writer of a log.
#[derive(Debug)]
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: Box<dyn DiskFile>,
    path: PathBuf,
    first_sequence: u64,
    length: u64,
    position: Position,
    durable_through: u64,
    /// The file may hold, or lack, what is not durable: frames, or a cut.
    is_dirty: bool,
    ends_with_a_mark: bool,
    pub(super) segment_bytes_max: u64,
    poisoned: bool,
    buffer: Vec<u8>,
}

impl LogWriter {
    /// Begins a log in an empty directory.
    pub fn begin(disk: Arc<dyn Disk>, directory: &Path, at: Position, time_unix_ms: u64) -> Result<LogWriter, LogError> {
        disk.create_directory(directory).map_err(LogError::disk(directory))?;
        sync_above(&*disk, directory)?;
        let (file, path) = begin_segment(&*disk, directory, at, time_unix_ms, &[]).map_err(|failed| failed.error)?;
        Ok(LogWriter {
            disk,
            directory: directory.to_owned(),
            file,
            path,
            first_sequence: at.sequence + 1,
            length: SEGMENT_HEAD as u64,
            position: at,
            durable_through: at.sequence,
            is_dirty: false,
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
            first_sequence: end.segment_first_sequence,
            length: end.offset,
            position: end.position,
            durable_through: end.position.sequence,
            // A torn tail was cut durably.
            is_dirty: false,
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
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        Frame { kind, sequence, durable_through, time_unix_ms, state_checksum, payload, bytes: &[] }.encode(&mut buffer);
        let appended = self.append_bytes(&buffer, time_unix_ms);
        let chain = self.position.chain.after(&buffer);
        self.buffer = buffer;
        appended?;
        self.pass(Position { sequence, chain, state_checksum, ..self.position }, kind == FrameKind::Mark);
        Ok(sequence)
    }

    /// Appends whole frames, in the next segment where they do not fit this one. Who calls says where the log then stands.
    pub(super) fn append_bytes(&mut self, frames: &[u8], time_unix_ms: u64) -> Result<(), LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if self.length + frames.len() as u64 > self.segment_bytes_max && self.length > SEGMENT_HEAD as u64 {
            self.sync()?;
            self.begin_next_segment(&[], time_unix_ms)?;
        }
        self.is_dirty = true;
        if let Err(source) = self.file.append(frames) {
            self.recover_from_short_write();
            return Err(LogError::Disk { path: self.path.clone(), source });
        }
        self.length += frames.len() as u64;
        Ok(())
    }

    /// Notes where the log stands.
    pub(super) fn pass(&mut self, position: Position, ends_with_a_mark: bool) {
        self.position = position;
        self.ends_with_a_mark = ends_with_a_mark;
    }

    /// Notes that everything appended is durable.
    pub(super) fn is_durable(&mut self) {
        self.durable_through = self.position.sequence;
        self.is_dirty = false;
    }

    /// Makes everything appended durable; returns the last durable sequence. A sync that fails poisons the writer: what the disk
    /// dropped cannot be known, and is never asked for again.
    pub fn sync(&mut self) -> Result<u64, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        if self.is_dirty {
            if let Err(source) = self.sync_file() {
                self.poison();
                return Err(LogError::Disk { path: self.path.clone(), source });
            }
            self.is_durable();
        }
        Ok(self.durable_through)
    }

    /// The place behind the last appended frame.
    pub fn position(&self) -> Position {
        self.position
    }

    /// How far the last segment goes with everything appended.
    pub fn end(&self) -> SegmentEnd {
        SegmentEnd { first_sequence: self.first_sequence, bytes: self.length }
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

    /// Begins the next segment, with whole frames in it from the start or none; what was appended before is durable.
    pub(super) fn begin_next_segment(&mut self, frames: &[u8], time_unix_ms: u64) -> Result<(), LogError> {
        let (directory, at) = (&self.directory, self.position);
        let takes_this_ones_name = self.first_sequence == at.sequence + 1;
        match begin_segment(&*self.disk, directory, at, time_unix_ms, frames) {
            Ok((file, path)) => {
                self.file = file;
                self.path = path;
                self.first_sequence = at.sequence + 1;
                self.length = (SEGMENT_HEAD + frames.len()) as u64;
                Ok(())
            }
            Err(NotBegun { error, may_have_its_name }) => {
                // A segment that got its name begins with the next frame: no frame may come to lie in the one before any more.
                let begun = directory.join(segment::file_name(at.sequence + 1));
                if may_have_its_name && (takes_this_ones_name || self.disk.exists(&begun).unwrap_or(true)) {
                    self.poison();
                }
                Err(error)
            }
        }
    }

    /// Cuts the last segment to an offset behind a frame, durably.
    pub(super) fn cut_to(&mut self, offset: u64, position: Position) -> Result<(), LogError> {
        if let Err(source) = self.file.cut(offset).and_then(|()| self.file.sync()) {
            self.poison();
            return Err(LogError::Disk { path: self.path.clone(), source });
        }
        self.length = offset;
        self.pass(position, false);
        self.is_durable();
        Ok(())
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

/// Why a segment was not begun.
struct NotBegun {
    error: LogError,
    /// It was being given its name, and may have it.
    may_have_its_name: bool,
}

/// Writes a new segment's header, and frames where there are any, aside, syncs it, and only then gives it its name: a segment that
/// exists has a whole header, and what it began with.
fn begin_segment(
    disk: &dyn Disk,
    directory: &Path,
    at: Position,
    created_unix_ms: u64,
    frames: &[u8],
) -> Result<(Box<dyn DiskFile>, PathBuf), NotBegun> {
    let first_sequence = at.sequence + 1;
    let header =
        SegmentHeader { stream: at.stream, first_sequence, created_unix_ms, chain: at.chain, state_checksum: at.state_checksum };
    let path = directory.join(segment::file_name(first_sequence));
    let aside = path.with_extension("seg.tmp");
    let written = write_aside(disk, &aside, &header, frames);
    let file = written.map_err(|source| {
        if !frames.is_empty() {
            // Its bytes may be what the log needs; the next attempt replaces it in any case.
            let _ = disk.remove(&aside);
        }
        NotBegun { error: LogError::Disk { path: aside.clone(), source }, may_have_its_name: false }
    })?;
    let unnamed = |path: &Path| {
        let path = path.to_owned();
        move |source| NotBegun { error: LogError::Disk { path, source }, may_have_its_name: true }
    };
    disk.rename(&aside, &path).map_err(unnamed(&path))?;
    if !sabotaged(Sabotage::SkipTheSegmentsDirectory) {
        disk.sync_directory(directory).map_err(unnamed(directory))?;
    }
    Ok((file, path))
}

fn write_aside(disk: &dyn Disk, aside: &Path, header: &SegmentHeader, frames: &[u8]) -> std::io::Result<Box<dyn DiskFile>> {
    let mut file = disk.open(aside, OpenMode::Replace)?;
    file.append(&header.encode())?;
    if !frames.is_empty() {
        file.append(frames)?;
    }
    file.sync()?;
    Ok(file)
}
