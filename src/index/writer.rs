//! The one writer: publishes, grows, compacts, and gives memory back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_epoch::Owned;

use super::arena::{Filler, Sealed};
use super::table::{Inserted, Position, Table};
use super::{Memory, Shared};
use crate::record::DossierRef;
use crate::record::identity::{KeyHash, KeyKind};
use crate::sabotage::{Sabotage, sabotaged};

/// A table is full when this share of its slots is in use, tombstones included.
const LOAD_MAX_PERCENT: usize = 60;

/// How many slots this many keys need. The number of keys may come from a file that lies.
fn slots_for(keys: usize) -> usize {
    usize::try_from(keys as u128 * 100 / LOAD_MAX_PERCENT as u128).unwrap_or(usize::MAX)
}

/// The index could not take memory.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The system gave no memory, or the index has no more places.
    #[error("the index cannot grow: {0}")]
    Memory(#[from] std::io::Error),
    /// A loader brought more keys than it said it would.
    #[error("more keys than the index made room for")]
    Full,
}

/// Something to give back once nobody can see it any more.
struct Retired {
    unseen: Arc<AtomicBool>,
    memory: Memory,
    segment: Option<usize>,
}

/// The writer of an index.
pub struct IndexWriter {
    shared: Arc<Shared>,
    filler: Filler,
    sealed: HashMap<usize, Sealed>,
    free_numbers: Vec<usize>,
    retired: Vec<Retired>,
    freezes: Arc<AtomicUsize>,
    /// Slots that are not empty, tombstones included.
    slots_used: usize,
    /// Slots that hold a key.
    slots_live: usize,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    bytes: Vec<u8>,
    new_keys: Vec<KeyHash>,
    old_keys: Vec<KeyHash>,
}

impl IndexWriter {
    pub(super) fn new(shared: Arc<Shared>) -> IndexWriter {
        IndexWriter {
            shared,
            filler: Filler::default(),
            sealed: HashMap::new(),
            free_numbers: Vec::new(),
            retired: Vec::new(),
            freezes: Arc::new(AtomicUsize::new(0)),
            slots_used: 0,
            slots_live: 0,
            scratch: Scratch::default(),
        }
    }

    /// Makes room for this many more keys, so that a bulk load grows the table once and not a dozen times.
    pub fn reserve(&mut self, more_keys: usize) -> Result<(), IndexError> {
        if slots_for(self.slots_used.saturating_add(more_keys)) > self.table().capacity() {
            let slots = slots_for(self.slots_live.saturating_add(more_keys));
            self.grow(slots.saturating_add(slots / 20))?;
        }
        Ok(())
    }

    /// Publishes a new dossier under all its keys.
    pub fn insert(&mut self, dossier: DossierRef<'_>) -> Result<Position, IndexError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        dossier.keys_into(&mut scratch.bytes, &mut scratch.new_keys);
        let position = self.make_room(scratch.new_keys.len()).and_then(|()| self.write(dossier));
        let inserted = position.and_then(|position| {
            let mut keys = scratch.new_keys.iter();
            keys.try_for_each(|key| self.insert_key(*key, position)).map(|()| position)
        });
        self.scratch = scratch;
        inserted
    }

