//! Reading the whole audit: what was changed, removed, exchanged or cut is found and named.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::chain::AuditChain;
use super::note::Note;
use super::pseudonym::{PseudonymKey, key_path};
use super::reader::{AuditFault, Found, Passed, SegmentEnd, list, walk};
use super::segment::{CHAIN_AT, FIRST_ENTRY_AT, KEY_CHECK_AT, NUMBER_AT, STREAM_AT, SegmentHeader};
use super::state::{State, StateFile};
use super::{AuditError, Fault};
use crate::disk::RealDisk;

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct AuditReport {
    /// What is wrong, in the order of the files.
    pub faults: Vec<AuditFault>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// Segments read.
    pub segments: usize,
    /// The oldest entry that is there; 0 where there is none.
    pub first_entry: u64,
    /// The newest.
    pub last_entry: u64,
    /// The chain after it; to be kept elsewhere.
    pub chain: Option<AuditChain>,
}

/// The chain after an entry, as it was kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The entry.
    pub entry: u64,
    /// The chain after it.
    pub chain: AuditChain,
}

/// Verifies an audit's directory; changes nothing in it, and works beside a server that writes.
pub fn verify(directory: &Path, kept: Option<Kept>) -> Result<AuditReport, AuditError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match Verifier::new(directory, kept).run() {
            // A server took a segment away by its age, or half a block back on a full disk, between two looks.
            Err(AuditError::Disk { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) && attempts < 3 => {}
            outcome => return outcome,
        }
    }
}

struct Verifier<'v> {
    disk: RealDisk,
    directory: &'v Path,
    kept: Option<Kept>,
    kept_was_found: bool,
    report: AuditReport,
    /// The chain at the state's place, once it was passed.
    at_state: Option<AuditChain>,
    pruned: Vec<Note>,
    headers: Vec<(PathBuf, SegmentHeader)>,
}

