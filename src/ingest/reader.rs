//! A registration file as chunks that end on a record's end.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::error::IngestError;
use super::records::{Records, Scan};
use crate::disk::open_regular;
use crate::limits::{INGEST_CHUNK_BYTES, INGEST_RECORD_BYTES_MAX};

pub(super) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Whole records, in the file's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Place among the chunks of the file, 0 first.
    pub number: u64,
    /// The physical line of the file on which the first record begins; the header is line 1.
    pub first_line: u64,
    /// The records' bytes, as they stand in the file.
    pub bytes: Vec<u8>,
    /// How much of the file lies before the end of this chunk, bytes: what progress is told by.
    pub bytes_done: u64,
}

impl Chunk {
    /// The records.
    pub fn records(&self) -> Records<'_> {
        Records::of(&self.bytes, self.first_line)
    }
}

/// What a file was, once it has been read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSummary {
    /// Bytes, header and byte order mark included.
    pub bytes: u64,
    /// Physical lines; a last line without a line end counts.
    pub lines: u64,
    /// BLAKE3 of all bytes.
    pub hash: blake3::Hash,
}

/// Reads a registration file once, from its header to its end.
#[derive(Debug)]
pub struct ChunkReader {
    file: File,
    hasher: blake3::Hasher,
    header: Vec<u8>,
    /// What was read after the last whole record: the beginning of the next.
    carry: Vec<u8>,
    next_line: u64,
    next_number: u64,
    chunk_bytes: usize,
    bytes_total: u64,
    bytes_read: u64,
    last_byte: u8,
    ended: bool,
}

impl ChunkReader {
    /// Opens a regular file and reads its header.
    pub fn open(path: &Path) -> Result<ChunkReader, IngestError> {
        ChunkReader::open_with(path, INGEST_CHUNK_BYTES)
    }

    pub(super) fn open_with(path: &Path, chunk_bytes: usize) -> Result<ChunkReader, IngestError> {
        let file = open_regular(path).map_err(IngestError::Open)?.ok_or(IngestError::NotARegularFile)?;
        let metadata = file.metadata().map_err(IngestError::Open)?;
        let mut reader = ChunkReader {
            file,
            hasher: blake3::Hasher::new(),
            header: Vec::new(),
            carry: Vec::new(),
            next_line: 1,
            next_number: 0,
            chunk_bytes: chunk_bytes.max(1),
            bytes_total: metadata.len(),
            bytes_read: 0,
            last_byte: b'\n',
            ended: false,
        };
        reader.read_header()?;
        Ok(reader)
    }

    /// The header as it stands in the file, with its byte order mark and line end.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// How long the file was when it was opened, bytes.
    pub const fn bytes_total(&self) -> u64 {
        self.bytes_total
    }

    /// The next chunk, in `buffer`, whose contents are thrown away and whose room is reused; `None` at the end of the file.
    /// After an error the file has ended: what follows a hole must not be taken for what stood there.
    pub fn next_chunk(&mut self, buffer: Vec<u8>) -> Result<Option<Chunk>, IngestError> {
        let next = self.read_chunk(buffer);
        if next.is_err() {
            self.ended = true;
            self.carry.clear();
        }
        next
    }

    /// What the file was. It speaks of the whole file only after [`ChunkReader::next_chunk`] has given `None`.
    pub fn summary(&self) -> FileSummary {
        // `next_line` has counted line ends; a last line without one is a line all the same.
        let lines = self.next_line - 1 + u64::from(self.last_byte != b'\n');
        FileSummary { bytes: self.bytes_read, lines, hash: self.hasher.finalize() }
    }

