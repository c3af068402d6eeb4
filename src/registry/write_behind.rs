//! The thread that writes the store, behind the log.
//!
//! It takes frames' effects from a queue bounded in bytes: when the store is slower than the log, registering waits. A store that
//! fails is detached: the log and the look-ups go on, and the next start judges the store anew.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::load;
use super::troubles::{Trouble, Troubles};
use crate::background;
use crate::disk::{Disk, OpenMode};
use crate::record::{DossierBatch, StateChecksum};
use crate::store::{HistoryEntry, HistoryKind, Store, StoreBatch, StoreError, StoreMeta};

/// The queue holds at most this much before registering waits.
const QUEUE_BYTES_MAX: usize = 64 << 20;
/// A batch is closed at this size.
const BATCH_BYTES: usize = 4 << 20;
/// Applied batches are made durable at least this often.
const FLUSH_EVERY: Duration = Duration::from_secs(2);

/// After this much the store is closed and opened again, so that it lets go of what it wrote: see [`Store::reopened`].
const RENEW_BYTES: usize = 256 << 20;

/// Where the thread and those who ask about history find the store.
pub(super) type StoreSlot = Arc<Mutex<Option<Store>>>;

/// A row that becomes history, with its bytes.
pub(super) struct OwnedPast {
    pub(super) run: u32,
    pub(super) identity: u128,
    pub(super) kind: HistoryKind,
    pub(super) since_sequence: u64,
    pub(super) since_unix_s: u32,
    pub(super) row: Vec<u8>,
}

/// What one frame does to the store.
pub(super) struct Effects {
    pub(super) batch: DossierBatch,
    /// Places in `batch` that are only for the index.
    pub(super) interim_places: Vec<usize>,
    pub(super) removed: Vec<u64>,
    pub(super) past: Vec<OwnedPast>,
    pub(super) ledger: Option<(u8, Vec<u8>)>,
    pub(super) ledger_removed: Vec<u64>,
    pub(super) time_unix_ms: u64,
    pub(super) meta: StoreMeta,
    pub(super) bytes: usize,
}

/// What a store is while it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filling {
    /// It stands at a frame, and every batch says at which.
    InPlace,
    /// It is rebuilt: it says nothing of itself before it is whole, or a rebuild that stopped halfway would pass for the state.
    Anew,
}

/// What a store must hold whose dossiers were not read at this start.
pub(super) struct Unjudged {
    /// How many dossiers.
    pub(super) dossiers: u64,
    /// What their rows must add up to.
    pub(super) rows: StateChecksum,
}

/// Who waits for the thread when its queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Haste {
    /// Somebody who registers.
    Registering,
    /// Nobody: what is followed comes when it comes.
    Following,
}

struct Queue {
    filling: Filling,
    waiting: VecDeque<Effects>,
    bytes: usize,
    /// The store is being read whole before it is written to.
    judging: bool,
    busy: bool,
    closed: bool,
    applied: u64,
}

struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The door to the thread.
pub(super) struct WriteBehind {
    shared: Arc<Shared>,
    store: StoreSlot,
    detacher: Detacher,
    thread: Option<JoinHandle<()>>,
    /// Where there is no thread: after how many frames the store is flushed.
    in_step: Option<u64>,
}

