//! Who was asked about, as the audit says it: a keyed hash, so that two look-ups of one person can be told to be so, and nobody can be
//! found by trying numbers without the key.

use std::fmt;
use std::path::{Path, PathBuf};

use siphasher::sip::SipHasher24;
use xxhash_rust::xxh3::xxh3_64;

use super::AuditError;
use super::entry::{HASH_MASK, key_word, kind_of};
use super::files::{read_small, write_whole};
use crate::disk::Disk;
use crate::head::part;
use crate::record::identity::{KeyHash, KeyKind};

const MAGIC: [u8; 8] = *b"SHIKAKEY";
const KEY_FILE_BYTES: usize = 32;

/// The name of the key's file.
pub(super) const KEY_FILE: &str = "key";

/// Somebody who was asked about, by one kind of key. The same person has another pseudonym under each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(u64);

impl Pseudonym {
    pub(super) const fn from_word(word: u64) -> Pseudonym {
        Pseudonym(word)
    }

    pub(super) const fn word(self) -> u64 {
        self.0
    }

    /// By which kind of key they were asked about.
    pub fn kind(self) -> KeyKind {
        kind_of(self.0)
    }
}

/// The letter of the batch form, a hyphen, and 16 hex digits.
impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.kind() {
            KeyKind::Member => 'm',
            KeyKind::Certificate => 'c',
            KeyKind::Card => 'k',
            KeyKind::Identity => 'i',
        };
        write!(f, "{letter}-{:016x}", self.0 & HASH_MASK)
    }
}

/// The key of a directory's pseudonyms.
pub struct PseudonymKey {
    hasher: SipHasher24,
    check: [u8; 8],
}

impl PseudonymKey {
    /// Reads the key of an audit's directory; `None` when there is none.
    pub fn read(disk: &dyn Disk, directory: &Path) -> Result<Option<PseudonymKey>, AuditError> {
        let path = key_path(directory);
        let Some(bytes) = read_small(disk, &path, KEY_FILE_BYTES as u64 + 1)? else { return Ok(None) };
        let (covered, checksum) = bytes.split_at_checked(KEY_FILE_BYTES - 8).unwrap_or((&[], &[]));
        if !covered.starts_with(&MAGIC) || xxh3_64(covered).to_le_bytes() != checksum {
            return Err(AuditError::KeyDamaged { path });
        }
        Ok(Some(PseudonymKey::of(part(&bytes, 8))))
    }

    /// Makes a key and writes it.
    pub(super) fn make(disk: &dyn Disk, directory: &Path) -> Result<PseudonymKey, AuditError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| AuditError::Random(error.to_string()))?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&key);
        bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
        write_whole(disk, &key_path(directory), &bytes)?;
        Ok(PseudonymKey::of(key))
    }

    pub(super) fn of(key: [u8; 16]) -> PseudonymKey {
        let check = part(&blake3::derive_key("shikaku audit key check", &key), 0);
        PseudonymKey { hasher: SipHasher24::new_with_key(&key), check }
    }

    /// The pseudonym of whom a key stands for.
    pub fn pseudonym(&self, key: KeyHash) -> Pseudonym {
        self.of_key_word(key_word(key))
    }

    /// What a segment's header says of the key, so that another one is noticed.
    pub(super) fn check(&self) -> [u8; 8] {
        self.check
    }

    #[inline]
    pub(super) fn of_key_word(&self, key_word: u64) -> Pseudonym {
        Pseudonym(key_word & !HASH_MASK | self.hasher.hash(&key_word.to_le_bytes()) & HASH_MASK)
    }
}

/// Says nothing of the key.
impl fmt::Debug for PseudonymKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PseudonymKey(…)")
    }
}

pub(super) fn key_path(directory: &Path) -> PathBuf {
    directory.join(KEY_FILE)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_key_is_kept_for_its_owner_alone_and_every_flipped_byte_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        assert!(PseudonymKey::read(&RealDisk, directory.path()).unwrap().is_none());
        let made = PseudonymKey::make(&RealDisk, directory.path()).unwrap();
        let path = key_path(directory.path());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = PseudonymKey::read(&RealDisk, directory.path()).unwrap().unwrap();
        let key = KeyHash::of(KeyKind::Member, b"somebody");
        assert_eq!((read.pseudonym(key), read.check()), (made.pseudonym(key), made.check()));
        let bytes = std::fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x40;
            std::fs::write(&path, flipped).unwrap();
            assert!(PseudonymKey::read(&RealDisk, directory.path()).is_err(), "byte {place}");
        }
        std::fs::write(&path, &bytes[..31]).unwrap();
        assert!(PseudonymKey::read(&RealDisk, directory.path()).is_err());
    }

    #[test]
    fn pseudonyms_differ_by_key_by_person_and_by_kind_and_never_show_the_hash() {
        let (one, other) = (PseudonymKey::of([1; 16]), PseudonymKey::of([2; 16]));
        let member = KeyHash::of(KeyKind::Member, b"somebody");
        let card = KeyHash { kind: KeyKind::Card, ..member };
        assert_eq!(one.pseudonym(member), PseudonymKey::of([1; 16]).pseudonym(member));
        assert_ne!(one.pseudonym(member), other.pseudonym(member));
        assert_ne!(one.pseudonym(member), one.pseudonym(KeyHash::of(KeyKind::Member, b"somebody else")));
        assert_ne!(one.pseudonym(member).word() & HASH_MASK, one.pseudonym(card).word() & HASH_MASK);
        assert_ne!(one.pseudonym(member).word() & HASH_MASK, member.hash & HASH_MASK);
        assert_eq!(one.pseudonym(card).kind(), KeyKind::Card);
        assert!(one.pseudonym(card).to_string().starts_with("k-") && one.pseudonym(card).to_string().len() == 18);
        assert_eq!(format!("{one:?}"), "PseudonymKey(…)");
    }

    /// The published vectors' key, so that another implementation can read the files.
    #[test]
    fn a_pseudonym_is_siphash_2_4_of_the_key_word() {
        let key: [u8; 16] = std::array::from_fn(|place| u8::try_from(place).unwrap());
        // The reference implementation's vector for the eight bytes 00 01 … 07 is 93f5f5799a932462.
        let word = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(PseudonymKey::of(key).of_key_word(word).word(), 0x93f5_f579_9a93_2462 & HASH_MASK);
    }
}