    fn read_chunk(&mut self, buffer: Vec<u8>) -> Result<Option<Chunk>, IngestError> {
        let mut bytes = buffer;
        bytes.clear();
        bytes.append(&mut self.carry);
        let mut scan = Scan::starting_on(self.next_line);
        while !self.ended && scan.record_start == 0 {
            self.read_more(&mut bytes)?;
            while scan.next_end(&bytes).is_some() {}
            refuse_if_too_long(&scan)?;
        }
        if self.ended {
            // What has no line end is the last record.
            while scan.next_end(&bytes).is_some() {}
            scan.finish(&bytes);
            refuse_if_too_long(&scan)?;
        }
        if bytes.is_empty() {
            return Ok(None);
        }
        self.carry.extend_from_slice(bytes.get(scan.record_start..).unwrap_or_default());
        bytes.truncate(scan.record_start);
        let (number, first_line) = (self.next_number, self.next_line);
        self.next_number += 1;
        self.next_line = scan.record_line;
        let carried = u64::try_from(self.carry.len()).unwrap_or(0);
        Ok(Some(Chunk { number, first_line, bytes, bytes_done: self.bytes_read - carried }))
    }

    fn read_header(&mut self) -> Result<(), IngestError> {
        let mut bytes = Vec::new();
        while !self.ended && bytes.len() < UTF8_MARK.len() {
            self.read_more(&mut bytes)?;
        }
        let mut scan = Scan::starting_on(1);
        if bytes.starts_with(UTF8_MARK) {
            scan.skip(UTF8_MARK.len());
        }
        let header_start = scan.record_start;
        while scan.next_end(&bytes).is_none() {
            refuse_if_too_long(&scan)?;
            if self.ended {
                scan.finish(&bytes);
                break;
            }
            self.read_more(&mut bytes)?;
        }
        refuse_if_too_long(&scan)?;
        if scan.record_start == header_start {
            return Err(IngestError::Empty);
        }
        self.carry = bytes.split_off(scan.record_start);
        self.header = bytes;
        self.next_line = scan.record_line;
        Ok(())
    }

    fn read_more(&mut self, bytes: &mut Vec<u8>) -> Result<(), IngestError> {
        let before = bytes.len();
        let wanted = u64::try_from(self.chunk_bytes).unwrap_or(u64::MAX);
        bytes.reserve(self.chunk_bytes);
        let read = (&self.file).take(wanted).read_to_end(bytes);
        let read = read.map_err(|source| IngestError::Read { line: self.next_line, source })?;
        let new = bytes.get(before..).unwrap_or_default();
        self.hasher.update(new);
        self.last_byte = new.last().copied().unwrap_or(self.last_byte);
        self.bytes_read += u64::try_from(read).unwrap_or(0);
        self.ended = read < self.chunk_bytes;
        Ok(())
    }
}

