//! What identifies a row, a certificate and a member, as bytes to hash and compare.
//!
//! A row's identity (DESIGN, "The record") is authority, certificate type, recipient number, birth date, sub key and history
//! key; where the recipient number is absent, insurer, symbol, number and branch stand in for it. A certificate's identity is
//! the same without the history key.

use arrayvec::ArrayVec;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128};

use super::row::ArchivedRow;
use crate::domain::day::BirthDate;
use crate::domain::decision::Row as _;
use crate::domain::fold::{self, FoldError, Folded};
use crate::domain::identifier::{InsurerNumber, PayerNumber};

/// Separates symbol and number in one text; no registered text holds a control character.
pub const SEPARATOR: u8 = 0x1f;

/// The four kinds of key under which a dossier is found. The value seeds the hash, so that the domains never meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// Insurer, symbol, number and birth date.
    Member = 0,
    /// Payer number and recipient number.
    Certificate = 1,
    /// Card link.
    Card = 2,
    /// A certificate's identity, for whoever registers.
    Identity = 3,
}

/// The hash of a key, with its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash {
    /// Which kind of key it is.
    pub kind: KeyKind,
    /// xxh3-64 of the key, seeded by the kind.
    pub hash: u64,
}

impl KeyHash {
    /// Hashes a key of a kind.
    #[inline]
    pub fn of(kind: KeyKind, key: &[u8]) -> KeyHash {
        KeyHash { kind, hash: xxh3_64_with_seed(key, kind as u64 + 1) }
    }
}

/// A key in a fixed buffer: building one for a question allocates nothing, and a buffer is used for one question after another.
#[derive(Clone)]
pub struct KeyBytes {
    bytes: ArrayVec<u8, KEY_BYTES_MAX>,
}

/// The longest member key: insurer, birth date, and two folded texts with a separator.
const KEY_BYTES_MAX: usize = 8 + 4 + 2 * crate::domain::fold::FOLDED_BYTES_MAX + 1;

impl KeyBytes {
    /// No key.
    pub const fn empty() -> KeyBytes {
        KeyBytes { bytes: ArrayVec::new_const() }
    }

    /// Becomes the key of a member: insurer, birth date, folded symbol and number.
    #[inline]
    pub fn set_member(
        &mut self,
        insurer: &InsurerNumber,
        birth: BirthDate,
        symbol: &[u8],
        number: &[u8],
    ) -> Result<(), FoldError> {
        self.bytes.clear();
        let [a, b, c, d, e, f, g, h] = *insurer.as_bytes();
        let [i, j, k, l] = birth.packed().to_le_bytes();
        self.push(&[a, b, c, d, e, f, g, h, i, j, k, l])?;
        self.push_folded(symbol)?;
        self.push(&[SEPARATOR])?;
        self.push_folded(number)
    }

    /// Becomes the key of a certificate: payer number and folded recipient number.
    #[inline]
    pub fn set_certificate(&mut self, payer: &PayerNumber, recipient: &[u8]) -> Result<(), FoldError> {
        self.bytes.clear();
        self.push(payer.as_bytes())?;
        if fold::is_folded_recipient_number(recipient) {
            self.push(recipient)
        } else {
            let recipient = std::str::from_utf8(recipient).map_err(|_| FoldError::NotText)?;
            self.push(Folded::of_recipient_number(recipient)?.as_bytes())
        }
    }

    /// Becomes the key of a card link.
    #[inline]
    pub fn set_card(&mut self, link: &[u8]) -> Result<(), FoldError> {
        self.bytes.clear();
        self.push(link)
    }

    /// The whole key.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A member key's folded symbol and number; a certificate key's folded recipient number.
    #[inline]
    pub fn tail(&self, kind: KeyKind) -> &[u8] {
        let head = match kind {
            KeyKind::Member => 12,
            KeyKind::Certificate => 8,
            KeyKind::Card | KeyKind::Identity => 0,
        };
        self.as_bytes().get(head..).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, more: &[u8]) -> Result<(), FoldError> {
        self.bytes.try_extend_from_slice(more).map_err(|_| FoldError::TooLong)
    }

    #[inline]
    fn push_folded(&mut self, text: &[u8]) -> Result<(), FoldError> {
        if fold::is_folded(text) { self.push(text) } else { self.push_unfolded(text) }
    }

    #[inline(never)]
    fn push_unfolded(&mut self, unfolded: &[u8]) -> Result<(), FoldError> {
        fold::fold_into(unfolded, &mut self.bytes)
    }
}

/// Appends what identifies the row's certificate.
pub fn append_certificate_identity(row: &ArchivedRow, out: &mut Vec<u8>) {
    out.extend_from_slice(row.authority().as_bytes());
    out.extend_from_slice(&row.birth_date().packed().to_le_bytes());
    append_text(row.certificate_type(), out);
    append_text(row.sub_key(), out);
    let recipient = row.recipient_number();
    if recipient.is_empty() {
        out.push(0);
        out.extend_from_slice(row.insurer_number().as_bytes());
        out.push(row.branch_number().map_or(u8::MAX, |branch| branch.value()));
        append_symbol_and_number(row, out);
    } else {
        out.push(1);
        append_recipient_number(recipient, out);
    }
}

/// Appends a row's member key, then its branch number: the insured identity, of which the member key is all but the last byte.
pub fn append_insured_identity(row: &ArchivedRow, out: &mut Vec<u8>) {
    out.extend_from_slice(row.insurer_number().as_bytes());
    out.extend_from_slice(&row.birth_date().packed().to_le_bytes());
    append_symbol_and_number(row, out);
    out.push(row.branch_number().map_or(u8::MAX, |branch| branch.value()));
}

/// Appends what makes a row its certificate's row: follows [`append_certificate_identity`].
pub fn append_history_key(row: &ArchivedRow, out: &mut Vec<u8>) {
    out.push(SEPARATOR);
    append_text(row.history_key(), out);
}

/// The hash of a row's full identity.
pub fn row_identity(row: &ArchivedRow, scratch: &mut Vec<u8>) -> u128 {
    scratch.clear();
    append_certificate_identity(row, scratch);
    append_history_key(row, scratch);
    hash_128(scratch)
}

/// Appends the folded symbol, the separator and the folded number. A text that folds too long was refused on the way in.
pub fn append_symbol_and_number(row: &ArchivedRow, out: &mut Vec<u8>) {
    append_folded(row.symbol(), out);
    out.push(SEPARATOR);
    append_folded(row.number(), out);
}

/// The 128-bit hash that stands for an identity or a content; wide enough that no two of a stream's rows will ever share one.
pub fn hash_128(bytes: &[u8]) -> u128 {
    xxh3_128(bytes)
}

/// Appends the folded recipient number.
pub(super) fn append_recipient_number(number: &str, out: &mut Vec<u8>) {
    if fold::is_folded_recipient_number(number.as_bytes()) {
        out.extend_from_slice(number.as_bytes());
    } else if let Ok(folded) = Folded::of_recipient_number(number) {
        out.extend_from_slice(folded.as_bytes());
    }
}

fn append_folded(text: &str, out: &mut Vec<u8>) {
    if fold::is_folded(text.as_bytes()) {
        out.extend_from_slice(text.as_bytes());
    } else if let Ok(folded) = Folded::of(text) {
        out.extend_from_slice(folded.as_bytes());
    }
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}