    /// Publishes new dossiers, each under all its keys; returns how many. The slots of a run of them are asked for before any is
    /// written, so that the memory's latency is paid once for all.
    pub fn insert_all<'d>(&mut self, dossiers: impl Iterator<Item = DossierRef<'d>>) -> Result<u64, IndexError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut run: Vec<(KeyHash, Position)> = Vec::with_capacity(2 * WAITING_KEYS_MAX);
        let mut count = 0;
        let mut dossiers = dossiers.peekable();
        let mut inserted = Ok(());
        while let Some(dossier) = dossiers.next() {
            dossier.keys_into(&mut scratch.bytes, &mut scratch.new_keys);
            // The table may grow here: nothing of what waits is published yet.
            match self.make_room(run.len() + scratch.new_keys.len()).and_then(|()| self.write(dossier)) {
                Ok(position) => run.extend(scratch.new_keys.iter().map(|key| (*key, position))),
                Err(error) => inserted = Err(error),
            }
            scratch.new_keys.iter().for_each(|key| self.prefetch_slots(*key));
            count += 1;
            if run.len() >= WAITING_KEYS_MAX || dossiers.peek().is_none() || inserted.is_err() {
                inserted = inserted.and(run.drain(..).try_for_each(|(key, position)| self.insert_key(key, position)));
            }
            if inserted.is_err() {
                break;
            }
        }
        self.scratch = scratch;
        inserted.map(|()| count)
    }

    /// Publishes a newer version of the dossier at `old`. Keys that only the old one had are taken away at once, so whatever
    /// moves elsewhere must be published there before, and [`IndexWriter::begin_taking_away`] called in between.
    pub fn replace(&mut self, old: Position, dossier: DossierRef<'_>) -> Result<Position, IndexError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        dossier.keys_into(&mut scratch.bytes, &mut scratch.new_keys);
        let position = self.make_room(scratch.new_keys.len()).and_then(|()| self.write(dossier));
        let replaced = position.and_then(|position| {
            self.dossier(old).keys_into(&mut scratch.bytes, &mut scratch.old_keys);
            for key in scratch.new_keys.iter().skip(usize::from(sabotaged(Sabotage::ForgetAKey))) {
                if !scratch.old_keys.contains(key) || !self.table().swing(*key, old, position) {
                    self.insert_key(*key, position)?;
                }
            }
            for key in scratch.old_keys.iter().filter(|key| !scratch.new_keys.contains(key)) {
                self.take_key_away(*key, old);
            }
            self.drop_words(old);
            Ok(position)
        });
        self.scratch = scratch;
        replaced
    }

    /// Takes a dossier away.
    pub fn remove(&mut self, old: Position) {
        let mut scratch = std::mem::take(&mut self.scratch);
        self.dossier(old).keys_into(&mut scratch.bytes, &mut scratch.old_keys);
        for key in &scratch.old_keys {
            self.take_key_away(*key, old);
        }
        self.scratch = scratch;
        self.drop_words(old);
    }

    /// Says that everything published so far stands before anything is taken away: a reader that missed the one will look again.
    pub fn begin_taking_away(&mut self) {
        self.shared.moves.count();
    }

    /// The dossiers under a key that `confirm` accepts, with their positions.
    pub fn find(&self, key: KeyHash, mut confirm: impl FnMut(DossierRef<'_>) -> bool) -> Option<Position> {
        let mut found = None;
        self.table().probe(key, |position| {
            if confirm(self.dossier(position)) {
                found = Some(position);
                return super::table::Probe::Stop;
            }
            super::table::Probe::GoOn
        });
        found
    }

    /// Asks the processor for a key's slots (first pass of a batch).
    pub fn prefetch_slots(&self, key: KeyHash) {
        self.table().prefetch(key);
    }

    /// Asks the processor for the dossier under a key (second pass of a batch).
    pub fn prefetch_dossier(&self, key: KeyHash) {
        self.table().probe(key, |position| {
            self.shared.arena.prefetch(position);
            super::table::Probe::Stop
        });
    }

    /// The dossier at a position that this writer gave out and has not taken away since.
    pub fn dossier(&self, position: Position) -> DossierRef<'_> {
        // SAFETY: positions come from this writer, which alone unmaps segments, and needs `&mut self` to do so.
        unsafe { self.shared.arena.dossier(position) }
    }

    /// The position of every dossier, in no particular order.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.table().positions(KeyKind::Member)
    }

    /// How many keys lead to dossiers.
    pub fn key_count(&self) -> u64 {
        self.slots_live as u64
    }

    /// Memory held: arena segments (retired ones included) and the table, bytes.
    pub fn memory_bytes(&self) -> u64 {
        let retired = self.retired.iter().filter(|retired| retired.segment.is_some()).count();
        let segments = self.sealed.len() + usize::from(self.filler.is_filling()) + retired;
        ((segments * self.shared.arena.segment_words() + self.table().capacity()) * 8) as u64
    }

    /// Words of dossiers that are alive.
    pub fn live_bytes(&self) -> u64 {
        let sealed: usize = self.sealed.values().map(|sealed| sealed.live_words).sum();
        ((sealed + self.filler.live_words) * 8) as u64
    }

    /// Freezes the arena as it is: every dossier of this moment stays readable while writes go on, until the freeze is dropped.
    pub fn freeze(&self) -> Frozen {
        self.freezes.fetch_add(1, Ordering::SeqCst);
        let positions = self.table().positions(KeyKind::Member).collect();
        Frozen { shared: self.shared.clone(), positions, freezes: self.freezes.clone() }
    }

    /// Moves the living out of one sparse segment, if there is one, and gives back what nobody can see any more. Called between
    /// frames.
    pub fn tidy(&mut self) -> Result<(), IndexError> {
        let half = self.shared.arena.segment_words() / 2;
        let sparse = self.sealed.iter().find(|(_, sealed)| sealed.live_words < half).map(|(number, _)| *number);
        if let Some(number) = sparse {
            self.compact(number)?;
        }
        self.give_back();
        Ok(())
    }

    /// A loader that fills segments of its own; several may work at once on an index that nobody reads yet.
    pub fn loader(&self) -> Loader {
        Loader {
            shared: self.shared.clone(),
            filler: Filler::default(),
            sealed: Vec::new(),
            inserted: 0,
            waiting: Vec::with_capacity(2 * WAITING_KEYS_MAX),
            scratch: Scratch::default(),
        }
    }

    /// Takes over what a loader filled.
    pub fn adopt(&mut self, mut loader: Loader) -> Result<(), IndexError> {
        loader.finish()?;
        let last = loader.filler.seal();
        for sealed in std::mem::take(&mut loader.sealed).into_iter().chain(last) {
            self.sealed.insert(sealed.segment.number, sealed);
        }
        self.slots_used += loader.inserted;
        self.slots_live += loader.inserted;
        Ok(())
    }

    fn table(&self) -> &Table {
        // SAFETY: the table is replaced by this writer only, which needs `&mut self` to do so and keeps the old one until then.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        match self.shared.table(guard) {
            Some(table) => table,
            None => unreachable!("an index has a table from its creation to its end"),
        }
    }

    fn write(&mut self, dossier: DossierRef<'_>) -> Result<Position, IndexError> {
        let IndexWriter { shared, filler, sealed, free_numbers, .. } = self;
        let seal = |full: Sealed| {
            sealed.insert(full.segment.number, full);
        };
        Ok(filler.write(&shared.arena, dossier.as_bytes(), || free_numbers.pop(), seal)?)
    }

    /// Grows before a dossier is published, never while it is: a table that grew between two of its keys would lack the others
    /// for a moment, and a reader would find nobody.
    fn make_room(&mut self, keys: usize) -> Result<(), IndexError> {
        if (self.slots_used + keys) * 100 > self.table().capacity() * LOAD_MAX_PERCENT {
            self.grow((self.slots_live + keys) * 2)?;
        }
        Ok(())
    }

    fn insert_key(&mut self, key: KeyHash, position: Position) -> Result<(), IndexError> {
        match self.table().insert(key, position) {
            Inserted::IntoEmpty => {
                self.slots_used += 1;
                self.slots_live += 1;
            }
            Inserted::IntoTombstone => self.slots_live += 1,
            Inserted::Full => return Err(IndexError::Full),
        }
        Ok(())
    }

    fn take_key_away(&mut self, key: KeyHash, position: Position) {
        if self.table().take_away(key, position) {
            self.slots_live -= 1;
        }
    }

    fn drop_words(&mut self, old: Position) {
        let words = self.dossier(old).as_bytes().len() / 8;
        let number = self.shared.arena.segment_of(old);
        if let Some(sealed) = self.sealed.get_mut(&number) {
            sealed.live_words -= words;
        } else {
            self.filler.live_words -= words;
        }
    }

    /// Builds a larger table aside and swings the one pointer. Readers go on in the old one until they are done.
    fn grow(&mut self, capacity: usize) -> Result<(), IndexError> {
        let larger = Table::with_capacity(capacity.max(64))?;
        let mut keys = Vec::new();
        let mut bytes = Vec::new();
        let mut live = 0;
        for position in self.table().positions(KeyKind::Member) {
            self.dossier(position).keys_into(&mut bytes, &mut keys);
            for key in &keys {
                larger.insert(*key, position);
            }
            live += keys.len();
        }
        self.slots_used = live;
        self.slots_live = live;
        let guard = crossbeam_epoch::pin();
        let old = self.shared.table.swap(Owned::new(larger), Ordering::AcqRel, &guard);
        // SAFETY: the pointer was the published table, allocated by `Atomic::new` or `Owned::new`, and is published no more; it is
        // dropped only after the epoch has shown that no reader of its time is left.
        let old = unsafe { old.into_owned() }.into_box();
        self.retire(Memory::Table { _table: old }, None);
        Ok(())
    }

    fn compact(&mut self, number: usize) -> Result<(), IndexError> {
        let Some(mut sealed) = self.sealed.remove(&number) else { return Ok(()) };
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut outcome = Ok(());
        for position in sealed.segment.positions(&self.shared.arena) {
            // SAFETY: `sealed` keeps the segment mapped until it is retired below.
            let dossier: DossierRef<'_> = unsafe { self.shared.arena.dossier(position) };
            dossier.keys_into(&mut scratch.bytes, &mut scratch.new_keys);
            let is_alive = scratch.new_keys.first().is_some_and(|member| self.table().holds(*member, position));
            if is_alive {
                match self.write(dossier) {
                    Ok(moved) => {
                        for key in &scratch.new_keys {
                            self.table().swing(*key, position, moved);
                        }
                        sealed.live_words -= dossier.as_bytes().len() / 8;
                    }
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
        }
        self.scratch = scratch;
        if outcome.is_err() {
            // What could not be moved stays where it is, and is read there.
            self.sealed.insert(number, sealed);
            return outcome;
        }
        self.retire(Memory::Segment { _segment: sealed.segment }, Some(number));
        Ok(())
    }

    /// Puts something aside until the epoch says that nobody sees it. The callback only sets a flag: a reader may be the one
    /// that runs it.
    fn retire(&mut self, memory: Memory, segment: Option<usize>) {
        let unseen = Arc::new(AtomicBool::new(false));
        let flag = unseen.clone();
        let guard = crossbeam_epoch::pin();
        guard.defer(move || flag.store(true, Ordering::Release));
        guard.flush();
        self.retired.push(Retired { unseen, memory, segment });
    }

    fn give_back(&mut self) {
        if self.retired.is_empty() {
            return;
        }
        crossbeam_epoch::pin().flush();
        if self.freezes.load(Ordering::SeqCst) > 0 {
            return;
        }
        let (unseen, still_seen) = self.retired.drain(..).partition(|retired| retired.unseen.load(Ordering::Acquire));
        self.retired = still_seen;
        let unseen: Vec<Retired> = unseen;
        for retired in unseen {
            if let Some(number) = retired.segment {
                self.shared.arena.forget_segment(number);
                self.free_numbers.push(number);
            }
        }
    }
}

impl Drop for IndexWriter {
    fn drop(&mut self) {
        let last = self.filler.seal();
        let segments = self.sealed.drain().map(|(_, sealed)| sealed).chain(last);
        self.shared.keep(segments.map(|sealed| Memory::Segment { _segment: sealed.segment }));
        self.shared.keep(self.retired.drain(..).map(|retired| retired.memory));
    }
}

/// The arena at one moment.
pub struct Frozen {
    shared: Arc<Shared>,
    positions: Vec<Position>,
    freezes: Arc<AtomicUsize>,
}

impl Frozen {
    /// Puts its dossiers in the order in which they lie in memory: reading all of them is faster by much.
    pub fn sort(&mut self) {
        self.positions.sort_unstable();
    }

    /// Every dossier of that moment.
    pub fn dossiers(&self) -> impl ExactSizeIterator<Item = DossierRef<'_>> {
        // SAFETY: the positions were live at the moment of freezing, and the writer gives no segment back while a freeze lasts.
        self.positions.iter().map(|position| unsafe { self.shared.arena.dossier(*position) })
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.freezes.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Fills an index that nobody reads yet; each loading thread has one.
pub struct Loader {
    shared: Arc<Shared>,
    filler: Filler,
    sealed: Vec<Sealed>,
    inserted: usize,
    /// Keys whose slots were asked for and are not yet written.
    waiting: Vec<(KeyHash, Position)>,
    scratch: Scratch,
}

/// Keys wait until there are this many, so that the memory's latency is paid once for all of them.
const WAITING_KEYS_MAX: usize = 128;

impl Loader {
    /// Copies a dossier in, whose bytes must begin on a word only once they are copied: it is validated in its place.
    pub fn copy(&mut self, bytes: &[u8]) -> Result<Result<DossierRef<'_>, crate::record::RecordError>, IndexError> {
        if bytes.len() < 8 || !bytes.len().is_multiple_of(8) || bytes.len() / 8 >= self.shared.arena.segment_words() {
            return Ok(Err(crate::record::RecordError::Length));
        }
        let declared = bytes.first_chunk::<4>().map(|length| u32::from_le_bytes(*length));
        if declared.and_then(|length| usize::try_from(length).ok()) != Some(bytes.len()) {
            return Ok(Err(crate::record::RecordError::Length));
        }
        let Loader { shared, filler, sealed, .. } = self;
        let position = filler.write(&shared.arena, bytes, || None, |full| sealed.push(full))?;
        // SAFETY: the bytes were just written there, with their length in front (checked above), and this loader keeps the segment.
        let copied = unsafe { self.shared.arena.dossier(position) }.as_bytes();
        let dossier = match DossierRef::validated(copied) {
            Ok(dossier) => dossier,
            Err(error) => return Ok(Err(error)),
        };
        dossier.keys_into(&mut self.scratch.bytes, &mut self.scratch.new_keys);
        // SAFETY: the table cannot be replaced while it is being loaded: only the writer does, and it waits for its loaders.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        if let Some(table) = self.shared.table(guard) {
            for key in &self.scratch.new_keys {
                table.prefetch(*key);
                self.waiting.push((*key, position));
            }
            if self.waiting.len() >= WAITING_KEYS_MAX {
                insert_waiting(table, &mut self.waiting, &mut self.inserted)?;
            }
        }
        Ok(Ok(dossier))
    }

    /// Writes the keys that still wait; nothing is found under them before.
    fn finish(&mut self) -> Result<(), IndexError> {
        // SAFETY: as in `copy`.
        let guard = unsafe { crossbeam_epoch::unprotected() };
        match self.shared.table(guard) {
            Some(table) => insert_waiting(table, &mut self.waiting, &mut self.inserted),
            None => Ok(()),
        }
    }
}

fn insert_waiting(table: &Table, waiting: &mut Vec<(KeyHash, Position)>, inserted: &mut usize) -> Result<(), IndexError> {
    for (key, position) in waiting.drain(..) {
        if table.insert(key, position) == Inserted::Full {
            return Err(IndexError::Full);
        }
        *inserted += 1;
    }
    Ok(())
}

impl Drop for Loader {
    fn drop(&mut self) {
        // What was copied is found, also by whoever goes on without this loader; a full table was reported or will be.
        let _ = self.finish();
        let last = self.filler.seal();
        let segments = self.sealed.drain(..).chain(last);
        self.shared.keep(segments.map(|sealed| Memory::Segment { _segment: sealed.segment }));
    }
}
