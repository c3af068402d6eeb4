//! The way from look-ups to the audit's thread: a bounded ring of words with many producers and one consumer.
//!
//! A producer reserves room by moving `tail`, stores its words, and publishes them by storing the first one, which is never zero. The
//! consumer reads records in the order in which their room was reserved; it zeroes what it has read before it gives the room back by
//! moving `head`, so that a first word that is not zero always belongs to a record that is whole. A full ring says so at once and
//! nothing is overwritten.
//!
//! Between reserving and publishing nothing can panic or return: a hole would stop the consumer for ever.

use std::sync::Arc;

use super::sync::{AtomicU64, Ordering};

/// The first word of a record carries its length in words here; never zero.
const LENGTH_BITS: u32 = 16;

/// What a first word can carry beside the length.
pub(super) const FIRST_WORD_BITS: u32 = u64::BITS - LENGTH_BITS;

/// The consumer gives room back in steps of this, so that producers rarely find the line of `head` changed.
const RELEASE_WORDS: u64 = 4096;

/// There is no room in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    words: Box<[AtomicU64]>,
    tail: OwnLine,
    head: OwnLine,
}

/// On a cache line of its own, and on its neighbour too: processors fetch them in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct OwnLine(AtomicU64);

/// The reading end. There is one for each ring, because [`Ring::with_words`] makes both.
#[derive(Debug)]
pub(super) struct Consumer {
    ring: Arc<Ring>,
    head: u64,
    released: u64,
}

impl Ring {
    /// An empty ring of a power of two words, and its reading end.
    pub(super) fn with_words(words: usize) -> (Arc<Ring>, Consumer) {
        let words = (0..words.next_power_of_two()).map(|_| AtomicU64::new(0)).collect();
        let ring = Arc::new(Ring { words, tail: OwnLine(AtomicU64::new(0)), head: OwnLine(AtomicU64::new(0)) });
        let consumer = Consumer { ring: ring.clone(), head: 0, released: 0 };
        (ring, consumer)
    }

    /// Publishes a record: 48 bits in its first word, and the rest.
    #[inline]
    pub(super) fn push(&self, first: u64, rest: &[u64]) -> Result<(), Full> {
        let length = rest.len() as u64 + 1;
        debug_assert!(length < 1 << LENGTH_BITS && first < 1 << FIRST_WORD_BITS, "a record that its first word cannot describe");
        let mut tail = self.tail.0.load(Ordering::Relaxed);
        loop {
            // Acquire: the consumer's zeroes come before what is stored below. A tail that was read before this head may even lie
            // behind it; then the exchange fails.
            let head = self.head.0.load(Ordering::Acquire);
            if tail.saturating_sub(head) + length > self.words.len() as u64 {
                return Err(Full);
            }
            match self.tail.0.compare_exchange_weak(tail, tail + length, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break,
                Err(moved) => tail = moved,
            }
        }
        for (place, word) in (tail + 1..).zip(rest) {
            self.store(place, *word, Ordering::Relaxed);
        }
        self.store(tail, (first << LENGTH_BITS) | length, Ordering::Release);
        Ok(())
    }

    /// Words that are reserved and not yet given back.
    pub(super) fn used_words(&self) -> u64 {
        let head = self.head.0.load(Ordering::Relaxed);
        self.tail.0.load(Ordering::Relaxed).saturating_sub(head)
    }

    #[inline]
    fn store(&self, place: u64, word: u64, ordering: Ordering) {
        if let Some(slot) = self.words.get(self.index(place)) {
            slot.store(word, ordering);
        }
    }

    #[inline]
    fn take(&self, place: u64, ordering: Ordering) -> u64 {
        let Some(slot) = self.words.get(self.index(place)) else { return 0 };
        let word = slot.load(ordering);
        if word != 0 {
            slot.store(0, Ordering::Relaxed);
        }
        word
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the mask keeps it under the length of a slice")]
    fn index(&self, place: u64) -> usize {
        place as usize & (self.words.len() - 1)
    }
}

impl Consumer {
    /// Takes the next record into `record`, its first word without the length; `false` when there is none.
    pub(super) fn take(&mut self, record: &mut Vec<u64>) -> bool {
        let first = self.ring.take(self.head, Ordering::Acquire);
        if first == 0 {
            return false;
        }
        let length = first & ((1 << LENGTH_BITS) - 1);
        record.clear();
        record.push(first >> LENGTH_BITS);
        // Relaxed: they were stored before the first word, which was read with Acquire.
        record.extend((self.head + 1..self.head + length).map(|place| self.ring.take(place, Ordering::Relaxed)));
        self.head += length;
        if self.head - self.released >= RELEASE_WORDS {
            self.release();
        }
        true
    }

