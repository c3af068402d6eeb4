//! Rows that were left out, as they came, and the reasons beside them.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::columns::Column;
use crate::domain::day::DayError;
use crate::domain::identifier::IdentifierError;

/// Why a row is left out. It never repeats a value of the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// The physical line on which the row begins; the header is line 1.
    pub line: u64,
    /// The column that is wrong; empty when it is the row as a whole.
    pub column: &'static str,
    /// The reason, for machines.
    pub code: &'static str,
    /// The reason, for people.
    pub message: Cow<'static, str>,
}

/// A reject that does not know its line yet.
#[derive(Debug)]
pub(super) struct Fault {
    column: &'static str,
    code: &'static str,
    message: Cow<'static, str>,
}

impl Fault {
    pub(super) fn new(column: Column, code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { column: column.name(), code, message: message.into() }
    }

    pub(super) fn missing(column: Column) -> Fault {
        Fault::new(column, "missing_value", "must not be empty")
    }

    pub(super) fn quotes(column: Column) -> Fault {
        Fault::new(column, "bad_quoting", "a quote stands where none may, or is never closed")
    }

    pub(super) fn identifier(column: Column, code: &'static str, error: IdentifierError) -> Fault {
        Fault::new(column, code, error.to_string())
    }

    pub(super) fn day(column: Column, code: &'static str, error: DayError) -> Fault {
        Fault::new(column, code, error.to_string())
    }

    pub(super) fn column_count() -> Fault {
        Fault { column: "", code: "wrong_column_count", message: "not as many columns as the header".into() }
    }

    pub(super) fn on_line(self, line: u64) -> Reject {
        Reject { line, column: self.column, code: self.code, message: self.message }
    }
}

/// Where rejected rows and reasons go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectPaths {
    /// The rows.
    pub rows: PathBuf,
    /// The reasons.
    pub reasons: PathBuf,
}

impl RejectPaths {
    /// The default, beside the registration file: `FILE.rejects.csv` and `FILE.reasons.csv`.
    pub fn beside(registration_file: &Path) -> RejectPaths {
        RejectPaths {
            rows: with_suffix(registration_file, ".rejects.csv"),
            reasons: with_suffix(registration_file, ".reasons.csv"),
        }
    }

    /// As asked for: the rows at `rows`, the reasons at `rows.reasons.csv`.
    pub fn named(rows: &Path) -> RejectPaths {
        RejectPaths { rows: rows.to_owned(), reasons: with_suffix(rows, ".reasons.csv") }
    }
}

/// What was put aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectSummary {
    /// How many rows.
    pub rows: u64,
    /// Where they are; `None` when there are none, and then no file was touched.
    pub written: Option<RejectPaths>,
}

/// Writes rejected rows and their reasons.
///
/// Files come into being with the first reject, under temporary names, and take their names in [`RejectWriter::finish`],
/// replacing those of an earlier run. Without a reject nothing is touched: files of an earlier run may be ones that somebody is
/// mending, so they are never removed. A writer that is dropped unfinished leaves nothing behind, which is what must become of
/// the rows of a file that is refused for its individual numbers.
#[derive(Debug)]
pub struct RejectWriter {
    paths: RejectPaths,
    header: Vec<u8>,
    open: Option<Open>,
    count: u64,
}

#[derive(Debug)]
struct Open {
    rows: Output,
    reasons: Output,
    /// The last row of a file may lack its line end; one is put before whatever follows it.
    needs_line_end: bool,
}

impl RejectWriter {
    /// A writer that has touched nothing yet. `header` is the registration file's, as it stands there.
    pub fn new(paths: RejectPaths, header: &[u8]) -> RejectWriter {
        RejectWriter { paths, header: header.to_owned(), open: None, count: 0 }
    }

    /// How many rows have been put aside.
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Puts a row aside: its bytes, with their line end, untouched.
    pub fn push(&mut self, raw: &[u8], reject: &Reject) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::create(&self.paths, &self.header)?),
        };
        open.push(raw, reject)?;
        self.count += 1;
        Ok(())
    }

    /// Gives the files their names.
    pub fn finish(mut self) -> io::Result<RejectSummary> {
        let rows = self.count;
        let Some(open) = self.open.take() else { return Ok(RejectSummary::default()) };
        // The rows last: whoever waits for them finds the reasons already there.
        open.reasons.finish(&self.paths.reasons)?;
        open.rows.finish(&self.paths.rows)?;
        Ok(RejectSummary { rows, written: Some(self.paths) })
    }
}

