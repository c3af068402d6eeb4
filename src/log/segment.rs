//! A segment's header and name.

use super::Fault;
use super::position::{Chain, StreamId};
use crate::head::{Format, HeadError, cover, part};

/// The length of a segment's header, bytes: its first frame begins there.
pub const SEGMENT_HEAD: usize = 128;
pub(super) const FORMAT: Format = Format { magic: *b"SHIKALOG", version: 1 };

/// Where the bytes lie that this version leaves zero.
const FLAGS: usize = 12;
const KEY_ID: usize = 96;
const RESERVED: usize = 112;

/// What a segment says of itself before its first frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The stream it belongs to.
    pub stream: StreamId,
    /// The sequence of its first frame.
    pub first_sequence: u64,
    /// When it was begun, ms since 1970.
    pub created_unix_ms: u64,
    /// The chain before its first frame.
    pub chain: Chain,
    /// The whole state checksum before its first frame.
    pub state_checksum: u128,
}

/// Why a header is not one this program can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    Faulty(Fault),
    Newer(u32),
    /// Flags, or other bytes in use that this version leaves zero.
    Features(u32),
}

impl From<HeadError> for HeaderError {
    fn from(error: HeadError) -> HeaderError {
        match error {
            HeadError::Magic => HeaderError::Faulty(Fault::Magic),
            HeadError::Checksum => HeaderError::Faulty(Fault::Checksum),
            HeadError::Newer(version) => HeaderError::Newer(version),
        }
    }
}

impl SegmentHeader {
    /// The 128 bytes of the header.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.begin(SEGMENT_HEAD);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&self.created_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.state_checksum.to_le_bytes());
        out.resize(SEGMENT_HEAD - 8, 0);
        cover(out)
    }

    /// Reads a header. A newer version is told apart before anything else is believed; so is one that uses bytes which this version
    /// leaves zero, because under a checksum that matches somebody meant them.
    pub(super) fn decode(bytes: &[u8; SEGMENT_HEAD]) -> Result<SegmentHeader, HeaderError> {
        FORMAT.check_covered(bytes)?;
        let flags = u32::from_le_bytes(part(bytes, FLAGS));
        if flags != 0 || part(bytes, KEY_ID) != [0u8; 16] || part(bytes, RESERVED) != [0u8; 8] {
            return Err(HeaderError::Features(flags));
        }
        Ok(SegmentHeader {
            stream: StreamId(part(bytes, 16)),
            first_sequence: u64::from_le_bytes(part(bytes, 32)),
            created_unix_ms: u64::from_le_bytes(part(bytes, 40)),
            chain: Chain(part(bytes, 48)),
            state_checksum: u128::from_le_bytes(part(bytes, 80)),
        })
    }
}

/// The file name of the segment that begins with a sequence.
pub(super) fn file_name(first_sequence: u64) -> String {
    format!("{first_sequence:020}.seg")
}

/// The first sequence that a file name says, where it is a segment's.
pub(super) fn sequence_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(".seg").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            stream: StreamId([7; 16]),
            first_sequence: 42,
            created_unix_ms: 1_763_000_000_000,
            chain: Chain([9; 32]),
            state_checksum: u128::MAX / 3,
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
    fn a_newer_format_is_named_and_not_called_corrupt() {
        let mut bytes: [u8; SEGMENT_HEAD] = header().encode().try_into().unwrap();
        bytes[8] = 2;
        let checksum = xxh3_64(&bytes[..SEGMENT_HEAD - 8]);
        bytes[SEGMENT_HEAD - 8..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Newer(2)));
    }

    #[test]
    fn bytes_in_use_that_this_version_leaves_zero_are_features_and_no_damage() {
        for (place, flags) in [(FLAGS, 1), (FLAGS + 3, 1 << 24), (KEY_ID, 0), (KEY_ID + 15, 0), (RESERVED, 0), (RESERVED + 7, 0)]
        {
            let mut bytes: [u8; SEGMENT_HEAD] = header().encode().try_into().unwrap();
            bytes[place] = 1;
            assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Faulty(Fault::Checksum)), "byte {place}");
            let checksum = xxh3_64(&bytes[..SEGMENT_HEAD - 8]);
            bytes[SEGMENT_HEAD - 8..].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(SegmentHeader::decode(&bytes), Err(HeaderError::Features(flags)), "byte {place}");
        }
    }

    #[test]
    fn names_sort_as_their_sequences_do() {
        assert_eq!(sequence_of(&file_name(12)), Some(12));
        assert!(file_name(9) < file_name(10));
        assert_eq!(sequence_of("12.seg"), None);
    }
}
