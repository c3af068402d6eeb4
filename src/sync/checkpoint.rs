//! A checkpoint: how the hub's log stands at a sequence, signed. `docs/sync-protocol.md` gives its bytes.

use super::key::{HubKey, HubSigner, Purpose, SIGNATURE_BYTES};
use crate::head::{Format, HeadError};
use crate::limits::CHECKPOINT_SEGMENTS_MAX;
use crate::log::{Chain, StreamId};
use crate::record::StateChecksum;
use crate::record::checksum::PARTS;
use crate::registry::{Registry, SegmentEntry};

const FORMAT: Format = Format { magic: *b"SHIKCKPT", version: 1 };
/// The bytes before the list of segments.
const HEAD: usize = 864;
/// A segment's entry: its first sequence and the chain before it.
const ENTRY: usize = 40;

const _: () = assert!(HEAD == 88 + 16 * PARTS + 8);

/// The longest a signed checkpoint may be, bytes.
pub const CHECKPOINT_BYTES_MAX: usize = HEAD + ENTRY * CHECKPOINT_SEGMENTS_MAX + SIGNATURE_BYTES;

/// How the log stands at a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The stream.
    pub stream: StreamId,
    /// The last durable sequence.
    pub sequence: u64,
    /// The chain after it.
    pub chain: Chain,
    /// When it was signed, ms since 1970.
    pub time_unix_ms: u64,
    /// The oldest sequence that the hub's log still holds.
    pub oldest_sequence: u64,
    /// The state checksum after the sequence, by prefecture.
    pub state: StateChecksum,
    /// Where the hub's segments begin, the oldest that is kept first, the one that is written to last. Where one begins, the one before
    /// it ended.
    pub segments: Vec<SegmentStart>,
}

/// Where a segment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentStart {
    /// Its first sequence.
    pub first_sequence: u64,
    /// The chain before that.
    pub chain: Chain,
}

/// A place that the hub signed: frames that arrive there are the hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedPlace {
    /// The last sequence before it.
    pub sequence: u64,
    /// The chain there.
    pub chain: Chain,
}

/// Why bytes are no checkpoint of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// They are not laid out as a checkpoint is.
    #[error("it is not laid out as a checkpoint is")]
    Form,
    /// A later version of the program signed them.
    #[error("it has format {0}; this program knows up to {known}", known = FORMAT.version)]
    Newer(u32),
    /// The signature is not the hub's.
    #[error("its signature is not the hub's")]
    Signature,
}

impl From<HeadError> for CheckpointError {
    fn from(error: HeadError) -> CheckpointError {
        match error {
            HeadError::Magic | HeadError::Checksum => CheckpointError::Form,
            HeadError::Newer(version) => CheckpointError::Newer(version),
        }
    }
}

impl Checkpoint {
    /// How the log of a registry stands, with what was known of its segments a moment ago.
    pub fn of(registry: &Registry, segments: &[SegmentEntry], now_unix_ms: u64) -> Checkpoint {
        let (position, state) = registry.standing();
        // One that began since then begins behind the place that is signed.
        let begun = segments.iter().filter(|segment| segment.before.sequence <= position.sequence);
        let begun = begun.map(|segment| SegmentStart { first_sequence: segment.first_sequence, chain: segment.before.chain });
        // The oldest are the first that a list without end would do without.
        let segments: Vec<SegmentStart> = begun.collect();
        let surplus = segments.len().saturating_sub(CHECKPOINT_SEGMENTS_MAX);
        let oldest_sequence = segments.first().map_or(position.sequence + 1, |oldest| oldest.first_sequence);
        Checkpoint {
            stream: position.stream,
            sequence: position.sequence,
            chain: position.chain,
            time_unix_ms: now_unix_ms,
            oldest_sequence,
            state,
            segments: segments.into_iter().skip(surplus).collect(),
        }
    }

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FORMAT.begin(HEAD + ENTRY * self.segments.len() + SIGNATURE_BYTES);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.time_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.oldest_sequence.to_le_bytes());
        for part in self.state.parts() {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(&u32::try_from(self.segments.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        for segment in &self.segments {
            out.extend_from_slice(&segment.first_sequence.to_le_bytes());
            out.extend_from_slice(&segment.chain.0);
        }
        out
    }

    /// The same with the hub's signature behind it: what travels.
    pub fn sign(&self, signer: &HubSigner) -> Vec<u8> {
        let mut bytes = self.encode();
        let signature = signer.sign(Purpose::Checkpoint, &bytes);
        bytes.extend_from_slice(&signature);
        bytes
    }

    /// Reads a signed checkpoint. The signature is judged before anything else is believed, the version before the signature.
    pub fn verify(signed: &[u8], key: &HubKey) -> Result<Checkpoint, CheckpointError> {
        let (content, signature) = signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or(CheckpointError::Form)?;
        FORMAT.check(content)?;
        if !key.verifies(Purpose::Checkpoint, content, signature) {
            return Err(CheckpointError::Signature);
        }
        decode(content).ok_or(CheckpointError::Form)
    }

    /// Its own place.
    pub fn place(&self) -> SignedPlace {
        SignedPlace { sequence: self.sequence, chain: self.chain }
    }

    /// The places behind a sequence, in order; the last is the checkpoint's own.
    pub fn places_behind(&self, sequence: u64) -> impl Iterator<Item = SignedPlace> + '_ {
        let ends = self.segments.iter().filter(|segment| segment.first_sequence > 1);
        let ends = ends.map(|segment| SignedPlace { sequence: segment.first_sequence - 1, chain: segment.chain });
        let own = self.place();
        let before_own = ends.filter(move |place| place.sequence < own.sequence);
        before_own.chain([own]).filter(move |place| place.sequence > sequence)
    }

    /// What it says of the chain at a sequence, where it says anything.
    pub fn chain_at(&self, sequence: u64) -> Option<Chain> {
        if sequence == self.sequence {
            return Some(self.chain);
        }
        let next = sequence.checked_add(1)?;
        let place = self.segments.binary_search_by_key(&next, |segment| segment.first_sequence).ok()?;
        self.segments.get(place).map(|segment| segment.chain)
    }
}

