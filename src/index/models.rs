//! What a reader may see while the writer grows the table, moves dossiers together and gives memory back: every interleaving of the very
//! operations that serve, tried by the model checker. The epoch is modelled by what it promises: a reader says that it is there before it
//! reads a slot, and the writer takes nothing from under one that is.

use loom::cell::UnsafeCell;
use loom::sync::Arc;

use super::sync::{AtomicU64, Ordering, fence};
use super::table::{Inserted, Position, Probe, Table};
use crate::record::identity::{KeyHash, KeyKind};

const KEY: KeyHash = KeyHash { kind: KeyKind::Member, hash: 5 };
const OTHER_KEY: KeyHash = KeyHash { kind: KeyKind::Member, hash: 6 };

fn at(word: u64) -> Position {
    Position::of_word(word)
}

fn found(table: &Table, key: KeyHash) -> Vec<u64> {
    let mut positions = Vec::new();
    table.probe(key, |position| {
        positions.push(position.word());
        Probe::GoOn
    });
    positions
}

/// The table a reader goes to, and the larger one that takes its place.
struct Growing {
    tables: [Table; 2],
    current: AtomicU64,
}

impl Growing {
    fn current(&self) -> &Table {
        &self.tables[usize::try_from(self.current.load(Ordering::Acquire)).unwrap()]
    }

    /// As the writer grows: everything is put into the larger table before anybody can reach it.
    fn grow(&self) -> &Table {
        let [old, larger] = &self.tables;
        for position in old.positions(KeyKind::Member) {
            larger.insert(KEY, position);
        }
        self.current.swap(1, Ordering::AcqRel);
        larger
    }
}

/// A reader finds a key while the table grows and the dossier is replaced in the larger one: the old version or the new one, once.
#[test]
fn loom_a_key_is_found_once_while_the_table_grows() {
    loom::model(|| {
        let tables = [Table::with_capacity(8).unwrap(), Table::with_capacity(16).unwrap()];
        let growing = Arc::new(Growing { tables, current: AtomicU64::new(0) });
        growing.current().insert(KEY, at(10));
        let reader = {
            let growing = growing.clone();
            loom::thread::spawn(move || found(growing.current(), KEY))
        };
        let larger = growing.grow();
        assert!(larger.swing(KEY, at(10), at(20)));
        let seen = reader.join().unwrap();
        assert!(seen == [10] || seen == [20], "{seen:?}");
    });
}

/// A reader that looks twice never sees an older version after a newer one, though a table lies between the two.
#[test]
fn loom_growing_takes_no_reader_back() {
    loom::model(|| {
        let tables = [Table::with_capacity(8).unwrap(), Table::with_capacity(16).unwrap()];
        let growing = Arc::new(Growing { tables, current: AtomicU64::new(0) });
        growing.current().insert(KEY, at(10));
        let reader = {
            let growing = growing.clone();
            loom::thread::spawn(move || (found(growing.current(), KEY), found(growing.current(), KEY)))
        };
        assert!(growing.current().swing(KEY, at(10), at(20)));
        let larger = growing.grow();
        assert!(larger.swing(KEY, at(20), at(30)));
        let (first, second) = reader.join().unwrap();
        assert!(first.len() == 1 && second.len() == 1 && first <= second, "{first:?} and then {second:?}");
    });
}

/// Two segments with a dossier's place in each, and whether a reader is there.
struct Compacting {
    table: Table,
    sparse: UnsafeCell<u64>,
    dense: UnsafeCell<u64>,
    pinned: AtomicU64,
}

const IN_SPARSE: u64 = 10;
const IN_DENSE: u64 = 20;
const CONTENT: u64 = 7;
const OTHER_CONTENT: u64 = 8;

impl Compacting {
    fn new() -> Compacting {
        let table = Table::with_capacity(8).unwrap();
        table.insert(KEY, at(IN_SPARSE));
        Compacting { table, sparse: UnsafeCell::new(CONTENT), dense: UnsafeCell::new(0), pinned: AtomicU64::new(0) }
    }

    /// What a reader reads under a key, as it is pinned.
    fn read(&self, key: KeyHash) -> Option<u64> {
        self.pinned.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mut content = None;
        self.table.probe(key, |position| {
            let cell = if position == at(IN_SPARSE) { &self.sparse } else { &self.dense };
            // SAFETY: the model checker reports a race where the writer could write to the cell meanwhile; that is what is tried here.
            content = Some(cell.with(|pointer| unsafe { *pointer }));
            Probe::Stop
        });
        self.pinned.store(0, Ordering::Release);
        content
    }

    /// Copies the dossier out of the sparse segment and swings its key.
    fn compact(&self) {
        // SAFETY: the writer alone writes cells, and nobody reads this one before its position is published below.
        self.dense.with_mut(|pointer| unsafe { *pointer = CONTENT });
        assert!(self.table.swing(KEY, at(IN_SPARSE), at(IN_DENSE)));
    }

    /// Uses the sparse segment's memory again for another dossier, if no reader can be in it; says whether it did.
    fn give_back_and_use_again(&self) -> bool {
        fence(Ordering::SeqCst);
        if self.pinned.load(Ordering::Acquire) != 0 {
            return false;
        }
        // SAFETY: no slot points there any more, and whoever read an older slot has gone; the model checker would report another.
        self.sparse.with_mut(|pointer| unsafe { *pointer = OTHER_CONTENT });
        assert_eq!(self.table.insert(OTHER_KEY, at(IN_SPARSE)), Inserted::IntoEmpty);
        true
    }
}

/// A reader reads the whole dossier before or after it moved, and always finds it.
#[test]
fn loom_a_dossier_is_whole_while_its_segment_is_compacted() {
    loom::model(|| {
        let index = Arc::new(Compacting::new());
        let reader = {
            let index = index.clone();
            loom::thread::spawn(move || index.read(KEY))
        };
        index.compact();
        assert_eq!(reader.join().unwrap(), Some(CONTENT));
    });
}

/// Memory that is used again holds somebody else's dossier: nobody reads it under the key of the one who was there before.
#[test]
fn loom_memory_is_used_again_only_when_nobody_reads_it() {
    loom::model(|| {
        let index = Arc::new(Compacting::new());
        let reader = {
            let index = index.clone();
            loom::thread::spawn(move || (index.read(KEY), index.read(OTHER_KEY)))
        };
        index.compact();
        let again = index.give_back_and_use_again();
        let (own, other) = reader.join().unwrap();
        assert_eq!(own, Some(CONTENT));
        assert!(other.is_none() || (again && other == Some(OTHER_CONTENT)), "{other:?}");
    });
}
