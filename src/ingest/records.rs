//! Where records begin and end.
//!
//! RFC 4180: a field that begins with a quote runs to the next single quote, and line ends and commas inside it are text; a
//! doubled quote inside it is one quote. A quote anywhere else opens nothing, so a stray one spoils its own record and not the
//! rest of the file.
//!
//! Bytes are looked at before they are decoded. That is right for both encodings: no byte of a multi-byte character of UTF-8 is
//! ASCII, and the second byte of a double-byte character of CP932 is never below 0x40, while quote, comma, CR and LF are 0x22,
//! 0x2C, 0x0D and 0x0A.

use crate::limits::INGEST_RECORD_BYTES_MAX;

/// One record as it stands in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The physical line of the file on which it begins; the header is line 1.
    pub line: u64,
    /// Its bytes, with their line end.
    pub raw: &'a [u8],
    /// Whether it holds a quote anywhere.
    pub has_quotes: bool,
}

impl<'a> Record<'a> {
    /// The record without its line end.
    pub fn body(&self) -> &'a [u8] {
        let body = self.raw.strip_suffix(b"\n").unwrap_or(self.raw);
        body.strip_suffix(b"\r").unwrap_or(body)
    }
}

/// The records of a run of bytes that begins with a record. Lines with nothing on them are no records and are passed over.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    bytes: &'a [u8],
    scan: Scan,
}

impl<'a> Records<'a> {
    /// The records of `bytes`, the first of which begins on line `first_line`.
    pub fn of(bytes: &'a [u8], first_line: u64) -> Records<'a> {
        Records { bytes, scan: Scan::starting_on(first_line) }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        loop {
            let (start, line) = (self.scan.record_start, self.scan.record_line);
            let has_quotes = match self.scan.next_end(self.bytes) {
                Some(has_quotes) => has_quotes,
                None if start < self.bytes.len() => self.scan.finish(self.bytes),
                None => return None,
            };
            let raw = self.bytes.get(start..self.scan.record_start).unwrap_or_default();
            if !matches!(raw, b"\n" | b"\r\n" | b"\r") {
                return Some(Record { line, raw, has_quotes });
            }
        }
    }
}

/// A scan for the ends of records. It can be continued when more bytes have come, and reader and parser share it, so that they
/// can never disagree about what a record is.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// How far the bytes have been looked at.
    position: usize,
    /// Where the record that is being looked at begins.
    pub(super) record_start: usize,
    /// The line on which it begins.
    pub(super) record_line: u64,
    /// The line of `position`.
    line: u64,
    quoted: bool,
    has_quotes: bool,
    /// Where a quoted field was closed last: a quote right after it opens it again.
    closed_at: Option<usize>,
    /// The line of the first finished record that was too long.
    too_long: Option<u64>,
}

impl Scan {
    pub(super) const fn starting_on(line: u64) -> Scan {
        Scan {
            position: 0,
            record_start: 0,
            record_line: line,
            line,
            quoted: false,
            has_quotes: false,
            closed_at: None,
            too_long: None,
        }
    }

    /// Passes over bytes that belong to no record: a byte order mark.
    pub(super) const fn skip(&mut self, bytes: usize) {
        self.position += bytes;
        self.record_start += bytes;
    }

    /// Moves past the end of the current record, and says whether it held a quote; `None` when its end is not in `bytes`.
    pub(super) fn next_end(&mut self, bytes: &[u8]) -> Option<bool> {
        while let Some(ahead) = memchr::memchr2(b'"', b'\n', bytes.get(self.position..)?) {
            let at = self.position + ahead;
            self.position = at + 1;
            if bytes.get(at) == Some(&b'"') {
                self.see_quote(bytes, at);
                continue;
            }
            self.line += 1;
            if !self.quoted {
                return Some(self.begin_next());
            }
        }
        self.position = bytes.len();
        None
    }

    /// Takes what is left, after the last line end, as the last record.
    pub(super) fn finish(&mut self, bytes: &[u8]) -> bool {
        self.position = bytes.len();
        self.begin_next()
    }

    /// The line of the first record that is longer than any may be, be it still unfinished.
    pub(super) fn too_long_line(&self) -> Option<u64> {
        let unfinished = (self.position - self.record_start > INGEST_RECORD_BYTES_MAX).then_some(self.record_line);
        self.too_long.or(unfinished)
    }

    fn see_quote(&mut self, bytes: &[u8], at: usize) {
        self.has_quotes = true;
        if self.quoted {
            self.quoted = false;
            self.closed_at = Some(at);
            return;
        }
        let before = at.checked_sub(1);
        let begins_field = at == self.record_start || before.and_then(|before| bytes.get(before)) == Some(&b',');
        self.quoted = begins_field || (before.is_some() && before == self.closed_at);
    }

    fn begin_next(&mut self) -> bool {
        let had_quotes = self.has_quotes;
        self.too_long = self.too_long_line();
        self.record_start = self.position;
        self.record_line = self.line;
        self.quoted = false;
        self.has_quotes = false;
        self.closed_at = None;
        had_quotes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &str) -> Vec<(u64, String)> {
        let own = |record: Record<'_>| (record.line, String::from_utf8(record.body().to_vec()).unwrap());
        Records::of(text.as_bytes(), 2).map(own).collect()
    }

    fn expect(text: &str, expected: &[(u64, &str)]) {
        let expected: Vec<(u64, String)> = expected.iter().map(|(line, body)| (*line, (*body).to_owned())).collect();
        assert_eq!(records(text), expected, "{text:?}");
    }

    #[test]
    fn a_record_ends_at_a_line_end_of_either_kind_or_at_the_end_of_the_file() {
        expect("a,b\r\nc,d\ne,f", &[(2, "a,b"), (3, "c,d"), (4, "e,f")]);
        expect("", &[]);
    }

    #[test]
    fn lines_with_nothing_on_them_are_counted_but_are_no_records() {
        expect("a\n\n\r\nb\n\n", &[(2, "a"), (5, "b")]);
    }

    #[test]
    fn line_ends_and_commas_inside_quotes_are_text() {
        expect("\"a\nb\",c\nd\n", &[(2, "\"a\nb\",c"), (4, "d")]);
        expect("x,\"a\r\n\r\nb,\"\r\nd", &[(2, "x,\"a\r\n\r\nb,\""), (5, "d")]);
    }

    #[test]
    fn a_doubled_quote_does_not_close_its_field() {
        expect("\"a\"\"\nb\",c\nd", &[(2, "\"a\"\"\nb\",c"), (4, "d")]);
        expect("\"\",\"\"\"\n\"\"\"\nd", &[(2, "\"\",\"\"\"\n\"\"\""), (4, "d")]);
    }

    #[test]
    fn a_stray_quote_spoils_its_own_record_only() {
        expect("a\"b,c\nd\"\ne", &[(2, "a\"b,c"), (3, "d\""), (4, "e")]);
        expect("\"a\"b\"c\nd", &[(2, "\"a\"b\"c"), (3, "d")]);
    }

    #[test]
    fn a_quote_that_is_never_closed_takes_the_rest() {
        expect("a\n\"b\nc\n", &[(2, "a"), (3, "\"b\nc")]);
    }

    #[test]
    fn a_record_knows_whether_it_holds_quotes() {
        let flags: Vec<bool> = Records::of(b"a\n\"b\"\nc\n", 2).map(|record| record.has_quotes).collect();
        assert_eq!(flags, [false, true, false]);
    }
}
