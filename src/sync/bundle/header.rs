//! The head of a bundle: how long its parts are. Nothing else of it is believed.

use crate::head::{Format, HeadError, cover, part};
use crate::log::{Chain, StreamId};

/// What a bundle begins with, and the newest format that this program reads.
pub(super) const FORMAT: Format = Format { magic: *b"SHIKBNDL", version: 1 };
/// The length of the head, bytes.
pub(super) const HEAD: usize = 128;
/// The length of the end: BLAKE3 of everything before it.
pub(super) const END: u64 = 32;

/// What stands at the head. Lengths are of the parts as they are; each part is filled with zeros to a multiple of 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) stream: StreamId,
    /// The sequence behind which the frames begin.
    pub(super) since: u64,
    /// The chain there.
    pub(super) chain: Chain,
    pub(super) checkpoint_bytes: u64,
    /// 0 without a snapshot.
    pub(super) manifest_bytes: u64,
    pub(super) snapshot_bytes: u64,
    pub(super) frames_bytes: u64,
}

/// Why a head cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    NoBundle,
    Newer(u32),
    Damaged,
    /// It uses bytes that are zero in this format, under a checksum that is right: somebody made it so.
    NotZero,
}

impl From<HeadError> for HeaderError {
    fn from(error: HeadError) -> HeaderError {
        match error {
            HeadError::Magic => HeaderError::NoBundle,
            HeadError::Checksum => HeaderError::Damaged,
            HeadError::Newer(version) => HeaderError::Newer(version),
        }
    }
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut out = FORMAT.begin(HEAD);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.since.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        for length in [self.checkpoint_bytes, self.manifest_bytes, self.snapshot_bytes, self.frames_bytes] {
            out.extend_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(&[0; 16]);
        part(&cover(out), 0)
    }

    pub(super) fn decode(bytes: &[u8; HEAD]) -> Result<Header, HeaderError> {
        FORMAT.check_covered(bytes)?;
        if part(bytes, 12) != [0; 4] || part(bytes, 104) != [0; 16] {
            return Err(HeaderError::NotZero);
        }
        let length = |place: usize| u64::from_le_bytes(part(bytes, 72 + 8 * place));
        Ok(Header {
            stream: StreamId(part(bytes, 16)),
            since: u64::from_le_bytes(part(bytes, 32)),
            chain: Chain(part(bytes, 40)),
            checkpoint_bytes: length(0),
            manifest_bytes: length(1),
            snapshot_bytes: length(2),
            frames_bytes: length(3),
        })
    }

    /// Where each part begins, and the whole file's length; `None` where that is no length at all.
    pub(super) fn layout(&self) -> Option<Layout> {
        let behind = |at: u64, bytes: u64| bytes.checked_next_multiple_of(8).and_then(|padded| at.checked_add(padded));
        let checkpoint = HEAD as u64;
        let manifest = behind(checkpoint, self.checkpoint_bytes)?;
        let snapshot = behind(manifest, self.manifest_bytes)?;
        let frames = behind(snapshot, self.snapshot_bytes)?;
        let end = behind(frames, self.frames_bytes)?;
        Some(Layout { checkpoint, manifest, snapshot, frames, end, whole: end.checked_add(END)? })
    }
}

/// Offsets of the parts, bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    pub(super) checkpoint: u64,
    pub(super) manifest: u64,
    pub(super) snapshot: u64,
    pub(super) frames: u64,
    pub(super) end: u64,
    pub(super) whole: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            stream: StreamId([7; 16]),
            since: 1200,
            chain: Chain([9; 32]),
            checkpoint_bytes: 1001,
            manifest_bytes: 192,
            snapshot_bytes: 17,
            frames_bytes: 4096,
        }
    }

    #[test]
    fn a_head_reads_as_it_was_written_and_every_flipped_byte_is_noticed() {
        let bytes = header().encode();
        assert_eq!(Header::decode(&bytes), Ok(header()));
        for place in 0..HEAD {
            let mut flipped = bytes;
            flipped[place] ^= 0x10;
            assert!(Header::decode(&flipped).is_err(), "byte {place}");
        }
    }

    #[test]
    fn parts_lie_one_behind_the_other_and_no_length_overflows() {
        let layout = header().layout().unwrap();
        assert_eq!((layout.checkpoint, layout.manifest, layout.snapshot), (128, 1136, 1328));
        assert_eq!((layout.frames, layout.end, layout.whole), (1352, 5448, 5480));
        assert_eq!(Header { snapshot_bytes: u64::MAX, ..header() }.layout(), None);
        assert_eq!(Header { frames_bytes: u64::MAX - 100, ..header() }.layout(), None);
    }

    /// A head with another byte at a place, under a checksum that is right.
    fn forged(place: usize, byte: u8) -> [u8; HEAD] {
        let mut bytes = header().encode()[..HEAD - 8].to_vec();
        bytes[place] = byte;
        part(&cover(bytes), 0)
    }

    #[test]
    fn a_newer_format_is_named_and_something_else_is_no_bundle() {
        assert_eq!(Header::decode(&forged(8, 2)), Err(HeaderError::Newer(2)));
        assert_eq!(Header::decode(&[0; HEAD]), Err(HeaderError::NoBundle));
    }

    #[test]
    fn a_byte_that_is_to_be_zero_and_is_not_is_refused_though_the_checksum_is_right() {
        assert_eq!(Header::decode(&forged(12, 0)), Ok(header()));
        for place in (12..16).chain(104..120) {
            assert_eq!(Header::decode(&forged(place, 1)), Err(HeaderError::NotZero), "byte {place}");
        }
    }
}
