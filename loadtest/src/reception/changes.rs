//! Registrations that arrive while the doors stand open.
//!
//! A change to somebody who is being asked about would leave two right answers. So the files register people beyond the population, about
//! whom nobody asks until the morning is over; then a batch about them tells whether they are there.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;
use shikaku::domain::day::Day;
use shikaku::population::{HEADER, Population, RECIPIENTS_MAX};

use crate::arguments::PopulationArguments;
use crate::error::LoadError;

const TIMEOUT: Duration = Duration::from_secs(30);
/// One batch asks about at most so many.
const ASKED_MAX: u64 = 1_000;

/// A file of newcomers, ready to be imported at its moment.
#[derive(Debug)]
struct Change {
    /// Since the window began.
    after: Duration,
    path: PathBuf,
}

/// All files of the morning, in a directory that goes when they go.
pub(crate) struct Changes {
    directory: PathBuf,
    files: Vec<Change>,
    population: Population,
    newcomers: Range<u64>,
}

/// What became of a file.
#[derive(Clone, Debug)]
pub(crate) struct Imported {
    pub(crate) after: Duration,
    pub(crate) took: Duration,
    pub(crate) rows: u64,
}

impl Changes {
    /// Writes a file for each of these moments, each with `newcomers_each` people. Which people depends on the register's sequence, so that
    /// a second run on the same directory registers others.
    pub(crate) fn prepare(
        arguments: &PopulationArguments,
        (horizon, sequence): (Day, u64),
        moments: &[Duration],
        newcomers_each: u32,
    ) -> Result<Changes, LoadError> {
        // Twins are pairs of an even number and the next; with an even beginning nobody's twin is left behind.
        let first = arguments.recipients.next_multiple_of(2);
        let each = u64::from(newcomers_each).next_multiple_of(2);
        let block = each * moments.len() as u64;
        let blocks = RECIPIENTS_MAX.saturating_sub(first).checked_div(block).unwrap_or(0);
        let nth = sequence.checked_rem(blocks).ok_or_else(|| LoadError::Usage("there is no room for newcomers".to_owned()))?;
        let begin = first + nth * block;
        let population = Population::new(arguments.seed, begin + block, arguments.as_of);
        let population = population.map_err(|error| LoadError::Usage(error.to_string()))?.with_horizon(horizon);
        let directory = std::env::temp_dir().join(format!("loadtest-reception-{}", std::process::id()));
        std::fs::create_dir_all(&directory).map_err(LoadError::io("a directory for the change files"))?;
        let mut changes = Changes { directory, files: Vec::new(), population, newcomers: begin..begin + block };
        for (nth, moment) in moments.iter().enumerate() {
            let path = changes.directory.join(format!("newcomers-{nth}.csv"));
            let from = begin + nth as u64 * each;
            write(&changes.population, from..from + each, &path).map_err(LoadError::io("writing a change file"))?;
            changes.files.push(Change { after: *moment, path });
        }
        Ok(changes)
    }

    /// Imports each file at its moment, from a thread of its own, until told to stop.
    pub(crate) fn begin(&self, binary: &Path, data: &Path) -> Importing {
        let (stop, stopped) = channel();
        let (binary, data) = (binary.to_owned(), data.to_owned());
        let files: Vec<(Duration, PathBuf)> = self.files.iter().map(|change| (change.after, change.path.clone())).collect();
        let importing = std::thread::spawn(move || import_all(&binary, &data, files, &stopped));
        Importing { importing, _stop: stop }
    }

    /// Asks about newcomers and compares: how many were asked about, and how many answers were wrong.
    pub(crate) fn ask_about(&self, address: SocketAddr) -> Result<(u64, u64), LoadError> {
        let step = ((self.newcomers.end - self.newcomers.start) / ASKED_MAX).max(1);
        let (mut lines, mut expected) = (String::new(), Vec::new());
        for index in self.newcomers.clone().step_by(usize::try_from(step).unwrap_or(1)).take(1_000) {
            let recipient = self.population.recipient(index);
            lines.push_str(&recipient.ask_member(true).line(None));
            lines.push('\n');
            expected.push(recipient.expected_member(true, self.population.as_of(), None).compact_line());
        }
        let answers = ask(address, self.population.as_of(), &lines).map_err(LoadError::io("asking about newcomers"))?;
        let mut answers = answers.lines();
        let wrong = expected.iter().filter(|expected| answers.next() != Some(expected.as_str())).count();
        Ok((expected.len() as u64, wrong as u64))
    }
}

impl Drop for Changes {
    fn drop(&mut self) {
        // What is left behind in the temporary directory harms nobody.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// The thread that imports; it stops before the next file when this goes.
pub(crate) struct Importing {
    importing: JoinHandle<Result<Vec<Imported>, LoadError>>,
    _stop: std::sync::mpsc::Sender<()>,
}

impl Importing {
    /// What was imported. Waits for files whose moment has not come.
    pub(crate) fn finish(self) -> Result<Vec<Imported>, LoadError> {
        self.importing.join().map_err(|_| LoadError::Server("the importing thread ended".to_owned()))?
    }
}

fn write(population: &Population, recipients: Range<u64>, path: &Path) -> std::io::Result<()> {
    let mut lines = HEADER.as_bytes().to_vec();
    population.write_registrations(recipients, &mut lines);
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&lines)?;
    file.flush()
}

fn import_all(
    binary: &Path,
    data: &Path,
    files: Vec<(Duration, PathBuf)>,
    stopped: &Receiver<()>,
) -> Result<Vec<Imported>, LoadError> {
    let began = Instant::now();
    let mut imported = Vec::new();
    for (after, path) in files {
        // Nobody ever sends: what is waited for is the moment, or the end of whoever could.
        if stopped.recv_timeout(after.saturating_sub(began.elapsed())) == Err(RecvTimeoutError::Disconnected) {
            break;
        }
        let since = Instant::now();
        let rows = import(binary, data, &path)?;
        imported.push(Imported { after, took: since.elapsed(), rows });
    }
    Ok(imported)
}

/// Imports one file through the directory's owner; rows that were new.
fn import(binary: &Path, data: &Path, path: &Path) -> Result<u64, LoadError> {
    let mut command = Command::new(binary);
    command.arg("import").arg("--data").arg(data).arg("--json").arg(path).env("SHIKAKU_LOG", "warn");
    let output = command.output().map_err(LoadError::io("importing a change file"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().last().unwrap_or_default();
        return Err(LoadError::Server(format!("a change file was not imported: {}: {last}", output.status)));
    }
    let report = output.stdout.rsplit(|byte| *byte == b'\n').find(|line| line.starts_with(b"{")).unwrap_or_default();
    let report: Value = serde_json::from_slice(report).unwrap_or_default();
    report
        .get("counts")
        .and_then(|counts| counts.get("registered"))
        .and_then(Value::as_u64)
        .filter(|rows| *rows > 0)
        .ok_or_else(|| LoadError::Server("a change file registered nobody new".to_owned()))
}

fn ask(address: SocketAddr, day: Day, lines: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(
        stream,
        "POST /v1/eligibility/batch?on={day}&consent=true HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: text/tab-separated-values\r\nAccept: text/tab-separated-values\r\nContent-Length: {}\r\n\r\n{lines}",
        lines.len()
    )?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    while answer.read_line(&mut line)? > 2 {
        line.clear();
    }
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    Ok(body)
}
