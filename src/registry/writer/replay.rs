//! The same from the log: a frame that is durable already is worked in again.

use super::rows::RUN;
use super::{Writer, unix_s};
use crate::domain::day::Day;
use crate::domain::decision::Row as _;
use crate::log::{Fault, Frame, FrameKind};
use crate::record::RecordError;
use crate::record::payload::{self, Change, Changes, FeedRecord, MasterPiece};
use crate::registry::RegistryError;
use crate::registry::ledger::LedgerError;
use crate::registry::plan::{self, Outcome, Plan, Taken};
use crate::sabotage::{Sabotage, sabotaged};

/// Why a frame of the log could not be worked in.
#[derive(Debug, thiserror::Error)]
pub(in crate::registry) enum ReplayError {
    #[error(transparent)]
    Record(#[from] RecordError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the state after the frame is not the one it carries")]
    State,
}

impl ReplayError {
    /// What the error says is wrong with the frame. One that is this machine's and not the frame's goes to `failed`: the fault then only
    /// ends the reading.
    pub(in crate::registry) fn into_fault(self, failed: &mut Option<RegistryError>) -> Fault {
        match self {
            ReplayError::State => Fault::State,
            ReplayError::Record(_) | ReplayError::Ledger(_) => Fault::Payload,
            ReplayError::Registry(error) => {
                *failed = Some(error);
                Fault::Payload
            }
        }
    }
}

impl Writer {
    /// Works in a frame that was read from the log. One after which the state would not be the one it carries leaves everything as it
    /// was: what is published and handed to the store is verified.
    pub(in crate::registry) fn replay(&mut self, frame: &Frame<'_>) -> Result<(), ReplayError> {
        match frame.kind {
            FrameKind::Changes => self.replay_changes(frame)?,
            FrameKind::Master => {
                let piece = MasterPiece::read(frame.payload)?;
                let mut ledger = self.ledger.clone();
                let obsolete = ledger.take_master(frame.sequence, &piece)?;
                self.agrees(self.total_with(&ledger.checksum), frame)?;
                self.ledger = ledger;
                self.replayed_ledger(frame, obsolete);
            }
            FrameKind::Feed => {
                let feed = FeedRecord::read(frame.payload)?;
                self.agrees(self.total(), frame)?;
                self.ledger.take_feed(frame.sequence, frame.time_unix_ms, &feed);
                self.replayed_ledger(frame, Vec::new());
            }
            FrameKind::Pruning => {
                let horizon = payload::read_horizon(frame.payload)?;
                let plan = self.plan_pruning(horizon);
                self.replay_plan(&plan, Some(horizon), frame)?;
            }
            FrameKind::Mark => {
                self.agrees(self.total(), frame)?;
                self.replayed_empty(frame);
            }
        }
        // What was worked out beforehand is also what came of it.
        self.agrees(self.total(), frame)
    }

    fn replay_changes(&mut self, frame: &Frame<'_>) -> Result<(), ReplayError> {
        let changes = Changes::validated(frame.payload)?;
        let held = self.held();
        let is_held = |change: &Change<'_>| held.is_none_or(|held| held.hold(change.row.authority().prefecture()));
        let changes: Vec<Change<'_>> = changes.iter().filter(is_held).collect();
        let mut plan = Plan::new(Changes::new(), usize::MAX, self.ledger.horizon);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut prepared = Vec::with_capacity(RUN);
        for run in changes.chunks(RUN) {
            plan::prepare(&self.index, run, &mut scratch, &mut prepared);
            for one in &prepared {
                match plan.take(&self.index, one, &scratch) {
                    Taken::AskHistory(_) => plan.withdraw_from_history(one),
                    Taken::Done(Outcome::DossierFull) | Taken::FrameFull => return Err(ReplayError::State),
                    Taken::Done(_) => {}
                }
            }
        }
        self.scratch = scratch;
        self.replay_plan(&plan, None, frame)
    }

    fn replay_plan(&mut self, plan: &Plan<'_>, horizon: Option<Day>, frame: &Frame<'_>) -> Result<(), ReplayError> {
        self.agrees(self.checksum_after(plan), frame)?;
        let time_unix_s = unix_s(frame.time_unix_ms);
        let mut next_number = self.next_number;
        let laid_out = plan.lay_out(&self.index, frame.sequence, time_unix_s, &mut next_number);
        let laid_out = laid_out.ok_or(ReplayError::State)?;
        self.next_number = next_number;
        self.advance(frame);
        match horizon {
            Some(horizon) => self.ledger.horizon = horizon,
            None => self.data_unix_ms = frame.time_unix_ms,
        }
        self.publish_plan(plan, laid_out, frame.time_unix_ms)?;
        Ok(())
    }

    fn replayed_ledger(&mut self, frame: &Frame<'_>, obsolete: Vec<u64>) {
        self.advance(frame);
        self.finish_ledger_frame(frame.kind, frame.payload.to_vec(), obsolete, frame.time_unix_ms);
    }

    fn replayed_empty(&mut self, frame: &Frame<'_>) {
        self.advance(frame);
        self.hand_over_position(frame.time_unix_ms);
        self.publish_view(false);
    }

    fn advance(&mut self, frame: &Frame<'_>) {
        self.position = self.position.behind(frame);
    }

    /// Whether the state is the one that a frame carries; it cannot be told from a part of the state.
    fn agrees(&self, state_checksum: u128, frame: &Frame<'_>) -> Result<(), ReplayError> {
        let is_whole = self.held().is_none();
        if !is_whole || state_checksum == frame.state_checksum || sabotaged(Sabotage::SkipTheStateChecksum) {
            Ok(())
        } else {
            Err(ReplayError::State)
        }
    }
}
