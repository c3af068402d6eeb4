//! The chain over everything that is written, and the stream it belongs to.

use std::fmt;

/// The stream of a directory's audit: random, made with its first segment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditStream(pub [u8; 16]);

impl fmt::Debug for AuditStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// The BLAKE3 chain: whoever changes one byte changes every value after it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuditChain(pub [u8; 32]);

impl AuditChain {
    /// Where a stream's chain begins.
    pub(super) fn beginning(stream: AuditStream) -> AuditChain {
        AuditChain(*blake3::Hasher::new().update(b"shikaku audit").update(&stream.0).finalize().as_bytes())
    }

    /// The chain after a header or block.
    pub(super) fn after(self, bytes: &[u8]) -> AuditChain {
        AuditChain(*blake3::Hasher::new().update(&self.0).update(bytes).finalize().as_bytes())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<AuditChain> {
        blake3::Hash::from_hex(text).ok().map(|hash| AuditChain(*hash.as_bytes()))
    }
}

impl fmt::Display for AuditChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for AuditChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
