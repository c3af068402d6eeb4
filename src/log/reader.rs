//! Reading the log back: frame by frame, everything checked, and a bad frame judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::frame::{self, FRAME_HEAD, FRAME_MAGIC, Frame};
use super::recovery::{BadFrame, Judgement, judge};
use super::segment::{self, HeaderError, SEGMENT_HEAD, SegmentHeader, StreamId};
use super::writer::{Chain, LogWriter, POISONED, Position};
use super::{Fault, LogError};
use crate::disk::{Disk, DiskFile, OpenMode};

/// The segments of a log, headers read and checked against each other.
#[derive(Debug)]
pub struct LogReader {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    segments: Vec<Segment>,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    header: SegmentHeader,
}

/// Bytes behind the last good frame that were never acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub path: PathBuf,
    /// Where the good frames end, bytes.
    pub offset: u64,
    /// How many bytes follow.
    pub length: u64,
    /// The sequence the first torn frame would have had.
    pub sequence: u64,
}

/// Where reading ended: behind the last good frame.
#[derive(Clone, Debug)]
pub struct ReplayEnd {
    /// The place.
    pub position: Position,
    /// Its segment.
    pub segment: PathBuf,
    /// Its offset in the segment, bytes.
    pub offset: u64,
    /// What lies behind, if anything.
    pub torn: Option<TornTail>,
    /// The chain at the sequence that reading was to begin behind; `None` when the log ends before it.
    pub chain_at_start: Option<Chain>,
}

