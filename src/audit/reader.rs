//! Reading segments, believing nothing: what one holds, and how far it is whole.

use std::fmt;
use std::path::{Path, PathBuf};

use super::block::{self, BLOCK_HEAD, Block, BlockKind, any_whole_block, block_length};
use super::chain::AuditChain;
use super::segment::{self, SEGMENT_HEAD, SegmentHeader};
use super::{AuditError, FORMAT_VERSION, Fault, Step};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::sabotage::{Sabotage, sabotaged};

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditFault {
    /// The file.
    pub path: PathBuf,
    /// Where in it, bytes.
    pub offset: u64,
    /// What is wrong.
    pub what: Fault,
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: damaged at offset {}: {}", self.path.display(), self.offset, self.what)
    }
}

/// A segment's file.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) first_entry: u64,
}

/// The segments of a directory, oldest first; a directory that is not there has none.
pub(super) fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<Found>, AuditError> {
    let names = match disk.list(directory) {
        Ok(names) => names,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(AuditError::disk(directory, Step::Read)(source)),
    };
    let found = names
        .iter()
        .filter_map(|name| segment::first_entry_of(name).map(|first_entry| Found { path: directory.join(name), first_entry }));
    Ok(found.collect())
}

/// Reads a segment's header. The outer error is the disk's, or says that a later version wrote it.
pub(super) fn read_header(disk: &dyn Disk, path: &Path) -> Result<Result<SegmentHeader, Fault>, AuditError> {
    let file = disk.open(path, OpenMode::Read).map_err(AuditError::disk(path, Step::Read))?;
    header_of(&*file, path).map(|header| header.map(|(header, _)| header))
}

/// How far a segment is whole.
#[derive(Clone, Debug)]
pub(super) struct SegmentEnd {
    pub(super) header: SegmentHeader,
    /// Behind the last whole block.
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) next_entry: u64,
    /// The chain there.
    pub(super) chain: AuditChain,
    pub(super) is_sealed: bool,
    /// What stands there instead of a block.
    pub(super) bad: Option<Bad>,
}

/// Bytes that are no block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) what: Fault,
    /// No crash leaves this: a whole block that does not belong there, or whole blocks behind, or something behind the seal.
    pub(super) is_damage: bool,
}

/// What a walk passes: the header, then the blocks.
pub(super) enum Passed<'b> {
    Header { header: &'b SegmentHeader, chain: AuditChain },
    Block { block: &'b Block<'b>, offset: u64, end_offset: u64, chain: AuditChain },
}

/// Walks a segment as far as it is whole. The outer error is the disk's, the inner one says what is wrong with the header.
pub(super) fn walk(
    disk: &dyn Disk,
    path: &Path,
    pass: &mut dyn FnMut(Passed<'_>),
) -> Result<Result<SegmentEnd, Fault>, AuditError> {
    let file = disk.open(path, OpenMode::Read).map_err(AuditError::disk(path, Step::Read))?;
    let (header, chain) = match header_of(&*file, path)? {
        Ok(read) => read,
        Err(fault) => return Ok(Err(fault)),
    };
    pass(Passed::Header { header: &header, chain });
    let length = file.length().map_err(AuditError::disk(path, Step::Read))?;
    let offset = SEGMENT_HEAD as u64;
    let mut end = SegmentEnd { header, offset, length, next_entry: header.first_entry, chain, is_sealed: false, bad: None };
    let mut window = Window { file: &*file, path, length, start: 0, bytes: Vec::new() };
    while end.offset < length {
        let (what, is_whole) = match window.block_at(end.offset)? {
            Ok(block) => match end.check(&block) {
                Ok(()) => {
                    let offset = end.offset;
                    end.go_behind(&block);
                    pass(Passed::Block { block: &block, offset, end_offset: end.offset, chain: end.chain });
                    continue;
                }
                Err(what) => (what, true),
            },
            Err(what) => (what, false),
        };
        let what = if end.is_sealed { Fault::BehindSeal } else { what };
        let is_damage = is_whole || end.is_sealed || window.whole_block_behind(end.offset)?;
        end.bad = Some(Bad { what, is_damage });
        break;
    }
    Ok(Ok(end))
}

impl SegmentEnd {
    fn check(&self, block: &Block<'_>) -> Result<(), Fault> {
        if self.is_sealed {
            return Err(Fault::BehindSeal);
        }
        if block.head.chain != self.chain && !sabotaged(Sabotage::SkipTheAuditsChain) {
            return Err(Fault::Chain);
        }
        let counted = self.next_entry - self.header.first_entry;
        if block.head.first_entry != self.next_entry || block.seal().is_some_and(|entries| entries != counted) {
            return Err(Fault::Number);
        }
        Ok(())
    }

    fn go_behind(&mut self, block: &Block<'_>) {
        self.offset += block.bytes.len() as u64;
        self.chain = self.chain.after(block.bytes);
        self.next_entry += u64::from(block.head.entries);
        self.is_sealed = block.head.kind == BlockKind::Seal;
    }
}

fn header_of(file: &dyn DiskFile, path: &Path) -> Result<Result<(SegmentHeader, AuditChain), Fault>, AuditError> {
    let mut bytes = [0; SEGMENT_HEAD];
    if file.length().map_err(AuditError::disk(path, Step::Read))? < SEGMENT_HEAD as u64 {
        return Ok(Err(Fault::Short));
    }
    file.read_exact_at(&mut bytes, 0).map_err(AuditError::disk(path, Step::Read))?;
    match SegmentHeader::decode(&bytes) {
        Err(Fault::Newer(found)) => Err(AuditError::NewerFormat { path: path.to_owned(), found, known: FORMAT_VERSION }),
        decoded => Ok(decoded.map(|header| (header, header.chain.after(&bytes)))),
    }
}

/// A part of a file in memory, so that small blocks do not cost two reads each.
struct Window<'f> {
    file: &'f dyn DiskFile,
    path: &'f Path,
    length: u64,
    start: u64,
    bytes: Vec<u8>,
}

const WINDOW_BYTES: u64 = 1 << 20;

impl Window<'_> {
    fn block_at(&mut self, offset: u64) -> Result<Result<Block<'_>, Fault>, AuditError> {
        let head = match self.at(offset, BLOCK_HEAD as u64)?.first_chunk::<BLOCK_HEAD>() {
            Some(head) => *head,
            None => return Ok(Err(Fault::Short)),
        };
        let length = match block_length(&head) {
            Ok(length) => length,
            Err(fault) => return Ok(Err(fault)),
        };
        Ok(block::decode(self.at(offset, length as u64)?))
    }

    /// What stands at an offset: at least `wanted` bytes, or all to the end of the file.
    fn at(&mut self, offset: u64, wanted: u64) -> Result<&[u8], AuditError> {
        let has = self.start + self.bytes.len() as u64;
        let wanted_end = (offset + wanted).min(self.length);
        if offset < self.start || wanted_end > has {
            let take = WINDOW_BYTES.max(wanted).min(self.length.saturating_sub(offset));
            self.bytes.resize(usize::try_from(take).unwrap_or(0), 0);
            self.file.read_exact_at(&mut self.bytes, offset).map_err(AuditError::disk(self.path, Step::Read))?;
            self.start = offset;
        }
        let skip = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }

    fn whole_block_behind(&self, offset: u64) -> Result<bool, AuditError> {
        let mut rest = vec![0; usize::try_from(self.length - offset).unwrap_or(0)];
        self.file.read_exact_at(&mut rest, offset).map_err(AuditError::disk(self.path, Step::Read))?;
        Ok(rest.get(8..).is_some_and(any_whole_block))
    }
}