fn refuse_if_too_long(scan: &Scan) -> Result<(), IngestError> {
    match scan.too_long_line() {
        Some(line) => Err(IngestError::RecordTooLong { line, bytes_max: INGEST_RECORD_BYTES_MAX }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use proptest::prelude::*;

    fn file(contents: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), contents).unwrap();
        file
    }

    type Whole = (Vec<u8>, Vec<(u64, Vec<u8>)>, FileSummary);

    /// The header, the records with their lines, and the summary, read in chunks of that size.
    fn read(contents: &[u8], chunk_bytes: usize) -> Result<Whole, IngestError> {
        let file = file(contents);
        let mut reader = ChunkReader::open_with(file.path(), chunk_bytes)?;
        let mut records = Vec::new();
        let mut number = 0;
        while let Some(chunk) = reader.next_chunk(Vec::new())? {
            assert_eq!(chunk.number, number);
            number += 1;
            records.extend(chunk.records().map(|record| (record.line, record.raw.to_vec())));
        }
        Ok((reader.header().to_vec(), records, reader.summary()))
    }

    #[test]
    fn a_file_is_its_header_and_its_records() {
        let contents = b"\xef\xbb\xbfa,b\r\n1,2\r\n3,\"4\n5\"\r\n6,7";
        for chunk_bytes in [1, 2, 3, 7, 1000] {
            let (header, records, summary) = read(contents, chunk_bytes).unwrap();
            assert_eq!(header, b"\xef\xbb\xbfa,b\r\n");
            assert_eq!(records, [(2, b"1,2\r\n".to_vec()), (3, b"3,\"4\n5\"\r\n".to_vec()), (5, b"6,7".to_vec())]);
            let expected = FileSummary { bytes: u64::try_from(contents.len()).unwrap(), lines: 5, hash: blake3::hash(contents) };
            assert_eq!(summary, expected);
        }
    }

    #[test]
    fn a_file_may_hold_a_header_only_and_must_hold_one() {
        for (contents, lines) in [(&b"a,b"[..], 1), (b"a,b\n", 1), (b"a,b\n\n\n", 3)] {
            let (_, records, summary) = read(contents, 2).unwrap();
            assert!(records.is_empty());
            assert_eq!(summary.lines, lines, "{contents:?}");
        }
        for contents in [&b""[..], UTF8_MARK] {
            assert!(matches!(read(contents, 2), Err(IngestError::Empty)));
        }
    }

    #[test]
    fn a_record_longer_than_the_limit_is_named_by_its_line_whatever_follows_it() {
        let long = "x".repeat(INGEST_RECORD_BYTES_MAX);
        for end in ["", "\n", "\ny\n"] {
            for chunk_bytes in [100, INGEST_CHUNK_BYTES] {
                let error = read(format!("a\nb\nc\n{long}x{end}").as_bytes(), chunk_bytes).unwrap_err();
                assert!(matches!(error, IngestError::RecordTooLong { line: 4, .. }), "{error}");
            }
        }
        assert!(matches!(read(format!("{long}\n").as_bytes(), 100), Err(IngestError::RecordTooLong { line: 1, .. })));
        let longest = format!("a\n{}\nb", &long[1..]);
        assert_eq!(read(longest.as_bytes(), 100).unwrap().1.len(), 2);
    }

    #[test]
    fn a_lost_closing_quote_is_an_error_and_not_a_file_in_memory() {
        let rows = "1,2,3,4,5,6,7,8\n".repeat(3 * INGEST_CHUNK_BYTES / 16);
        let error = read(format!("a,b\n1,2\n1,\"2\n{rows}").as_bytes(), INGEST_CHUNK_BYTES).unwrap_err();
        assert!(matches!(error, IngestError::RecordTooLong { line: 3, .. }), "{error}");
    }

    #[test]
    fn nothing_is_read_after_an_error() {
        let contents = file(format!("a\n1\n{}\n2\n", "x".repeat(2 * INGEST_RECORD_BYTES_MAX)).as_bytes());
        let mut reader = ChunkReader::open_with(contents.path(), INGEST_RECORD_BYTES_MAX).unwrap();
        assert!(std::iter::repeat_with(|| reader.next_chunk(Vec::new())).take(4).any(|next| next.is_err()));
        assert_eq!(reader.next_chunk(Vec::new()).unwrap(), None);
    }

    #[test]
    fn what_is_no_regular_file_is_refused_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(ChunkReader::open(directory.path()), Err(IngestError::NotARegularFile)));
        assert!(matches!(ChunkReader::open(Path::new("/dev/null")), Err(IngestError::NotARegularFile)));
        assert!(matches!(ChunkReader::open(&directory.path().join("absent")), Err(IngestError::Open(_))));
    }

    #[test]
    fn progress_ends_at_the_whole_file() {
        let contents = file(b"a,b\n1,2\n3,4\n");
        let mut reader = ChunkReader::open_with(contents.path(), 5).unwrap();
        let mut done = Vec::new();
        while let Some(chunk) = reader.next_chunk(Vec::new()).unwrap() {
            done.push(chunk.bytes_done);
        }
        assert!(done.is_sorted());
        assert_eq!(done.last(), Some(&reader.bytes_total()));
    }

    proptest! {
        #[test]
        fn the_size_of_chunks_never_changes_the_records(
            pieces in prop::collection::vec(prop::sample::select(vec!["a", "1", ",", "\"", "\"\"", "\n", "\r\n", "\u{ff10}", ",\""]), 0..200),
            chunk_bytes in 1usize..64,
        ) {
            let contents = format!("h\n{}", pieces.concat());
            let whole = read(contents.as_bytes(), INGEST_CHUNK_BYTES).unwrap();
            prop_assert_eq!(&whole, &read(contents.as_bytes(), chunk_bytes).unwrap());
            // Nothing is lost: records and blank lines are all there is.
            let blank = contents.len() - 2 - whole.1.iter().map(|(_, raw)| raw.len()).sum::<usize>();
            prop_assert!(blank <= contents.matches('\n').count() * 2);
        }
    }
}
