//! The rows that stream in, and whom they leave alone.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use shikaku::population::question::Asked;
use shikaku::population::{HEADER, Population};

use crate::error::LoadError;

/// Recipients whose lines are made at a time.
const BLOCK: u64 = 1_024;

/// Registration files, none longer than a number of rows.
pub(super) struct Files {
    directory: PathBuf,
    rows_per_file: u64,
    rows_in_file: u64,
    out: Option<BufWriter<File>>,
    pub(super) paths: Vec<PathBuf>,
    pub(super) rows: u64,
}

impl Files {
    /// Files in `directory`.
    pub(super) fn new(directory: &Path, rows_per_file: u64) -> Files {
        let directory = directory.to_owned();
        Files { directory, rows_per_file, rows_in_file: 0, out: None, paths: Vec::new(), rows: 0 }
    }

    /// Writes the registrations of recipients that nobody has registered: those of a larger population from the same seed.
    pub(super) fn write_new(&mut self, larger: &Population, registered: u64) -> Result<(), LoadError> {
        self.write_blocks(registered..larger.size(), |block, lines| larger.write_registrations(block, lines))
    }

    /// Writes what a later day's change file says: renewals, moves, withdrawals.
    pub(super) fn write_changes(&mut self, population: &Population) -> Result<(), LoadError> {
        self.write_blocks(0..population.size(), |block, lines| block.for_each(|index| population.write_changes(index, lines)))
    }

    fn write_blocks(
        &mut self,
        recipients: std::ops::Range<u64>,
        lines_of: impl Fn(std::ops::Range<u64>, &mut Vec<u8>),
    ) -> Result<(), LoadError> {
        let (mut first, mut lines) = (recipients.start, Vec::new());
        while first < recipients.end {
            let end = (first + BLOCK).min(recipients.end);
            lines.clear();
            lines_of(first..end, &mut lines);
            // No field holds a line end, so a line is a row.
            let mut rows = lines.split_inclusive(|byte| *byte == b'\n');
            rows.try_for_each(|row| self.push(row)).map_err(LoadError::io("writing the rows that are to stream in"))?;
            first = end;
        }
        self.end_file().map_err(LoadError::io("writing the rows that are to stream in"))
    }

    fn push(&mut self, row: &[u8]) -> std::io::Result<()> {
        if self.rows_per_file > 0 && self.rows_in_file == self.rows_per_file {
            self.end_file()?;
        }
        if self.out.is_none() {
            let path = self.directory.join(format!("stream-{}.csv", self.paths.len()));
            let mut out = BufWriter::new(File::create(&path)?);
            out.write_all(HEADER.as_bytes())?;
            (self.out, self.rows_in_file) = (Some(out), 0);
            self.paths.push(path);
        }
        self.rows += 1;
        self.rows_in_file += 1;
        self.out.as_mut().map_or(Ok(()), |out| out.write_all(row))
    }

    fn end_file(&mut self) -> std::io::Result<()> {
        self.out.take().map_or(Ok(()), |mut out| out.flush())
    }
}

/// Those whom a change file says something about, by all that they can be asked by.
pub(super) struct Touched {
    questions: HashSet<String>,
}

impl Touched {
    pub(super) fn by_changes(population: &Population) -> Touched {
        let mut questions = HashSet::new();
        let mut lines = Vec::new();
        for index in 0..population.size() {
            lines.clear();
            population.write_changes(index, &mut lines);
            if lines.is_empty() {
                continue;
            }
            for recipient in [population.recipient(index), population.recipient_after_changes(index)] {
                questions.insert(plainly(&recipient.ask_member(false)));
                questions.extend(recipient.ask_card().iter().map(plainly));
                let certificates = 0..recipient.certificates().len();
                questions
                    .extend(certificates.filter_map(|nth| recipient.ask_certificate(nth, false)).map(|asked| plainly(&asked)));
            }
        }
        Touched { questions }
    }

    /// Whether the answer may change while the rows come in.
    pub(super) fn concerns(&self, asked: &Asked) -> bool {
        self.questions.contains(&plainly(asked))
    }
}

/// The question without what only narrows it down: letters' width, branch number, birth date of a certificate.
fn plainly(asked: &Asked) -> String {
    let asked = match asked {
        Asked::Member { insured, .. } => Asked::Member { insured: *insured, with_branch: false },
        other => *other,
    };
    asked.narrowed().line(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shikaku::domain::day::Day;

    fn population(size: u64) -> Population {
        Population::new(1, size, Day::parse(b"2026-11-22").unwrap()).unwrap()
    }

    #[test]
    fn new_recipients_come_in_files_of_the_asked_length_and_nobody_registered_is_among_them() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::new(directory.path(), 100);
        files.write_new(&population(300), 200).unwrap();
        let texts: Vec<String> = files.paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert!(texts.len() > 1);
        assert!(texts.iter().all(|text| text.starts_with(HEADER) && text.lines().count() <= 101));
        let rows: Vec<&str> = texts.iter().flat_map(|text| text.lines().skip(1)).collect();
        assert_eq!(rows.len() as u64, files.rows);
        let mut all = Vec::new();
        population(300).write_registrations(0..300, &mut all);
        let mut registered = Vec::new();
        population(200).write_registrations(0..200, &mut registered);
        let all = String::from_utf8(all).unwrap();
        assert!(all.starts_with(&String::from_utf8(registered).unwrap()), "the larger population holds the smaller one");
        assert!(all.ends_with(&(rows.join("\n") + "\n")));
    }

    #[test]
    fn whoever_the_change_file_is_about_counts_as_touched_however_they_are_asked_about() {
        let population = population(2_000);
        let touched = Touched::by_changes(&population);
        let mut counts = (0, 0);
        for index in 0..population.size() {
            let mut lines = Vec::new();
            population.write_changes(index, &mut lines);
            let recipient = population.recipient(index);
            let mut asked = vec![recipient.ask_member(true), recipient.ask_member(false).narrowed()];
            asked.extend(recipient.ask_card());
            asked.extend(recipient.ask_certificate(0, true));
            for one in asked {
                // Twins share a key, and are never moved; nobody else shares anything.
                assert_eq!(touched.concerns(&one), !lines.is_empty() || shares(&population, index, &touched, &one), "{index}");
            }
            if lines.is_empty() { counts.0 += 1 } else { counts.1 += 1 }
        }
        assert!(counts.0 > 1_000 && counts.1 > 50, "{counts:?}");
    }

    fn shares(population: &Population, index: u64, touched: &Touched, asked: &Asked) -> bool {
        let twin = population.recipient(index ^ 1);
        population.recipient(index).is_twin() && touched.concerns(asked) && {
            let mut lines = Vec::new();
            population.write_changes(index ^ 1, &mut lines);
            !lines.is_empty() && plainly(&twin.ask_member(false)) == plainly(asked)
        }
    }
}
