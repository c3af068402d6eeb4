//! The index: every dossier in memory, found under four kinds of key, by readers that never wait.
//!
//! Three parts: an *arena* of dossiers in large segments, a *table* of one-word slots that point into it, and an *epoch*
//! (`crossbeam_epoch`) that tells when nobody can still look at what was taken away. One writer publishes; readers pin the epoch
//! once a request, probe, read in place and unpin. What was taken away is only marked by the epoch's callback; the writer gives
//! the memory back later, so that no reader ever pays for it.

mod arena;
mod memory;
mod reader;
mod sync;
mod table;
mod writer;

use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_epoch::{Atomic, Guard};

pub use reader::{FOUND_MAX, Found, IndexReader, Place};
pub use table::Position;
pub use writer::{Frozen, IndexError, IndexWriter, Loader};

use arena::{Arena, OpenSegment};
use table::{Moves, Table};

/// How the index takes its memory.
#[derive(Clone, Copy, Debug)]
pub struct IndexOptions {
    /// Binary logarithm of the words in an arena segment.
    pub segment_words_log2: u32,
    /// Slots to begin with.
    pub slots: usize,
}

impl Default for IndexOptions {
    /// Segments of 32 MiB: large enough for huge pages, small enough to give back.
    fn default() -> IndexOptions {
        IndexOptions { segment_words_log2: 22, slots: 1 << 16 }
    }
}

/// What readers and the writer share.
struct Shared {
    table: Atomic<Table>,
    arena: Arena,
    moves: Moves,
    /// What a writer or loader held when it was dropped: readers and freezes may outlive both, and still read there.
    remains: Mutex<Vec<Memory>>,
}

/// Memory that a reader may be looking at.
enum Memory {
    Segment { _segment: OpenSegment },
    Table { _table: Box<Table> },
}

impl Shared {
    /// Takes memory over, to be freed when the last reader is gone.
    fn keep(&self, memory: impl IntoIterator<Item = Memory>) {
        self.remains.lock().unwrap_or_else(PoisonError::into_inner).extend(memory);
    }

    #[inline]
    fn table<'g>(&self, guard: &'g Guard) -> Option<&'g Table> {
        let table = self.table.load(std::sync::atomic::Ordering::Acquire, guard);
        // SAFETY: the pointer is a table that the writer published, or null; the writer drops a table only after the epoch showed
        // that no guard of its time is left, and `guard` is of that time or later.
        unsafe { table.as_ref() }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let table = std::mem::replace(&mut self.table, Atomic::null());
        // SAFETY: `&mut self` says that no reader is left; the pointer is the last table published, or null.
        drop(unsafe { table.try_into_owned() });
    }
}

/// A new, empty index: its writer and a reader.
pub fn create(options: IndexOptions) -> Result<(IndexWriter, IndexReader), IndexError> {
    let table = Table::with_capacity(options.slots)?;
    let arena = Arena::new(options.segment_words_log2);
    let shared = Arc::new(Shared { table: Atomic::new(table), arena, moves: Moves::new(), remains: Mutex::default() });
    let reader = IndexReader { shared: shared.clone() };
    Ok((IndexWriter::new(shared), reader))
}

#[cfg(all(test, feature = "loom"))]
mod models;
#[cfg(all(test, not(feature = "loom")))]
mod tests;