impl Open {
    fn create(paths: &RejectPaths, header: &[u8]) -> io::Result<Open> {
        let mut rows = Output::create(&paths.rows)?;
        rows.writer.write_all(header)?;
        let mut reasons = Output::create(&paths.reasons)?;
        reasons.writer.write_all(b"line,column,code,message\n")?;
        Ok(Open { rows, reasons, needs_line_end: !header.ends_with(b"\n") })
    }

    fn push(&mut self, raw: &[u8], reject: &Reject) -> io::Result<()> {
        if self.needs_line_end {
            self.rows.writer.write_all(b"\n")?;
        }
        self.needs_line_end = !raw.ends_with(b"\n");
        self.rows.writer.write_all(raw)?;
        let message = reject.message.replace('"', "\"\"");
        writeln!(self.reasons.writer, "{},{},{},\"{message}\"", reject.line, reject.column, reject.code)
    }
}

/// A file under a temporary name beside the one that it will have.
#[derive(Debug)]
struct Output {
    writer: BufWriter<File>,
    temporary: PathBuf,
}

impl Output {
    fn create(path: &Path) -> io::Result<Output> {
        let temporary = with_suffix(path, ".partial");
        // What a run that was killed left behind has the same name; it is removed so that the mode below holds.
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        Ok(Output { writer: BufWriter::new(file), temporary })
    }

    fn finish(mut self, path: &Path) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        fs::rename(&self.temporary, path)
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // After `finish` the name is gone already.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn reject(line: u64) -> Reject {
        Reject { line, column: "number", code: "missing_value", message: "must be \"given\"".into() }
    }

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn rows_are_kept_as_they_came_with_the_reasons_beside_them() {
        let directory = tempfile::tempdir().unwrap();
        let paths = RejectPaths::beside(&directory.path().join("a.csv"));
        let mut writer = RejectWriter::new(paths.clone(), b"\xef\xbb\xbfh1,h2\r\n");
        writer.push(b"\xfb\xfc,\"a\nb\"\r\n", &reject(7)).unwrap();
        writer.push(b"x", &reject(9)).unwrap();
        writer.push(b"y\n", &reject(8)).unwrap();
        assert_eq!(writer.finish().unwrap(), RejectSummary { rows: 3, written: Some(paths.clone()) });
        assert_eq!(fs::read(&paths.rows).unwrap(), b"\xef\xbb\xbfh1,h2\r\n\xfb\xfc,\"a\nb\"\r\nx\ny\n");
        let reasons = "line,column,code,message\n7,number,missing_value,\"must be \"\"given\"\"\"\n";
        assert!(fs::read_to_string(&paths.reasons).unwrap().starts_with(reasons));
        assert_eq!(names(directory.path()), ["a.csv.reasons.csv", "a.csv.rejects.csv"]);
        for path in [&paths.rows, &paths.reasons] {
            assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn without_a_reject_no_file_is_touched() {
        let directory = tempfile::tempdir().unwrap();
        let paths = RejectPaths::named(&directory.path().join("r.csv"));
        fs::write(&paths.rows, "being mended").unwrap();
        assert_eq!(RejectWriter::new(paths.clone(), b"h\n").finish().unwrap(), RejectSummary::default());
        assert_eq!(fs::read_to_string(&paths.rows).unwrap(), "being mended");
        assert_eq!(names(directory.path()), ["r.csv"]);
    }

    #[test]
    fn files_of_an_earlier_run_are_replaced_only_at_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let paths = RejectPaths::named(&directory.path().join("r.csv"));
        fs::write(&paths.rows, "before").unwrap();
        fs::write(directory.path().join("r.csv.partial"), "left by a run that was killed").unwrap();
        let mut writer = RejectWriter::new(paths.clone(), b"h\n");
        writer.push(b"row\n", &reject(2)).unwrap();
        assert_eq!(fs::read_to_string(&paths.rows).unwrap(), "before");
        writer.finish().unwrap();
        assert_eq!(fs::read_to_string(&paths.rows).unwrap(), "h\nrow\n");
        assert_eq!(names(directory.path()), ["r.csv", "r.csv.reasons.csv"]);
    }

    #[test]
    fn a_writer_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = RejectWriter::new(RejectPaths::named(&directory.path().join("r.csv")), b"h\n");
        writer.push(b"row\n", &reject(2)).unwrap();
        assert_eq!(names(directory.path()).len(), 2);
        drop(writer);
        assert!(names(directory.path()).is_empty());
    }
}
