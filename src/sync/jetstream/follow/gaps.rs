//! Frames that do not come: when they are held to be lost, and where they are looked for.

use std::time::{Duration, Instant};

use async_nats::jetstream::message::Acker;

use super::reading::{Begin, ReadError, Reading};
use crate::limits::BROKER_GAP_MS;
use crate::registry::Trouble;
use crate::sync::intake::Wanted;
use crate::sync::jetstream::waiting::Waiting;
use crate::sync::refusal::Refusal;

/// Where nothing waits behind it, the next frame that a checkpoint speaks of is held to be lost after so long.
const SILENCE: Duration = Duration::from_secs(15);

/// The first frame that is missing, and since when. Other messages that come meanwhile say nothing of it.
#[derive(Debug, Default)]
pub(super) struct Missing {
    first: Option<(u64, Instant)>,
}

impl Missing {
    /// For how long it has been this one.
    fn lasts(&mut self, sequence: u64, now: Instant) -> Duration {
        match self.first {
            Some((known, since)) if known == sequence => now.saturating_duration_since(since),
            Some(_) | None => {
                self.first = Some((sequence, now));
                Duration::ZERO
            }
        }
    }
}

impl Reading {
    /// Whether what is missing will not come any more.
    pub(super) fn judge_gap(&mut self, waiting: &Waiting<Acker>, missing: &mut Missing) -> Result<(), ReadError> {
        let applied = self.registry.standing().0.sequence;
        if self.gap.is_some_and(|(expected, _)| applied >= expected) {
            self.gap = None;
            self.registry.troubles().lower(Trouble::HubRefused);
        }
        let behind = waiting.missing(applied);
        let wanted = match self.intake.wanted() {
            Wanted::Frames { through, .. } => through,
            Wanted::Nothing => applied,
        };
        if behind.is_none() && wanted <= applied {
            *missing = Missing::default();
            return Ok(());
        }
        let lasts = missing.lasts(applied + 1, Instant::now());
        let (is_over, found) = match behind {
            Some(gap) => (lasts >= Duration::from_millis(BROKER_GAP_MS) || waiting.is_crowded(), gap.end() + 1),
            None => (lasts >= SILENCE, wanted),
        };
        if is_over { Err(ReadError::Gap { expected: applied + 1, found }) } else { Ok(()) }
    }

    /// What is done about frames that do not come: they are fetched from the hub where that can be reached, else looked for in the
    /// broker's stream again, at last from its beginning. `None` where nothing helped: later, perhaps.
    pub(super) fn heal(&mut self, expected: u64, found: u64) -> Option<Begin> {
        self.standing.gap();
        let tries = match self.gap {
            Some((known, tries)) if known == expected => tries + 1,
            Some(_) | None => 1,
        };
        self.gap = Some((expected, tries));
        tracing::warn!(expected, found, tries, "frames are missing among the broker's messages");
        if let Some(other_way) = &mut self.other_way {
            match other_way(&mut self.intake) {
                Ok(()) if self.registry.sequence() >= expected => return Some(Begin::Found),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "what is missing could not be fetched from the hub"),
            }
        }
        match tries {
            1 => return Some(Begin::Found),
            2 => return Some(Begin::First),
            _ => {}
        }
        let refusal = Refusal::Gap { expected, found };
        let detail = format!("{refusal}; the broker no longer holds them: name the hub's own address too, or bring a bundle");
        self.registry.troubles().raise(Trouble::HubRefused, detail);
        None
    }
}
