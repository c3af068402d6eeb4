//! An import: examine, then apply.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::examine::{Examination, examine};
use super::gates::Gate;
use super::import_error::ImportError;
use super::progress::Progress;
use super::register::{Register, Standing};
use super::{
    ChunkReader, Columns, ParseOptions, Reject, RejectPaths, RejectSummary, RejectWriter, RowParser, blank_registration,
};
use crate::domain::registration::Registration;
use crate::record::payload::{Changes, FeedPhase, FeedRecord};
use crate::record::row::Row;
use crate::registry::{Counts, KnownFile, Outcome};

/// How a file is imported.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    /// Encoding and dates.
    pub parse: ParseOptions,
    /// Where rejected rows go; beside the file when not named.
    pub rejects: Option<PathBuf>,
    /// Examine only.
    pub dry_run: bool,
    /// Override the gates.
    pub accept: bool,
    /// The account that overrides them.
    pub accepted_by: Option<String>,
    /// Threads that parse.
    pub workers: NonZeroUsize,
}

/// What became of a file.
#[derive(Debug)]
pub struct ImportReport {
    /// What the examination found.
    pub examination: Examination,
    /// How it ended.
    pub ending: Ending,
    /// How many rows had which outcome.
    pub counts: Counts,
    /// The sequence after it, if anything was written.
    pub sequence: Option<u64>,
    /// Rejected rows and where they are.
    pub rejects: RejectSummary,
    /// Gates that were overridden.
    pub overridden: Vec<Gate>,
}

/// How an import ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Applied.
    Applied,
    /// It had been applied before, without rejects: only its authorities' freshness was renewed.
    AppliedBefore,
    /// Examined only.
    DryRun,
    /// Held by a gate; nothing was applied.
    Held,
}

/// Imports one file.
pub fn import(
    path: &Path,
    options: &ImportOptions,
    register: &dyn Register,
    progress: &mut dyn FnMut(Progress),
) -> Result<ImportReport, ImportError> {
    let standing = register.standing()?;
    let reject_paths = options.rejects.as_deref().map_or_else(|| RejectPaths::beside(path), RejectPaths::named);
    let (examination, unreadable) =
        examine(path, options.parse, register, &standing, options.workers, reject_paths.clone(), progress)?;
    let hash = examination.summary.hash.to_hex().to_string();
    let known = register.known_file(&hash, &examination.authorities)?;
    let mut report = ImportReport {
        examination,
        ending: Ending::Applied,
        counts: Counts::default(),
        sequence: None,
        rejects: RejectSummary::default(),
        overridden: Vec::new(),
    };
    match known {
        KnownFile::New | KnownFile::Begun => {}
        // What it says stands already, so nothing it would do can be an accident.
        KnownFile::Completed => report.examination.gates.clear(),
        KnownFile::Older => report.examination.gates.insert(0, Gate::OlderFile),
        KnownFile::CannotBeKnown => report.examination.gates.insert(0, Gate::PerhapsOlderFile),
    }
    if !report.examination.gates.is_empty() && !options.accept {
        report.ending = Ending::Held;
        report.rejects = unreadable.finish().map_err(ImportError::Rejects)?;
        return Ok(report);
    }
    if options.dry_run {
        report.ending = Ending::DryRun;
        report.rejects = unreadable.finish().map_err(ImportError::Rejects)?;
        return Ok(report);
    }
    drop(unreadable);
    report.overridden = report.examination.gates.clone();
    let feed = |phase, rejects, examination: &Examination| FeedRecord {
        phase,
        file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        file_hash: hash.clone(),
        authorities: examination
            .authorities
            .iter()
            .map(|authority| String::from_utf8_lossy(authority.as_bytes()).into_owned())
            .collect(),
        rows: examination.rows,
        rejects,
        gates_overridden: examination.gates.iter().map(|gate| gate.word().to_owned()).collect(),
        accepted_by: options.accepted_by.clone().filter(|_| !examination.gates.is_empty()),
    };
    if known == KnownFile::Completed {
        report.sequence = Some(register.record_feed(&feed(FeedPhase::Ended, 0, &report.examination))?);
        report.ending = Ending::AppliedBefore;
        return Ok(report);
    }
    register.record_feed(&feed(FeedPhase::Began, report.examination.rejects, &report.examination))?;
    register.reserve_rows(report.examination.rows)?;
    apply(path, options, register, &standing, reject_paths, &mut report, progress)?;
    report.sequence = Some(register.record_feed(&feed(FeedPhase::Ended, report.rejects.rows, &report.examination))?);
    Ok(report)
}