impl LogReader {
    /// Lists and checks the segments; `None` when there is no log.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Option<LogReader>, LogError> {
        let names = match disk.list(directory) {
            Ok(names) => names,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LogError::Disk { path: directory.to_owned(), source }),
        };
        let mut segments = Vec::new();
        for name in names {
            let Some(first_sequence) = segment::sequence_of(&name) else { continue };
            let path = directory.join(&name);
            let file = disk.open(&path, OpenMode::Read).map_err(LogError::disk(&path))?;
            let header = read_header(&*file, &path)?;
            if header.first_sequence != first_sequence {
                return Err(LogError::Corrupt { path, offset: 32, what: Fault::Sequence });
            }
            segments.push(Segment { path, header });
        }
        for pair in segments.windows(2) {
            if let [one, next] = pair
                && one.header.stream != next.header.stream
            {
                return Err(LogError::Corrupt { path: next.path.clone(), offset: 16, what: Fault::Stream });
            }
        }
        if segments.is_empty() {
            return Ok(None);
        }
        Ok(Some(LogReader { disk, directory: directory.to_owned(), segments }))
    }

    /// The stream.
    pub fn stream(&self) -> Option<StreamId> {
        self.segments.first().map(|segment| segment.header.stream)
    }

    /// The place before the log's first frame.
    pub fn beginning(&self) -> Option<Position> {
        self.segments.first().map(|segment| segment.header.position())
    }

    /// The segments, oldest first.
    pub fn segment_paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.segments.iter().map(|segment| segment.path.as_path())
    }

    /// Reads every frame behind sequence `after`, in order. What `take` says is wrong with a frame's inside is corruption at that
    /// frame. `store_applied` is the sequence up to which the store vouches for frames.
    pub fn replay(
        &self,
        after: u64,
        store_applied: u64,
        mut take: impl FnMut(&Frame<'_>) -> Result<(), Fault>,
    ) -> Result<ReplayEnd, LogError> {
        let first = self.segments.first().map_or(0, |segment| segment.header.first_sequence);
        if first > after + 1 {
            return Err(LogError::BeginsTooLate { first, needed: after + 1 });
        }
        let start = self.segments.partition_point(|segment| segment.header.first_sequence <= after + 1).saturating_sub(1);
        let mut chain_at_start = None;
        let mut end: Option<ReplayEnd> = None;
        for (place, segment) in self.segments.iter().enumerate().skip(start) {
            if let Some(end) = &end {
                continues(end, segment)?;
            }
            let is_last = place + 1 == self.segments.len();
            end = Some(self.read_segment(segment, is_last, store_applied, &mut |frame, before| {
                if frame.sequence == after + 1 {
                    chain_at_start = Some(before);
                }
                if frame.sequence > after { take(frame) } else { Ok(()) }
            })?);
        }
        if let Some(end) = &mut end {
            let at_the_end = (end.position.sequence == after).then_some(end.position.chain);
            end.chain_at_start = chain_at_start.or(at_the_end);
        }
        end.ok_or(LogError::BeginsTooLate { first, needed: after + 1 })
    }

    /// Checks one sealed segment by itself, against the one that follows; the last segment is not sealed.
    pub fn check_sealed(&self, place: usize) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(place) else { return Ok(()) };
        let end = self.read_segment(segment, false, 0, &mut |_, _| Ok(()))?;
        match self.segments.get(place + 1) {
            Some(next) => continues(&end, next),
            None => Ok(()),
        }
    }

    /// Makes the log ready for writing: cuts a torn tail (its bytes kept aside), rewrites the last segment if a sync had failed, and
    /// removes what a crash left half-begun.
    pub fn writer_behind(&self, end: &ReplayEnd, now_unix_ms: u64) -> Result<LogWriter, LogError> {
        for name in self.disk.list(&self.directory).map_err(LogError::disk(&self.directory))? {
            if name.ends_with(".tmp") {
                let path = self.directory.join(name);
                self.disk.remove(&path).map_err(LogError::disk(&path))?;
            }
        }
        if let Some(torn) = &end.torn {
            self.cut(torn, now_unix_ms)?;
        }
        let marker = self.directory.join(POISONED);
        if self.disk.open(&marker, OpenMode::Read).is_ok() {
            self.rewrite(&end.segment, end.offset)?;
            self.disk.remove(&marker).map_err(LogError::disk(&marker))?;
        }
        LogWriter::resume(self.disk.clone(), &self.directory, &end.segment, end.offset, end.position)
    }

    fn cut(&self, torn: &TornTail, now_unix_ms: u64) -> Result<(), LogError> {
        let path = &torn.path;
        let mut file = self.disk.open(path, OpenMode::Append).map_err(LogError::disk(path))?;
        let mut bytes = vec![0; usize::try_from(torn.length).unwrap_or(0)];
        file.read_exact_at(&mut bytes, torn.offset).map_err(LogError::disk(path))?;
        let aside = self.directory.join(format!("torn-{:020}-{now_unix_ms}.bin", torn.sequence));
        let mut kept = self.disk.open(&aside, OpenMode::Replace).map_err(LogError::disk(&aside))?;
        kept.append(&bytes).and_then(|()| kept.sync()).map_err(LogError::disk(&aside))?;
        file.cut(torn.offset).and_then(|()| file.sync()).map_err(LogError::disk(path))?;
        self.disk.sync_directory(&self.directory).map_err(LogError::disk(&self.directory))
    }

    /// After a failed sync the system may hold bytes as clean that never reached the disk; only writing them anew helps.
    fn rewrite(&self, path: &Path, length: u64) -> Result<(), LogError> {
        let aside = path.with_extension("seg.tmp");
        let old = self.disk.open(path, OpenMode::Read).map_err(LogError::disk(path))?;
        let mut new = self.disk.open(&aside, OpenMode::Replace).map_err(LogError::disk(&aside))?;
        let mut offset = 0;
        while offset < length {
            let step = usize::try_from((length - offset).min(1 << 20)).unwrap_or(1 << 20);
            let mut bytes = vec![0; step];
            old.read_exact_at(&mut bytes, offset).map_err(LogError::disk(path))?;
            new.append(&bytes).map_err(LogError::disk(&aside))?;
            offset += step as u64;
        }
        new.sync().map_err(LogError::disk(&aside))?;
        self.disk.rename(&aside, path).map_err(LogError::disk(path))?;
        self.disk.sync_directory(&self.directory).map_err(LogError::disk(&self.directory))
    }

    fn read_segment(
        &self,
        segment: &Segment,
        is_last: bool,
        store_applied: u64,
        take: &mut dyn FnMut(&Frame<'_>, Chain) -> Result<(), Fault>,
    ) -> Result<ReplayEnd, LogError> {
        let path = &segment.path;
        let file = self.disk.open(path, OpenMode::Read).map_err(LogError::disk(path))?;
        let length = file.length().map_err(LogError::disk(path))?;
        let mut position = segment.header.position();
        let mut offset = SEGMENT_HEAD as u64;
        let mut buffer: AlignedVec<16> = AlignedVec::new();
        while offset < length {
            let read = read_frame(&*file, path, offset, length, &mut buffer)?;
            let outcome =
                read.and_then(|frame| if frame.sequence != position.sequence + 1 { Err(Fault::Sequence) } else { Ok(frame) });
            match outcome {
                Ok(frame) => {
                    let taken = take(&frame, position.chain);
                    taken.map_err(|what| LogError::Corrupt { path: path.clone(), offset, what })?;
                    position = Position {
                        sequence: frame.sequence,
                        chain: position.chain.after(frame.bytes),
                        state_checksum: frame.state_checksum,
                        ..position
                    };
                    offset += frame.bytes.len() as u64;
                }
                Err(what) => {
                    let sequence = position.sequence + 1;
                    let bad = BadFrame {
                        in_last_segment: is_last,
                        was_durable: is_last && any_frame_vouches(&*file, path, offset, length, sequence)?,
                        store_applied: store_applied >= sequence,
                        second_read_agrees: second_read_agrees(&*file, path, offset, length)?,
                    };
                    if judge(bad) == Judgement::Corrupt {
                        return Err(LogError::Corrupt { path: path.clone(), offset, what });
                    }
                    let torn = TornTail { path: path.clone(), offset, length: length - offset, sequence };
                    return Ok(ReplayEnd { position, segment: path.clone(), offset, torn: Some(torn), chain_at_start: None });
                }
            }
        }
        Ok(ReplayEnd { position, segment: path.clone(), offset, torn: None, chain_at_start: None })
    }
}

