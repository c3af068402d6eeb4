//! Reading the log back: frame by frame, everything checked, and a bad frame judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rkyv::util::AlignedVec;

use super::frame::{self, FRAME_HEAD, FRAME_MAGIC, Frame, FrameKind};
use super::position::{Chain, Position, StreamId};
use super::recovery::{BadFrame, Judgement, judge};
use super::segment::{self, HeaderError, SEGMENT_HEAD, SegmentHeader};
use super::{Fault, LogError};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::sabotage::{Sabotage, sabotaged};

/// The segments of a log, in order.
#[derive(Debug)]
pub struct LogReader {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) directory: PathBuf,
    stream: Option<StreamId>,
    pub(super) segments: Vec<Segment>,
}

/// What is done with a frame.
type Take<'t> = &'t mut dyn FnMut(&Frame<'_>) -> Result<(), Fault>;

/// How far reading goes, and how far the store vouches for frames; sequences.
#[derive(Clone, Copy)]
struct Bounds {
    store_applied: u64,
    through: u64,
}

#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// As its name says it.
    first_sequence: u64,
    /// What is wrong with the header, and at which byte, or the header.
    header: Result<SegmentHeader, (u64, Fault)>,
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
#[derive(Debug)]
pub struct ReplayEnd {
    /// The place.
    pub position: Position,
    /// Its segment.
    pub segment: PathBuf,
    /// The sequence of that segment's first frame.
    pub segment_first_sequence: u64,
    /// Its offset in the segment, bytes.
    pub offset: u64,
    /// What lies behind, if anything.
    pub torn: Option<TornTail>,
    /// Corruption among the frames that reading was to begin behind; what follows them was read all the same.
    pub damage: Option<LogError>,
    /// Whether the last frame is a mark, or there is none.
    pub ends_with_a_mark: bool,
}

impl LogReader {
    /// Lists the segments and reads their headers; `None` when there is no log. Whether a header that cannot be read matters depends
    /// on where reading begins.
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
            let header = header.and_then(|header| match header.first_sequence {
                0 => Err((32, Fault::Sequence)),
                first if first != first_sequence => Err((32, Fault::Sequence)),
                _ => Ok(header),
            });
            segments.push(Segment { path, first_sequence, header });
        }
        if segments.is_empty() {
            return Ok(None);
        }
        let stream = segments.iter().find_map(|segment| segment.header.ok().map(|header| header.stream));
        for segment in &mut segments {
            if segment.header.is_ok_and(|header| Some(header.stream) != stream) {
                segment.header = Err((16, Fault::Stream));
            }
        }
        Ok(Some(LogReader { disk, directory: directory.to_owned(), stream, segments }))
    }

    /// The file of the segment that begins with a sequence.
    pub fn segment_path(directory: &Path, first_sequence: u64) -> PathBuf {
        directory.join(segment::file_name(first_sequence))
    }

    /// The first sequence that a file name says, where it is a segment's.
    pub fn sequence_of(file_name: &str) -> Option<u64> {
        segment::sequence_of(file_name)
    }

    /// The stream, as the first header that can be read says it.
    pub fn stream(&self) -> Option<StreamId> {
        self.stream
    }

    /// The sequence of the log's first frame, as the name of its first segment says it.
    pub fn first_sequence(&self) -> u64 {
        self.segments.first().map_or(1, |segment| segment.first_sequence)
    }

    /// The place before the log's first frame. Where that is the stream's first, it must stand where every stream begins: nothing
    /// else says of the first header whether it is the stream's own.
    pub fn beginning(&self) -> Result<Position, LogError> {
        let first = self.segments.first().ok_or(LogError::BeginsTooLate { first: 0, needed: 1 })?;
        let place = first.header()?.position();
        let corrupt = |offset, what| Err(LogError::Corrupt { path: first.path.clone(), offset, what });
        match place.sequence {
            0 if place.chain != Chain::beginning(place.stream, None) => corrupt(48, Fault::Beginning),
            0 if place.state_checksum != 0 => corrupt(80, Fault::Beginning),
            _ => Ok(place),
        }
    }

    /// The segments, oldest first.
    pub fn segment_paths(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.segments.iter().map(|segment| segment.path.as_path())
    }

    /// Reads every frame behind a place, in order. What `take` says is wrong with a frame's inside is corruption at that frame.
    /// `store_applied` is the sequence up to which the store vouches for frames.
    ///
    /// Frames at or before the place are only passed over: where they cannot be read, reading finds the first one behind it, and
    /// goes on from the place's own chain.
    pub fn replay(
        &self,
        from: &Position,
        store_applied: u64,
        mut take: impl FnMut(&Frame<'_>) -> Result<(), Fault>,
    ) -> Result<ReplayEnd, LogError> {
        self.read(from, Bounds { store_applied, through: u64::MAX }, &mut take)
    }

    /// Reads the frames behind a place up to a sequence that is known to be durable, and looks at nothing behind it, where a writer
    /// may be at work. `pass` sees the place behind each frame. Reading ends earlier only where the log does.
    pub fn read_through(&self, from: &Position, through: u64, mut pass: impl FnMut(&Position)) -> Result<ReplayEnd, LogError> {
        let mut place = *from;
        let bounds = Bounds { store_applied: through, through };
        let end = self.read(from, bounds, &mut |frame| {
            place = place.behind(frame);
            pass(&place);
            Ok(())
        })?;
        end.damage.map_or(Ok(ReplayEnd { damage: None, ..end }), Err)
    }

    fn read(&self, from: &Position, bounds: Bounds, take: Take<'_>) -> Result<ReplayEnd, LogError> {
        let (first, needed) = (self.first_sequence(), from.sequence + 1);
        if first > needed {
            return Err(LogError::BeginsTooLate { first, needed });
        }
        let start = self.segments_before(from.sequence);
        let mut end: Option<ReplayEnd> = None;
        for (place, segment) in self.segments.iter().enumerate().skip(start) {
            if let Some(end) = &end {
                if end.position.sequence >= bounds.through {
                    break;
                }
                continues(end, segment)?;
            }
            let is_last = place + 1 == self.segments.len();
            let damage = end.and_then(|end| end.damage);
            let mut read = self.read_segment(segment, is_last, from, bounds, take)?;
            read.damage = damage.or(read.damage);
            end = Some(read);
        }
        end.ok_or(LogError::BeginsTooLate { first, needed })
    }

    /// How many segments hold nothing but frames at or before a sequence, from which reading on behind it leaves them out.
    pub fn segments_before(&self, sequence: u64) -> usize {
        self.segments.partition_point(|segment| segment.first_sequence <= sequence.saturating_add(1)).saturating_sub(1)
    }

    /// Where the log lies.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Checks one sealed segment by itself, against the one that follows; the last segment is not sealed.
    pub fn check_sealed(&self, place: usize) -> Result<(), LogError> {
        let Some(segment) = self.segments.get(place) else { return Ok(()) };
        let from = segment.header()?.position();
        let bounds = Bounds { store_applied: 0, through: u64::MAX };
        let end = self.read_segment(segment, false, &from, bounds, &mut |_| Ok(()))?;
        match self.segments.get(place + 1) {
            Some(next) => continues(&end, next),
            None => Ok(()),
        }
    }

    fn read_segment(
        &self,
        segment: &Segment,
        is_last: bool,
        from: &Position,
        bounds: Bounds,
        take: Take<'_>,
    ) -> Result<ReplayEnd, LogError> {
        let path = &segment.path;
        let file = self.disk.open(path, OpenMode::Read).map_err(LogError::disk(path))?;
        let length = file.length().map_err(LogError::disk(path))?;
        let mut end = ReplayEnd {
            position: *from,
            segment: path.clone(),
            segment_first_sequence: segment.first_sequence,
            offset: SEGMENT_HEAD as u64,
            torn: None,
            damage: None,
            ends_with_a_mark: true,
        };
        match segment.header() {
            Ok(header) => end.position = header.position(),
            Err(error) if segment.first_sequence > from.sequence => return Err(error),
            Err(error) => pass_over(&*file, &mut end, length, from, error)?,
        }
        let mut buffer: AlignedVec<16> = AlignedVec::new();
        while end.offset < length && end.position.sequence < bounds.through {
            if end.position.sequence == from.sequence && end.position.chain != from.chain {
                return Err(LogError::OtherHistory { sequence: from.sequence });
            }
            let read = read_frame(&*file, path, end.offset, length, &mut buffer)?;
            let follows =
                read.and_then(|frame| if frame.sequence == end.position.sequence + 1 { Ok(frame) } else { Err(Fault::Sequence) });
            match follows {
                Ok(frame) => {
                    if frame.sequence > from.sequence {
                        let taken = take(&frame);
                        taken.map_err(|what| LogError::Corrupt { path: path.clone(), offset: end.offset, what })?;
                    }
                    end.pass(&frame);
                }
                Err(what) => {
                    let sequence = end.position.sequence + 1;
                    let bad = BadFrame {
                        in_last_segment: is_last,
                        was_durable: is_last
                            && !sabotaged(Sabotage::CutWhatWasVouchedFor)
                            && any_frame_vouches(&*file, path, end.offset, length, sequence)?,
                        store_applied: bounds.store_applied >= sequence && !sabotaged(Sabotage::CutWhatTheStoreApplied),
                        second_read_agrees: second_read_agrees(&*file, path, end.offset, length, sequence)?,
                    };
                    let offset = end.offset;
                    let corrupt = LogError::Corrupt { path: path.clone(), offset, what };
                    match judge(bad) {
                        Judgement::TornTail => {
                            end.torn = Some(TornTail { path: path.clone(), offset, length: length - offset, sequence });
                            return Ok(end);
                        }
                        Judgement::Corrupt if sequence > from.sequence => return Err(corrupt),
                        Judgement::Corrupt => pass_over(&*file, &mut end, length, from, corrupt)?,
                    }
                }
            }
        }
        if end.position.sequence == from.sequence && end.position.chain != from.chain {
            return Err(LogError::OtherHistory { sequence: from.sequence });
        }
        Ok(end)
    }
}

