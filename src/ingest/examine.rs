//! The first pass: the whole file is read and judged before anything of it is applied.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::gates::{self, Gate};
use super::import_error::ImportError;
use super::progress::Progress;
use super::register::{Register, Standing};
use super::{ChunkReader, Columns, FileSummary, IndividualNumberTallies, ParseOptions, Reject, RowParser, RowWarnings};
use super::{RejectPaths, RejectWriter, blank_registration};
use crate::domain::decision::Row as _;
use crate::domain::identifier::AuthorityCode;
use crate::domain::registration::{Operation, Registration};
use crate::record::identity::row_identity;
use crate::record::payload::Changes;
use crate::record::row::Row;
use crate::registry::tally::Tally;

/// What the examination found.
#[derive(Debug)]
pub struct Examination {
    /// Bytes, lines and hash of the file.
    pub summary: FileSummary,
    /// Data rows.
    pub rows: u64,
    /// Rows that will be rejected.
    pub rejects: u64,
    /// What is odd but kept.
    pub warnings: RowWarnings,
    /// The authorities whose rows it has.
    pub authorities: Vec<AuthorityCode>,
    /// Lines that a later line of the same identity replaces.
    pub replaced: Lines,
    /// Lines rejected because lines of one identity contradict each other.
    pub conflicting: Lines,
    /// Withdrawals that cancel an earlier line of the same file.
    pub cancelling: Lines,
    /// The gates that hold the file.
    pub gates: Vec<Gate>,
}

/// A set of line numbers, in order; few of a file's lines are ever in one.
#[derive(Debug, Default)]
pub struct Lines(Vec<u32>);

impl Lines {
    /// Whether a line is in the set.
    pub fn has(&self, line: u64) -> bool {
        u32::try_from(line).is_ok_and(|line| self.0.binary_search(&line).is_ok())
    }

    /// How many lines.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What is remembered of one row while the file is examined: 24 bytes, for ten million recipients' rows must fit.
#[derive(Clone, Copy)]
struct Seen {
    identity: [u64; 2],
    line: u32,
    is_withdrawal: bool,
    sex: u8,
    /// 255: none given.
    branch: u8,
}

const _: () = assert!(size_of::<Seen>() == 24);
/// Rows are sorted in this many parts, so that sorting needs little memory beside them.
const PARTS: usize = 256;
/// Room is made beforehand for this many rows at most, 1.2 GB: a file's size says only so much.
const ROWS_RESERVED_MAX: usize = 50_000_000;

/// What one chunk came to.
struct ChunkExamined {
    seen: Vec<Seen>,
    rejects: Vec<(Reject, Vec<u8>)>,
    withdrawals: Changes,
    last_line: u64,
}

/// What is counted over the whole file, in whatever order its chunks come.
#[derive(Default)]
struct Counted {
    upserts: Tally,
    withdrawing: HashSet<AuthorityCode>,
    warnings: RowWarnings,
    individual_numbers: IndividualNumberTallies,
}

impl Counted {
    fn merge(&mut self, other: Counted) {
        self.upserts.merge(other.upserts);
        self.withdrawing.extend(other.withdrawing);
        self.warnings.merge(&other.warnings);
        self.individual_numbers.merge(&other.individual_numbers);
    }

