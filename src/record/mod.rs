//! The archived shapes: row, dossier, keys, frame payloads, and the checksum of a state.
//!
//! A row is archived once, when it enters; the same bytes lie in the log's frame, in the store's dossier and in memory, and a
//! look-up reads them in place. Everything here is position-independent and little endian. rkyv's options are pinned by its
//! features in the manifest: little endian, 32-bit pointers, aligned primitives.

pub mod checksum;
pub mod digest;
pub mod dossier;
#[cfg(test)]
pub(crate) mod fixture;
pub mod identity;
pub mod payload;
pub mod row;
#[cfg(test)]
mod tests;

pub use checksum::StateChecksum;
pub use digest::Digest;
pub use dossier::{DossierBatch, DossierRef};
pub use row::ArchivedRow;

/// Stored bytes that are not what their place says. Never carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter or longer than its own header says, or than any such record can be.
    #[error("a record of the wrong length")]
    Length,
    /// Written by a later version of the program.
    #[error("a record of version {0}, which this program does not know")]
    Version(u8),
    /// Not at an address where it can be read in place.
    #[error("a misaligned record")]
    Alignment,
    /// The archived bytes are not a valid row.
    #[error("a record whose inside is not valid")]
    Inside,
}

/// Rounds up to whole 8-byte words, in which everything stored is laid out.
pub(crate) const fn padded(length: usize) -> usize {
    length.next_multiple_of(8)
}