impl ReplayEnd {
    fn pass(&mut self, frame: &Frame<'_>) {
        self.position = self.position.behind(frame);
        self.offset += frame.bytes.len() as u64;
        self.ends_with_a_mark = frame.kind == FrameKind::Mark;
    }
}

impl Segment {
    pub(super) fn header(&self) -> Result<&SegmentHeader, LogError> {
        let corrupt = |(offset, what): &(u64, Fault)| LogError::Corrupt { path: self.path.clone(), offset: *offset, what: *what };
        self.header.as_ref().map_err(corrupt)
    }
}

impl SegmentHeader {
    /// Reads the header of a segment's file.
    pub fn read(file: &dyn DiskFile, path: &Path) -> Result<SegmentHeader, LogError> {
        let corrupt = |(offset, what)| LogError::Corrupt { path: path.to_owned(), offset, what };
        read_header(file, path)?.map_err(corrupt)
    }

    /// The place before its first frame.
    pub fn position(&self) -> Position {
        Position {
            stream: self.stream,
            sequence: self.first_sequence - 1,
            chain: self.chain,
            state_checksum: self.state_checksum,
        }
    }
}

/// Passes over frames at or before `from` that cannot be read, to the frame behind it, or to the segment's end where that begins
/// the next one.
fn pass_over(file: &dyn DiskFile, end: &mut ReplayEnd, length: u64, from: &Position, damage: LogError) -> Result<(), LogError> {
    let rest = read_rest(file, &end.segment, end.offset, length)?;
    let next = valid_frames(&rest).find(|(_, frame)| frame.sequence == from.sequence + 1);
    end.offset = next.map_or(length, |(at, _)| end.offset + at as u64);
    end.position = *from;
    end.damage = Some(damage);
    Ok(())
}

