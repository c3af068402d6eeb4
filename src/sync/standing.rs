//! What `status` and `metrics` say of following, by whichever way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::intake::Intake;
use super::remembered::Quarantine;
use crate::limits::FOLLOW_SIGNED_AGE_MS_MAX;
use crate::registry::view::rfc3339_japan;
use crate::registry::{Trouble, Troubles};
use crate::serve::clock::now_unix_ms;

/// Where following stands.
#[derive(Clone, Debug, Default)]
pub struct FollowStanding {
    /// Where the hub is.
    pub hub: String,
    /// The highest sequence that the hub signed, as far as is known.
    pub hub_sequence: u64,
    /// Since when it is followed, ms since 1970.
    pub begun_unix_ms: u64,
    /// When the hub signed the newest checkpoint that was accepted, ms since 1970; 0 before the first.
    pub newest_signed_unix_ms: u64,
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

    /// What is to be said of a source that answers and has brought nothing for long that the hub signed lately.
    fn withheld(&self, now_unix_ms: u64) -> Option<String> {
        let since = if self.newest_signed_unix_ms > 0 { self.newest_signed_unix_ms } else { self.begun_unix_ms };
        (now_unix_ms.saturating_sub(since) > FOLLOW_SIGNED_AGE_MS_MAX).then(|| {
            let (source, since) = (&self.hub, rfc3339_japan(since / 1000));
            format!("{source} answers, but has brought nothing that the hub signed since {since}: the hub is away, or withheld")
        })
    }
}

/// The standing, for the one who changes it and those who read it.
#[derive(Clone, Debug, Default)]
pub struct Standings(Arc<Mutex<FollowStanding>>);

impl Standings {
    pub(super) fn of(hub: String) -> Standings {
        let begun_unix_ms = now_unix_ms();
        Standings(Arc::new(Mutex::new(FollowStanding { hub, begun_unix_ms, ..FollowStanding::default() })))
    }

    /// The standing of this moment.
    pub fn read(&self) -> FollowStanding {
        self.lock().clone()
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut FollowStanding)) {
        change(&mut self.lock());
    }

    /// How far the hub is, as the intake knows it, and how far behind the own log is.
    pub(super) fn note_progress(&self, intake: &Intake) {
        let Some(newest) = intake.newest() else { return };
        let (hub_sequence, signed, now) = (newest.sequence, newest.time_unix_ms, now_unix_ms());
        let is_behind = intake.registry().sequence() < hub_sequence;
        self.change(|standing| {
            standing.hub_sequence = hub_sequence;
            standing.newest_signed_unix_ms = signed;
            if is_behind {
                standing.behind_since_unix_ms.get_or_insert(now);
            } else {
                standing.behind_since_unix_ms = None;
                standing.applied_signed_unix_ms = signed;
            }
        });
    }

    /// What its source withholds at this moment, if it is one that answers.
    pub(super) fn withheld(&self) -> Option<String> {
        self.lock().withheld(now_unix_ms())
    }

    /// The source answered. What it withholds is a trouble as if it had not.
    pub(super) fn note_answer(&self, troubles: &Troubles, withheld: Option<String>) {
        let said = troubles.list().into_iter().find(|(trouble, _)| *trouble == Trouble::HubUnreachable);
        if said.map(|(_, detail)| detail) != withheld {
            troubles.lower(Trouble::HubUnreachable);
            if let Some(detail) = &withheld {
                tracing::warn!(detail, "following brings nothing new");
                troubles.raise(Trouble::HubUnreachable, detail.clone());
            }
        }
        self.change(|standing| standing.failure = withheld);
    }

    fn lock(&self) -> MutexGuard<'_, FollowStanding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_273_200_000;

    #[test]
    fn a_source_that_brings_nothing_signed_lately_is_said_to_withhold_and_only_then() {
        let signed = |ago_ms| FollowStanding { newest_signed_unix_ms: NOW - ago_ms, ..FollowStanding::default() };
        assert_eq!(signed(FOLLOW_SIGNED_AGE_MS_MAX).withheld(NOW), None);
        let withheld = signed(FOLLOW_SIGNED_AGE_MS_MAX + 1).withheld(NOW).unwrap();
        assert!(withheld.contains("signed since 2026-11-2"), "{withheld}");
        // A hub's clock may be ahead.
        let ahead = FollowStanding { newest_signed_unix_ms: NOW + 3_600_000, ..FollowStanding::default() };
        assert_eq!(ahead.withheld(NOW), None);
        // Before the first checkpoint it counts from the beginning.
        let begun = |ago_ms| FollowStanding { begun_unix_ms: NOW - ago_ms, ..FollowStanding::default() };
        assert_eq!(begun(1000).withheld(NOW), None);
        assert!(begun(FOLLOW_SIGNED_AGE_MS_MAX + 1).withheld(NOW).is_some());
    }

    #[test]
    fn what_is_withheld_is_a_trouble_until_something_newer_comes() {
        let (standings, troubles) = (Standings::of("hub".to_owned()), Troubles::default());
        troubles.raise(Trouble::HubUnreachable, "no connection".to_owned());
        standings.note_answer(&troubles, Some("nothing new".to_owned()));
        assert_eq!(troubles.list(), [(Trouble::HubUnreachable, "nothing new".to_owned())]);
        assert_eq!(standings.read().failure.as_deref(), Some("nothing new"));
        standings.note_answer(&troubles, None);
        assert_eq!((troubles.list(), standings.read().failure), (vec![], None));
    }
}
