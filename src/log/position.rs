//! Which stream, and where in it: what segments, the store and snapshots say of the place they begin at or stand at.

use super::frame::Frame;

/// A place between two frames of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The stream.
    pub stream: StreamId,
    /// The sequence of the last frame before this place; 0 at the beginning.
    pub sequence: u64,
    /// The chain after that frame.
    pub chain: Chain,
    /// The whole state checksum after that frame.
    pub state_checksum: u128,
}

impl Position {
    /// Where a stream begins that begins empty.
    pub fn beginning(stream: StreamId) -> Position {
        Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 }
    }

    /// The place behind the next frame.
    #[must_use]
    pub fn behind(&self, frame: &Frame<'_>) -> Position {
        let chain = self.chain.after(frame.bytes);
        Position { sequence: frame.sequence, chain, state_checksum: frame.state_checksum, ..*self }
    }
}

/// A stream's identity: random, made with the stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StreamId(pub [u8; 16]);

impl std::fmt::Debug for StreamId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The BLAKE3 chain over all frames of a stream.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// Where a stream's chain begins. A stream that was restored from a snapshot names its parent's stream and sequence.
    pub fn beginning(stream: StreamId, parent: Option<(StreamId, u64)>) -> Chain {
        let (parent, sequence) = parent.unwrap_or((StreamId([0; 16]), 0));
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"shikaku stream").update(&stream.0).update(&parent.0).update(&sequence.to_le_bytes());
        Chain(*hasher.finalize().as_bytes())
    }

    /// The chain after a frame.
    pub fn after(self, frame: &[u8]) -> Chain {
        Chain(*blake3::Hasher::new().update(&self.0).update(frame).finalize().as_bytes())
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", blake3::Hash::from_bytes(self.0).to_hex())
    }
}
