//! The hash table: open addressing over atomic words, linear probing, one writer, any number of readers.
//!
//! A slot is one word: 24 bits of the key's hash, 2 bits of its kind, 38 bits of a position in the arena (in words of eight
//! bytes). Several dossiers may share a key, so a probe runs to the first empty slot. A taken-away slot becomes a tombstone,
//! which a later key may use again. A key's slot is *swung* from one position to another in one store, so that a reader finds
//! the old dossier or the new one. What one store cannot do — a row that moves from one dossier to another under the same key —
//! is covered by the count of moves: the writer publishes where the row goes, counts, and only then takes it away; a reader
//! whose count changed while it probed probes again.

use super::reader::Place;
use super::sync::{AtomicU64, Ordering, fence};
use crate::record::identity::KeyHash;

const POSITION_BITS: u32 = 38;
const KIND_BITS: u32 = 2;
const POSITION_MASK: u64 = (1 << POSITION_BITS) - 1;

/// Nothing was ever here; a probe ends.
const EMPTY: u64 = 0;
/// Something was here; a probe goes on. No key has position 0.
const TOMBSTONE: u64 = 1 << 63;

/// A place in the arena, in words. Never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The position of a word number that the arena gave out.
    pub(super) fn of_word(word: u64) -> Position {
        debug_assert!(word != 0 && word <= POSITION_MASK, "positions fit their bits");
        Position(word)
    }

    /// The word number.
    pub(super) fn word(self) -> u64 {
        self.0
    }
}

/// The largest word number a slot can hold.
pub(super) const WORD_MAX: u64 = POSITION_MASK;

/// The slots.
pub(super) struct Table {
    slots: Slots,
}

/// The words of a table: mapped with huge pages when large, from the heap for tests and the model checker.
enum Slots {
    #[cfg(not(feature = "loom"))]
    Mapped(super::memory::Words),
    #[cfg(feature = "loom")]
    Modelled(Vec<AtomicU64>),
}

impl Slots {
    #[cfg(not(feature = "loom"))]
    fn new(count: usize) -> std::io::Result<Slots> {
        Ok(Slots::Mapped(super::memory::Words::zeroed(count)?))
    }

    #[cfg(feature = "loom")]
    fn new(count: usize) -> std::io::Result<Slots> {
        Ok(Slots::Modelled((0..count).map(|_| AtomicU64::new(0)).collect()))
    }

    #[inline]
    fn all(&self) -> &[AtomicU64] {
        match self {
            #[cfg(not(feature = "loom"))]
            Slots::Mapped(words) => words.as_atomics(),
            #[cfg(feature = "loom")]
            Slots::Modelled(slots) => slots,
        }
    }
}

impl Table {
    /// An empty table of `capacity` slots.
    pub(super) fn with_capacity(capacity: usize) -> std::io::Result<Table> {
        Ok(Table { slots: Slots::new(capacity.max(8))? })
    }

    /// How many slots there are.
    pub(super) fn capacity(&self) -> usize {
        self.slots.all().len()
    }

    /// Calls `found` with the position of every slot whose tag and kind are the key's, until it says stop.
    #[inline]
    pub(super) fn probe(&self, key: KeyHash, mut found: impl FnMut(Position) -> Probe) {
        let slots = self.slots.all();
        let wanted = tag_and_kind(key);
        let mut place = home(key.hash, slots.len());
        for _ in 0..=slots.len() {
            let Some(slot) = slots.get(place) else {
                // Past the last slot a run goes on at the first.
                place = 0;
                continue;
            };
            let word = slot.load(Ordering::Acquire);
            if word == EMPTY {
                return;
            }
            let position = word & POSITION_MASK;
            if word & !POSITION_MASK == wanted && position != 0 && found(Position(position)) == Probe::Stop {
                return;
            }
            place += 1;
        }
    }

    /// Where the one dossier lies that a key may lead to.
    #[inline]
    pub(super) fn place_of(&self, key: KeyHash) -> Place {
        let mut place = Place::Nowhere;
        self.probe(key, |position| {
            place = if place == Place::Nowhere { Place::At(position) } else { Place::ToBeFound };
            if place == Place::ToBeFound { Probe::Stop } else { Probe::GoOn }
        });
        place
    }