    /// Gives the room of everything taken back to the producers.
    pub(super) fn release(&mut self) {
        // Release: the zeroes come before it.
        self.ring.head.0.store(self.head, Ordering::Release);
        self.released = self.head;
    }
}

#[cfg(all(test, not(feature = "loom")))]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a queue that is obviously right: what was accepted comes out, in order, once; a record is refused only when it
        /// does not fit.
        #[test]
        fn a_ring_is_a_bounded_queue(steps in proptest::collection::vec((any::<bool>(), 0usize..20, 0u64..1 << 48), 1..400)) {
            let (ring, mut consumer) = Ring::with_words(64);
            let mut model: VecDeque<Vec<u64>> = VecDeque::new();
            let mut record = Vec::new();
            for (pushes, rest, first) in steps {
                if pushes {
                    let words: Vec<u64> = (0..rest as u64).map(|word| word ^ first).collect();
                    let used: usize = model.iter().map(Vec::len).sum();
                    let pushed = ring.push(first, &words);
                    prop_assert_eq!(pushed.is_ok(), used + words.len() < 64);
                    if pushed.is_ok() {
                        model.push_back(std::iter::once(first).chain(words).collect());
                    }
                } else {
                    let taken = consumer.take(&mut record).then(|| record.clone());
                    consumer.release();
                    prop_assert_eq!(taken, model.pop_front());
                }
            }
        }
    }

    #[test]
    fn threads_lose_nothing_and_mix_nothing_up() {
        const EACH: u64 = 20_000;
        let (ring, mut consumer) = Ring::with_words(256);
        let producers: Vec<_> = (0..3u64)
            .map(|producer| {
                let ring = ring.clone();
                std::thread::spawn(move || {
                    for number in 0..EACH {
                        let rest = vec![number; usize::try_from(number % 7).unwrap()];
                        while ring.push(producer << 32 | number, &rest).is_err() {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let (mut next, mut taken, mut record) = ([0; 3], 0, Vec::new());
        while taken < 3 * EACH {
            if !consumer.take(&mut record) {
                consumer.release();
                std::thread::yield_now();
                continue;
            }
            let (producer, number) = (usize::try_from(record[0] >> 32).unwrap(), record[0] & 0xffff_ffff);
            assert_eq!(number, next[producer], "each producer's records keep their order");
            assert!(record.len() as u64 == number % 7 + 1 && record[1..].iter().all(|word| *word == number));
            next[producer] += 1;
            taken += 1;
        }
        producers.into_iter().for_each(|producer| producer.join().unwrap());
        assert!(!consumer.take(&mut record));
    }

    #[test]
    fn a_full_ring_refuses_and_keeps_what_it_has() {
        let (ring, mut consumer) = Ring::with_words(8);
        assert!(ring.push(1, &[10, 11]).is_ok() && ring.push(2, &[20, 21]).is_ok());
        assert_eq!(ring.push(3, &[30, 31]), Err(Full));
        assert_eq!(ring.used_words(), 6);
        let mut record = Vec::new();
        assert!(consumer.take(&mut record));
        assert_eq!(record, [1, 10, 11]);
        assert_eq!(ring.push(3, &[30, 31]), Err(Full), "room is there when it was given back");
        consumer.release();
        assert!(ring.push(3, &[30, 31]).is_ok());
        assert!(consumer.take(&mut record) && record == [2, 20, 21]);
        assert!(consumer.take(&mut record) && record == [3, 30, 31]);
    }
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use super::*;

    /// Everything that was accepted comes out whole, each producer's records in order, while the ring wraps around.
    #[test]
    fn loom_two_producers_and_a_consumer_lose_nothing_while_the_ring_wraps() {
        loom::model(|| {
            let (ring, mut consumer) = Ring::with_words(4);
            let mut record = Vec::new();
            // The next record begins at the last word but one, the one after it in front.
            assert!(ring.push(1, &[1]).is_ok() && consumer.take(&mut record));
            consumer.release();
            let producers: Vec<_> = [10u64, 20]
                .into_iter()
                .map(|first| {
                    let ring = ring.clone();
                    loom::thread::spawn(move || ring.push(first, &[first + 1]).is_ok())
                })
                .collect();
            let mut seen = Vec::new();
            for _ in 0..2 {
                if consumer.take(&mut record) {
                    seen.push(record.clone());
                    consumer.release();
                }
            }
            let accepted = producers.into_iter().map(|producer| producer.join().unwrap());
            assert!(accepted.collect::<Vec<_>>().iter().all(|accepted| *accepted), "both fit");
            while consumer.take(&mut record) {
                seen.push(record.clone());
            }
            seen.sort();
            assert_eq!(seen, [[10, 11], [20, 21]]);
        });
    }

    /// A producer that goes around comes to words that were used before: it finds them given back and zeroed, or is refused.
    #[test]
    fn loom_room_is_used_again_only_when_it_was_given_back() {
        loom::model(|| {
            let (ring, mut consumer) = Ring::with_words(2);
            assert!(ring.push(5, &[6]).is_ok());
            let producer = {
                let ring = ring.clone();
                loom::thread::spawn(move || ring.push(7, &[]).is_ok())
            };
            let mut record = Vec::new();
            assert!(consumer.take(&mut record));
            assert_eq!(record, [5, 6]);
            consumer.release();
            let accepted = producer.join().unwrap();
            assert_eq!(consumer.take(&mut record), accepted);
            if accepted {
                assert_eq!(record, [7]);
            }
            consumer.release();
            assert!(!consumer.take(&mut record));
        });
    }

    /// Two producers race for the last room: one gets it.
    #[test]
    fn loom_the_last_room_is_given_once() {
        loom::model(|| {
            let (ring, mut consumer) = Ring::with_words(2);
            let other = {
                let ring = ring.clone();
                loom::thread::spawn(move || ring.push(1, &[2]).is_ok())
            };
            let mine = ring.push(3, &[4]).is_ok();
            let others = other.join().unwrap();
            assert!(mine != others, "one of them");
            let mut record = Vec::new();
            assert!(consumer.take(&mut record));
            assert_eq!(record, if mine { [3, 4] } else { [1, 2] });
            assert!(!consumer.take(&mut record));
        });
    }
}
