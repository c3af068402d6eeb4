//! What to do about what a start finds: the table of `docs/audit-format.md`.

use std::path::{Path, PathBuf};

use super::block::{BlockHead, BlockKind, SealReason, seal_content};
use super::chain::{AuditChain, AuditStream};
use super::files::{ASIDE, aside, take_name};
use super::note::Note;
use super::reader::{Found, Passed, SegmentEnd, list, read_header, walk};
use super::state::{State, StateFile};
use super::writer::{End, POISONED, leave_poisoned};
use super::{AuditError, Step};
use crate::disk::{Disk, OpenMode};

/// Where writing goes on, and what the first note of the new segment says.
#[derive(Debug)]
pub(super) struct Recovered {
    pub(super) durable: State,
    pub(super) end: End,
    pub(super) note: Note,
    /// For a person.
    pub(super) words: Option<String>,
}

/// Judges a directory and makes it ready for a new segment. The directory is there and holds its key.
pub(super) fn recover(disk: &dyn Disk, directory: &Path, now_unix_ms: u64) -> Result<Recovered, AuditError> {
    remove_begun(disk, directory)?;
    let state = State::read(disk, directory)?;
    let segments = list(disk, directory)?;
    let Some(newest) = segments.last() else {
        return match state {
            StateFile::Good(state) if state.segment == 0 => Ok(at_the_beginning(state)),
            StateFile::Good(state) => Ok(behind_damage(state, None, &State::path(directory), "the segments are gone")),
            StateFile::None | StateFile::Damaged(_) => begin(disk, directory, now_unix_ms),
        };
    };
    let mut at_state = None;
    let walked = walk(disk, &newest.path, &mut |passed| {
        if let (Passed::Block { end_offset, chain, .. }, StateFile::Good(state)) = (passed, &state)
            && end_offset == state.offset
        {
            at_state = Some(chain);
        }
    })?;
    let Ok(end) = walked else {
        let state = assumed_state(disk, &segments, &state, now_unix_ms)?;
        return Ok(behind_damage(state, Some(newest), &newest.path, "its header cannot be read"));
    };
    let durable = durable_of(&end, now_unix_ms);
    let damage = match &state {
        StateFile::None => Some("the state is missing"),
        StateFile::Damaged(_) => Some("the state cannot be read"),
        StateFile::Good(state) => damage_of(&end, state, at_state),
    };
    let poisoned = is_poisoned(disk, directory);
    if let Some(what) = damage {
        let known = if let StateFile::Good(state) = state { state } else { durable };
        return Ok(behind_damage(further(known, durable), Some(newest), &newest.path, what));
    }
    if end.is_sealed && !poisoned {
        make_durable(disk, directory, &newest.path)?;
        let words = None;
        return Ok(Recovered { durable, end: end_of(&durable), note: Note::Started, words });
    }
    let recovered = after_a_crash(disk, directory, newest, &end, now_unix_ms)?;
    if poisoned {
        let marker = directory.join(POISONED);
        disk.remove(&marker).map_err(AuditError::disk(&marker, Step::Write))?;
    }
    Ok(recovered)
}

/// A process that was killed may have written the seal and no more: what the next segment goes on from must last.
fn make_durable(disk: &dyn Disk, directory: &Path, path: &Path) -> Result<(), AuditError> {
    let mut file = disk.open(path, OpenMode::Append).map_err(AuditError::disk(path, Step::Read))?;
    file.sync().map_err(|source| {
        leave_poisoned(disk, directory);
        AuditError::Disk { path: path.to_owned(), step: Step::Sync, source }
    })
}

/// What makes the newest segment one that no crash leaves behind.
fn damage_of(end: &SegmentEnd, state: &State, at_state: Option<AuditChain>) -> Option<&'static str> {
    if end.bad.is_some_and(|bad| bad.is_damage) {
        return Some("it is damaged where no crash damages");
    }
    if state.stream != end.header.stream {
        return Some("the state is of another stream");
    }
    if state.segment > end.header.number {
        return Some("newer segments are missing");
    }
    if state.segment < end.header.number {
        return None;
    }
    if state.offset > end.offset {
        return Some("what was durable at its end is missing");
    }
    (at_state != Some(state.chain)).then_some("what was durable was changed")
}

/// A first start: the stream gets its name, durably, before its first segment.
fn begin(disk: &dyn Disk, directory: &Path, now_unix_ms: u64) -> Result<Recovered, AuditError> {
    let mut stream = [0; 16];
    getrandom::fill(&mut stream).map_err(|error| AuditError::Random(error.to_string()))?;
    let stream = AuditStream(stream);
    let chain = AuditChain::beginning(stream);
    let state = State { stream, segment: 0, is_sealed: true, offset: 0, next_entry: 1, chain, unix_ms: now_unix_ms };
    state.write(disk, directory)?;
    Ok(at_the_beginning(state))
}

fn at_the_beginning(state: State) -> Recovered {
    Recovered { durable: state, end: end_of(&state), note: Note::Started, words: None }
}

