//! What `status` and `metrics` say of following.

use std::sync::{Arc, Mutex};

use super::lock;
use crate::serve::clock::now_unix_ms;
use crate::sync::intake::Intake;
use crate::sync::remembered::Quarantine;

/// Where following stands.
#[derive(Clone, Debug, Default)]
pub struct FollowStanding {
    /// Where the hub is.
    pub hub: String,
    /// The highest sequence that the hub signed, as far as is known.
    pub hub_sequence: u64,
    /// When the hub signed the newest checkpoint of which everything is applied, ms since 1970; 0 before the first.
    pub applied_signed_unix_ms: u64,
    /// Since when something that the hub signed is not applied, ms since 1970.
    pub behind_since_unix_ms: Option<u64>,
    /// The last answer from the hub, ms since 1970; 0 before the first.
    pub last_contact_unix_ms: u64,
    /// What went wrong last, as long as nothing has gone well since.
    pub failure: Option<String>,
    /// Why nothing more is taken from the hub.
    pub quarantine: Option<Quarantine>,
    /// Bytes of frames that came.
    pub pulled_bytes: u64,
    /// How often something that came was refused.
    pub refused: u64,
}

impl FollowStanding {
    /// Sequences that the hub signed and that are not applied.
    pub fn lag_sequences(&self, own_sequence: u64) -> u64 {
        self.hub_sequence.saturating_sub(own_sequence)
    }

    /// For how long they have been missing, seconds; 0 where none is.
    pub fn lag_s(&self, now_unix_ms: u64) -> u64 {
        self.behind_since_unix_ms.map_or(0, |since| now_unix_ms.saturating_sub(since).div_ceil(1000))
    }

    /// How old the newest word of the hub is to which everything here corresponds, seconds.
    pub fn state_age_s(&self, now_unix_ms: u64) -> Option<u64> {
        (self.applied_signed_unix_ms > 0).then(|| now_unix_ms.saturating_sub(self.applied_signed_unix_ms) / 1000)
    }
}

/// The standing, for the one who changes it and those who read it.
#[derive(Clone, Debug, Default)]
pub struct Standings(Arc<Mutex<FollowStanding>>);

impl Standings {
    pub(in crate::sync) fn of(hub: String) -> Standings {
        Standings(Arc::new(Mutex::new(FollowStanding { hub, ..FollowStanding::default() })))
    }

    /// The standing of this moment.
    pub fn read(&self) -> FollowStanding {
        lock(&self.0).clone()
    }

    pub(in crate::sync) fn change(&self, change: impl FnOnce(&mut FollowStanding)) {
        change(&mut lock(&self.0));
    }

    /// How far the hub is, as the intake knows it, and how far behind the own log is.
    pub(in crate::sync) fn note_progress(&self, intake: &Intake) {
        let Some(newest) = intake.newest() else { return };
        let (hub_sequence, signed, now) = (newest.sequence, newest.time_unix_ms, now_unix_ms());
        let is_behind = intake.registry().sequence() < hub_sequence;
        self.change(|standing| {
            standing.hub_sequence = hub_sequence;
            if is_behind {
                standing.behind_since_unix_ms.get_or_insert(now);
            } else {
                standing.behind_since_unix_ms = None;
                standing.applied_signed_unix_ms = signed;
            }
        });
    }
}