fn decode(content: &[u8]) -> Option<Checkpoint> {
    let mut rest = content.get(12..)?;
    if take::<4>(&mut rest)? != [0; 4] {
        return None;
    }
    let stream = StreamId(take(&mut rest)?);
    let sequence = u64::from_le_bytes(take(&mut rest)?);
    let chain = Chain(take(&mut rest)?);
    let time_unix_ms = u64::from_le_bytes(take(&mut rest)?);
    let oldest_sequence = u64::from_le_bytes(take(&mut rest)?);
    let mut state = StateChecksum::EMPTY;
    for prefecture in 0..PARTS {
        state.add(prefecture, u128::from_le_bytes(take(&mut rest)?));
    }
    let count = usize::try_from(u32::from_le_bytes(take(&mut rest)?)).ok()?;
    let padding = take::<4>(&mut rest)?;
    if padding != [0; 4] || count > CHECKPOINT_SEGMENTS_MAX || rest.len() != count * ENTRY {
        return None;
    }
    let mut segments = Vec::with_capacity(count);
    for _ in 0..count {
        let first_sequence = u64::from_le_bytes(take(&mut rest)?);
        segments.push(SegmentStart { first_sequence, chain: Chain(take(&mut rest)?) });
    }
    let rising = segments.is_sorted_by(|one, next| one.first_sequence < next.first_sequence);
    let within = segments.last().is_none_or(|last| last.first_sequence <= sequence.saturating_add(1));
    (rising && within).then_some(Checkpoint { stream, sequence, chain, time_unix_ms, oldest_sequence, state, segments })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*part)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn signer() -> HubSigner {
        HubSigner::read_or_make(&RealDisk, tempfile::tempdir().unwrap().path()).unwrap()
    }

    fn checkpoint() -> Checkpoint {
        let mut state = StateChecksum::EMPTY;
        state.add(13, u128::MAX / 7);
        state.add(0, 5);
        let start = |first_sequence, byte| SegmentStart { first_sequence, chain: Chain([byte; 32]) };
        Checkpoint {
            stream: StreamId([7; 16]),
            sequence: 1204,
            chain: Chain([9; 32]),
            time_unix_ms: 1_795_273_200_000,
            oldest_sequence: 301,
            state,
            segments: vec![start(301, 1), start(802, 2), start(1103, 3)],
        }
    }

    #[test]
    fn a_checkpoint_reads_as_it_was_signed_and_every_flipped_byte_is_noticed() {
        let signer = signer();
        let signed = checkpoint().sign(&signer);
        assert_eq!(signed.len(), 864 + 3 * 40 + 64);
        assert_eq!(Checkpoint::verify(&signed, &signer.public()), Ok(checkpoint()));
        for place in 0..signed.len() {
            let mut flipped = signed.clone();
            flipped[place] ^= 0x10;
            assert!(Checkpoint::verify(&flipped, &signer.public()).is_err(), "byte {place}");
        }
        for length in 0..signed.len() {
            assert!(Checkpoint::verify(&signed[..length], &signer.public()).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn a_newer_format_is_named_before_its_signature_is_judged() {
        let signer = signer();
        let mut signed = checkpoint().sign(&signer);
        signed[8] = 2;
        assert_eq!(Checkpoint::verify(&signed, &signer.public()), Err(CheckpointError::Newer(2)));
    }

    #[test]
    fn what_the_hub_signed_but_cannot_mean_is_no_checkpoint() {
        let signer = signer();
        let falling = Checkpoint { segments: checkpoint().segments.into_iter().rev().collect(), ..checkpoint() };
        let beyond = Checkpoint { sequence: 1101, ..checkpoint() };
        for wrong in [falling, beyond] {
            assert_eq!(Checkpoint::verify(&wrong.sign(&signer), &signer.public()), Err(CheckpointError::Form));
        }
    }

    #[test]
    fn its_places_are_the_ends_of_sealed_segments_and_its_own() {
        let places = |behind| checkpoint().places_behind(behind).map(|place| place.sequence).collect::<Vec<_>>();
        assert_eq!(places(0), [300, 801, 1102, 1204]);
        assert_eq!(places(801), [1102, 1204]);
        assert_eq!(places(1204), Vec::<u64>::new());
        assert_eq!(checkpoint().chain_at(801), Some(Chain([2; 32])));
        assert_eq!((checkpoint().chain_at(1204), checkpoint().chain_at(5)), (Some(Chain([9; 32])), None));
        let just_rolled = Checkpoint { sequence: 1102, chain: Chain([3; 32]), ..checkpoint() };
        assert_eq!(just_rolled.places_behind(801).count(), 1, "the end of the last sealed segment is its own place");
    }
}