impl WriteBehind {
    /// Starts the thread on a store that stands at `applied`, unless the store wants to be written in step. An unjudged store is judged before anything is written to it. One that
    /// fails leaves a marker, so that the next start judges it to its last page.
    pub(super) fn start(
        store: Store,
        applied: u64,
        filling: Filling,
        unjudged: Option<Unjudged>,
        troubles: Arc<Troubles>,
        marker: Marker,
        haste: Haste,
    ) -> std::io::Result<WriteBehind> {
        let in_step = store.engine().in_step();
        let judging = unjudged.is_some() && in_step.is_none();
        let queue = Queue { filling, waiting: VecDeque::new(), bytes: 0, judging, busy: false, closed: false, applied };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new() });
        let store: StoreSlot = Arc::new(Mutex::new(Some(store)));
        let detacher = Detacher { shared: shared.clone(), troubles, marker };
        if in_step.is_some() {
            if let Err(error) = judge(unjudged.as_ref(), &store, &shared) {
                detacher.detach(&error);
            }
            return Ok(WriteBehind { shared, store, detacher, thread: None, in_step });
        }
        let (its_store, its_detacher) = (store.clone(), detacher.clone());
        let run = move || {
            let written = std::panic::catch_unwind(AssertUnwindSafe(|| {
                let shared = &its_detacher.shared;
                if judge(unjudged.as_ref(), &its_store, shared)? { write_all(shared, &its_store) } else { Ok(()) }
            }));
            let panicked = || Err(StoreError::Panicked("in the thread that writes it".to_owned()));
            if let Err(error) = written.unwrap_or_else(|_| panicked()) {
                its_detacher.detach(&error);
            }
        };
        let thread = match haste {
            Haste::Registering => std::thread::Builder::new().name("store".to_owned()).spawn(run)?,
            Haste::Following => background::spawn_behind("store", run)?,
        };
        Ok(WriteBehind { shared, store, detacher, thread: Some(thread), in_step })
    }

    /// Gives the store up: it failed while it was read.
    pub(super) fn detach(&self, error: &StoreError) {
        self.detacher.detach(error);
    }

    /// Hands a frame's effects over; waits while the queue is full. A detached store takes nothing.
    pub(super) fn push(&self, effects: Effects) {
        if let Some(flush_every_frames) = self.in_step {
            return self.apply_in_step(effects, flush_every_frames);
        }
        let mut queue = lock(&self.shared.queue);
        while queue.bytes > QUEUE_BYTES_MAX && !queue.closed {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if !queue.closed {
            queue.bytes += effects.bytes;
            queue.waiting.push_back(effects);
            self.shared.changed.notify_all();
        }
    }

    /// Waits until everything handed over is applied; false when the store is detached.
    pub(super) fn drain(&self) -> bool {
        let mut queue = lock(&self.shared.queue);
        while (queue.busy || !queue.waiting.is_empty()) && !queue.closed {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        !queue.closed
    }

    /// The same, and first until the store was read whole, where it is to be.
    pub(super) fn drain_judged(&self) -> bool {
        let mut queue = lock(&self.shared.queue);
        while queue.judging && !queue.closed {
            queue = self.shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.drain()
    }

    /// Says that the store is whole with the next effects.
    pub(super) fn is_filled(&self) {
        lock(&self.shared.queue).filling = Filling::InPlace;
    }

    /// The sequence up to which frames are applied.
    pub(super) fn applied(&self) -> u64 {
        lock(&self.shared.queue).applied
    }

    /// A handle on the store, for questions about history and for snapshots; `None` when it could not be opened again.
    pub(super) fn store(&self) -> Option<Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where the thread finds the store: it writes nothing while somebody holds this.
    pub(super) fn slot(&self) -> StoreSlot {
        self.store.clone()
    }

    /// A handle that gives the store up, for who found it damaged without holding the writer.
    pub(super) fn detacher(&self) -> Detacher {
        self.detacher.clone()
    }

    /// Applies what is waiting, makes it durable, and ends the thread. One that is still reading the store writes nothing to it: what is
    /// waiting is in the log.
    pub(super) fn close(&mut self) {
        let was_closed = std::mem::replace(&mut lock(&self.shared.queue).closed, true);
        self.shared.changed.notify_all();
        if self.in_step.is_some() && !was_closed {
            let flushed = self.store().map_or(Ok(()), |store| store.flush());
            flushed.unwrap_or_else(|error| self.detacher.detach(&error));
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the store's thread panicked");
        }
    }
}

impl WriteBehind {
    fn apply_in_step(&self, effects: Effects, flush_every_frames: u64) {
        let (closed, filling) = {
            let queue = lock(&self.shared.queue);
            (queue.closed, queue.filling)
        };
        let Some(store) = self.store().filter(|_| !closed) else { return };
        let applied = apply_run(&store, vec![effects], filling).and_then(|applied| {
            if applied.is_multiple_of(flush_every_frames) { store.flush().map(|()| applied) } else { Ok(applied) }
        });
        match applied {
            Ok(applied) => lock(&self.shared.queue).applied = applied,
            Err(error) => self.detacher.detach(&error),
        }
    }
}

/// Gives a store up.
#[derive(Clone)]
pub(super) struct Detacher {
    shared: Arc<Shared>,
    troubles: Arc<Troubles>,
    marker: Marker,
}

/// Where a store that fails leaves word for the next start, which then judges it to its last page.
#[derive(Clone)]
pub(super) struct Marker {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) path: PathBuf,
}

impl Marker {
    fn leave(&self, error: &StoreError) -> std::io::Result<()> {
        let mut file = self.disk.open(&self.path, OpenMode::Replace)?;
        file.append(format!("{error}\n").as_bytes())
    }
}

impl Detacher {
    pub(super) fn detach(&self, error: &StoreError) {
        tracing::error!(%error, "the store is detached; look-ups and the log go on");
        self.troubles.raise(Trouble::StoreDetached, error.to_string());
        if let Err(error) = self.marker.leave(error) {
            tracing::error!(%error, "the marker of a failed store could not be written");
        }
        let mut queue = lock(&self.shared.queue);
        queue.closed = true;
        queue.busy = false;
        queue.waiting.clear();
        queue.bytes = 0;
        self.shared.changed.notify_all();
    }
}

impl Drop for WriteBehind {
    fn drop(&mut self) {
        self.close();
    }
}

/// Reads an unjudged store whole. Look-ups go on meanwhile, and so does registering until the queue is full. False where it was closed
/// before that.
fn judge(unjudged: Option<&Unjudged>, slot: &StoreSlot, shared: &Arc<Shared>) -> Result<bool, StoreError> {
    let Some(Unjudged { dossiers, rows }) = unjudged else { return Ok(true) };
    let store = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let began = Instant::now();
    // Look-ups come first: nobody waits for this but the writing of the store, which has a queue.
    let (dossiers, rows, its_shared) = (*dossiers, *rows, shared.clone());
    let given_up = move || lock(&its_shared.queue).closed;
    let judging = store
        .map(|store| background::spawn("store-judge", move || load::check_dossiers_unless(given_up, &store, dossiers, &rows)));
    let panicked = |_| Err(StoreError::Panicked("while it was read".to_owned()));
    let judged = match judging {
        None => Ok(true),
        Some(Ok(judging)) => judging.join().unwrap_or_else(panicked),
        Some(Err(error)) => Err(StoreError::Engine(error.to_string())),
    };
    lock(&shared.queue).judging = false;
    shared.changed.notify_all();
    if matches!(judged, Ok(true)) {
        tracing::info!(seconds = began.elapsed().as_secs(), "the store was read and adds up");
    }
    judged
}

fn write_all(shared: &Shared, slot: &StoreSlot) -> Result<(), StoreError> {
    let mut last_flush = Instant::now();
    let mut unflushed = false;
    let mut bytes_since_open = 0;
    loop {
        let next = next_run(shared, unflushed, last_flush);
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = slot.as_ref() else { return Ok(()) };
        let Some((run, filling)) = next else {
            return store.flush();
        };
        if run.is_empty() {
            store.flush()?;
            unflushed = false;
            last_flush = Instant::now();
            continue;
        }
        bytes_since_open += run.iter().map(|effects| effects.bytes).sum::<usize>();
        let applied = apply_run(store, run, filling)?;
        unflushed = true;
        let renew = bytes_since_open > RENEW_BYTES && store.is_the_only_handle();
        if renew || last_flush.elapsed() > FLUSH_EVERY {
            store.flush()?;
            unflushed = false;
            last_flush = Instant::now();
        }
        if renew && let Some(store) = slot.take() {
            *slot = Some(store.reopened()?);
            bytes_since_open = 0;
        }
        drop(slot);
        let mut queue = lock(&shared.queue);
        queue.busy = false;
        queue.applied = applied;
        shared.changed.notify_all();
    }
}

/// The next frames to be applied together; an empty run says that it is time to flush, `None` that it is time to end.
fn next_run(shared: &Shared, unflushed: bool, last_flush: Instant) -> Option<(Vec<Effects>, Filling)> {
    let mut queue = lock(&shared.queue);
    while queue.waiting.is_empty() {
        if queue.closed {
            return None;
        }
        if !unflushed {
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            continue;
        }
        let left = FLUSH_EVERY.saturating_sub(last_flush.elapsed());
        if left.is_zero() {
            return Some((Vec::new(), queue.filling));
        }
        queue = shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
    }
    let mut run = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES
        && let Some(effects) = queue.waiting.pop_front()
    {
        bytes += effects.bytes;
        run.push(effects);
    }
    queue.bytes -= bytes;
    queue.busy = true;
    shared.changed.notify_all();
    Some((run, queue.filling))
}

fn apply_run(store: &Store, run: Vec<Effects>, filling: Filling) -> Result<u64, StoreError> {
    let mut batch = StoreBatch::default();
    let mut last = None;
    for effects in run {
        let sequence = effects.meta.position.sequence;
        for place in 0.. {
            let Some(dossier) = effects.batch.dossier(place) else { break };
            if !effects.interim_places.contains(&place) {
                batch.put_dossier(dossier.number(), dossier.as_bytes());
            }
        }
        for number in &effects.removed {
            batch.remove_dossier(*number);
        }
        for past in &effects.past {
            batch.put_history(&HistoryEntry {
                run: past.run,
                identity: past.identity,
                kind: past.kind,
                since_sequence: past.since_sequence,
                since_unix_s: past.since_unix_s,
                until_sequence: sequence,
                until_unix_s: u32::try_from(effects.time_unix_ms / 1000).unwrap_or(u32::MAX),
                row: &past.row,
            });
        }
        if let Some((kind, payload)) = &effects.ledger {
            batch.put_ledger(sequence, *kind, effects.time_unix_ms, payload);
        }
        for sequence in &effects.ledger_removed {
            batch.remove_ledger(*sequence);
        }
        last = Some(effects.meta);
    }
    let Some(meta) = last else { return Ok(0) };
    match filling {
        Filling::InPlace => store.apply(batch, &meta)?,
        Filling::Anew => store.apply_unplaced(batch)?,
    }
    Ok(meta.position.sequence)
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
