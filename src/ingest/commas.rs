//! Where the commas of a record are.
//!
//! A field is some six bytes long, so asking for the next comma again and again would cost more than looking at the bytes. Eight
//! bytes are looked at together, as one word, and every comma among them is found at once.

/// The positions of the commas in some bytes, in order.
#[derive(Clone, Debug)]
pub(super) struct Commas<'a> {
    rest: &'a [u8],
    /// The position of the word that is being looked at.
    word_at: usize,
    /// Its commas that were not given yet: the highest bit of each such byte.
    found: u64,
    next_at: usize,
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
const COMMAS: u64 = 0x2c2c_2c2c_2c2c_2c2c;

impl<'a> Commas<'a> {
    /// The commas in `bytes`.
    pub(super) const fn of(bytes: &'a [u8]) -> Commas<'a> {
        Commas { rest: bytes, word_at: 0, found: 0, next_at: 0 }
    }

    /// The next eight bytes; the last ones are filled up with zeros, which are no commas.
    fn next_word(&mut self) -> Option<u64> {
        if let Some((word, rest)) = self.rest.split_first_chunk::<8>() {
            self.rest = rest;
            return Some(u64::from_le_bytes(*word));
        }
        if self.rest.is_empty() {
            return None;
        }
        let last = std::mem::take(&mut self.rest);
        Some(last.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
    }
}

impl Iterator for Commas<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            let word = self.next_word()? ^ COMMAS;
            // Exactly the bytes that are zero now get their highest bit: adding 0x7f carries into it from any other.
            self.found = !(((word & !HIGH_BITS) + !HIGH_BITS) | word) & HIGH_BITS;
            self.word_at = self.next_at;
            self.next_at += 8;
        }
        let at = self.word_at + self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_comma_is_found_and_nothing_else(bytes in prop::collection::vec(
            prop_oneof![Just(b','), Just(0x2d), Just(0xac), Just(0), Just(0x80), any::<u8>()], 0..60))
        {
            let expected: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b',').collect();
            prop_assert_eq!(Commas::of(&bytes).collect::<Vec<_>>(), expected);
        }
    }
}
