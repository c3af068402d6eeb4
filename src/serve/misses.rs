//! How often a token finds nobody: whoever tries numbers out is stopped for the rest of the minute.
//!
//! A fixed table of words, each with a token, a minute and a count. No lock; a token that no other one has displaced is counted exactly.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::audit::TokenId;
use crate::limits::MISSES_TOKENS_MAX;

/// Places that are looked at for one token.
const PROBES: usize = 16;

/// A word: token above, then the low bits of the minute, then the count.
const TOKEN_SHIFT: u32 = 32;
const MINUTE_SHIFT: u32 = 20;
const MINUTE_MASK: u64 = (1 << (TOKEN_SHIFT - MINUTE_SHIFT)) - 1;
const COUNT_MASK: u64 = (1 << MINUTE_SHIFT) - 1;

/// The misses of all tokens in this minute.
#[derive(Debug)]
pub struct Misses {
    per_minute_max: u64,
    slots: Box<[AtomicU64]>,
}

impl Misses {
    /// A count of nothing yet; `per_minute_max` of 0 is no limit.
    pub fn new(per_minute_max: u32) -> Misses {
        let slots = (0..MISSES_TOKENS_MAX).map(|_| AtomicU64::new(0)).collect();
        Misses { per_minute_max: u64::from(per_minute_max).min(COUNT_MASK - 1), slots }
    }

    /// Whether a token may ask: it had no more misses in this minute than are allowed.
    #[inline]
    pub fn allows(&self, token: TokenId, now_s: u64) -> bool {
        self.per_minute_max == 0 || self.counted(token, now_s) <= self.per_minute_max
    }

    /// Counts misses, and says whether the token may ask on. Where every place of the token is taken by others of the same minute, it may:
    /// the table is far larger than the number of tokens.
    pub fn count(&self, token: TokenId, misses: u32, now_s: u64) -> bool {
        if self.per_minute_max == 0 || misses == 0 {
            return self.allows(token, now_s);
        }
        let minute = minute_of(now_s);
        for slot in self.places(token) {
            let mut word = slot.load(Ordering::Relaxed);
            // Another token of this minute stays; one of another minute makes room.
            while token_of(word) == u64::from(token.number()) || minute_in(word) != minute || word == 0 {
                let is_own = token_of(word) == u64::from(token.number()) && minute_in(word) == minute;
                let before = if is_own { word & COUNT_MASK } else { 0 };
                let count = (before + u64::from(misses)).min(COUNT_MASK);
                let counted = u64::from(token.number()) << TOKEN_SHIFT | minute << MINUTE_SHIFT | count;
                match slot.compare_exchange_weak(word, counted, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return count <= self.per_minute_max,
                    Err(changed) => word = changed,
                }
            }
        }
        true
    }

    /// When a token that is stopped may ask again, seconds.
    pub const fn retry_after_s(now_s: u64) -> u64 {
        60 - now_s % 60
    }

    fn counted(&self, token: TokenId, now_s: u64) -> u64 {
        let wanted = u64::from(token.number()) << (TOKEN_SHIFT - MINUTE_SHIFT) | minute_of(now_s);
        let words = self.places(token).map(|slot| slot.load(Ordering::Relaxed));
        words.filter(|word| word >> MINUTE_SHIFT == wanted).map(|word| word & COUNT_MASK).max().unwrap_or(0)
    }

    /// A token's places, the same ones in the same order each time. Its number is a piece of a hash: it spreads by itself.
    fn places(&self, token: TokenId) -> impl Iterator<Item = &AtomicU64> {
        let home = usize::try_from(token.number()).unwrap_or(0) % self.slots.len();
        self.slots.iter().skip(home).chain(self.slots.iter()).take(PROBES)
    }
}

const fn minute_of(now_s: u64) -> u64 {
    (now_s / 60) & MINUTE_MASK
}

const fn token_of(word: u64) -> u64 {
    word >> TOKEN_SHIFT
}

const fn minute_in(word: u64) -> u64 {
    word >> MINUTE_SHIFT & MINUTE_MASK
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: u64 = 1_795_316_400;

    fn token(number: u32) -> TokenId {
        TokenId::parse(&format!("{number:08x}")).unwrap()
    }

    #[test]
    fn a_token_is_stopped_above_its_misses_and_goes_on_in_the_next_minute() {
        let misses = Misses::new(3);
        for number in 1..=3 {
            assert!(misses.allows(token(1), NOON) && misses.count(token(1), 1, NOON + number));
        }
        assert!(misses.allows(token(1), NOON + 4), "three are allowed");
        assert!(!misses.count(token(1), 1, NOON + 5) && !misses.allows(token(1), NOON + 59));
        assert!(misses.allows(token(2), NOON + 59), "nobody else is");
        assert!(misses.allows(token(1), NOON + 60) && misses.count(token(1), 3, NOON + 60));
        assert_eq!((Misses::retry_after_s(NOON), Misses::retry_after_s(NOON + 59)), (60, 1));
    }

    #[test]
    fn a_batch_of_misses_counts_at_once_and_one_without_counts_nothing() {
        let misses = Misses::new(600);
        assert!(misses.count(token(9), 0, NOON) && misses.count(token(9), 600, NOON) && misses.count(token(9), 0, NOON));
        assert!(!misses.count(token(9), 10_000, NOON));
        assert!(!misses.count(token(9), u32::MAX, NOON), "the count stays full and does not run over");
        assert!(!misses.allows(token(9), NOON));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let misses = Misses::new(0);
        assert!(misses.count(token(1), u32::MAX, NOON) && misses.allows(token(1), NOON));
    }

    #[test]
    fn tokens_that_share_a_place_are_counted_each_for_itself() {
        let misses = Misses::new(5);
        let table = u32::try_from(MISSES_TOKENS_MAX).unwrap();
        let sharing: Vec<TokenId> = (0..8).map(|number| token(table - 1 + number * table)).collect();
        for round in 1..=6 {
            for token in &sharing {
                assert_eq!(misses.count(*token, 1, NOON), round <= 5);
            }
        }
        // A minute later their places are free for others.
        let others: Vec<TokenId> = (8..8 + 16).map(|number| token(table - 1 + number * table)).collect();
        for token in &others {
            assert!(misses.count(*token, 5, NOON + 60) && !misses.count(*token, 1, NOON + 60));
        }
    }

    #[test]
    fn threads_that_count_at_once_lose_no_miss() {
        let misses = Misses::new(40_000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| assert!(misses.count(token(7), 1, NOON))));
            }
        });
        assert!(misses.allows(token(7), NOON) && !misses.count(token(7), 1, NOON));
    }
}