impl SegmentHeader {
    fn position(&self) -> Position {
        Position {
            stream: self.stream,
            sequence: self.first_sequence - 1,
            chain: self.chain,
            state_checksum: self.state_checksum,
        }
    }
}

/// A segment must begin where the one before ended; the first byte that is wrong is in its header.
fn continues(end: &ReplayEnd, next: &Segment) -> Result<(), LogError> {
    if next.header.first_sequence != end.position.sequence + 1 {
        return Err(LogError::Corrupt { path: end.segment.clone(), offset: end.offset, what: Fault::Missing });
    }
    if next.header.chain != end.position.chain {
        return Err(LogError::Corrupt { path: next.path.clone(), offset: 48, what: Fault::Chain });
    }
    Ok(())
}

fn read_header(file: &dyn DiskFile, path: &Path) -> Result<SegmentHeader, LogError> {
    let mut bytes = [0; SEGMENT_HEAD];
    let length = file.length().map_err(LogError::disk(path))?;
    let corrupt = |what| LogError::Corrupt { path: path.to_owned(), offset: 0, what };
    if length < SEGMENT_HEAD as u64 {
        return Err(corrupt(Fault::Short));
    }
    file.read_exact_at(&mut bytes, 0).map_err(LogError::disk(path))?;
    SegmentHeader::decode(&bytes).map_err(|error| match error {
        HeaderError::Faulty(what) => corrupt(what),
        HeaderError::Newer(found) => LogError::NewerFormat { path: path.to_owned(), found, known: segment::FORMAT_VERSION },
    })
}

/// Reads the frame at an offset into `buffer`. The outer error is the disk's, the inner one the frame's.
fn read_frame<'b>(
    file: &dyn DiskFile,
    path: &Path,
    offset: u64,
    file_length: u64,
    buffer: &'b mut AlignedVec<16>,
) -> Result<Result<Frame<'b>, Fault>, LogError> {
    let mut head = [0; FRAME_HEAD];
    if file_length - offset < FRAME_HEAD as u64 {
        return Ok(Err(Fault::Short));
    }
    file.read_exact_at(&mut head, offset).map_err(LogError::disk(path))?;
    let length = match frame::frame_length(&head) {
        Ok(length) => length,
        Err(fault) => return Ok(Err(fault)),
    };
    if file_length - offset < length as u64 {
        return Ok(Err(Fault::Short));
    }
    buffer.resize(length, 0);
    file.read_exact_at(buffer, offset).map_err(LogError::disk(path))?;
    Ok(frame::decode(buffer))
}

/// Whether any valid frame behind a bad one says that sequence `sequence` was durable.
fn any_frame_vouches(file: &dyn DiskFile, path: &Path, offset: u64, length: u64, sequence: u64) -> Result<bool, LogError> {
    let rest = read_rest(file, path, offset, length)?;
    for start in (8..rest.len()).step_by(8) {
        let Some(candidate) = rest.get(start..) else { break };
        if candidate.starts_with(&FRAME_MAGIC) && frame::decode(candidate).is_ok_and(|frame| frame.durable_through >= sequence) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn second_read_agrees(file: &dyn DiskFile, path: &Path, offset: u64, length: u64) -> Result<bool, LogError> {
    Ok(read_rest(file, path, offset, length)? == read_rest(file, path, offset, length)?)
}

fn read_rest(file: &dyn DiskFile, path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, LogError> {
    let mut rest = vec![0; usize::try_from(length - offset).unwrap_or(0)];
    file.read_exact_at(&mut rest, offset).map_err(LogError::disk(path))?;
    Ok(rest)
}
