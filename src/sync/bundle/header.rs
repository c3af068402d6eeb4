//! The head of a bundle: how long its parts are. Nothing else of it is believed.

use xxhash_rust::xxh3::xxh3_64;

use crate::log::{Chain, StreamId};

const MAGIC: [u8; 8] = *b"SHIKBNDL";
/// The newest format that this program reads.
pub(super) const FORMAT_VERSION: u32 = 1;
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
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEAD] {
        let mut out = Vec::with_capacity(HEAD);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.since.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        for length in [self.checkpoint_bytes, self.manifest_bytes, self.snapshot_bytes, self.frames_bytes] {
            out.extend_from_slice(&length.to_le_bytes());
        }
        out.extend_from_slice(&[0; 16]);
        let checksum = xxh3_64(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        let mut head = [0; HEAD];
        head.iter_mut().zip(out).for_each(|(byte, written)| *byte = written);
        head
    }

    pub(super) fn decode(bytes: &[u8; HEAD]) -> Result<Header, HeaderError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(HeaderError::NoBundle);
        }
        let (covered, checksum) = bytes.split_at(HEAD - 8);
        if xxh3_64(covered).to_le_bytes() != checksum {
            return Err(HeaderError::Damaged);
        }
        let version = u32::from_le_bytes(part(bytes, 8));
        if version > FORMAT_VERSION {
            return Err(HeaderError::Newer(version));
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

fn part<const N: usize>(bytes: &[u8; HEAD], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
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

    #[test]
    fn a_newer_format_is_named_and_something_else_is_no_bundle() {
        let mut bytes = header().encode();
        bytes[8] = 2;
        let checksum = xxh3_64(&bytes[..HEAD - 8]);
        bytes[HEAD - 8..].copy_from_slice(&checksum.to_le_bytes());
        assert_eq!(Header::decode(&bytes), Err(HeaderError::Newer(2)));
        assert_eq!(Header::decode(&[0; HEAD]), Err(HeaderError::NoBundle));
    }
}
