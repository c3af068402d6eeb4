#![forbid(unsafe_code)]
//! What the sweeper knows of one connection, and when that is too much.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::guard::Traffic;
use super::limits::ListenerLimits;
use super::registry::Slot;

/// How long a connection counts as new: a flood usually begins with its first byte.
const YOUNG: Duration = Duration::from_millis(100);

/// Unread answers above this keep a connection under watch.
const UNREAD_WATCHED_BYTES: u64 = 64 * 1024;

/// What is known of one connection from the last look.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) generation: u64,
    first_seen: Instant,
    requests: u64,
    pub(super) body_bytes: u64,
    received: u64,
    acked: u64,
    /// `received` when the service was last seen to make progress.
    base: u64,
    /// Since when a head or a body has been under way.
    since: Option<Instant>,
    active_at: Instant,
    acked_at: Instant,
    pub(super) unparsed: u64,
    pub(super) unread: u64,
    pub(super) told: bool,
}

impl Watch {
    pub(super) fn new(generation: u64, now: Instant) -> Self {
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

    pub(super) fn held_bytes(&self) -> u64 {
        self.unparsed + self.unread
    }

    pub(super) fn at_rest(&self) -> bool {
        self.body_bytes == 0 && self.held_bytes() == 0
    }

    /// Worth another look soon.
    pub(super) fn suspect(&self, now: Instant) -> bool {
        !self.told && (self.since.is_some() || self.unread > UNREAD_WATCHED_BYTES || now.duration_since(self.first_seen) < YOUNG)
    }

    /// Takes in what the slot and the kernel say now.
    pub(super) fn update(&mut self, slot: &Slot, traffic: Traffic, produced: u64, now: Instant) -> bool {
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
    pub(super) fn offence(&self, limits: &ListenerLimits, now: Instant) -> Option<Offence> {
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

/// Why a connection has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Offence {
    /// It has sent more than it may without completing a request.
    Flooding,
    /// A head or a body takes too long.
    Slow,
    /// It does not read its answers.
    Unread,
    /// It is silent.
    Idle,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection as it looks after each step, in milliseconds.
    struct Scene {
        slot: Slot,
        watch: Watch,
        began: Instant,
    }

    impl Scene {
        fn new() -> Self {
            let began = Instant::now();
            Self { slot: Slot::default(), watch: Watch::new(0, began), began }
        }

        fn look(&mut self, at_ms: u64, received: u64, acked: u64) -> Option<Offence> {
            let now = self.began + Duration::from_millis(at_ms);
            let produced = self.slot.produced.load(Ordering::Relaxed);
            self.watch.update(&self.slot, Traffic { received, acked, written: produced }, produced, now);
            self.watch.offence(&ListenerLimits::default(), now)
        }
    }

    #[test]
    fn bytes_without_a_request_are_a_flood_and_bytes_with_requests_are_not() {
        let mut scene = Scene::new();
        for step in 1..100 {
            scene.slot.requests.store(step, Ordering::Relaxed);
            assert_eq!(scene.look(step, step * 200_000, 0), None);
        }
        assert_eq!(scene.look(101, 99 * 200_000 + 128 * 1024, 0), None);
        assert_eq!(scene.look(102, 99 * 200_000 + 128 * 1024 + 1, 0), Some(Offence::Flooding));
    }

    #[test]
    fn a_byte_a_second_is_slow_in_the_head_and_in_the_body() {
        let mut scene = Scene::new();
        assert!((1..=6).all(|second| scene.look(second * 1000, second, 0).is_none()));
        assert_eq!(scene.look(7000, 7, 0), Some(Offence::Slow));
        scene.slot.requests.store(1, Ordering::Relaxed);
        scene.slot.body_bytes.store(1000, Ordering::Relaxed);
        assert!((8..=18).all(|second| scene.look(second * 1000, second, 0).is_none()));
        assert_eq!(scene.look(19_000, 19, 0), Some(Offence::Slow));
    }

    #[test]
    fn silence_and_unread_answers_have_their_time() {
        let mut scene = Scene::new();
        assert_eq!(scene.look(10_000, 0, 0), None);
        assert_eq!(scene.look(10_001, 0, 0), Some(Offence::Idle));
        let mut scene = Scene::new();
        scene.slot.requests.store(1, Ordering::Relaxed);
        scene.slot.produced.store(500, Ordering::Relaxed);
        assert_eq!(scene.look(1, 100, 499), None);
        assert_eq!(scene.look(10_002, 100, 499), Some(Offence::Unread));
        assert_eq!(scene.look(10_003, 100, 500), None);
        assert_eq!(scene.look(70_003, 100, 500), None);
        assert_eq!(scene.look(70_004, 100, 500), Some(Offence::Idle));
    }
}
