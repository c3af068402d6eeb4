//! Writing segments: blocks in a chain, a seal at the end of each, and the state that says how far all of it is durable.
//!
//! An error for want of space leaves the writer as it was before the call, so that the call can be made again. Any other poisons it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::{BLOCK_HEAD, BlockHead, BlockKind, SealReason, seal_content};
use super::chain::{AuditChain, AuditStream};
use super::encoder::Content;
use super::files::{aside, take_name};
use super::note::Note;
use super::segment::{self, SEGMENT_HEAD, SegmentHeader};
use super::state::State;
use super::{AuditError, Step};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::limits::AUDIT_STATE_MS;
use crate::sabotage::{Sabotage, sabotaged};

/// The marker of a failed sync.
pub(super) const POISONED: &str = "POISONED";

/// The place behind everything that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The number of the newest segment; 0 before the first.
    pub(super) segment: u64,
    pub(super) next_entry: u64,
    pub(super) chain: AuditChain,
}

/// The writer of an audit's directory.
#[derive(Debug)]
pub(super) struct Writer {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    stream: AuditStream,
    key_check: [u8; 8],
    segment_bytes_max: u64,
    end: End,
    open: Option<OpenSegment>,
    durable: State,
    state_unix_ms: u64,
    poisoned: bool,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct OpenSegment {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    first_entry: u64,
    day: u64,
}

impl Writer {
    /// A writer that goes on behind a place with a new segment; nothing is written yet.
    pub(super) fn behind(
        disk: Arc<dyn Disk>,
        directory: &Path,
        durable: State,
        end: End,
        key_check: [u8; 8],
        segment_bytes_max: u64,
    ) -> Writer {
        Writer {
            disk,
            directory: directory.to_owned(),
            stream: durable.stream,
            key_check,
            segment_bytes_max,
            end,
            open: None,
            durable,
            state_unix_ms: durable.unix_ms,
            poisoned: false,
            buffer: Vec::new(),
        }
    }

    /// Begins the first segment of a run with a note that says how it came to be.
    pub(super) fn start(&mut self, note: Note, now_unix_ms: u64) -> Result<(), AuditError> {
        let begun = self.begin(note, now_unix_ms, day_in_japan(now_unix_ms));
        let written = begun.and_then(|()| self.write_state(now_unix_ms));
        self.judged(written)
    }

    /// Appends a block of look-ups, in a new segment where the old one is full or of another day.
    pub(super) fn append(&mut self, content: &Content, now_unix_ms: u64) -> Result<(), AuditError> {
        self.check()?;
        let appended = self.try_append(content, now_unix_ms);
        self.judged(appended)
    }

    /// Appends a note.
    pub(super) fn note(&mut self, note: Note, now_unix_ms: u64) -> Result<(), AuditError> {
        self.check()?;
        let noted = match self.open {
            Some(_) => self.write_note(note, now_unix_ms),
            None => self
                .begin(Note::Continued, now_unix_ms, day_in_japan(now_unix_ms))
                .and_then(|()| self.write_note(note, now_unix_ms)),
        };
        self.judged(noted)
    }

    /// Makes everything written durable.
    pub(super) fn sync(&mut self, now_unix_ms: u64) -> Result<(), AuditError> {
        self.check()?;
        let synced = self.try_sync(now_unix_ms).and_then(|()| {
            let is_due = now_unix_ms.abs_diff(self.state_unix_ms) >= AUDIT_STATE_MS;
            if is_due && self.durable.unix_ms != self.state_unix_ms { self.write_state(now_unix_ms) } else { Ok(()) }
        });
        self.judged(synced)
    }

    /// Seals the segment that is open.
    pub(super) fn close(&mut self, now_unix_ms: u64) -> Result<(), AuditError> {
        self.check()?;
        let sealed = if self.open.is_some() { self.seal(SealReason::Closed, now_unix_ms) } else { Ok(()) };
        self.judged(sealed)
    }

    /// The place behind everything that was written.
    pub(super) fn end(&self) -> End {
        self.end
    }

    /// The place behind everything that is durable.
    pub(super) fn durable(&self) -> &State {
        &self.durable
    }

    pub(super) fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    fn try_append(&mut self, content: &Content, now_unix_ms: u64) -> Result<(), AuditError> {
        let bytes = (BLOCK_HEAD + content.context_bytes.len() + content.entry_bytes.len() + 16) as u64;
        let day = day_in_japan(content.base_unix_ms);
        let seal = self.open.as_ref().and_then(|open| {
            let is_full = open.length + bytes > self.segment_bytes_max;
            if is_full { Some(SealReason::Full) } else { (day > open.day).then_some(SealReason::Day) }
        });
        if let Some(reason) = seal {
            self.seal(reason, now_unix_ms)?;
        }
        if self.open.is_none() {
            self.begin(Note::Continued, now_unix_ms, day.max(day_in_japan(now_unix_ms)))?;
        }
        let head = self.head(BlockKind::LookUps, content.base_unix_ms, content.entries, content.contexts);
        self.write_block(head, &[&content.context_bytes, &content.entry_bytes])
    }

    fn write_note(&mut self, note: Note, now_unix_ms: u64) -> Result<(), AuditError> {
        let head = self.head(BlockKind::Note, now_unix_ms, 1, 0);
        self.write_block(head, &[&note.encode()])
    }