/// A segment must begin where the one before ended; the first byte that is wrong is in its header.
fn continues(end: &ReplayEnd, next: &Segment) -> Result<(), LogError> {
    if next.first_sequence != end.position.sequence + 1 {
        return Err(LogError::Corrupt { path: end.segment.clone(), offset: end.offset, what: Fault::Missing });
    }
    if next.header()?.chain != end.position.chain && !sabotaged(Sabotage::SkipTheChain) {
        return Err(LogError::Corrupt { path: next.path.clone(), offset: 48, what: Fault::Chain });
    }
    Ok(())
}

/// The outer error is the disk's, or says that a later version wrote it; the inner one says what is wrong, and at which byte.
fn read_header(file: &dyn DiskFile, path: &Path) -> Result<Result<SegmentHeader, (u64, Fault)>, LogError> {
    let mut bytes = [0; SEGMENT_HEAD];
    if file.length().map_err(LogError::disk(path))? < SEGMENT_HEAD as u64 {
        return Ok(Err((0, Fault::Short)));
    }
    file.read_exact_at(&mut bytes, 0).map_err(LogError::disk(path))?;
    match SegmentHeader::decode(&bytes) {
        Ok(header) => Ok(Ok(header)),
        Err(HeaderError::Faulty(what)) => Ok(Err((0, what))),
        Err(HeaderError::Newer(found)) => {
            Err(LogError::NewerFormat { path: path.to_owned(), found, known: segment::FORMAT.version })
        }
        Err(HeaderError::Features(flags)) => Err(LogError::UnknownFeatures { path: path.to_owned(), flags }),
    }
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
    Ok(valid_frames(&rest).any(|(at, frame)| at > 0 && frame.durable_through >= sequence))
}

/// Every valid frame in bytes of which nothing else is known, with its offset.
fn valid_frames(bytes: &[u8]) -> impl Iterator<Item = (usize, Frame<'_>)> {
    (0..bytes.len()).step_by(8).filter_map(|at| {
        let candidate = bytes.get(at..).filter(|candidate| candidate.starts_with(&FRAME_MAGIC))?;
        frame::decode(candidate).ok().map(|frame| (at, frame))
    })
}

/// Whether the bytes are the same each time, and still not the frame: one that was read badly once and then well is the disk's doing.
fn second_read_agrees(file: &dyn DiskFile, path: &Path, offset: u64, length: u64, sequence: u64) -> Result<bool, LogError> {
    let (first, second) = (read_rest(file, path, offset, length)?, read_rest(file, path, offset, length)?);
    let is_whole_now = frame::decode(&first).is_ok_and(|frame| frame.sequence == sequence);
    Ok(first == second && !is_whole_now || sabotaged(Sabotage::CutAfterOneBadRead))
}

fn read_rest(file: &dyn DiskFile, path: &Path, offset: u64, length: u64) -> Result<Vec<u8>, LogError> {
    let mut rest = vec![0; usize::try_from(length - offset).unwrap_or(0)];
    file.read_exact_at(&mut rest, offset).map_err(LogError::disk(path))?;
    Ok(rest)
}
