//! A record cut into its values.

use arrayvec::ArrayVec;

use super::columns::{Column, Columns};
use super::commas::Commas;
use super::encoding::Encoding;
use super::records::Record;
use super::rejects::Fault;
use crate::limits::INGEST_RECORD_BYTES_MAX;

/// A record's values by column; an absent column's is empty.
#[derive(Clone, Copy, Debug)]
pub(super) struct Values<'a> {
    body: &'a [u8],
    /// The body as text, where the file's encoding is UTF-8 and all of it is.
    text: Option<&'a str>,
    /// Where each column's value lies in the body.
    places: [Place; Column::COUNT],
}

/// From the first byte of a value to behind its last; no record is longer than 64 KiB.
#[derive(Clone, Copy, Debug)]
struct Place {
    start: u32,
    end: u32,
}

const _: () = assert!(INGEST_RECORD_BYTES_MAX <= u32::MAX as usize);

impl Place {
    const NOWHERE: Place = Place { start: 0, end: 0 };

    fn of(start: usize, end: usize) -> Place {
        let at = |place: usize| u32::try_from(place).unwrap_or(0);
        Place { start: at(start), end: at(end) }
    }

    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl<'a> Values<'a> {
    /// A column's value, its quotes taken off, not decoded.
    #[inline]
    pub(super) fn of(&self, column: Column) -> &'a [u8] {
        self.body.get(self.place(column)).unwrap_or_default()
    }

    /// A column's value as text, without decoding it; `None` where it must be decoded by itself.
    #[inline]
    pub(super) fn text_of(&self, column: Column) -> Option<&'a str> {
        self.text?.get(self.place(column))
    }

    #[cfg(test)]
    pub(super) fn with(column: Column, value: &'a [u8]) -> Values<'a> {
        let mut values = Values::in_body(value, Encoding::Cp932);
        values.put(column, 0, value.len());
        values
    }

    /// The values of a record; `unquoted` is where those of a record with quotes are put.
    pub(super) fn read(
        record: &Record<'a>,
        columns: &Columns,
        encoding: Encoding,
        unquoted: &'a mut Vec<u8>,
    ) -> Result<Values<'a>, Fault> {
        if record.has_quotes {
            Values::of_quoted(record.body(), columns, encoding, unquoted)
        } else {
            Values::of_plain(record.body(), columns, encoding)
        }
    }

    fn of_plain(body: &'a [u8], columns: &Columns, encoding: Encoding) -> Result<Values<'a>, Fault> {
        let mut values = Values::in_body(body, encoding);
        let mut ends = Commas::of(body);
        let mut start = 0;
        let (last, others) = columns.places().split_last().ok_or_else(Fault::column_count)?;
        for column in others {
            let end = ends.next().ok_or_else(Fault::column_count)?;
            values.put(*column, start, end);
            start = end + 1;
        }
        if ends.next().is_some() {
            return Err(Fault::column_count());
        }
        values.put(*last, start, body.len());
        Ok(values)
    }

    /// Copies the values without their quotes, which is dearer; only records that hold a quote come here.
    fn of_quoted(body: &'a [u8], columns: &Columns, encoding: Encoding, unquoted: &'a mut Vec<u8>) -> Result<Values<'a>, Fault> {
        unquoted.clear();
        let mut ends: ArrayVec<usize, { Column::COUNT }> = ArrayVec::new();
        let mut rest = Some(body);
        while let Some(field) = rest {
            let column = columns.places().get(ends.len()).ok_or_else(Fault::column_count)?;
            rest = unquote(field, unquoted).ok_or_else(|| Fault::quotes(*column))?;
            ends.try_push(unquoted.len()).map_err(|_| Fault::column_count())?;
        }
        if ends.len() != columns.places().len() {
            return Err(Fault::column_count());
        }
        let mut values = Values::in_body(unquoted, encoding);
        let mut start = 0;
        for (column, end) in columns.places().iter().zip(ends) {
            values.put(*column, start, end);
            start = end;
        }
        Ok(values)
    }

    fn in_body(body: &'a [u8], encoding: Encoding) -> Values<'a> {
        // A record is looked at once as a whole. A bad one costs as much again: each value is then decoded, to name the column.
        let text = if encoding == Encoding::Utf8 { std::str::from_utf8(body).ok() } else { None };
        Values { body, text, places: [Place::NOWHERE; Column::COUNT] }
    }

    fn place(&self, column: Column) -> std::ops::Range<usize> {
        self.places.get(column as usize).copied().unwrap_or(Place::NOWHERE).range()
    }

    fn put(&mut self, column: Column, start: usize, end: usize) {
        if let Some(place) = self.places.get_mut(column as usize) {
            *place = Place::of(start, end);
        }
    }
}

