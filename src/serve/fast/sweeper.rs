#![forbid(unsafe_code)]
//! The thread that looks after the connections from outside.
//!
//! The engine calls a service only when a request's head is complete, so a service cannot see a head that never ends, a byte a second, or
//! silence. The kernel can: it counts what arrived and what was acknowledged. What arrived since the last request was read is what the
//! engine holds for a connection without being able to use it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::farewell::Farewell;
use super::guard;
use super::registry::{Registry, Slot};
use super::watch::{Offence, Watch};
use crate::limits::{LISTENER_FAREWELLS_MAX, LISTENER_SWEEP_ALL_MS, LISTENER_SWEEP_MS};

/// The pause when nothing is connected; a new connection ends it.
const NOBODY: Duration = Duration::from_secs(1);

struct Sweeper {
    registry: Arc<Registry>,
    watches: Vec<Option<Watch>>,
    suspects: Vec<usize>,
    /// The suspects of the look before; two vectors that take turns.
    looked_at: Vec<usize>,
    farewells: Vec<Farewell>,
    scratch: Box<[u8]>,
}

/// Runs until the listener stops and everybody has left.
pub(super) fn run(registry: Arc<Registry>) {
    let places = registry.places();
    let mut sweeper = Sweeper {
        registry,
        watches: vec![None; places],
        suspects: Vec::with_capacity(places),
        looked_at: Vec::with_capacity(places),
        farewells: Vec::new(),
        scratch: vec![0; 64 * 1024].into(),
    };
    let sweep_all = Duration::from_millis(LISTENER_SWEEP_ALL_MS);
    let mut swept_all_at: Option<Instant> = None;
    let mut stopping_since: Option<Instant> = None;
    loop {
        let now = Instant::now();
        sweeper.step_farewells(now);
        let everybody = swept_all_at.is_none_or(|at| now.duration_since(at) >= sweep_all);
        let live = if everybody {
            swept_all_at = Some(now);
            sweeper.look_at_all(now)
        } else {
            sweeper.look_at_suspects(now);
            true
        };
        sweeper.relieve();
        if sweeper.registry.stopping.load(Ordering::Acquire) {
            let since = *stopping_since.get_or_insert(now);
            if sweeper.send_home(now.duration_since(since)) {
                return;
            }
        }
        let pause = if !sweeper.suspects.is_empty() || !sweeper.farewells.is_empty() {
            Duration::from_millis(LISTENER_SWEEP_MS)
        } else if live || stopping_since.is_some() {
            sweep_all
        } else {
            NOBODY
        };
        std::thread::park_timeout(pause);
    }
}

impl Sweeper {
    fn look_at_all(&mut self, now: Instant) -> bool {
        self.suspects.clear();
        let mut live = false;
        for index in 0..self.watches.len() {
            live |= self.look(index, now);
        }
        live
    }

    fn look_at_suspects(&mut self, now: Instant) {
        std::mem::swap(&mut self.suspects, &mut self.looked_at);
        self.suspects.clear();
        for at in 0..self.looked_at.len() {
            if let Some(index) = self.looked_at.get(at).copied() {
                self.look(index, now);
            }
        }
    }

    /// Looks at one connection. Returns whether there is one.
    fn look(&mut self, index: usize, now: Instant) -> bool {
        let Some(place) = self.watches.get_mut(index) else { return false };
        let Some(slot) = self.registry.live_at(index) else {
            *place = None;
            return false;
        };
        let generation = slot.generation.load(Ordering::Relaxed);
        let watch = match place {
            Some(watch) if watch.generation == generation => watch,
            _ => place.insert(Watch::new(generation, now)),
        };
        if watch.told {
            return true;
        }
        let produced = slot.produced.load(Ordering::Relaxed);
        let Some(Ok(traffic)) = slot.socket.with(guard::traffic) else { return true };
        if watch.update(slot, traffic, produced, now) {
            slot.active_at_ms.store(self.registry.now_ms(), Ordering::Relaxed);
        }
        if let Some(offence) = watch.offence(&self.registry.limits, now) {
            dismiss(&self.registry, slot, watch, offence);
        } else if watch.suspect(now) {
            self.suspects.push(index);
        }
        true
    }

