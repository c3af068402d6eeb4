//! Checksums made to fit again, so that what lies behind them is attacked as well: whoever can write to the disk can do this too.

use shikaku::log::Chain;
use xxhash_rust::xxh3::xxh3_64;

const SEGMENT_HEAD: usize = 128;
const FRAME_HEAD: usize = 56;
const FRAME_BYTES_MAX: usize = 900 << 10;

/// Makes the checksums of a segment's header and of each frame that has room fit.
pub fn seal_segment(bytes: &mut [u8]) {
    let Some((head, frames)) = bytes.split_at_mut_checked(SEGMENT_HEAD) else { return };
    seal(head);
    seal_frames(frames);
}

/// Makes the checksum of each frame that has room fit.
pub fn seal_frames(frames: &mut [u8]) {
    let mut rest = frames;
    while let Some(length) = frame_length(rest) {
        let (frame, behind) = rest.split_at_mut(length);
        seal(frame);
        rest = behind;
    }
}

/// Makes a second segment go on where a first one ends.
pub fn join(first: &[u8], second: &mut [u8]) {
    let (Some(head), Some(mut rest)) = (first.get(..SEGMENT_HEAD), first.get(SEGMENT_HEAD..)) else { return };
    let mut chain = Chain(head[48..80].try_into().expect("32 bytes"));
    let mut sequence = u64::from_le_bytes(head[32..40].try_into().expect("8 bytes"));
    while let Some(length) = frame_length(rest) {
        let (frame, behind) = rest.split_at(length);
        chain = chain.after(frame);
        sequence = sequence.wrapping_add(1);
        rest = behind;
    }
    let Some(into) = second.get_mut(..SEGMENT_HEAD) else { return };
    into[16..32].copy_from_slice(&head[16..32]);
    into[32..40].copy_from_slice(&sequence.to_le_bytes());
    into[48..80].copy_from_slice(&chain.0);
    seal(into);
}

/// The sequence that a segment says it begins with.
pub fn first_sequence(segment: &[u8]) -> Option<u64> {
    segment.get(32..40).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("8 bytes")))
}

/// Puts the hash of everything before it behind a snapshot's records.
pub fn seal_snapshot(bytes: &mut Vec<u8>) {
    let hash = *blake3::hash(bytes).as_bytes();
    bytes.extend_from_slice(&[5, 0, 0, 0]);
    bytes.extend_from_slice(&32_u32.to_le_bytes());
    bytes.extend_from_slice(&hash);
}

/// How long the frame is that these bytes begin with, if it has room.
pub fn frame_length(bytes: &[u8]) -> Option<usize> {
    let payload = bytes.get(4..8)?;
    let payload = u32::from_le_bytes(payload.try_into().ok()?) as usize;
    let length = FRAME_HEAD + payload.next_multiple_of(8) + 8;
    (length <= FRAME_BYTES_MAX && length <= bytes.len()).then_some(length)
}

/// Makes the last eight bytes the checksum of those before.
pub fn seal(bytes: &mut [u8]) {
    let covered = bytes.len() - 8;
    let checksum = xxh3_64(&bytes[..covered]);
    bytes[covered..].copy_from_slice(&checksum.to_le_bytes());
}
