//! Why a whole file is refused.

use std::io;

/// Why a whole registration file is refused. The caller names the file; no variant repeats a value that stands in it.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file cannot be opened.
    #[error("cannot be opened: {0}")]
    Open(io::Error),
    /// It is a pipe, a directory or a device. A file is read twice, which only a regular file can promise.
    #[error("is not a regular file; a registration file is read twice, so save it to a disk first")]
    NotARegularFile,
    /// Reading stopped half way.
    #[error("line {line}: cannot be read: {source}")]
    Read {
        /// The line that was to be read.
        line: u64,
        /// Why.
        source: io::Error,
    },
    /// There is not even a header.
    #[error("line 1: the file is empty; it must start with a header row")]
    Empty,
    /// A record is longer than any well-formed one.
    #[error("line {line}: a record longer than {bytes_max} bytes begins here; most likely a closing quote is missing")]
    RecordTooLong {
        /// The line on which it begins.
        line: u64,
        /// The limit.
        bytes_max: usize,
    },
    /// The header is not text in the declared encoding.
    #[error("line 1, column {position}: the header is not text in the declared encoding ({encoding})")]
    HeaderEncoding {
        /// Place in the header, 1 first.
        position: usize,
        /// What was declared.
        encoding: &'static str,
    },
    /// UTF-8 announces itself in a file that was declared to be something else.
    #[error("line 1: the file begins with the mark of UTF-8, but {encoding} was declared")]
    UnexpectedMark {
        /// What was declared.
        encoding: &'static str,
    },
    /// The header's quotes are not those of RFC 4180.
    #[error("line 1: the header's quotes are wrong")]
    HeaderQuotes,
    /// The header has more columns than could be looked at.
    #[error("line 1: the header has more than {columns_max} columns")]
    HeaderTooWide {
        /// The limit.
        columns_max: usize,
    },
    /// A required column is missing.
    #[error("line 1: the column {0} is missing")]
    MissingColumn(&'static str),
    /// A column that no registration file has. Its name is given only when it cannot be a value: a file without a header
    /// would otherwise show a person's data here.
    #[error("line 1, column {position}: no such column{}", .name.as_ref().map(|name| format!(": {name}")).unwrap_or_default())]
    UnknownColumn {
        /// Place in the header, 1 first.
        position: usize,
        /// The name, if it is made of letters and underscores only.
        name: Option<String>,
    },
    /// A column stands in the header twice.
    #[error("line 1, column {position}: {column} stands there twice")]
    RepeatedColumn {
        /// Place of the second, 1 first.
        position: usize,
        /// The column.
        column: &'static str,
    },
    /// A column is named after the individual number.
    #[error(
        "line 1, column {position}: a column of individual numbers (個人番号); nothing of this file is taken. Remove the column"
    )]
    IndividualNumberColumn {
        /// Place in the header, 1 first.
        position: usize,
    },
    /// A column's values are, or one of them is, an individual number.
    #[error("line {line}, column {column}: holds an individual number (個人番号); nothing of this file is taken. Remove it")]
    IndividualNumber {
        /// The first line on which the column holds one.
        line: u64,
        /// The column.
        column: &'static str,
    },
}
