//! A segment's header and name.

use super::chain::{AuditChain, AuditStream};
use super::{FORMAT_VERSION, Fault};
use crate::head::{Format, cover, part};

pub(super) const SEGMENT_HEAD: usize = 128;
const FORMAT: Format = Format { magic: *b"SHIKAAUD", version: FORMAT_VERSION };

/// Where the fields stand that one segment must have right by the one before.
pub(super) const STREAM_AT: u64 = 16;
pub(super) const NUMBER_AT: u64 = 32;
pub(super) const FIRST_ENTRY_AT: u64 = 40;
pub(super) const CHAIN_AT: u64 = 48;
pub(super) const KEY_CHECK_AT: u64 = 88;

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) stream: AuditStream,
    pub(super) number: u64,
    pub(super) first_entry: u64,
    /// The chain before the header.
    pub(super) chain: AuditChain,
    pub(super) created_unix_ms: u64,
    pub(super) key_check: [u8; 8],
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.begin(SEGMENT_HEAD);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.first_entry.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.created_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.key_check);
        out.resize(SEGMENT_HEAD - 8, 0);
        cover(out)
    }

    pub(super) fn decode(bytes: &[u8; SEGMENT_HEAD]) -> Result<SegmentHeader, Fault> {
        FORMAT.check_covered(bytes)?;
        Ok(SegmentHeader {
            stream: AuditStream(part(bytes, 16)),
            number: u64::from_le_bytes(part(bytes, 32)),
            first_entry: u64::from_le_bytes(part(bytes, 40)),
            chain: AuditChain(part(bytes, 48)),
            created_unix_ms: u64::from_le_bytes(part(bytes, 80)),
            key_check: part(bytes, 88),
        })
    }
}

/// The file name of the segment that begins with an entry.
pub(super) fn file_name(first_entry: u64) -> String {
    format!("{first_entry:020}.aud")
}

/// The first entry that a file name says, where it is a segment's.
pub(super) fn first_entry_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".aud").filter(|digits| digits.len() == 20)?;
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            stream: AuditStream([1; 16]),
            number: 2,
            first_entry: 3,
            chain: AuditChain([4; 32]),
            created_unix_ms: 5,
            key_check: [6; 8],
        }
    }

    #[test]
    fn a_header_reads_as_it_was_written_and_every_flipped_byte_is_noticed() {
        let bytes: [u8; SEGMENT_HEAD] = header().encode().try_into().unwrap();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header()));
        for place in 0..SEGMENT_HEAD {
            let mut flipped = bytes;
            flipped[place] ^= 0x10;
            assert!(SegmentHeader::decode(&flipped).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_newer_format_is_named_and_not_called_damaged() {
        let mut bytes: [u8; SEGMENT_HEAD] = header().encode().try_into().unwrap();
        bytes[8] = 2;
        let checksum = xxh3_64(&bytes[..SEGMENT_HEAD - 8]);
        bytes[SEGMENT_HEAD - 8..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(Fault::Newer(2)));
    }

    #[test]
    fn names_sort_as_their_entries_do() {
        assert_eq!(first_entry_of(&file_name(12)), Some(12));
        assert!(file_name(9) < file_name(10));
        assert!(first_entry_of("12.aud").is_none() && first_entry_of("+0000000000000000012.aud").is_none());
    }
}