impl<'v> Verifier<'v> {
    fn new(directory: &'v Path, kept: Option<Kept>) -> Verifier<'v> {
        Verifier {
            disk: RealDisk,
            directory,
            kept,
            kept_was_found: false,
            report: AuditReport::default(),
            at_state: None,
            pruned: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn run(mut self) -> Result<AuditReport, AuditError> {
        // The state first: what is read after it may be ahead of it, never behind.
        let state = State::read(&self.disk, self.directory)?;
        let segments = list(&self.disk, self.directory)?;
        let key_check = self.key_check(segments.is_empty())?;
        let mut before: Option<SegmentEnd> = None;
        for (place, found) in segments.iter().enumerate() {
            let Some(end) = self.walk(found, &state)? else {
                before = None;
                continue;
            };
            self.check_header(found, &end, before.as_ref(), key_check);
            self.check_end(found, &end, place + 1 == segments.len(), &state);
            self.report.chain = Some(end.chain);
            self.report.last_entry = end.next_entry - 1;
            before = Some(end);
        }
        self.report.segments = segments.len();
        self.report.first_entry = segments.first().map_or(0, |found| found.first_entry);
        self.check_beginning();
        self.check_state(&state, &segments, before.as_ref());
        self.check_kept(&segments);
        if segments.is_empty() && self.report.faults.is_empty() {
            self.report.notes.push("empty: nothing was ever asked".to_owned());
        }
        Ok(self.report)
    }

    /// Walks a segment and remembers what other segments are judged by; `None` where its header cannot be read.
    fn walk(&mut self, found: &Found, state: &StateFile) -> Result<Option<SegmentEnd>, AuditError> {
        let state = if let StateFile::Good(state) = state { Some(*state) } else { None };
        let (kept, path) = (self.kept, &found.path);
        let (mut damaged, mut pruned, mut at_state, mut has_kept) = (Vec::new(), Vec::new(), None, false);
        let (mut number, mut next_entry) = (0, 0);
        let walked = walk(&self.disk, path, &mut |passed| {
            let (offset, chain) = match passed {
                Passed::Header { header, chain } => {
                    (number, next_entry) = (header.number, header.first_entry);
                    (0, chain)
                }
                Passed::Block { block, offset, end_offset, chain } => {
                    next_entry += u64::from(block.head.entries);
                    match block.note() {
                        Some(Note::FoundDamaged { .. }) => damaged.push(offset),
                        Some(note @ Note::Pruned { .. }) => pruned.push(note),
                        _ => {}
                    }
                    (end_offset, chain)
                }
            };
            if state.is_some_and(|state| state.segment == number && state.offset == offset) {
                at_state = Some(chain);
            }
            has_kept |= kept.is_some_and(|kept| kept.entry + 1 == next_entry && kept.chain == chain);
        })?;
        self.kept_was_found |= has_kept;
        self.at_state = self.at_state.or(at_state);
        self.pruned.append(&mut pruned);
        damaged.into_iter().for_each(|offset| self.fault(path, offset, Fault::FoundDamaged));
        match walked {
            Ok(end) => {
                self.headers.push((path.clone(), end.header));
                Ok(Some(end))
            }
            Err(what) => {
                self.fault(path, 0, what);
                Ok(None)
            }
        }
    }

    fn check_header(&mut self, found: &Found, end: &SegmentEnd, before: Option<&SegmentEnd>, key_check: Option<[u8; 8]>) {
        let (path, header) = (&found.path, &end.header);
        if header.first_entry != found.first_entry {
            self.fault(path, FIRST_ENTRY_AT, Fault::Name);
        }
        if key_check.is_some_and(|check| check != header.key_check) {
            self.fault(path, KEY_CHECK_AT, Fault::Key);
        }
        let Some(before) = before else { return };
        if header.stream != before.header.stream {
            self.fault(path, STREAM_AT, Fault::Stream);
        } else if header.number != before.header.number + 1 {
            self.fault(path, NUMBER_AT, Fault::Missing);
        } else if before.is_sealed && before.bad.is_none() {
            if header.first_entry != before.next_entry {
                self.fault(path, FIRST_ENTRY_AT, Fault::Number);
            } else if header.chain != before.chain {
                self.fault(path, CHAIN_AT, Fault::Chain);
            }
        }
    }

    fn check_end(&mut self, found: &Found, end: &SegmentEnd, is_newest: bool, state: &StateFile) {
        let path = &found.path;
        let was_durable =
            matches!(state, StateFile::Good(state) if state.segment == end.header.number && state.offset > end.offset);
        match end.bad {
            Some(bad) if bad.is_damage || !is_newest || was_durable => self.fault(path, end.offset, bad.what),
            Some(_) => {
                let bytes = end.length - end.offset;
                self.report.notes.push(format!("{}: {bytes} bytes at the end are not whole yet, or torn", path.display()));
            }
            None if was_durable => self.fault(path, end.offset, Fault::EndMissing),
            None if !is_newest && !end.is_sealed => self.fault(path, end.offset, Fault::NotSealed),
            None => {}
        }
    }

    /// The oldest segment is the first there ever was, or what was before it is noted as removed.
    fn check_beginning(&mut self) {
        let headers = std::mem::take(&mut self.headers);
        let Some((path, oldest)) = headers.first() else { return };
        let removed = |note: &Note| match *note {
            Note::Pruned { through_segment, chain, .. } => Some((through_segment, chain)),
            _ => None,
        };
        if oldest.number == 1 {
            if oldest.first_entry != 1 || oldest.chain != AuditChain::beginning(oldest.stream) {
                self.fault(path, CHAIN_AT, Fault::Chain);
            }
        } else if !self.pruned.iter().filter_map(removed).any(|(through, _)| through + 1 >= oldest.number) {
            self.fault(path, NUMBER_AT, Fault::Missing);
        }
        let changed = headers.iter().find(|(_, header)| {
            self.pruned.iter().filter_map(removed).any(|(through, chain)| through + 1 == header.number && chain != header.chain)
        });
        if let Some((path, _)) = changed {
            self.fault(path, CHAIN_AT, Fault::Chain);
        }
        self.headers = headers;
    }

    fn check_state(&mut self, state: &StateFile, segments: &[Found], newest: Option<&SegmentEnd>) {
        let path = State::path(self.directory);
        let state = match state {
            StateFile::None if segments.is_empty() => return,
            StateFile::None => return self.fault(&path, 0, Fault::FileMissing),
            StateFile::Damaged(what) => return self.fault(&path, 0, *what),
            StateFile::Good(state) => state,
        };
        if state.segment == 0 {
            return;
        }
        let Some(newest) = newest else {
            if segments.is_empty() {
                self.fault(&path, 32, Fault::EndMissing);
            }
            return;
        };
        let (found_path, number) = (segments.last().map_or(&path, |found| &found.path), newest.header.number);
        if state.stream != newest.header.stream {
            self.fault(&path, 16, Fault::Stream);
        } else if state.segment > number {
            self.fault(found_path, newest.offset, Fault::EndMissing);
        } else if self.at_state != Some(state.chain) && self.report.faults.iter().all(|fault| fault.what == Fault::FoundDamaged) {
            // Where something else is wrong too, this follows from it.
            let changed = self.headers.iter().find(|(_, header)| header.number == state.segment);
            let changed = changed.map_or(path, |(changed, _)| changed.clone());
            self.fault(&changed, state.offset, Fault::EndChanged);
        }
    }

    fn check_kept(&mut self, segments: &[Found]) {
        let Some(kept) = self.kept.filter(|_| !self.kept_was_found) else { return };
        if segments.first().is_some_and(|oldest| oldest.first_entry > kept.entry + 1) {
            self.report.notes.push(format!("entry {} is older than what is kept; its chain cannot be compared", kept.entry));
            return;
        }
        let path = segments.last().map_or_else(|| self.directory.to_owned(), |newest| newest.path.clone());
        self.fault(&path, 0, Fault::NotAsKept);
    }

    fn key_check(&mut self, is_empty: bool) -> Result<Option<[u8; 8]>, AuditError> {
        let path = key_path(self.directory);
        match PseudonymKey::read(&self.disk, self.directory) {
            Ok(Some(key)) => Ok(Some(key.check())),
            Ok(None) => {
                if !is_empty {
                    self.fault(&path, 0, Fault::FileMissing);
                }
                Ok(None)
            }
            Err(AuditError::KeyDamaged { .. }) => {
                self.fault(&path, 0, Fault::Checksum);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn fault(&mut self, path: &Path, offset: u64, what: Fault) {
        self.report.faults.push(AuditFault { path: path.to_owned(), offset, what });
    }
}
