#![forbid(unsafe_code)]
//! The live connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Instant;

use super::farewell::Farewell;
use super::guard::{self, Socket};
use super::limits::ListenerLimits;
use super::tally::Tally;
use crate::limits::{LISTENER_DISPLACE_IDLE_MS, LISTENER_LEAVING_MAX};

/// One connection's place. The connection writes its counts here, plain stores on lines of its own; the sweeper reads them.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Slot {
    /// Requests whose head was read.
    pub(super) requests: AtomicU64,
    /// Bytes of answers handed to the engine or written.
    pub(super) produced: AtomicU64,
    /// The length of the body being waited for; 0 outside of one.
    pub(super) body_bytes: AtomicU64,
    /// Which connection this is: a slot is used again.
    pub(super) generation: AtomicU64,
    /// When the sweeper last saw something happen, in milliseconds since the registry began.
    pub(super) active_at_ms: AtomicU64,
    /// Told to go.
    pub(super) leaving: AtomicBool,
    pub(super) taken: AtomicBool,
    /// The connection's socket. Its lock is taken when a connection comes, goes, is looked at or ends unusually; never for a request.
    pub(super) socket: Socket,
}

/// All slots, and what the rooms of the listener share.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) limits: ListenerLimits,
    pub(super) tally: Tally,
    pub(super) stopping: AtomicBool,
    began: Instant,
    slots: Box<[Arc<Slot>]>,
    free: Mutex<Vec<usize>>,
    farewells: Mutex<Vec<Farewell>>,
    pub(super) sweeper: OnceLock<Thread>,
}

/// A connection's hold on its slot; the slot is free again when it goes.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) slot: Arc<Slot>,
    index: usize,
    registry: Arc<Registry>,
}

impl Registry {
    pub(super) fn new(limits: ListenerLimits) -> Self {
        let places = limits.connections_max.saturating_add(LISTENER_LEAVING_MAX);
        Self {
            limits,
            tally: Tally::default(),
            stopping: AtomicBool::new(false),
            began: Instant::now(),
            slots: (0..places).map(|_| Arc::default()).collect(),
            free: Mutex::new((0..places).rev().collect()),
            farewells: Mutex::default(),
            sweeper: OnceLock::new(),
        }
    }

    /// Takes a slot for a new connection. At the cap another connection makes room, or there is none.
    pub(super) fn enter(self: &Arc<Self>, id: usize) -> Option<Place> {
        self.tally.accepted.add(1);
        // Counted before the cap is looked at, because several acceptors come by here.
        let crowded = self.tally.connections.add(1) >= self.limits.connections_max as u64;
        let stopping = self.stopping.load(Ordering::Relaxed);
        let index = if stopping || (crowded && !self.displace()) { None } else { self.free_place() };
        let Some(index) = index else {
            self.tally.connections.take(1);
            return None;
        };
        let slot = Arc::clone(self.slots.get(index)?);
        slot.requests.store(0, Ordering::Relaxed);
        slot.produced.store(0, Ordering::Relaxed);
        slot.body_bytes.store(0, Ordering::Relaxed);
        slot.leaving.store(false, Ordering::Relaxed);
        slot.active_at_ms.store(self.now_ms(), Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::Relaxed);
        slot.socket.adopt(id);
        slot.taken.store(true, Ordering::Release);
        self.wake_sweeper();
        Some(Place { slot, index, registry: Arc::clone(self) })
    }

    fn free_place(&self) -> Option<usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    /// Milliseconds since the registry began.
    pub(super) fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The slots in use, with their numbers.
    pub(super) fn live(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().map(AsRef::as_ref).enumerate().filter(|(_, slot): &(usize, &Slot)| slot.taken.load(Ordering::Acquire))
    }

    /// One slot, if it is in use.
    pub(super) fn live_at(&self, index: usize) -> Option<&Slot> {
        self.slots.get(index).map(AsRef::as_ref).filter(|slot: &&Slot| slot.taken.load(Ordering::Acquire))
    }

    pub(super) fn places(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn live_requests_and_bytes(&self) -> (u64, u64) {
        self.live().fold((0, 0), |(requests, bytes), (_, slot)| {
            (requests + slot.requests.load(Ordering::Relaxed), bytes + slot.produced.load(Ordering::Relaxed))
        })
    }

    /// Sends away the connection that is missed least: the oldest that never asked, else the one silent longest. A client that keeps
    /// asking is never among them, however many connections its neighbours on the same address open.
    fn displace(&self) -> bool {
        let silent_since = self.now_ms().saturating_sub(LISTENER_DISPLACE_IDLE_MS);
        let victim = self
            .live()
            .filter(|(_, slot)| !slot.leaving.load(Ordering::Relaxed))
            .map(|(_, slot)| (slot.requests.load(Ordering::Relaxed) > 0, slot.active_at_ms.load(Ordering::Relaxed), slot))
            .filter(|(asked, active_at_ms, _)| !asked || *active_at_ms <= silent_since)
            .min_by_key(|(asked, active_at_ms, _)| (*asked, *active_at_ms));
        let Some((_, _, slot)) = victim else { return false };
        if slot.leaving.swap(true, Ordering::Relaxed) {
            return false;
        }
        self.tally.displaced.add(1);
        self.tally.connections.take(1);
        slot.socket.with(guard::cut);
        true
    }

    /// Takes over a connection that has had its last answer.
    pub(super) fn see_off(&self, farewell: Farewell) {
        self.farewells.lock().unwrap_or_else(PoisonError::into_inner).push(farewell);
        self.wake_sweeper();
    }

    pub(super) fn farewells(&self) -> Vec<Farewell> {
        std::mem::take(&mut *self.farewells.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn wake_sweeper(&self) {
        if let Some(sweeper) = self.sweeper.get() {
            sweeper.unpark();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.slot.socket.withdraw();
        self.slot.taken.store(false, Ordering::Release);
        let tally = &self.registry.tally;
        tally.requests.add(self.slot.requests.load(Ordering::Relaxed));
        tally.bytes_out.add(self.slot.produced.load(Ordering::Relaxed));
        if !self.slot.leaving.swap(true, Ordering::Relaxed) {
            tally.connections.take(1);
        }
        self.registry.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.index);
    }
}
