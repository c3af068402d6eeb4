//! Rows: registered, withdrawn, and pruned when they ended too long ago.

use super::{Writer, unix_s};
use crate::domain::day::Day;
use crate::domain::decision::Row as _;
use crate::log::{FrameKind, PAYLOAD_BYTES_MAX};
use crate::record::identity;
use crate::record::payload::{self, Change, Changes};
use crate::registry::RegistryError;
use crate::registry::counts::Applied;
use crate::registry::plan::{self, Count, Outcome, Plan, Prepared, Scratch, Taken};
use crate::registry::troubles::Trouble;
use crate::store::HistoryKind;

/// Changes are prepared in runs of this length: enough to hide the memory's latency, few enough to stay in the first cache.
pub(super) const RUN: usize = 32;

impl Writer {
    /// Registers and withdraws rows: any number of frames, each durable and visible when this returns.
    pub(in crate::registry) fn apply(&mut self, changes: &Changes, time_unix_ms: u64) -> Result<Applied, RegistryError> {
        self.check_writable()?;
        let rows: Vec<Change<'_>> = changes.iter().collect();
        let mut applied = Applied::default();
        let mut plan = Plan::new(std::mem::take(&mut self.payload), PAYLOAD_BYTES_MAX, self.ledger.horizon);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut prepared = Vec::with_capacity(RUN);
        for (run_place, run) in rows.chunks(RUN).enumerate() {
            let digests = changes.digests().get(run_place * RUN..).unwrap_or_default();
            plan::prepare(&self.index, run, digests, &mut scratch, &mut prepared);
            for (place, one) in prepared.iter().enumerate() {
                let outcome = self.take_one(&mut plan, one, time_unix_ms)?;
                applied.counts.count(outcome);
                if matches!(outcome, Outcome::Unknown | Outcome::DossierFull) {
                    applied.rejected.push((run_place * RUN + place, outcome));
                }
            }
        }
        self.scratch = scratch;
        self.commit(&plan, FrameKind::Changes, None, time_unix_ms)?;
        plan.clear();
        self.payload = plan.payload;
        applied.sequence = self.position.sequence;
        Ok(applied)
    }

    fn take_one<'c>(&mut self, plan: &mut Plan<'c>, one: &Prepared<'c>, time_unix_ms: u64) -> Result<Outcome, RegistryError> {
        let mut taken = plan.take(&self.index, one);
        if matches!(taken, Taken::FrameFull) {
            self.commit(plan, FrameKind::Changes, None, time_unix_ms)?;
            plan.clear();
            taken = plan.take(&self.index, one);
        }
        match taken {
            Taken::Done(outcome) => Ok(outcome),
            Taken::AskHistory(identity) => Ok(match self.last_history(identity)? {
                Some(kind) if kind.still_stands() => {
                    plan.withdraw_from_history(one);
                    Outcome::Withdrawn
                }
                Some(_) => Outcome::AlreadyWithdrawn,
                None => Outcome::Unknown,
            }),
            Taken::FrameFull => Err(RegistryError::RowTooLarge),
        }
    }

    /// Moves the horizon on; rows that ended before it become history. Returns how many.
    pub(in crate::registry) fn prune(&mut self, horizon: Day, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_writable()?;
        if horizon <= self.ledger.horizon {
            return Ok(0);
        }
        let plan = self.plan_pruning(horizon);
        let pruned = plan.past.len() as u64;
        self.commit(&plan, FrameKind::Pruning, Some(horizon), time_unix_ms)?;
        Ok(pruned)
    }

    pub(super) fn plan_pruning<'c>(&self, horizon: Day) -> Plan<'c> {
        let mut plan = Plan::new(Changes::new(), PAYLOAD_BYTES_MAX, horizon);
        let mut scratch = Vec::new();
        for position in self.index.positions() {
            for (place, held) in self.index.dossier(position).held_rows().enumerate() {
                if held.row.valid_to() < horizon {
                    plan.prune(&self.index, identity::row_identity(held.row, &mut scratch), position, place);
                }
            }
        }
        plan
    }

    fn commit(&mut self, plan: &Plan<'_>, kind: FrameKind, horizon: Option<Day>, time_unix_ms: u64) -> Result<(), RegistryError> {
        if plan.is_empty() && horizon.is_none() {
            return Ok(());
        }
        let sequence = self.position.sequence + 1;
        let mut next_number = self.next_number;
        let laid_out = plan.lay_out(&self.index, sequence, unix_s(time_unix_ms), &mut next_number);
        let laid_out = laid_out.ok_or(RegistryError::RowTooLarge)?;
        let after = self.checksum_after(plan);
        match horizon {
            Some(horizon) => self.append(kind, &payload::horizon_to_bytes(horizon), after, time_unix_ms)?,
            None => self.append(kind, plan.payload.as_bytes(), after, time_unix_ms)?,
        };
        self.next_number = next_number;
        if let Some(horizon) = horizon {
            self.ledger.horizon = horizon;
        } else {
            self.data_unix_ms = time_unix_ms;
        }
        self.publish_plan(plan, laid_out, time_unix_ms).inspect_err(|error| {
            self.troubles.raise(Trouble::MemoryBehind, error.to_string());
        })
    }

    pub(super) fn checksum_after(&self, plan: &Plan<'_>) -> u128 {
        plan.counts.iter().fold(self.total(), |sum, count| match count {
            Count::In { content, .. } => sum.wrapping_add(*content),
            Count::Out { content, .. } => sum.wrapping_sub(*content),
        })
    }

    fn last_history(&self, identity: u128) -> Result<Option<HistoryKind>, RegistryError> {
        if self.behind.is_none() {
            return Ok(None);
        }
        self.ask_store(|store| store.last_history(identity, self.history_entries))
    }

    /// Whether the row of each change is current.
    pub(in crate::registry) fn are_current(&mut self, changes: &Changes) -> Vec<bool> {
        let rows: Vec<Change<'_>> = changes.iter().collect();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut compared = Scratch::default();
        let mut prepared = Vec::with_capacity(RUN);
        let mut current = Vec::with_capacity(rows.len());
        for run in rows.chunks(RUN) {
            plan::prepare(&self.index, run, &[], &mut scratch, &mut prepared);
            current.extend(prepared.iter().map(|one| one.is_current(&self.index, &mut compared)));
        }
        self.scratch = scratch;
        current
    }
}
