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
use super::limits::ListenerLimits;
use super::registry::{Registry, Slot};
use crate::limits::{LISTENER_FAREWELLS_MAX, LISTENER_SWEEP_ALL_MS, LISTENER_SWEEP_MS};

/// How long a connection counts as new: a flood usually begins with its first byte.
const YOUNG: Duration = Duration::from_millis(100);

/// The pause when nothing is connected; a new connection ends it.
const NOBODY: Duration = Duration::from_secs(1);

/// Unread answers above this keep a connection under watch.
const UNREAD_WATCHED_BYTES: u64 = 64 * 1024;

/// What is known of one connection from the last look.
#[derive(Clone, Debug)]
struct Watch {
    generation: u64,
    first_seen: Instant,
    requests: u64,
    body_bytes: u64,
    received: u64,
    acked: u64,
    /// `received` when the service was last seen to make progress.
    base: u64,
    /// Since when a head or a body has been under way.
    since: Option<Instant>,
    active_at: Instant,
    acked_at: Instant,
    unparsed: u64,
    unread: u64,
    told: bool,
}

impl Watch {
    fn new(generation: u64, now: Instant) -> Self {
        Self {
            generation,
            first_seen: now,
            requests: 0,
            body_bytes: 0,
            received: 0,
            acked: 0,
            base: 0,
            since: None,
            active_at: now,
            acked_at: now,
            unparsed: 0,
            unread: 0,
            told: false,
        }
    }

    fn held_bytes(&self) -> u64 {
        self.unparsed + self.unread
    }

    fn at_rest(&self) -> bool {
        self.body_bytes == 0 && self.held_bytes() == 0
    }

    /// Worth another look soon.
    fn suspect(&self, now: Instant) -> bool {
        !self.told && (self.since.is_some() || self.unread > UNREAD_WATCHED_BYTES || now.duration_since(self.first_seen) < YOUNG)
    }

    /// Takes in what the slot and the kernel say now.
    fn update(&mut self, slot: &Slot, traffic: guard::Traffic, produced: u64, now: Instant) -> bool {
        let requests = slot.requests.load(Ordering::Relaxed);
        let body_bytes = slot.body_bytes.load(Ordering::Relaxed);
        let progress = requests != self.requests || body_bytes != self.body_bytes;
        if progress {
            self.base = traffic.received;
            self.since = None;
        }
        let moved = progress || traffic.received != self.received || traffic.acked != self.acked;
        if moved {
            self.active_at = now;
        }
        self.unread = produced.saturating_sub(traffic.acked);
        if self.unread == 0 || traffic.acked != self.acked {
            self.acked_at = now;
        }
        self.unparsed = traffic.received.saturating_sub(self.base);
        if self.unparsed > 0 || body_bytes > 0 {
            self.since.get_or_insert(now);
        }
        (self.requests, self.body_bytes, self.received, self.acked) = (requests, body_bytes, traffic.received, traffic.acked);
        moved
    }

    /// Why the connection has to go, if it has to.
    fn offence(&self, limits: &ListenerLimits, now: Instant) -> Option<Offence> {
        let under_way = self.since.map_or(Duration::ZERO, |since| now.duration_since(since));
        let silent = now.duration_since(self.active_at);
        let request_timeout = if self.body_bytes > 0 { limits.body_timeout } else { limits.head_timeout };
        let silence_timeout = if self.received == 0 { limits.first_byte_timeout } else { limits.idle_timeout };
        if self.body_bytes == 0 && self.unparsed > limits.unparsed_bytes_max {
            Some(Offence::Flooding)
        } else if under_way > request_timeout {
            Some(Offence::Slow)
        } else if now.duration_since(self.acked_at) > limits.unread_timeout {
            Some(Offence::Unread)
        } else if silent > silence_timeout {
            Some(Offence::Idle)
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Offence {
    Flooding,
    Slow,
    Unread,
    Idle,
}

struct Sweeper {
    registry: Arc<Registry>,
    watches: Vec<Option<Watch>>,
    suspects: Vec<usize>,
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
        let suspects = std::mem::take(&mut self.suspects);
        self.suspects = Vec::with_capacity(suspects.len());
        for index in suspects {
            self.look(index, now);
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
        match offence {
            Offence::Flooding => tally.swept_flooding.add(1),
            Offence::Slow => tally.swept_slow.add(1),
            Offence::Unread => tally.swept_unread.add(1),
            Offence::Idle => tally.swept_idle.add(1),
        }
        guard::cut(fd);
    });
}
