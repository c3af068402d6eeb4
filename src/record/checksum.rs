//! The state checksum: two machines whose registrations are equal at an equal horizon have equal checksums, however they came by
//! them.
//!
//! A 128-bit wrapping sum over current rows, so that a row is added and taken away in any order. Kept per prefecture of the
//! authority, and one (number 0) for national bodies, to which every master record belongs too.

use super::identity::hash_128;

/// How many parts the sum has: national bodies and 47 prefectures.
pub const PARTS: usize = 48;

/// A state's checksum, by prefecture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct StateChecksum {
    parts: [u128; PARTS],
}

impl StateChecksum {
    /// The checksum of nothing.
    pub const EMPTY: StateChecksum = StateChecksum { parts: [0; PARTS] };

    /// Adds a row's content hash to its prefecture's part.
    pub fn add(&mut self, prefecture: usize, content: u128) {
        if let Some(part) = self.parts.get_mut(prefecture) {
            *part = part.wrapping_add(content);
        }
    }

    /// Takes a row's content hash out of its prefecture's part.
    pub fn take(&mut self, prefecture: usize, content: u128) {
        self.add(prefecture, content.wrapping_neg());
    }

    /// Adds everything another checksum counts: the loader's two halves meet here.
    pub fn merge(&mut self, other: &StateChecksum) {
        for (part, more) in self.parts.iter_mut().zip(other.parts) {
            *part = part.wrapping_add(more);
        }
    }

    /// The whole: the sum of the parts.
    pub fn total(&self) -> u128 {
        self.parts.iter().fold(0u128, |sum, part| sum.wrapping_add(*part))
    }

    /// The parts, national first, then prefectures 1 to 47.
    pub fn parts(&self) -> &[u128; PARTS] {
        &self.parts
    }
}

impl std::fmt::Debug for StateChecksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.total())
    }
}

/// What a master table adds to the national part.
pub fn master_content(kind: crate::domain::masters::MasterKind, text: &str) -> u128 {
    let mut bytes = vec![kind as u8];
    bytes.extend_from_slice(text.as_bytes());
    hash_128(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_add_up_in_any_order_and_taking_one_away_undoes_it() {
        let mut one = StateChecksum::EMPTY;
        one.add(13, 7);
        one.add(1, u128::MAX);
        let mut other = StateChecksum::EMPTY;
        other.add(1, u128::MAX);
        other.add(5, 99);
        other.add(13, 7);
        assert_ne!(one, other);
        other.take(5, 99);
        assert_eq!(one, other);
        assert_eq!(one.total(), 6);
    }
}
