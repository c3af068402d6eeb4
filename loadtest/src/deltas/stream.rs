//! `shikaku import` under way: what it has acknowledged, and when.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::error::LoadError;

/// Where an import stands. It only ever goes up.
#[derive(Debug, Default)]
pub(super) struct Stage(AtomicUsize);

impl Stage {
    pub(super) const WAITING: usize = 0;
    /// It reads the file and has acknowledged nothing.
    pub(super) const EXAMINING: usize = 1;
    /// From the first acknowledgement to the last.
    pub(super) const STREAMING: usize = 2;
    pub(super) const ENDED: usize = 3;

    pub(super) fn now(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }

    fn reach(&self, stage: usize) {
        self.0.fetch_max(stage, Ordering::AcqRel);
    }
}

/// Acknowledgements, over all files of the import.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Acknowledged {
    pub(super) count: u64,
    pub(super) rows: u64,
    first: Option<(Instant, u64)>,
    last: Option<Instant>,
    /// The last line acknowledged of the file that is being applied.
    line: u64,
}

/// A file's first line is its header.
const HEADER_LINE: u64 = 1;

impl Acknowledged {
    /// Takes note of an acknowledgement of everything up to a line. Lines that go back are the next file's.
    fn note(&mut self, line: u64, at: Instant) {
        let before = if line > self.line { self.line.max(HEADER_LINE) } else { HEADER_LINE };
        self.rows += line.saturating_sub(before);
        self.line = line;
        self.count += 1;
        self.first.get_or_insert((at, self.rows));
        self.last = Some(at);
    }

    /// Rows a second, from the first acknowledgement to the last: what was acknowledged first was begun at a moment that nobody saw.
    #[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
    pub(super) fn rows_per_s(&self) -> Option<f64> {
        let ((first, rows_first), last) = (self.first?, self.last?);
        let seconds = last.duration_since(first).as_secs_f64();
        (seconds > 0.0).then(|| (self.rows - rows_first) as f64 / seconds)
    }
}

/// Imports, and tells by `stage` how far it is.
pub(super) fn import(binary: &Path, data: &Path, files: &[PathBuf], stage: &Stage) -> Result<Acknowledged, LoadError> {
    let imported = import_to_its_end(binary, data, files, stage);
    stage.reach(Stage::ENDED);
    imported
}

fn import_to_its_end(binary: &Path, data: &Path, files: &[PathBuf], stage: &Stage) -> Result<Acknowledged, LoadError> {
    let mut command = Command::new(binary);
    command.arg("import").arg("--data").arg(data).args(files).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(LoadError::io("starting the import"))?;
    stage.reach(Stage::EXAMINING);
    let mut acknowledged = Acknowledged::default();
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).lines() {
            let line = line.map_err(LoadError::io("what the import says"))?;
            if let Some(line) = durable_line(&line) {
                acknowledged.note(line, Instant::now());
                stage.reach(Stage::STREAMING);
            }
        }
    }
    let status = child.wait().map_err(LoadError::io("the import's end"))?;
    if status.success() { Ok(acknowledged) } else { Err(LoadError::Server(format!("the import ended with {status}"))) }
}

/// The line of `durable sequence=N line=L`.
fn durable_line(text: &str) -> Option<u64> {
    let rest = text.strip_prefix("durable sequence=")?;
    let (sequence, line) = rest.split_once(" line=")?;
    sequence.parse::<u64>().ok()?;
    line.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn acknowledgements_are_told_from_everything_else() {
        assert_eq!(durable_line("durable sequence=12 line=5001"), Some(5_001));
        for text in ["a.csv: 12 rows: 12 new", "durable", "durable sequence=x line=1", "durable sequence=1 line="] {
            assert_eq!(durable_line(text), None, "{text}");
        }
    }

    #[test]
    fn rows_count_from_the_first_acknowledgement_over_all_files() {
        let (mut acknowledged, began) = (Acknowledged::default(), Instant::now());
        // Two acknowledgements of a file with 1,000 rows, then two files of 500.
        for (line, ms) in [(401, 0), (1_001, 100), (501, 200), (501, 300)] {
            acknowledged.note(line, began + Duration::from_millis(ms));
        }
        assert_eq!((acknowledged.rows, acknowledged.count), (2_000, 4));
        assert_eq!(acknowledged.rows_per_s().unwrap().round(), 5_333.0, "1,600 rows in 0.3 s");
    }

    #[test]
    fn one_acknowledgement_makes_no_rate() {
        let mut acknowledged = Acknowledged::default();
        assert_eq!(acknowledged.rows_per_s(), None);
        acknowledged.note(100, Instant::now());
        assert_eq!((acknowledged.rows, acknowledged.rows_per_s()), (99, None));
    }
}
