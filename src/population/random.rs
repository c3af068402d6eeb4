//! Chance without state: every draw is a function of the seed, a purpose and an index.
//!
//! A recipient can be made without making the ones before it, on any thread and on any machine, because nothing here
//! remembers anything and nothing uses floating point.

/// What a stream of draws is for; streams of different purposes are independent of each other.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// What twins share: insured identity, birth date, residence.
    Family = 1,
    /// What belongs to one recipient alone.
    Person,
    /// One certificate of a recipient.
    Certificate,
    /// Which pairs of neighbours are twins.
    Twins,
    /// Who has a card link, and which.
    Card,
    /// What the later day's change file says.
    Fate,
    /// The insured identity after a move.
    Move,
    /// People who are not in the population.
    Stranger,
    /// The questions of a workload.
    Question,
    /// The medical institutions that certificates name.
    Institution,
    /// The order of the member numbers.
    MemberOrder,
    /// The order of the places in the registers.
    PlaceOrder,
}

/// Steele, Lea and Flood's finaliser: a bijection of the 64-bit numbers.
pub(super) const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A short stream of draws for one purpose and one index.
pub(super) struct Dice {
    state: u64,
}

impl Dice {
    pub(super) const fn new(seed: u64, purpose: Purpose, index: u64) -> Dice {
        let purpose = mix((purpose as u64).wrapping_mul(GOLDEN));
        Dice { state: mix(mix(seed.wrapping_add(GOLDEN)) ^ purpose ^ index.wrapping_mul(0xd6e8_feb8_6659_fd93)) }
    }

    pub(super) const fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number less than `bound`; zero when `bound` is zero.
    // The upper half of a 128-bit product is 64 bits.
    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        ((self.draw() as u128 * bound as u128) >> 64) as u64
    }

    /// As [`Dice::below`], for the small numbers that dates and digits are made of.
    #[expect(clippy::cast_possible_truncation, reason = "less than a 32-bit bound")]
    pub(super) const fn small(&mut self, bound: u32) -> u32 {
        self.below(bound as u64) as u32
    }

    pub(super) const fn percent(&mut self, share: u32) -> bool {
        self.small(100) < share
    }

    pub(super) const fn permille(&mut self, share: u32) -> bool {
        self.small(1000) < share
    }

    #[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "below(N) is less than N")]
    pub(super) fn pick<T: Copy, const N: usize>(&mut self, choices: &[T; N]) -> T {
        const { assert!(N > 0) };
        choices[self.below(N as u64) as usize]
    }
}

/// A keyed bijection of `0..size`: four Feistel rounds over the next even power of two, walked until they land inside.
///
/// It hands out numbers that look drawn by lot, yet two indices can never get the same one.
#[derive(Clone, Copy)]
pub(super) struct Permutation {
    size: u64,
    half_bits: u32,
    keys: [u64; 4],
}

impl Permutation {
    pub(super) fn new(seed: u64, purpose: Purpose, size: u64) -> Permutation {
        let mut dice = Dice::new(seed, purpose, size);
        let bits = u64::BITS - size.saturating_sub(1).leading_zeros();
        let keys = [dice.draw(), dice.draw(), dice.draw(), dice.draw()];
        Permutation { size, half_bits: bits.div_ceil(2).max(1), keys }
    }

    /// The place of `index`, which must be less than the size.
    pub(super) fn place(&self, index: u64) -> u64 {
        debug_assert!(index < self.size, "outside the permutation there is nothing to place");
        let mask = (1u64 << self.half_bits) - 1;
        let mut value = index;
        loop {
            let (mut left, mut right) = (value >> self.half_bits, value & mask);
            for key in self.keys {
                (left, right) = (right, left ^ (mix(right ^ key) & mask));
            }
            value = (left << self.half_bits) | right;
            // A value outside lies on a cycle that comes back inside, since the index it started from is inside.
            if value < self.size || index >= self.size {
                return value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_uses_every_place_once() {
        for size in [1, 2, 5, 1000, 4097] {
            let permutation = Permutation::new(7, Purpose::PlaceOrder, size);
            let mut places: Vec<u64> = (0..size).map(|index| permutation.place(index)).collect();
            places.sort_unstable();
            assert!(places.iter().copied().eq(0..size), "{size}");
        }
    }

    #[test]
    fn the_same_index_always_draws_the_same() {
        let draws = |index| {
            let mut dice = Dice::new(1, Purpose::Person, index);
            [dice.below(10), dice.below(10), dice.below(1_000_000)]
        };
        assert_eq!(draws(5), draws(5));
        assert_ne!(draws(5), draws(6));
    }

    #[test]
    fn small_shares_come_out_as_asked() {
        let hits = (0..100_000).filter(|index| Dice::new(3, Purpose::Fate, *index).permille(50)).count();
        assert!((4_700..5_300).contains(&hits), "{hits}");
    }
}