    /// Asks the processor for the line a probe of this key begins on.
    #[inline]
    pub(super) fn prefetch(&self, key: KeyHash) {
        let slots = self.slots.all();
        if let Some(slot) = slots.get(home(key.hash, slots.len())) {
            super::memory::prefetch(std::ptr::from_ref(slot).cast());
        }
    }

    /// Puts a key's position into the first free slot of its run; several threads may do so at once while loading.
    pub(super) fn insert(&self, key: KeyHash, position: Position) -> Inserted {
        let word = tag_and_kind(key) | position.0;
        let slots = self.slots.all();
        let (before, from_home) = slots.split_at_checked(home(key.hash, slots.len())).unwrap_or((slots, &[]));
        for slot in from_home.iter().chain(before) {
            let mut seen = slot.load(Ordering::Relaxed);
            while seen == EMPTY || seen == TOMBSTONE {
                match slot.compare_exchange(seen, word, Ordering::Release, Ordering::Relaxed) {
                    Ok(EMPTY) => return Inserted::IntoEmpty,
                    Ok(_) => return Inserted::IntoTombstone,
                    Err(other) => seen = other,
                }
            }
        }
        Inserted::Full
    }

    /// Swings a key's slot from one position to another; false when the key is not at `from`.
    pub(super) fn swing(&self, key: KeyHash, from: Position, to: Position) -> bool {
        self.rewrite(key, from, tag_and_kind(key) | to.0)
    }

    /// Takes a key's slot away; false when the key is not at `from`.
    pub(super) fn take_away(&self, key: KeyHash, from: Position) -> bool {
        self.rewrite(key, from, TOMBSTONE)
    }

    /// Whether the key's slot holds this position.
    pub(super) fn holds(&self, key: KeyHash, position: Position) -> bool {
        let mut holds = false;
        self.probe(key, |found| {
            holds |= found == position;
            if holds { Probe::Stop } else { Probe::GoOn }
        });
        holds
    }

    /// Every position of one kind of key, in no particular order.
    pub(super) fn positions(&self, kind: crate::record::identity::KeyKind) -> impl Iterator<Item = Position> {
        let wanted = (kind as u64) << POSITION_BITS;
        let kind_mask = ((1 << KIND_BITS) - 1) << POSITION_BITS;
        let words = self.slots.all().iter().map(|slot| slot.load(Ordering::Acquire));
        words
            .filter(move |word| word & POSITION_MASK != 0 && word & kind_mask == wanted)
            .map(|word| Position(word & POSITION_MASK))
    }

    fn rewrite(&self, key: KeyHash, from: Position, word: u64) -> bool {
        let wanted = tag_and_kind(key) | from.0;
        let slots = self.slots.all();
        let (before, from_home) = slots.split_at_checked(home(key.hash, slots.len())).unwrap_or((slots, &[]));
        for slot in from_home.iter().chain(before) {
            let seen = slot.load(Ordering::Relaxed);
            if seen == wanted {
                slot.store(word, Ordering::Release);
                return true;
            }
            if seen == EMPTY {
                return false;
            }
        }
        false
    }
}

/// Whether a probe goes on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    GoOn,
    Stop,
}

/// Where an insertion went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    IntoEmpty,
    IntoTombstone,
    Full,
}

/// Counts rows that moved between dossiers or keys that were taken away.
pub(super) struct Moves(AtomicU64);

impl Moves {
    pub(super) fn new() -> Moves {
        Moves(AtomicU64::new(0))
    }

    /// Says that everything published so far stands, and that taking away begins.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::Release);
        // What is taken away next must not become visible before the count.
        fence(Ordering::SeqCst);
    }

    /// The count before a probe.
    #[inline]
    pub(super) fn before(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Whether a probe that began at `before` saw one state: nothing was taken away meanwhile.
    #[inline]
    pub(super) fn unchanged_since(&self, before: u64) -> bool {
        // The slots were read with Acquire, so whoever saw a slot taken away also sees the count that came before it.
        self.0.load(Ordering::Acquire) == before
    }
}

/// The tag is the low bits of the hash and the home the high bits, so that neighbours in a run differ in their tags.
#[inline]
fn tag_and_kind(key: KeyHash) -> u64 {
    (key.hash << (POSITION_BITS + KIND_BITS)) | ((key.kind as u64) << POSITION_BITS)
}