    /// The authorities whose rows the file has, in order.
    fn authorities(&self) -> Vec<AuthorityCode> {
        let both = self.upserts.by_authority.keys().chain(&self.withdrawing);
        both.copied().collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// Examines a file. The writer holds the rows that cannot be read; it is finished only where the file goes no further.
pub(super) fn examine(
    path: &Path,
    options: ParseOptions,
    register: &dyn Register,
    standing: &Standing,
    workers: NonZeroUsize,
    rejects: RejectPaths,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Examination, RejectWriter), ImportError> {
    let reader = ChunkReader::open(path)?;
    let columns = Columns::of(reader.header(), options.encoding)?;
    let bytes_total = reader.bytes_total();
    let mut writer = RejectWriter::new(rejects, reader.header());
    let mut parts: Vec<Vec<Seen>> = (0..PARTS).map(|_| Vec::new()).collect();
    let mut withdrawn: HashMap<AuthorityCode, u64> = HashMap::new();
    let mut rows = 0u64;
    let counted = Mutex::new(Counted::default());
    let worker = || {
        let mut examiner = Examiner::new(&columns, standing, options, &counted);
        move |chunk: &mut super::Chunk| examiner.examine(chunk)
    };
    let summary = reader.for_each_chunk(workers, worker, |examined, bytes_done| -> Result<(), ImportError> {
        let examined = examined?;
        if rows == 0 {
            reserve(&mut parts, examined.seen.len(), bytes_total, bytes_done);
        }
        rows += (examined.seen.len() + examined.rejects.len()) as u64;
        for seen in examined.seen {
            let part = usize::try_from(seen.identity[0] >> 56).unwrap_or(0);
            if let Some(part) = parts.get_mut(part) {
                part.push(seen);
            }
        }
        for (reject, raw) in &examined.rejects {
            writer.push(raw, reject).map_err(ImportError::Rejects)?;
        }
        count_withdrawals(register, &examined.withdrawals, &mut withdrawn)?;
        progress(Progress { applying: false, bytes_done, bytes_total, line: examined.last_line, sequence: None });
        Ok(())
    })?;
    let counted = counted.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Dropping the writer unfinished leaves no rows behind: what it holds may be what is refused here.
    counted.individual_numbers.verdict()?;
    let Repeats { replaced, conflicting, cancelling } = find_repeats(parts, workers);
    let rejects = writer.count() + conflicting.len() as u64;
    let gates = gates::judge(standing, &counted.upserts, &withdrawn, rows, rejects);
    let examination = Examination {
        summary,
        rows,
        rejects,
        warnings: counted.warnings,
        authorities: counted.authorities(),
        replaced,
        conflicting,
        cancelling,
        gates,
    };
    Ok((examination, writer))
}

/// Makes room in the parts for a file whose first `bytes_done` bytes have so many rows: growing them by and by would copy them
/// again and again. What the file then does not need is never touched, and costs nothing.
fn reserve(parts: &mut [Vec<Seen>], rows: usize, bytes_total: u64, bytes_done: u64) {
    let chunks = usize::try_from(bytes_total / bytes_done.max(1)).unwrap_or(0) + 1;
    let rows_of_a_part = rows.saturating_mul(chunks).min(ROWS_RESERVED_MAX) / PARTS;
    parts.iter_mut().for_each(|part| part.reserve(rows_of_a_part + rows_of_a_part / 16));
}

/// One thread's examiner: what it needs from chunk to chunk is kept, so that a row costs no allocation.
struct Examiner<'a> {
    parser: RowParser<'a>,
    registration: Registration,
    rows: Changes,
    lines: Vec<u32>,
    scratch: Vec<u8>,
    counted: Counted,
    /// Where every examiner leaves what it counted.
    sum: &'a Mutex<Counted>,
}

impl<'a> Examiner<'a> {
    fn new(columns: &'a Columns, standing: &'a Standing, options: ParseOptions, sum: &'a Mutex<Counted>) -> Examiner<'a> {
        Examiner {
            parser: RowParser::new(columns, &standing.masters, options),
            registration: blank_registration(),
            rows: Changes::new(),
            lines: Vec::new(),
            scratch: Vec::new(),
            counted: Counted::default(),
            sum,
        }
    }

    fn examine(&mut self, chunk: &super::Chunk) -> Result<ChunkExamined, ImportError> {
        let mut rejects = Vec::new();
        let mut last_line = chunk.first_line;
        self.rows.clear();
        self.lines.clear();
        for record in chunk.records() {
            last_line = record.line;
            match self.parser.parse_into(&record, &mut self.registration) {
                Ok(operation) => {
                    self.lines.push(u32::try_from(record.line).map_err(|_| ImportError::TooManyLines)?);
                    self.rows.push(operation, &Row::of(&self.registration))?;
                }
                Err(reject) => rejects.push((reject, record.raw.to_vec())),
            }
        }
        let mut seen = Vec::with_capacity(self.lines.len());
        let mut withdrawals = Changes::new();
        for (change, line) in self.rows.iter().zip(&self.lines) {
            let identity = halves(row_identity(change.row, &mut self.scratch));
            let is_withdrawal = change.operation == Operation::Withdraw;
            let sex = change.row.sex().map_or(0, |sex| sex.value());
            let branch = change.row.branch_number().map_or(u8::MAX, |branch| branch.value());
            seen.push(Seen { identity, line: *line, is_withdrawal, sex, branch });
            if is_withdrawal {
                self.counted.withdrawing.insert(change.row.authority());
                withdrawals.push_copy(&change);
            } else {
                self.counted.upserts.add(change.row, 0);
            }
        }
        Ok(ChunkExamined { seen, rejects, withdrawals, last_line })
    }
}

impl Drop for Examiner<'_> {
    fn drop(&mut self) {
        let mut counted = std::mem::take(&mut self.counted);
        (counted.warnings, counted.individual_numbers) = self.parser.take_counts();
        self.sum.lock().unwrap_or_else(PoisonError::into_inner).merge(counted);
    }
}

/// The high and the low half: a `u128` itself would align a row's memory to 32 bytes.
fn halves(identity: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, low @ ..] = identity.to_be_bytes();
    [u64::from_be_bytes([a, b, c, d, e, f, g, h]), u64::from_be_bytes(low)]
}

/// Counts, by authority, the withdrawals that meet a current row.
fn count_withdrawals(
    register: &dyn Register,
    withdrawals: &Changes,
    withdrawn: &mut HashMap<AuthorityCode, u64>,
) -> Result<(), ImportError> {
    if withdrawals.is_empty() {
        return Ok(());
    }
    let current = register.are_current(withdrawals)?;
    for (change, _) in withdrawals.iter().zip(current).filter(|(_, current)| *current) {
        *withdrawn.entry(change.row.authority()).or_default() += 1;
    }
    Ok(())
}

#[derive(Default)]
struct Repeats {
    replaced: Lines,
    conflicting: Lines,
    cancelling: Lines,
}

/// Within a file the last line of an identity counts, unless its lines contradict each other. Lines of one identity are in one
/// part, so parts are looked at side by side.
fn find_repeats(parts: Vec<Vec<Seen>>, workers: NonZeroUsize) -> Repeats {
    let parts = Mutex::new(parts.into_iter());
    let next_part = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let find = || {
        let mut repeats = Repeats::default();
        while let Some(part) = next_part() {
            repeats.find_in(part);
        }
        repeats
    };
    let mut repeats = thread::scope(|scope| {
        let others: Vec<_> = (1..workers.get()).map(|_| scope.spawn(find)).collect();
        let mut repeats = find();
        for other in others {
            repeats.merge(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        repeats
    });
    for lines in [&mut repeats.replaced, &mut repeats.conflicting, &mut repeats.cancelling] {
        lines.0.sort_unstable();
    }
    repeats
}

impl Repeats {
    /// Adds the repeats of one part, whose lines are not in order yet.
    fn find_in(&mut self, mut part: Vec<Seen>) {
        part.sort_unstable_by_key(|seen| (seen.identity, seen.line));
        for lines in part.chunk_by(|one, next| one.identity == next.identity).filter(|lines| lines.len() > 1) {
            if contradict(lines) {
                self.conflicting.0.extend(lines.iter().map(|seen| seen.line));
                continue;
            }
            let Some((last, earlier)) = lines.split_last() else { continue };
            self.replaced.0.extend(earlier.iter().map(|seen| seen.line));
            if last.is_withdrawal && earlier.iter().any(|seen| !seen.is_withdrawal) {
                self.cancelling.0.push(last.line);
            }
        }
    }

    fn merge(&mut self, other: Repeats) {
        self.replaced.0.extend(other.replaced.0);
        self.conflicting.0.extend(other.conflicting.0);
        self.cancelling.0.extend(other.cancelling.0);
    }
}

/// Lines of one identity that differ in sex, or in two given branch numbers, cannot be the same person.
fn contradict(lines: &[Seen]) -> bool {
    differ(lines.iter().map(|seen| seen.sex).filter(|sex| *sex != 0))
        || differ(lines.iter().map(|seen| seen.branch).filter(|branch| *branch != u8::MAX))
}

fn differ(mut values: impl Iterator<Item = u8>) -> bool {
    let first = values.next();
    values.any(|value| Some(value) != first)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(identity: u64, line: u32, is_withdrawal: bool, sex: u8, branch: u8) -> Seen {
        Seen { identity: [identity, 0], line, is_withdrawal, sex, branch }
    }

    fn find_repeats_in(parts: Vec<Vec<Seen>>) -> Repeats {
        find_repeats(parts, NonZeroUsize::new(2).unwrap())
    }

    #[test]
    fn repeats_of_all_parts_are_found_and_in_order() {
        let part = |n: u64| [0, 1].map(|again| seen(n, u32::try_from(600 - n + 1000 * again).unwrap(), false, 1, 0)).to_vec();
        let repeats = find_repeats_in((0..PARTS as u64).map(part).collect());
        assert_eq!(repeats.replaced.len(), PARTS);
        assert!(repeats.replaced.0.is_sorted());
        assert!(repeats.replaced.has(600) && !repeats.replaced.has(1600));
    }

    #[test]
    fn the_last_line_of_an_identity_counts() {
        let repeats = find_repeats_in(vec![vec![
            seen(1, 9, false, 1, 0),
            seen(1, 2, false, 1, 0),
            seen(1, 5, false, 0, u8::MAX),
            seen(2, 3, false, 1, 0),
        ]]);
        assert_eq!(repeats.replaced.0, [2, 5]);
        assert!(repeats.conflicting.is_empty() && repeats.cancelling.is_empty());
        assert!(repeats.replaced.has(2) && !repeats.replaced.has(9));
    }

    #[test]
    fn a_withdrawal_behind_a_registration_cancels_it() {
        let repeats = find_repeats_in(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, true, 0, u8::MAX)]]);
        assert_eq!((repeats.replaced.0, repeats.cancelling.0), (vec![2], vec![3]));
    }

    #[test]
    fn lines_that_differ_in_sex_or_given_branch_are_all_rejected() {
        let by_sex = find_repeats_in(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, false, 2, 0)]]);
        assert_eq!(by_sex.conflicting.0, [2, 3]);
        let by_branch = find_repeats_in(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, false, 1, 1)]]);
        assert_eq!(by_branch.conflicting.0, [2, 3]);
        let not_given = find_repeats_in(vec![vec![seen(1, 2, false, 0, u8::MAX), seen(1, 3, false, 1, 1)]]);
        assert!(not_given.conflicting.is_empty());
    }
}
