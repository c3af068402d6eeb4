//! What is hashed of a row on its way in.

use super::identity::{self, KeyHash, KeyKind};
use super::row::ArchivedRow;

/// The hashes under which a row, its certificate and its person are found, and its share of the state checksum. They depend on the row
/// alone, so whichever thread has time works them out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// The certificate's identity, as a key of the index.
    pub certificate: KeyHash,
    /// The member's key of the index.
    pub member: KeyHash,
    /// The row's identity.
    pub identity: u128,
    /// The insured identity: whose dossier the row belongs to.
    pub insured: u128,
    /// Identity and registered content: the row's share of the state checksum.
    pub content: u128,
}

impl Digest {
    /// Hashes a row; `scratch` is emptied and holds the bytes meanwhile.
    pub fn of(row: &ArchivedRow, scratch: &mut Vec<u8>) -> Digest {
        scratch.clear();
        identity::append_insured_identity(row, scratch);
        let insured = identity::hash_128(scratch);
        let member = scratch.split_last().map_or(&[][..], |(_, member)| member);
        let member = KeyHash::of(KeyKind::Member, member);
        scratch.clear();
        identity::append_certificate_identity(row, scratch);
        let certificate = KeyHash::of(KeyKind::Identity, scratch);
        identity::append_history_key(row, scratch);
        let identity = identity::hash_128(scratch);
        row.append_content(scratch);
        let content = identity::hash_128(scratch);
        Digest { certificate, member, identity, insured, content }
    }
}