/// The slot a hash begins at: the hash as a fraction of the capacity, so that any capacity will do.
#[inline]
fn home(hash: u64, capacity: usize) -> usize {
    let home = (u128::from(hash) * capacity as u128) >> 64;
    usize::try_from(home).unwrap_or(0)
}

#[cfg(all(test, feature = "loom"))]
mod model {
    use loom::sync::Arc;

    use super::*;
    use crate::record::identity::KeyKind;

    const KEY: KeyHash = KeyHash { kind: KeyKind::Certificate, hash: 5 };

    fn found(table: &Table, moves: &Moves) -> Vec<u64> {
        loop {
            let before = moves.before();
            let mut positions = Vec::new();
            table.probe(KEY, |position| {
                positions.push(position.word());
                Probe::GoOn
            });
            if moves.unchanged_since(before) {
                return positions;
            }
            loom::thread::yield_now();
        }
    }

    /// A row moves from dossier 20 to dossier 10, both under one key, 10 earlier in the run: its version 11 has the row. A reader
    /// that passed slot 10 before the swing must not also miss 20.
    #[test]
    fn loom_a_moving_row_is_never_missed() {
        loom::model(|| {
            let table = Arc::new(Table::with_capacity(8).unwrap());
            let moves = Arc::new(Moves::new());
            table.insert(KEY, Position::of_word(10));
            table.insert(KEY, Position::of_word(20));
            let reader = {
                let (table, moves) = (table.clone(), moves.clone());
                loom::thread::spawn(move || found(&table, &moves))
            };
            assert!(table.swing(KEY, Position::of_word(10), Position::of_word(11)));
            moves.count();
            assert!(table.take_away(KEY, Position::of_word(20)));
            let seen = reader.join().unwrap();
            assert!(seen.contains(&11) || seen.contains(&20), "{seen:?}");
        });
    }

    /// A tombstone earlier in the run is used again for where the row goes.
    #[test]
    fn loom_a_tombstone_used_again_hides_nothing() {
        loom::model(|| {
            let table = Arc::new(Table::with_capacity(8).unwrap());
            let moves = Arc::new(Moves::new());
            table.insert(KEY, Position::of_word(10));
            table.insert(KEY, Position::of_word(20));
            assert!(table.take_away(KEY, Position::of_word(10)));
            let reader = {
                let (table, moves) = (table.clone(), moves.clone());
                loom::thread::spawn(move || found(&table, &moves))
            };
            assert_eq!(table.insert(KEY, Position::of_word(30)), Inserted::IntoTombstone);
            moves.count();
            assert!(table.take_away(KEY, Position::of_word(20)));
            let seen = reader.join().unwrap();
            assert!(seen.contains(&30) || seen.contains(&20), "{seen:?}");
        });
    }

    /// What a slot points to was written before the slot: a reader that sees the position sees the bytes.
    #[test]
    fn loom_a_published_position_comes_with_its_bytes() {
        loom::model(|| {
            let table = Arc::new(Table::with_capacity(8).unwrap());
            let bytes = Arc::new(loom::cell::UnsafeCell::new(0u64));
            let reader = {
                let (table, bytes) = (table.clone(), bytes.clone());
                loom::thread::spawn(move || {
                    let mut seen = None;
                    table.probe(KEY, |_| {
                        // SAFETY: the writer wrote the cell before it published the position and never writes it again; the
                        // model checker would report a race here if the publishing store did not order the two.
                        seen = Some(bytes.with(|pointer| unsafe { *pointer }));
                        Probe::Stop
                    });
                    seen
                })
            };
            // SAFETY: nobody reads the cell before the position is published below.
            bytes.with_mut(|pointer| unsafe { *pointer = 7 });
            table.insert(KEY, Position::of_word(10));
            assert!(matches!(reader.join().unwrap(), None | Some(7)));
        });
    }

    /// Two loaders insert at once; both keys are there afterwards.
    #[test]
    fn loom_two_loaders_lose_nothing() {
        loom::model(|| {
            let table = Arc::new(Table::with_capacity(8).unwrap());
            let other = {
                let table = table.clone();
                loom::thread::spawn(move || table.insert(KEY, Position::of_word(10)))
            };
            table.insert(KEY, Position::of_word(20));
            other.join().unwrap();
            let mut seen = found(&table, &Moves::new());
            seen.sort_unstable();
            assert_eq!(seen, [10, 20]);
        });
    }
}