    /// Brings what is held in total under its limit, the worst offender first.
    fn relieve(&mut self) {
        let limits = &self.registry.limits;
        let unsent: u64 = self.farewells.iter().map(Farewell::unsent_bytes).sum();
        let mut total = unsent + self.watches.iter().flatten().filter(|watch| !watch.told).map(Watch::held_bytes).sum::<u64>();
        while total > limits.held_bytes_total_max {
            let worst =
                self.watches.iter().enumerate().filter_map(|(index, watch)| Some((index, watch.as_ref().filter(|w| !w.told)?)));
            let worst = worst.max_by_key(|(_, watch)| watch.held_bytes()).map(|(index, watch)| (index, watch.held_bytes()));
            let slowest = self.farewells.iter().enumerate().max_by_key(|(_, farewell)| farewell.unsent_bytes());
            let slowest = slowest.map(|(at, farewell)| (at, farewell.unsent_bytes()));
            match (worst, slowest) {
                (held, Some((at, bytes))) if bytes > 0 && held.is_none_or(|(_, held)| held <= bytes) => {
                    self.farewells.swap_remove(at);
                    self.registry.tally.swept_unread.add(1);
                    total -= bytes;
                }
                (Some((index, bytes)), _) if bytes > 0 => {
                    if let (Some(Some(watch)), Some(slot)) = (self.watches.get_mut(index), self.registry.live_at(index)) {
                        let offence = if watch.unread > watch.unparsed { Offence::Unread } else { Offence::Flooding };
                        dismiss(&self.registry, slot, watch, offence);
                    } else if let Some(place) = self.watches.get_mut(index) {
                        *place = None;
                    }
                    total -= bytes;
                }
                _ => return,
            }
        }
    }

    fn step_farewells(&mut self, now: Instant) {
        self.farewells.append(&mut self.registry.farewells());
        let limits = &self.registry.limits;
        self.farewells.retain_mut(|farewell| farewell.step(limits, now, &mut self.scratch));
        // The oldest stand in front; they have had the most time.
        let excess = self.farewells.len().saturating_sub(LISTENER_FAREWELLS_MAX);
        self.farewells.drain(..excess);
    }

    /// While stopping: shuts what is at rest, waits for the rest, in the end cuts it. True when nobody is left.
    fn send_home(&mut self, stopping_for: Duration) -> bool {
        let late = stopping_for > self.registry.limits.stop_timeout;
        let mut live = false;
        for (index, slot) in self.registry.live() {
            live = true;
            let at_rest = self.watches.get(index).and_then(Option::as_ref).is_some_and(Watch::at_rest);
            if late {
                slot.socket.with(guard::cut);
            } else if at_rest {
                slot.socket.with(guard::shut);
            }
        }
        let hopeless = stopping_for > self.registry.limits.stop_timeout + NOBODY;
        (!live && self.farewells.is_empty()) || hopeless
    }
}

/// Tells a connection to go, unless its place has been taken by another meanwhile.
fn dismiss(registry: &Registry, slot: &Slot, watch: &mut Watch, offence: Offence) {
    watch.told = true;
    slot.socket.with(|fd| {
        if slot.generation.load(Ordering::Relaxed) != watch.generation {
            return;
        }
        let tally = &registry.tally;
        let _ = match offence {
            Offence::Flooding => tally.swept_flooding.add(1),
            Offence::Slow => tally.swept_slow.add(1),
            Offence::Unread => tally.swept_unread.add(1),
            Offence::Idle => tally.swept_idle.add(1),
        };
        guard::cut(fd);
    });
}
