//! The first pass: the whole file is read and judged before anything of it is applied.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroUsize;
use std::path::Path;

use super::gates::{self, Gate};
use super::import_error::ImportError;
use super::progress::Progress;
use super::register::{Register, Standing};
use super::{ChunkReader, Columns, FileSummary, IndividualNumberTallies, ParseOptions, Reject, RowParser, RowWarnings};
use super::{RejectPaths, RejectWriter};
use crate::domain::decision::Row as _;
use crate::domain::identifier::AuthorityCode;
use crate::domain::registration::Operation;
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

/// A set of line numbers; few of a file's lines are ever in one.
#[derive(Debug, Default)]
pub struct Lines(Vec<u32>);

impl Lines {
    fn of(mut lines: Vec<u32>) -> Lines {
        lines.sort_unstable();
        Lines(lines)
    }

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

/// What one chunk came to.
struct ChunkExamined {
    seen: Vec<Seen>,
    rejects: Vec<(Reject, Vec<u8>)>,
    upserts: Tally,
    authorities: BTreeMap<AuthorityCode, ()>,
    withdrawals: Changes,
    warnings: RowWarnings,
    individual_numbers: IndividualNumberTallies,
    last_line: u64,
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
    let mut upserts = Tally::default();
    let mut withdrawn: HashMap<AuthorityCode, u64> = HashMap::new();
    let mut authorities = BTreeMap::new();
    let mut warnings = RowWarnings::default();
    let mut individual_numbers = IndividualNumberTallies::default();
    let mut rows = 0u64;
    let work = |chunk: &super::Chunk| examine_chunk(chunk, &columns, standing, options);
    let summary = reader.for_each_chunk(workers, work, |examined, bytes_done| -> Result<(), ImportError> {
        let examined = examined?;
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
        upserts.merge(examined.upserts);
        authorities.extend(examined.authorities);
        warnings.merge(&examined.warnings);
        individual_numbers.merge(&examined.individual_numbers);
        progress(Progress { applying: false, bytes_done, bytes_total, line: examined.last_line, sequence: None });
        Ok(())
    })?;
    // Dropping the writer unfinished leaves no rows behind: what it holds may be what is refused here.
    individual_numbers.verdict()?;
    let Repeats { replaced, conflicting, cancelling } = find_repeats(parts);
    let rejects = writer.count() + conflicting.len() as u64;
    let gates = gates::judge(standing, &upserts, &withdrawn, rows, rejects);
    let examination = Examination {
        summary,
        rows,
        rejects,
        warnings,
        authorities: authorities.into_keys().collect(),
        replaced,
        conflicting,
        cancelling,
        gates,
    };
    Ok((examination, writer))
}

fn examine_chunk(
    chunk: &super::Chunk,
    columns: &Columns,
    standing: &Standing,
    options: ParseOptions,
) -> Result<ChunkExamined, ImportError> {
    let mut parser = RowParser::new(columns, &standing.masters, options);
    let mut rows = Changes::new();
    let mut examined = ChunkExamined {
        seen: Vec::new(),
        rejects: Vec::new(),
        upserts: Tally::default(),
        authorities: BTreeMap::new(),
        withdrawals: Changes::new(),
        warnings: RowWarnings::default(),
        individual_numbers: IndividualNumberTallies::default(),
        last_line: chunk.first_line,
    };
    let mut lines = Vec::new();
    for record in chunk.records() {
        examined.last_line = record.line;
        match parser.parse(&record) {
            Ok((operation, registration)) => {
                lines.push(u32::try_from(record.line).map_err(|_| ImportError::TooManyLines)?);
                rows.push(operation, &Row::of(registration))?;
            }
            Err(reject) => examined.rejects.push((reject, record.raw.to_vec())),
        }
    }
    let mut scratch = Vec::new();
    for (change, line) in rows.iter().zip(lines) {
        let identity = row_identity(change.row, &mut scratch);
        let identity = halves(identity);
        let is_withdrawal = change.operation == Operation::Withdraw;
        let sex = change.row.sex().map_or(0, |sex| sex.value());
        let branch = change.row.branch_number().map_or(u8::MAX, |branch| branch.value());
        examined.seen.push(Seen { identity, line, is_withdrawal, sex, branch });
        examined.authorities.insert(change.row.authority(), ());
        if is_withdrawal {
            examined.withdrawals.push_copy(&change);
        } else {
            examined.upserts.add(change.row, 0);
        }
    }
    examined.warnings = *parser.warnings();
    examined.individual_numbers = parser.individual_numbers().clone();
    Ok(examined)
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

struct Repeats {
    replaced: Lines,
    conflicting: Lines,
    cancelling: Lines,
}

/// Within a file the last line of an identity counts, unless its lines contradict each other.
fn find_repeats(parts: Vec<Vec<Seen>>) -> Repeats {
    let (mut replaced, mut conflicting, mut cancelling) = (Vec::new(), Vec::new(), Vec::new());
    for mut part in parts {
        part.sort_unstable_by_key(|seen| (seen.identity, seen.line));
        for lines in part.chunk_by(|one, next| one.identity == next.identity).filter(|lines| lines.len() > 1) {
            if contradict(lines) {
                conflicting.extend(lines.iter().map(|seen| seen.line));
                continue;
            }
            let Some((last, earlier)) = lines.split_last() else { continue };
            replaced.extend(earlier.iter().map(|seen| seen.line));
            if last.is_withdrawal && earlier.iter().any(|seen| !seen.is_withdrawal) {
                cancelling.push(last.line);
            }
        }
    }
    Repeats { replaced: Lines::of(replaced), conflicting: Lines::of(conflicting), cancelling: Lines::of(cancelling) }
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

    #[test]
    fn the_last_line_of_an_identity_counts() {
        let repeats = find_repeats(vec![vec![
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
        let repeats = find_repeats(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, true, 0, u8::MAX)]]);
        assert_eq!((repeats.replaced.0, repeats.cancelling.0), (vec![2], vec![3]));
    }

    #[test]
    fn lines_that_differ_in_sex_or_given_branch_are_all_rejected() {
        let by_sex = find_repeats(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, false, 2, 0)]]);
        assert_eq!(by_sex.conflicting.0, [2, 3]);
        let by_branch = find_repeats(vec![vec![seen(1, 2, false, 1, 0), seen(1, 3, false, 1, 1)]]);
        assert_eq!(by_branch.conflicting.0, [2, 3]);
        let not_given = find_repeats(vec![vec![seen(1, 2, false, 0, u8::MAX), seen(1, 3, false, 1, 1)]]);
        assert!(not_given.conflicting.is_empty());
    }
}
