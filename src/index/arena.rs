//! The arena: dossiers one behind the other in large segments.
//!
//! A dossier is written once and never changed; a newer version is written elsewhere. The directory of segments is fixed, so
//! that a reader reaches a position with two loads and no lock. A segment leaves the directory only when no reader can hold a
//! position in it any more.

use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use super::memory::{self, Words};
use super::table::{Position, WORD_MAX};
use crate::record::DossierRef;

/// What memory gives at once, bytes.
const LINE_BYTES: usize = 64;

/// The lines of a dossier that are asked for before its length is known: its head, its table, its key, and most of a first row.
const FIRST_LINES: usize = 5;

/// No more lines than these are asked for ahead of time: two thousand bytes, where a mean dossier has five hundred.
const LINES_ASKED_FOR_MAX: usize = 32;

/// How many segments the directory has room for.
const SEGMENTS_MAX: usize = 1 << 16;

/// The arena's shared part.
pub(super) struct Arena {
    directory: Box<[AtomicPtr<u64>]>,
    segment_words_log2: u32,
    opened: AtomicUsize,
}

/// A segment that is no longer filled.
pub(super) struct Sealed {
    pub(super) segment: OpenSegment,
    pub(super) live_words: usize,
}

/// Fills one segment after another; each writing thread has its own.
#[derive(Default)]
pub(super) struct Filler {
    filling: Option<OpenSegment>,
    pub(super) live_words: usize,
}

/// A segment being filled by one thread.
pub(super) struct OpenSegment {
    pub(super) number: usize,
    words: Words,
    used: usize,
    size: usize,
}

impl Arena {
    /// An empty arena with segments of `1 << segment_words_log2` words.
    pub(super) fn new(segment_words_log2: u32) -> Arena {
        let directory = (0..SEGMENTS_MAX).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect();
        Arena { directory, segment_words_log2, opened: AtomicUsize::new(0) }
    }

    /// Words in a segment.
    pub(super) fn segment_words(&self) -> usize {
        1 << self.segment_words_log2
    }

    /// The segment a position lies in.
    pub(super) fn segment_of(&self, position: Position) -> usize {
        usize::try_from(position.word() >> self.segment_words_log2).unwrap_or(usize::MAX)
    }

    /// Maps a new segment and enters it into the directory. `reuse` names a number that was freed.
    pub(super) fn open_segment(&self, reuse: Option<usize>) -> std::io::Result<OpenSegment> {
        let number = reuse.unwrap_or_else(|| self.opened.fetch_add(1, Ordering::Relaxed));
        let size = self.segment_words();
        let last_word = (number as u64 + 1).saturating_mul(size as u64);
        let entry = self.directory.get(number).filter(|_| last_word <= WORD_MAX);
        let entry = entry.ok_or_else(|| std::io::Error::other("the index has no room for another segment"))?;
        let words = Words::zeroed(size)?;
        entry.store(words.base(), Ordering::Release);
        // The first word of segment 0 would be position 0, which no slot can hold.
        Ok(OpenSegment { number, words, used: 1, size })
    }

    /// Takes a segment out of the directory, before its memory is given back.
    pub(super) fn forget_segment(&self, number: usize) {
        if let Some(entry) = self.directory.get(number) {
            entry.store(std::ptr::null_mut(), Ordering::Release);
        }
    }

    /// The dossier at a position.
    ///
    /// # Safety
    /// The position was read from a slot, or is known to be filled, and its segment cannot be unmapped before `'a` ends: the
    /// caller is pinned, is the writer, or holds a freeze.
    #[inline]
    pub(super) unsafe fn dossier<'a>(&self, position: Position) -> DossierRef<'a> {
        let start = self.address(position);
        // SAFETY: the position was published after a whole dossier had been written there (the slot was read with Acquire), so its
        // first four bytes are its length; the segment is mapped, by the caller's promise.
        let length = unsafe { start.cast::<u32>().read() };
        // SAFETY: `length` bytes from there on are that dossier; nobody writes to them again while its segment is mapped.
        let bytes = unsafe { std::slice::from_raw_parts(start, usize::try_from(length).unwrap_or(0)) };
        // SAFETY: only bytes of a `DossierRef` or a `DossierBatch` are ever copied in, onto a word.
        unsafe { DossierRef::trusted(bytes) }
    }

