//! What a snapshot's file is, signed by the hub: a follower believes no file that it does not describe. `docs/sync-protocol.md` gives
//! its bytes.

use super::checkpoint::CheckpointError;
use super::key::{HubKey, HubSigner, Purpose, SIGNATURE_BYTES};
use crate::head::{Format, part};
use crate::log::{Chain, StreamId};

const FORMAT: Format = Format { magic: *b"SHIKSNMF", version: 1 };

/// The length of a signed manifest, bytes.
pub const MANIFEST_BYTES: usize = 128 + SIGNATURE_BYTES;

/// The bytes at a snapshot's end that its content hash does not cover: the record that holds it.
pub const SNAPSHOT_END_BYTES: u64 = 40;

/// A snapshot of the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// The stream.
    pub stream: StreamId,
    /// The sequence it was taken at.
    pub sequence: u64,
    /// The chain after it.
    pub chain: Chain,
    /// When the manifest was signed, ms since 1970.
    pub time_unix_ms: u64,
    /// The file's length, bytes.
    pub bytes: u64,
    /// BLAKE3 of the file but for its last [`SNAPSHOT_END_BYTES`].
    pub content: blake3::Hash,
}

impl SnapshotManifest {
    /// The name that a snapshot is fetched by.
    pub fn name(&self) -> String {
        format!("{:020}.snap", self.sequence)
    }

    /// The manifest with the hub's signature behind it.
    pub fn sign(&self, signer: &HubSigner) -> Vec<u8> {
        let mut out = FORMAT.begin(MANIFEST_BYTES);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.0);
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.chain.0);
        out.extend_from_slice(&self.time_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.extend_from_slice(self.content.as_bytes());
        out.extend_from_slice(&[0; 8]);
        let signature = signer.sign(Purpose::Snapshot, &out);
        out.extend_from_slice(&signature);
        out
    }

    /// Reads a signed manifest; nothing is believed before its signature was judged.
    pub fn verify(signed: &[u8], key: &HubKey) -> Result<SnapshotManifest, CheckpointError> {
        let (content, signature) = signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or(CheckpointError::Form)?;
        if signed.len() != MANIFEST_BYTES {
            return Err(CheckpointError::Form);
        }
        FORMAT.check(content)?;
        if !key.verifies(Purpose::Snapshot, content, signature) {
            return Err(CheckpointError::Signature);
        }
        let manifest = SnapshotManifest {
            stream: StreamId(part(content, 16)),
            sequence: u64::from_le_bytes(part(content, 32)),
            chain: Chain(part(content, 40)),
            time_unix_ms: u64::from_le_bytes(part(content, 72)),
            bytes: u64::from_le_bytes(part(content, 80)),
            content: blake3::Hash::from_bytes(part(content, 88)),
        };
        let unused = [part::<4>(content, 12), part(content, 120), part(content, 124)];
        (unused == [[0; 4]; 3] && manifest.bytes > SNAPSHOT_END_BYTES).then_some(manifest).ok_or(CheckpointError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_manifest_reads_as_it_was_signed_and_every_flipped_byte_is_noticed() {
        let signer = HubSigner::read_or_make(&RealDisk, tempfile::tempdir().unwrap().path()).unwrap();
        let manifest = SnapshotManifest {
            stream: StreamId([7; 16]),
            sequence: 1204,
            chain: Chain([9; 32]),
            time_unix_ms: 1_795_273_200_000,
            bytes: 123_456,
            content: blake3::hash(b"content"),
        };
        let signed = manifest.sign(&signer);
        assert_eq!(signed.len(), MANIFEST_BYTES);
        assert_eq!(SnapshotManifest::verify(&signed, &signer.public()), Ok(manifest));
        assert_eq!(manifest.name(), "00000000000000001204.snap");
        for place in 0..signed.len() {
            let mut flipped = signed.clone();
            flipped[place] ^= 0x10;
            assert!(SnapshotManifest::verify(&flipped, &signer.public()).is_err(), "byte {place}");
        }
        for length in 0..signed.len() {
            assert!(SnapshotManifest::verify(&signed[..length], &signer.public()).is_err(), "cut at {length}");
        }
    }
}