/// Appends the first field of `bytes` without its quotes and gives what follows its comma, or `Some(None)` where nothing does;
/// `None` when its quotes are wrong.
fn unquote<'a>(bytes: &'a [u8], out: &mut Vec<u8>) -> Option<Option<&'a [u8]>> {
    let Some(mut inside) = bytes.strip_prefix(b"\"") else {
        let end = memchr::memchr(b',', bytes);
        let (field, rest) = match end {
            Some(end) => (bytes.get(..end)?, Some(bytes.get(end + 1..)?)),
            None => (bytes, None),
        };
        out.extend_from_slice(field);
        return memchr::memchr(b'"', field).is_none().then_some(rest);
    };
    loop {
        let (field, after) = inside.split_at_checked(memchr::memchr(b'"', inside)?)?;
        out.extend_from_slice(field);
        match after {
            [b'"'] => return Some(None),
            [b'"', b',', rest @ ..] => return Some(Some(rest)),
            [b'"', b'"', rest @ ..] => {
                out.push(b'"');
                inside = rest;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Records;
    use proptest::prelude::*;

    const HEADER: &str = "op,authority_code,certificate_type_id,certificate_name,insurer_number,number,birth_date,history_key,\
        always_reimbursement,not_disclosed,valid_from,valid_to";

    /// The values in the file's order, or the reject's code and column.
    fn cut(line: &str) -> Result<Vec<String>, (&'static str, &'static str)> {
        let columns = Columns::of(HEADER.as_bytes(), Encoding::Utf8).unwrap();
        let record = Records::of(line.as_bytes(), 2).next().unwrap();
        let mut unquoted = b"left from before".to_vec();
        let values = Values::read(&record, &columns, Encoding::Utf8, &mut unquoted).map_err(|fault| fault.on_line(2));
        let values = values.map_err(|reject| (reject.code, reject.column))?;
        let own = |column: &Column| String::from_utf8(values.of(*column).to_vec()).unwrap();
        Ok(columns.places().iter().map(own).collect())
    }

    fn expect(line: &str, expected: &[&str]) {
        let expected: Vec<String> = expected.iter().map(|text| (*text).to_owned()).collect();
        assert_eq!(cut(line), Ok(expected), "{line}");
    }

    #[test]
    fn values_stand_under_the_headers_columns_with_or_without_quotes() {
        expect("a,b,c,d,e,f,g,h,i,j,k,l\r\n", &["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"]);
        expect(",,,,,,,,,,,", &[""; 12]);
        let quoted = "\"a\",b,\"c,\"\"\",\"\",e,\"x\ny\",g,,i,j,k,\"l\"\n";
        expect(quoted, &["a", "b", "c,\"", "", "e", "x\ny", "g", "", "i", "j", "k", "l"]);
        expect("\"\",,,,,,,,,,,\"\"", &[""; 12]);
        expect("\"\",,,,,,,,,,,", &[""; 12]);
    }

    #[test]
    fn a_record_has_as_many_values_as_the_header() {
        for line in ["a", ",,,,,,,,,,", ",,,,,,,,,,,,", "\"\",,,,,,,,,,", "\"\",,,,,,,,,,,,", "\"a,b,c,d,e,f,g,h,i,j,k,l\""] {
            assert_eq!(cut(line), Err(("wrong_column_count", "")), "{line}");
        }
    }

    #[test]
    fn a_quote_where_none_may_stand_is_told_by_its_column() {
        for (line, column) in [
            ("a,b\"c,,,,,,,,,,", "authority_code"),
            ("a,\"b\"c,,,,,,,,,,", "authority_code"),
            ("a,\"b\" ,,,,,,,,,,", "authority_code"),
            ("a,b,c,d,e,f,g,h,i,j,k,\"l", "valid_to"),
            ("a,b,c,d,e,f,g,h,i,j,k,\"l\"\"", "valid_to"),
        ] {
            assert_eq!(cut(line), Err(("bad_quoting", column)), "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_with_quotes_is_read_back(
            rows in prop::collection::vec(prop::collection::vec(("[a1,\"\n\r髙 ]{0,6}", any::<bool>()), 12), 1..5),
            line_end in prop::sample::select(vec!["\n", "\r\n"]),
        ) {
            let write = |(value, quoted): &(String, bool)| {
                if *quoted || value.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value.clone() }
            };
            let lines = rows.iter().map(|row| row.iter().map(write).collect::<Vec<_>>().join(",") + line_end);
            let text: String = lines.collect();
            let columns = Columns::of(HEADER.as_bytes(), Encoding::Utf8).unwrap();
            let mut unquoted = Vec::new();
            let mut read = Vec::new();
            for record in Records::of(text.as_bytes(), 2) {
                let values = Values::read(&record, &columns, Encoding::Utf8, &mut unquoted).unwrap();
                let own = |column: &Column| String::from_utf8(values.of(*column).to_vec()).unwrap();
                read.push(columns.places().iter().map(own).collect::<Vec<_>>());
            }
            let written: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|(value, _)| value.clone()).collect()).collect();
            prop_assert_eq!(read, written);
        }
    }
}