    /// Asks the processor for the first lines of a dossier.
    #[inline]
    pub(super) fn prefetch(&self, position: Position) {
        let address = self.address(position);
        for line in 0..FIRST_LINES {
            memory::prefetch(address.wrapping_add(line * LINE_BYTES));
        }
    }

    /// Asks the processor for the lines behind the first ones, as many as the dossier has.
    ///
    /// # Safety
    /// As for [`Arena::dossier`].
    #[inline]
    pub(super) unsafe fn prefetch_rest(&self, position: Position) {
        let address = self.address(position);
        // SAFETY: the caller promises what `dossier` asks for, so a whole dossier begins there, with its length.
        let bytes = usize::try_from(unsafe { address.cast::<u32>().read() }).unwrap_or(0);
        let lines = bytes.div_ceil(LINE_BYTES).min(LINES_ASKED_FOR_MAX);
        for line in FIRST_LINES..lines {
            memory::prefetch(address.wrapping_add(line * LINE_BYTES));
        }
    }

    #[inline]
    fn address(&self, position: Position) -> *const u8 {
        let within = position.word() & ((1 << self.segment_words_log2) - 1);
        let base = match self.directory.get(self.segment_of(position)) {
            Some(entry) => entry.load(Ordering::Acquire).cast_const(),
            None => std::ptr::null(),
        };
        base.wrapping_add(usize::try_from(within).unwrap_or(0)).cast::<u8>()
    }
}

impl Filler {
    /// Copies a dossier in, into a new segment when the present one is full: that one goes to `sealed`. `reuse` gives the number of
    /// a segment that was freed.
    pub(super) fn write(
        &mut self,
        arena: &Arena,
        dossier: &[u8],
        reuse: impl FnOnce() -> Option<usize>,
        sealed: impl FnOnce(Sealed),
    ) -> std::io::Result<Position> {
        let words = dossier.len() / 8;
        if let Some(position) = self.filling.as_mut().and_then(|segment| segment.write(arena, dossier)) {
            self.live_words += words;
            return Ok(position);
        }
        if let Some(full) = self.seal() {
            sealed(full);
        }
        let segment = self.filling.insert(arena.open_segment(reuse())?);
        self.live_words = words;
        segment.write(arena, dossier).ok_or_else(|| std::io::Error::other("a dossier larger than a segment of the index"))
    }

    /// Whether a segment is being filled.
    pub(super) fn is_filling(&self) -> bool {
        self.filling.is_some()
    }

    /// Ends filling the present segment.
    pub(super) fn seal(&mut self) -> Option<Sealed> {
        let segment = self.filling.take()?;
        Some(Sealed { segment, live_words: std::mem::take(&mut self.live_words) })
    }
}

impl OpenSegment {
    /// Copies a dossier in; `None` when it does not fit any more.
    fn write(&mut self, arena: &Arena, dossier: &[u8]) -> Option<Position> {
        debug_assert!(dossier.len().is_multiple_of(8), "dossiers are whole words");
        let words = dossier.len() / 8;
        if self.used + words > self.size {
            return None;
        }
        let start = self.used;
        // SAFETY: `start + words` is within the segment (checked above); nothing points into this part yet, so no reader reads it
        // while it is written, and the slot that will point here is stored with Release afterwards.
        unsafe {
            let to = self.words.base().add(start).cast::<u8>();
            std::ptr::copy_nonoverlapping(dossier.as_ptr(), to, dossier.len());
        }
        self.used += words;
        Some(Position::of_word(((self.number as u64) << arena.segment_words_log2) + start as u64))
    }

    /// Every position filled so far, dead or alive, in order.
    pub(super) fn positions(&self, arena: &Arena) -> Vec<Position> {
        let first = (self.number as u64) << arena.segment_words_log2;
        let mut positions = Vec::new();
        let mut at = 1;
        while at < self.used {
            let position = Position::of_word(first + at as u64);
            positions.push(position);
            // SAFETY: `at` is the start of a dossier that `write` copied in, and `self` keeps the segment mapped.
            let length = unsafe { arena.dossier(position) }.as_bytes().len();
            at += (length / 8).max(1);
        }
        positions
    }
}