/// What one chunk parsed to.
#[derive(Default)]
struct ChunkParsed {
    changes: Changes,
    /// Line and raw bytes of each change, for rejects that only the registry can tell.
    records: Vec<(u64, std::ops::Range<usize>)>,
    bytes: Vec<u8>,
    rejects: Vec<(Reject, Vec<u8>)>,
    last_line: u64,
    scratch: Vec<u8>,
}

impl ChunkParsed {
    /// Empties it, and keeps its memory.
    fn clear(&mut self) {
        self.changes.clear();
        self.records.clear();
        self.rejects.clear();
    }
}

fn apply(
    path: &Path,
    options: &ImportOptions,
    register: &dyn Register,
    standing: &Standing,
    reject_paths: RejectPaths,
    report: &mut ImportReport,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), ImportError> {
    let reader = ChunkReader::open(path)?;
    let columns = Columns::of(reader.header(), options.parse.encoding)?;
    let bytes_total = reader.bytes_total();
    let mut writer = RejectWriter::new(reject_paths, reader.header());
    let examination = &report.examination;
    let counts = &mut report.counts;
    // What is done with goes back to the workers: megabytes that the system takes and gives again and again cost more than parsing.
    let (give_back, done_with) = crossbeam_channel::unbounded::<ChunkParsed>();
    let worker = || {
        let mut parser = RowParser::new(&columns, &standing.masters, options.parse);
        let mut registration = blank_registration();
        let done_with = &done_with;
        move |chunk: &mut super::Chunk| {
            let mut parsed = done_with.try_recv().unwrap_or_default();
            parse_chunk(chunk, &mut parser, &mut registration, examination, &mut parsed).map(|()| {
                std::mem::swap(&mut parsed.bytes, &mut chunk.bytes);
                parsed
            })
        }
    };
    let summary = reader.for_each_chunk(options.workers, worker, |parsed, bytes_done| -> Result<(), ImportError> {
        let mut parsed = parsed?;
        let applied = register.apply(&parsed.changes)?;
        counts.add(&applied.counts);
        for (place, outcome) in applied.rejected {
            let Some((line, raw)) = parsed.records.get(place) else { continue };
            if outcome == Outcome::Unknown && examination.cancelling.has(*line) {
                counts.rejected -= 1;
                continue;
            }
            let raw = parsed.bytes.get(raw.clone()).unwrap_or_default().to_vec();
            parsed.rejects.push((late_reject(*line, outcome), raw));
        }
        parsed.rejects.sort_by_key(|(reject, _)| reject.line);
        for (reject, raw) in &parsed.rejects {
            writer.push(raw, reject).map_err(ImportError::Rejects)?;
        }
        let sequence = Some(applied.sequence);
        progress(Progress { applying: true, bytes_done, bytes_total, line: parsed.last_line, sequence });
        parsed.clear();
        // The workers' end of the channel outlives this closure.
        let _ = give_back.send(parsed);
        Ok(())
    })?;
    if summary.hash != examination.summary.hash {
        return Err(ImportError::Changed);
    }
    report.rejects = writer.finish().map_err(ImportError::Rejects)?;
    Ok(())
}

fn parse_chunk(
    chunk: &super::Chunk,
    parser: &mut RowParser<'_>,
    registration: &mut Registration,
    examination: &Examination,
    parsed: &mut ChunkParsed,
) -> Result<(), ImportError> {
    parsed.last_line = chunk.first_line;
    let base = chunk.bytes.as_ptr().addr();
    for record in chunk.records() {
        parsed.last_line = record.line;
        if examination.replaced.has(record.line) {
            continue;
        }
        if examination.conflicting.has(record.line) {
            parsed.rejects.push((conflict(record.line), record.raw.to_vec()));
            continue;
        }
        match parser.parse_into(&record, registration) {
            Ok(operation) => {
                parsed.changes.push(operation, &Row::of(registration))?;
                let start = record.raw.as_ptr().addr() - base;
                parsed.records.push((record.line, start..start + record.raw.len()));
            }
            Err(reject) => parsed.rejects.push((reject, record.raw.to_vec())),
        }
    }
    // Here and not where they are registered: there one thread does it for all workers.
    parsed.changes.digest(&mut parsed.scratch);
    Ok(())
}

fn conflict(line: u64) -> Reject {
    Reject {
        line,
        column: "sex",
        code: "identity_conflict",
        message: "lines of one identity differ in sex or in their branch numbers".into(),
    }
}

fn late_reject(line: u64, outcome: Outcome) -> Reject {
    let (column, code, message) = match outcome {
        Outcome::DossierFull => ("number", "dossier_full", "this person would have more rows than one dossier may hold (64)"),
        _ => ("op", "unknown_row", "a row of this identity was never registered, so it cannot be withdrawn"),
    };
    Reject { line, column, code, message: message.into() }
}
