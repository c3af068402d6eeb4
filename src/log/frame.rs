//! One frame: a header, a payload, a checksum.

use xxhash_rust::xxh3::xxh3_64;

use super::Fault;
use crate::record::padded;

/// The largest frame, header and checksum included: one message of a broker.
pub const FRAME_BYTES_MAX: usize = 900 << 10;
/// The largest payload.
pub const PAYLOAD_BYTES_MAX: usize = FRAME_BYTES_MAX - FRAME_HEAD - CHECKSUM;

pub(super) const FRAME_HEAD: usize = 56;
const CHECKSUM: usize = 8;
pub(super) const FRAME_MAGIC: [u8; 4] = *b"SHKF";

const _: () = assert!(FRAME_BYTES_MAX.is_multiple_of(8) && FRAME_HEAD.is_multiple_of(8));

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Rows registered and withdrawn.
    Changes = 1,
    /// A piece of a master table.
    Master = 2,
    /// Which file was applied.
    Feed = 3,
    /// A new horizon.
    Pruning = 4,
    /// Nothing but `durable_through`.
    Mark = 5,
}

impl FrameKind {
    /// The kind of a stored byte.
    pub fn from_byte(byte: u8) -> Option<FrameKind> {
        [FrameKind::Changes, FrameKind::Master, FrameKind::Feed, FrameKind::Pruning, FrameKind::Mark]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A frame as it is read.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// What it carries.
    pub kind: FrameKind,
    /// Its sequence.
    pub sequence: u64,
    /// The last sequence known to be synced when it was written.
    pub durable_through: u64,
    /// Its time at the source, ms since 1970.
    pub time_unix_ms: u64,
    /// The whole state checksum after it.
    pub state_checksum: u128,
    /// The payload; begins on a word when the frame does.
    pub payload: &'a [u8],
    /// The whole frame.
    pub bytes: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The frame that bytes begin with, its checksum compared; [`Fault::Short`] where more bytes must come before it is whole. Its payload can
    /// be read in place where the bytes begin on a word.
    pub fn first_of(bytes: &'a [u8]) -> Result<Frame<'a>, Fault> {
        decode(bytes)
    }

    /// Sequence and length, in bytes, of the frame that bytes begin with, by its head alone. Nothing of it is verified.
    pub fn head_of(bytes: &[u8]) -> Result<(u64, usize), Fault> {
        let head = bytes.first_chunk::<FRAME_HEAD>().ok_or(Fault::Short)?;
        let length = frame_length(head)?;
        let sequence = head.get(8..).and_then(|rest| rest.first_chunk::<8>()).ok_or(Fault::Short)?;
        Ok((u64::from_le_bytes(*sequence), length))
    }

    /// Appends the bytes of a frame to `out`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&FRAME_MAGIC);
        out.extend_from_slice(&u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.durable_through.to_le_bytes());
        out.extend_from_slice(&self.time_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.state_checksum.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0, 0, 0, 0, 0, 0, 0]);
        out.extend_from_slice(self.payload);
        out.resize(start + FRAME_HEAD + padded(self.payload.len()), 0);
        let checksum = xxh3_64(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&checksum.to_le_bytes());
    }
}

/// The length of the frame whose head this is.
pub(super) fn frame_length(head: &[u8; FRAME_HEAD]) -> Result<usize, Fault> {
    let (magic, rest) = head.split_first_chunk::<4>().ok_or(Fault::Short)?;
    if *magic != FRAME_MAGIC {
        return Err(Fault::Magic);
    }
    let payload = rest.first_chunk::<4>().map(|length| u32::from_le_bytes(*length)).ok_or(Fault::Short)?;
    let payload = usize::try_from(payload).map_err(|_| Fault::Length)?;
    if payload > PAYLOAD_BYTES_MAX {
        return Err(Fault::Length);
    }
    Ok(FRAME_HEAD + padded(payload) + CHECKSUM)
}

/// Reads a frame of which all bytes are there.
pub(super) fn decode(bytes: &[u8]) -> Result<Frame<'_>, Fault> {
    let head = bytes.first_chunk::<FRAME_HEAD>().ok_or(Fault::Short)?;
    let length = frame_length(head)?;
    let bytes = bytes.get(..length).ok_or(Fault::Short)?;
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Fault::Short)?;
    if xxh3_64(covered) != u64::from_le_bytes(*checksum) {
        return Err(Fault::Checksum);
    }
    let word = |at: usize| {
        let bytes = head.get(at..).and_then(|rest| rest.first_chunk::<8>());
        u64::from_le_bytes(bytes.copied().unwrap_or_default())
    };
    let payload_length = usize::try_from(word(0) >> 32).map_err(|_| Fault::Length)?;
    let kind = head.get(48).copied().and_then(FrameKind::from_byte).ok_or(Fault::Kind)?;
    Ok(Frame {
        kind,
        sequence: word(8),
        durable_through: word(16),
        time_unix_ms: word(24),
        state_checksum: u128::from(word(32)) | (u128::from(word(40)) << 64),
        payload: bytes.get(FRAME_HEAD..FRAME_HEAD + payload_length).ok_or(Fault::Length)?,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let mut out = Vec::new();
        let frame = Frame {
            kind: FrameKind::Feed,
            sequence: 7,
            durable_through: 6,
            time_unix_ms: 1_763_000_000_000,
            state_checksum: 0x1234_5678_9abc_def0_1122_3344_5566_7788,
            payload: b"{\"phase\":1}",
            bytes: &[],
        };
        frame.encode(&mut out);
        out
    }

    #[test]
    fn a_frame_reads_as_it_was_written() {
        let bytes = bytes();
        let frame = decode(&bytes).unwrap();
        assert_eq!((frame.kind, frame.sequence, frame.durable_through), (FrameKind::Feed, 7, 6));
        assert_eq!(frame.state_checksum, 0x1234_5678_9abc_def0_1122_3344_5566_7788);
        assert_eq!(frame.payload, b"{\"phase\":1}");
        assert_eq!(bytes.len() % 8, 0);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = bytes();
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[place] ^= 1 << bit;
                assert!(decode(&flipped).is_err(), "byte {place} bit {bit}");
            }
        }
    }

    #[test]
    fn a_frame_cut_anywhere_is_no_frame() {
        let bytes = bytes();
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "cut at {length}");
        }
    }
}
