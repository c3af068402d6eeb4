//! What an audit holds, for whoever asks about it.

use std::path::Path;

use super::AuditError;
use super::block::{Block, BlockEntry, BlockKind, What, lines_of};
use super::entry::{DATE_MASK, TokenId, Via, consent_of, institution_of, verdict_code, verdict_of};
use super::note::Note;
use super::pseudonym::Pseudonym;
use super::reader::{AuditFault, Found, Passed, list, read_header, walk};
use super::writer::DAY_MS;
use crate::disk::{Disk, RealDisk};
use crate::domain::day::Day;
use crate::domain::decision::Verdict;
use crate::domain::identifier::InstitutionCode;

/// A time, from and to, ms since 1970; the end does not belong to it.
#[derive(Clone, Copy, Debug)]
pub struct Period {
    /// From.
    pub from_unix_ms: u64,
    /// To.
    pub to_unix_ms: u64,
}

impl Period {
    /// All of time.
    pub const ALL: Period = Period { from_unix_ms: 0, to_unix_ms: u64::MAX };

    /// Whether a time belongs to it.
    pub const fn has(&self, unix_ms: u64) -> bool {
        self.from_unix_ms <= unix_ms && unix_ms < self.to_unix_ms
    }
}

/// The place of a line in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineOfBatch {
    /// The request's number; begins again with every start.
    pub request: u32,
    /// The line, from 0.
    pub line: u32,
}

/// A look-up as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookedUp {
    /// The number of its entry; lines of a batch share their piece's.
    pub entry: u64,
    /// When, ms since 1970.
    pub unix_ms: u64,
    /// Who asked, where it was known.
    pub institution: Option<InstitutionCode>,
    /// With which token.
    pub token: Option<TokenId>,
    /// By which door; `None` is never written.
    pub via: Option<Via>,
    /// The sequence answered from.
    pub sequence: u64,
    /// Who was asked about; `None` where a line could not be read.
    pub pseudonym: Option<Pseudonym>,
    /// The day of service.
    pub service_date: Option<Day>,
    /// Whether consent was given.
    pub consent: bool,
    /// What was answered; `None` where a line was not.
    pub verdict: Option<Verdict>,
    /// The place in a batch.
    pub line: Option<LineOfBatch>,
}

/// What an audit holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noted {
    /// A look-up.
    LookUp(LookedUp),
    /// A note of the audit's own.
    Note {
        /// The number of its entry.
        entry: u64,
        /// When, ms since 1970.
        unix_ms: u64,
        /// What it says.
        note: Note,
    },
}

/// How reading went.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// What could not be read.
    pub faults: Vec<AuditFault>,
    /// Segments read.
    pub segments: usize,
}

/// Gives everything of a period that is whole, oldest first, and says what could not be read. Works beside a server that writes.
pub fn read(directory: &Path, period: &Period, give: &mut dyn FnMut(&Noted)) -> Result<Reading, AuditError> {
    let disk = &RealDisk;
    let segments = list(disk, directory)?;
    let mut reading = Reading::default();
    for (place, found) in segments.iter().enumerate() {
        if is_outside(disk, &segments, place, period)? {
            continue;
        }
        let end = walk(disk, &found.path, &mut |passed| {
            if let Passed::Block { block, .. } = passed {
                give_block(block, period, give);
            }
        })?;
        reading.segments += 1;
        let is_newest = place + 1 == segments.len();
        let fault = match &end {
            Err(what) => Some((0, *what)),
            // What a crash or a writer at work leaves at the end of the newest is no fault.
            Ok(end) => end.bad.filter(|bad| !is_newest || bad.is_damage).map(|bad| (end.offset, bad.what)),
        };
        reading.faults.extend(fault.map(|(offset, what)| AuditFault { path: found.path.clone(), offset, what }));
    }
    Ok(reading)
}

/// Whether a segment surely holds nothing of a period. What it holds was asked before it was sealed, and rarely long before it was
/// begun: only a full disk makes entries wait.
fn is_outside(disk: &dyn Disk, segments: &[Found], place: usize, period: &Period) -> Result<bool, AuditError> {
    const LONG_BEFORE_MS: u64 = 7 * DAY_MS;
    let Some(found) = segments.get(place) else { return Ok(true) };
    if let Ok(header) = read_header(disk, &found.path)?
        && header.created_unix_ms.saturating_sub(LONG_BEFORE_MS) >= period.to_unix_ms
    {
        return Ok(true);
    }
    let Some(next) = segments.get(place + 1) else { return Ok(false) };
    Ok(read_header(disk, &next.path)?.is_ok_and(|next| next.created_unix_ms < period.from_unix_ms))
}

fn give_block(block: &Block<'_>, period: &Period, give: &mut dyn FnMut(&Noted)) {
    let (mut entry, unix_ms) = (block.head.first_entry, block.head.base_unix_ms);
    if let Some(note) = block.note().filter(|_| period.has(unix_ms)) {
        give(&Noted::Note { entry, unix_ms, note });
    }
    if block.head.kind != BlockKind::LookUps {
        return;
    }
    // The reader accepted the block, so the walk reaches its end.
    let _ = block.walk(|read| {
        if period.has(read.unix_ms) {
            give_entry(entry, &read, give);
        }
        entry += 1;
    });
}

fn give_entry(entry: u64, read: &BlockEntry<'_>, give: &mut dyn FnMut(&Noted)) {
    let context = read.context;
    let look_up = |word: u64, answer_word: u32, line| {
        let verdict = verdict_of(verdict_code(answer_word));
        let is_nobody = word == 0 && verdict.is_none();
        Noted::LookUp(LookedUp {
            entry,
            unix_ms: read.unix_ms,
            institution: institution_of(context.institution).flatten(),
            token: context.has_token.then(|| TokenId::from_number(context.token)),
            via: Via::from_byte(context.via),
            sequence: context.sequence,
            pseudonym: (!is_nobody).then(|| Pseudonym::from_word(word)),
            service_date: Day::from_packed(answer_word & DATE_MASK).ok(),
            consent: consent_of(answer_word),
            verdict,
            line,
        })
    };
    match read.what {
        What::Single { pseudonym, answer_word } => give(&look_up(pseudonym, answer_word, None)),
        What::Piece { piece, lines } => {
            for (line, (pseudonym, answer_word)) in (u32::from(piece.first_line)..).zip(lines_of(lines)) {
                give(&look_up(pseudonym, answer_word, Some(LineOfBatch { request: piece.request, line })));
            }
        }
    }
}