    fn head(&self, kind: BlockKind, base_unix_ms: u64, entries: u32, contexts: u16) -> BlockHead {
        BlockHead { kind, first_entry: self.end.next_entry, base_unix_ms, entries, contexts, chain: self.end.chain }
    }

    fn write_block(&mut self, head: BlockHead, content: &[&[u8]]) -> Result<(), AuditError> {
        let Some(open) = &mut self.open else { return Err(AuditError::Poisoned) };
        self.buffer.clear();
        head.encode(&mut self.buffer, content);
        if let Err(source) = open.file.append(&self.buffer) {
            // A part of the block may stand there; the next one must not come to lie behind it.
            let cut = open.file.cut(open.length);
            let step = if cut.is_ok() { Step::Write } else { Step::Sync };
            return Err(AuditError::Disk { path: open.path.clone(), step, source });
        }
        open.length += self.buffer.len() as u64;
        self.end.chain = self.end.chain.after(&self.buffer);
        self.end.next_entry += u64::from(head.entries);
        Ok(())
    }

    fn seal(&mut self, reason: SealReason, now_unix_ms: u64) -> Result<(), AuditError> {
        let Some(open) = &self.open else { return Ok(()) };
        let content = seal_content(self.end.next_entry - open.first_entry, reason);
        self.write_block(self.head(BlockKind::Seal, now_unix_ms, 0, 0), &[&content])?;
        self.try_sync(now_unix_ms)?;
        self.open = None;
        self.durable.is_sealed = true;
        self.write_state(now_unix_ms)
    }

    /// Writes header and note aside, syncs them, and only then gives the segment its name.
    fn begin(&mut self, note: Note, now_unix_ms: u64, day: u64) -> Result<(), AuditError> {
        let first_entry = self.end.next_entry;
        let header = SegmentHeader {
            stream: self.stream,
            number: self.end.segment + 1,
            first_entry,
            chain: self.end.chain,
            created_unix_ms: now_unix_ms,
            key_check: self.key_check,
        };
        let mut bytes = header.encode();
        let after_header = header.chain.after(&bytes);
        let head = BlockHead { chain: after_header, ..self.head(BlockKind::Note, now_unix_ms, 1, 0) };
        head.encode(&mut bytes, &[&note.encode()]);
        let path = self.directory.join(segment::file_name(first_entry));
        let aside = aside(&path);
        let mut file = self.disk.open(&aside, OpenMode::Replace).map_err(AuditError::disk(&aside, Step::Write))?;
        file.append(&bytes).map_err(AuditError::disk(&aside, Step::Write))?;
        file.sync().map_err(AuditError::disk(&aside, Step::Sync))?;
        take_name(&*self.disk, &aside, &path)?;
        let chain = after_header.after(bytes.get(SEGMENT_HEAD..).unwrap_or_default());
        self.end = End { segment: header.number, next_entry: first_entry + 1, chain };
        self.open = Some(OpenSegment { file, path, length: bytes.len() as u64, first_entry, day });
        self.durable.is_sealed = false;
        self.mark_durable(now_unix_ms);
        Ok(())
    }

    fn try_sync(&mut self, now_unix_ms: u64) -> Result<(), AuditError> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if self.durable.offset == open.length && self.durable.segment == self.end.segment {
            return Ok(());
        }
        if !sabotaged(Sabotage::SkipTheAuditsSync) {
            open.file.sync().map_err(AuditError::disk(&open.path, Step::Sync))?;
        }
        self.mark_durable(now_unix_ms);
        Ok(())
    }

    fn mark_durable(&mut self, now_unix_ms: u64) {
        let offset = self.open.as_ref().map_or(0, |open| open.length);
        let End { segment, next_entry, chain } = self.end;
        self.durable = State { segment, offset, next_entry, chain, unix_ms: now_unix_ms, ..self.durable };
    }

    fn write_state(&mut self, now_unix_ms: u64) -> Result<(), AuditError> {
        self.durable.unix_ms = now_unix_ms;
        self.durable.write(&*self.disk, &self.directory)?;
        self.state_unix_ms = now_unix_ms;
        Ok(())
    }

    fn check(&self) -> Result<(), AuditError> {
        if self.poisoned { Err(AuditError::Poisoned) } else { Ok(()) }
    }

    fn judged(&mut self, outcome: Result<(), AuditError>) -> Result<(), AuditError> {
        if let Err(error) = &outcome
            && !error.is_want_of_space()
        {
            self.poisoned = true;
            leave_poisoned(&*self.disk, &self.directory);
        }
        outcome
    }
}

/// Leaves word for the next start, which must not believe a seal whose sync failed.
pub(super) fn leave_poisoned(disk: &dyn Disk, directory: &Path) {
    let marker = disk.open(&directory.join(POISONED), OpenMode::Replace);
    if let Err(error) = marker.and_then(|mut file| file.sync()) {
        tracing::error!(%error, "the audit is poisoned, and the marker for the next start may not last");
    }
}

/// The number of the day in Japan, days since 1970.
pub(super) const fn day_in_japan(unix_ms: u64) -> u64 {
    const JAPAN_MS: u64 = 9 * 3_600_000;
    (unix_ms + JAPAN_MS) / DAY_MS
}

pub(super) const DAY_MS: u64 = 86_400_000;