/// Nothing is changed; what comes next begins behind both what is there and what the state knows of, so that the hole stays visible.
fn behind_damage(state: State, newest: Option<&Found>, path: &Path, what: &str) -> Recovered {
    let mut end = end_of(&state);
    // Two segments must not want one name.
    end.next_entry = end.next_entry.max(newest.map_or(0, |newest| newest.first_entry) + 1);
    let note = Note::FoundDamaged { segment: state.segment, offset: state.offset };
    let words = Some(format!("{}: {what}; the audit goes on in a new segment, and `audit verify` will say so", path.display()));
    Recovered { durable: State { is_sealed: true, ..state }, end, note, words }
}

/// Copies what is whole, seals it, and puts it in the old file's place: a sync that failed may have left bytes in memory that never
/// reached the disk, and only writing them anew helps.
fn after_a_crash(
    disk: &dyn Disk,
    directory: &Path,
    newest: &Found,
    end: &SegmentEnd,
    now_unix_ms: u64,
) -> Result<Recovered, AuditError> {
    let path = &newest.path;
    let cut_bytes = end.length - end.offset;
    if cut_bytes > 0 {
        let torn = directory.join(format!("torn-{:020}-{now_unix_ms}.bin", end.header.number));
        copy(disk, path, &torn, end.offset..end.length, &[])?;
        disk.sync_directory(directory).map_err(AuditError::disk(directory, Step::Sync))?;
    }
    let mut seal = Vec::new();
    if !end.is_sealed {
        let entries = end.next_entry - end.header.first_entry;
        let head = BlockHead {
            kind: BlockKind::Seal,
            first_entry: end.next_entry,
            base_unix_ms: now_unix_ms,
            entries: 0,
            contexts: 0,
            chain: end.chain,
        };
        head.encode(&mut seal, &[&seal_content(entries, SealReason::Crash)]);
    }
    let aside = aside(path);
    copy(disk, path, &aside, 0..end.offset, &seal)?;
    take_name(disk, &aside, path)?;
    let chain = if seal.is_empty() { end.chain } else { end.chain.after(&seal) };
    let durable = State { is_sealed: true, offset: end.offset + seal.len() as u64, chain, ..durable_of(end, now_unix_ms) };
    durable.write(disk, directory)?;
    let note = Note::Restarted { segment: end.header.number, offset: end.offset, cut_bytes };
    let words = format!("{}: sealed after an unclean end; {cut_bytes} bytes of it were cut off and kept aside", path.display());
    Ok(Recovered { durable, end: end_of(&durable), note, words: Some(words) })
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path, range: std::ops::Range<u64>, more: &[u8]) -> Result<(), AuditError> {
    let old = disk.open(from, OpenMode::Read).map_err(AuditError::disk(from, Step::Read))?;
    let mut new = disk.open(to, OpenMode::Replace).map_err(AuditError::disk(to, Step::Write))?;
    let mut offset = range.start;
    while offset < range.end {
        let step = (range.end - offset).min(1 << 20);
        let mut bytes = vec![0; usize::try_from(step).unwrap_or(0)];
        old.read_exact_at(&mut bytes, offset).map_err(AuditError::disk(from, Step::Read))?;
        new.append(&bytes).map_err(AuditError::disk(to, Step::Write))?;
        offset += step;
    }
    new.append(more).map_err(AuditError::disk(to, Step::Write))?;
    new.sync().map_err(AuditError::disk(to, Step::Sync))
}

fn remove_begun(disk: &dyn Disk, directory: &Path) -> Result<(), AuditError> {
    for name in disk.list(directory).map_err(AuditError::disk(directory, Step::Read))? {
        if name.ends_with(ASIDE) {
            let path = directory.join(name);
            disk.remove(&path).map_err(AuditError::disk(&path, Step::Write))?;
        }
    }
    Ok(())
}

fn is_poisoned(disk: &dyn Disk, directory: &Path) -> bool {
    let marker: PathBuf = directory.join(POISONED);
    disk.open(&marker, OpenMode::Read).is_ok()
}

fn durable_of(end: &SegmentEnd, now_unix_ms: u64) -> State {
    State {
        stream: end.header.stream,
        segment: end.header.number,
        is_sealed: end.is_sealed,
        offset: end.offset,
        next_entry: end.next_entry,
        chain: end.chain,
        unix_ms: now_unix_ms,
    }
}

fn end_of(state: &State) -> End {
    End { segment: state.segment, next_entry: state.next_entry, chain: state.chain }
}

/// Of two places the one that is further.
fn further(one: State, other: State) -> State {
    if (one.segment, one.offset) >= (other.segment, other.offset) { one } else { other }
}

/// Where the newest segment's header cannot be read: the state, or what the older headers say.
fn assumed_state(disk: &dyn Disk, segments: &[Found], state: &StateFile, now_unix_ms: u64) -> Result<State, AuditError> {
    let mut assumed = match state {
        StateFile::Good(state) => *state,
        StateFile::None | StateFile::Damaged(_) => {
            let stream = AuditStream([0; 16]);
            let chain = AuditChain::beginning(stream);
            State { stream, segment: 0, is_sealed: true, offset: 0, next_entry: 1, chain, unix_ms: now_unix_ms }
        }
    };
    for (before_newest, found) in segments.iter().rev().enumerate() {
        if let Ok(header) = read_header(disk, &found.path)? {
            assumed.segment = assumed.segment.max(header.number + before_newest as u64);
            assumed.stream = header.stream;
            break;
        }
    }
    Ok(assumed)
}
