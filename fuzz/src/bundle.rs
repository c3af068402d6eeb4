//! A bundle made to agree with itself: its checksums, as whoever carries it could make them fit, and what is signed, as the hub alone could.

use std::ops::Range;

use shikaku::log::Chain;
use shikaku::sync::key::{HubSigner, Purpose, SIGNATURE_BYTES};

use crate::sealing::{frame_length, seal, seal_frames};

const HEAD: usize = 128;
const END: usize = 32;
/// The version that what is signed is written in.
const FORMAT: [u8; 4] = [1, 0, 0, 0];

/// Where the parts of a bundle lie, each without the zeros behind it.
pub struct Parts {
    /// The signed checkpoint.
    pub checkpoint: Range<usize>,
    /// The signed manifest; empty without a snapshot.
    pub manifest: Range<usize>,
    /// The snapshot.
    pub snapshot: Range<usize>,
    /// The frames.
    pub frames: Range<usize>,
}

impl Parts {
    /// The parts as the head says them, where the file is as long as that.
    pub fn of(file: &[u8]) -> Option<Parts> {
        let mut at = HEAD;
        let mut next = |place: usize| {
            let length = usize::try_from(u64::from_le_bytes(word(file, 72 + 8 * place)?)).ok()?;
            let part = at..at.checked_add(length)?;
            at = part.end.checked_next_multiple_of(8)?;
            Some(part)
        };
        let (checkpoint, manifest, snapshot, frames) = (next(0)?, next(1)?, next(2)?, next(3)?);
        (at.checked_add(END)? == file.len()).then_some(Parts { checkpoint, manifest, snapshot, frames })
    }
}

/// The chain behind which the frames begin, as the head says it.
pub fn chain_before(file: &[u8]) -> Option<Chain> {
    word::<32>(file, 40).map(Chain)
}

/// Lets the frames reach to the end, wherever the file ends.
pub fn fit(file: &mut [u8]) {
    let lengths: Option<Vec<u64>> = (0..3).map(|place| word(file, 72 + 8 * place).map(u64::from_le_bytes)).collect();
    let before = lengths.and_then(|lengths| {
        lengths.into_iter().try_fold((HEAD + END) as u64, |sum, length| sum.checked_add(length.checked_next_multiple_of(8)?))
    });
    if let Some(frames) = before.and_then(|before| (file.len() as u64).checked_sub(before)) {
        put(file, 96, &frames.to_le_bytes());
    }
}

/// Makes the checksums fit: of the head, of each frame, and the hash of everything at the end.
pub fn seal_bundle(file: &mut [u8]) {
    let Some(parts) = Parts::of(file) else { return };
    seal_frames(&mut file[parts.frames]);
    seal(&mut file[..HEAD]);
    let (content, end) = file.split_at_mut(file.len() - END);
    end.copy_from_slice(blake3::hash(content).as_bytes());
}

/// Signs what a hub would have signed for these frames, whose checksums must fit: where they end, and the snapshot where they begin.
pub fn sign(file: &mut [u8], signer: &HubSigner) {
    let Some(parts) = Parts::of(file) else { return };
    let (Some(stream), Some(since), Some(before)) = (word::<16>(file, 16), word::<8>(file, 32), word::<32>(file, 40)) else {
        return;
    };
    let (mut chain, mut sequence) = (Chain(before), u64::from_le_bytes(since));
    let mut rest = &file[parts.frames];
    while let Some(length) = frame_length(rest) {
        let (frame, behind) = rest.split_at(length);
        chain = chain.after(frame);
        sequence = sequence.wrapping_add(1);
        rest = behind;
    }
    let snapshot_bytes = parts.snapshot.len() as u64;
    let checkpoint = &mut file[parts.checkpoint];
    put(checkpoint, 8, &FORMAT);
    put(checkpoint, 16, &[&stream[..], &sequence.to_le_bytes(), &chain.0].concat());
    put_signature(checkpoint, Purpose::Checkpoint, signer);
    let manifest = &mut file[parts.manifest];
    put(manifest, 8, &FORMAT);
    put(manifest, 16, &[&stream[..], &since, &before].concat());
    put(manifest, 80, &snapshot_bytes.to_le_bytes());
    put_signature(manifest, Purpose::Snapshot, signer);
}

fn put_signature(part: &mut [u8], purpose: Purpose, signer: &HubSigner) {
    if let Some((content, signature)) = part.split_last_chunk_mut::<SIGNATURE_BYTES>() {
        *signature = signer.sign(purpose, content);
    }
}

fn put(part: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(into) = part.get_mut(at..at + bytes.len()) {
        into.copy_from_slice(bytes);
    }
}

fn word<const N: usize>(file: &[u8], at: usize) -> Option<[u8; N]> {
    file.get(at..)?.first_chunk::<N>().copied()
}
