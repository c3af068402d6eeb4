//! The one writer of a registry: works changes in, makes them durable, and only then publishes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::RegistryError;
use super::ledger::Ledger;
use super::plan::{self, Count, LaidOut, Outcome, PastSource, Plan, Prepared, Taken};
use super::tally::Tally;
use super::troubles::{Trouble, Troubles};
use super::view::View;
use super::write_behind::{Effects, OwnedPast, WriteBehind};
use crate::domain::day::Day;
use crate::domain::decision::Row as _;
use crate::domain::masters::MasterKind;
use crate::index::{IndexReader, IndexWriter};
use crate::log::{Frame, FrameKind, LogError, LogWriter, PAYLOAD_BYTES_MAX, Position};
use crate::record::payload::{self, Change, Changes, FeedRecord, MasterPiece};
use crate::record::{StateChecksum, identity};
use crate::store::{HistoryEntry, HistoryKind, StoreMeta, run_of};

/// Changes are prepared in runs of this length: enough to hide the memory's latency, few enough to stay in the first cache.
const RUN: usize = 32;

/// How many changes had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// New rows.
    pub registered: u64,
    /// Rows that took the place of an older registration.
    pub superseded: u64,
    /// Rows that were as they are.
    pub unchanged: u64,
    /// Rows that ended before the horizon.
    pub history_only: u64,
    /// Rows withdrawn.
    pub withdrawn: u64,
    /// Withdrawals of rows withdrawn before.
    pub already_withdrawn: u64,
    /// Rejected.
    pub rejected: u64,
}

impl Counts {
    fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Registered => &mut self.registered,
            Outcome::Superseded => &mut self.superseded,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::HistoryOnly => &mut self.history_only,
            Outcome::Withdrawn => &mut self.withdrawn,
            Outcome::AlreadyWithdrawn => &mut self.already_withdrawn,
            Outcome::Unknown | Outcome::DossierFull => &mut self.rejected,
        };
        *counter += 1;
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Counts) {
        self.registered += other.registered;
        self.superseded += other.superseded;
        self.unchanged += other.unchanged;
        self.history_only += other.history_only;
        self.withdrawn += other.withdrawn;
        self.already_withdrawn += other.already_withdrawn;
        self.rejected += other.rejected;
    }
}

/// What applying a run of changes did.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many had which outcome.
    pub counts: Counts,
    /// Places of the changes that were rejected, with why.
    pub rejected: Vec<(usize, Outcome)>,
    /// The sequence of the last frame.
    pub sequence: u64,
}

/// Figures that others read without asking the writer.
#[derive(Debug, Default)]
pub struct Figures {
    /// Dossiers: insured identities with a current row.
    pub dossiers: AtomicU64,
    /// Current rows.
    pub rows: AtomicU64,
    /// Last durable sequence.
    pub sequence: AtomicU64,
    /// Sequence the store stands at.
    pub store_sequence: AtomicU64,
    /// Memory of the index, bytes.
    pub index_bytes: AtomicU64,
    /// Of it, dossiers that are alive.
    pub live_bytes: AtomicU64,
}

/// The writer.
pub(super) struct Writer {
    pub(super) index: IndexWriter,
    pub(super) reader: IndexReader,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    pub(super) dossiers: u64,
    pub(super) next_number: u64,
    pub(super) history_checksum: u128,
    pub(super) history_entries: u64,
    pub(super) data_unix_ms: u64,
    pub(super) position: Position,
    /// `None` while replaying, and where the log was lost.
    pub(super) log: Option<LogWriter>,
    /// `None` where there is no store to write.
    pub(super) behind: Option<WriteBehind>,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) figures: Arc<Figures>,
    pub(super) troubles: Arc<Troubles>,
    /// Views that a reader may still hold; kept so that no look-up ever frees one.
    pub(super) old_views: Vec<Arc<View>>,
    pub(super) last_write: Instant,
    pub(super) scratch: Vec<u8>,
}

impl Writer {
    /// Registers and withdraws rows: any number of frames, each durable and visible when this returns.
    pub(super) fn apply(&mut self, changes: &Changes, time_unix_ms: u64) -> Result<Applied, RegistryError> {
        self.check_writable()?;
        let changes: Vec<Change<'_>> = changes.iter().collect();
        let mut applied = Applied::default();
        let mut plan = Plan::new(Changes::new(), PAYLOAD_BYTES_MAX, self.ledger.horizon);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut prepared = Vec::with_capacity(RUN);
        for (run_place, run) in changes.chunks(RUN).enumerate() {
            plan::prepare(&self.index, run, &mut scratch, &mut prepared);
            for (place, one) in prepared.iter().enumerate() {
                let outcome = self.take_one(&mut plan, one, &scratch, time_unix_ms)?;
                applied.counts.count(outcome);
                if matches!(outcome, Outcome::Unknown | Outcome::DossierFull) {
                    applied.rejected.push((run_place * RUN + place, outcome));
                }
            }
        }
        self.scratch = scratch;
        self.commit(&plan, FrameKind::Changes, None, time_unix_ms)?;
        applied.sequence = self.position.sequence;
        Ok(applied)
    }

    fn take_one<'c>(
        &mut self,
        plan: &mut Plan<'c>,
        one: &Prepared<'c>,
        scratch: &[u8],
        time_unix_ms: u64,
    ) -> Result<Outcome, RegistryError> {
        let mut taken = plan.take(&self.index, one, scratch);
        if matches!(taken, Taken::FrameFull) {
            let fresh = Plan::new(Changes::new(), PAYLOAD_BYTES_MAX, self.ledger.horizon);
            self.commit(&std::mem::replace(plan, fresh), FrameKind::Changes, None, time_unix_ms)?;
            taken = plan.take(&self.index, one, scratch);
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

    /// Whether the row of each change is current.
    pub(super) fn are_current(&mut self, changes: &Changes) -> Vec<bool> {
        let changes: Vec<Change<'_>> = changes.iter().collect();
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut prepared = Vec::with_capacity(RUN);
        let mut current = Vec::with_capacity(changes.len());
        for run in changes.chunks(RUN) {
            plan::prepare(&self.index, run, &mut scratch, &mut prepared);
            current.extend(prepared.iter().map(|one| one.is_current(&self.index, &scratch)));
        }
        self.scratch = scratch;
        current
    }

    /// Replaces a master table.
    pub(super) fn set_master(&mut self, kind: MasterKind, text: &str, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_writable()?;
        let with = self.ledger.checksum_with(kind, text)?;
        let pieces = MasterPiece::split(kind, text, PAYLOAD_BYTES_MAX - 8);
        for piece in &pieces {
            let payload = piece.to_bytes();
            let is_last = piece.piece + 1 == piece.pieces;
            let after = if is_last { self.total_with(&with) } else { self.total() };
            let sequence = self.append(FrameKind::Master, &payload, after, time_unix_ms)?;
            let obsolete = self.ledger.take_master(sequence, piece)?;
            self.finish_ledger_frame(FrameKind::Master, payload, obsolete, time_unix_ms);
        }
        Ok(self.position.sequence)
    }

    /// Records that a file began or ended.
    pub(super) fn record_feed(&mut self, feed: &FeedRecord, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_writable()?;
        let payload = feed.to_bytes();
        let sequence = self.append(FrameKind::Feed, &payload, self.total(), time_unix_ms)?;
        self.ledger.take_feed(sequence, time_unix_ms, feed);
        self.finish_ledger_frame(FrameKind::Feed, payload, Vec::new(), time_unix_ms);
        Ok(sequence)
    }

    /// Moves the horizon on; rows that ended before it become history. Returns how many.
    pub(super) fn prune(&mut self, horizon: Day, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_writable()?;
        if horizon <= self.ledger.horizon {
            return Ok(0);
        }
        let plan = self.plan_pruning(horizon);
        let pruned = plan.past.len() as u64;
        self.commit(&plan, FrameKind::Pruning, Some(horizon), time_unix_ms)?;
        Ok(pruned)
    }

    /// Appends a mark if the last frame is not yet vouched for, so that it does not stay the last.
    pub(super) fn mark(&mut self, time_unix_ms: u64) -> Result<(), RegistryError> {
        let total = self.total();
        if self.is_marked() || self.check_writable().is_err() {
            return Ok(());
        }
        self.append(FrameKind::Mark, &[], total, time_unix_ms)?;
        self.hand_over_position(time_unix_ms);
        self.publish_view(false);
        Ok(())
    }

    /// Whether nothing was written for a while and the last frame is not vouched for.
    pub(super) fn wants_mark(&self) -> bool {
        self.last_write.elapsed() > IDLE && !self.is_marked()
    }

    /// Works in a frame that was read from the log.
    pub(super) fn replay(&mut self, frame: &Frame<'_>) -> Result<(), ReplayError> {
        match frame.kind {
            FrameKind::Changes => self.replay_changes(frame)?,
            FrameKind::Master => {
                let piece = MasterPiece::read(frame.payload)?;
                let obsolete = self.ledger.take_master(frame.sequence, &piece)?;
                self.replayed_ledger(frame, obsolete);
            }
            FrameKind::Feed => {
                let feed = FeedRecord::read(frame.payload)?;
                self.ledger.take_feed(frame.sequence, frame.time_unix_ms, &feed);
                self.replayed_ledger(frame, Vec::new());
            }
            FrameKind::Pruning => {
                let horizon = payload::read_horizon(frame.payload)?;
                let plan = self.plan_pruning(horizon);
                self.ledger.horizon = horizon;
                self.replay_plan(&plan, frame)?;
            }
            FrameKind::Mark => self.replayed_empty(frame),
        }
        if self.total() == frame.state_checksum { Ok(()) } else { Err(ReplayError::State) }
    }

    /// Says that a store that was rebuilt is whole here.
    pub(super) fn store_is_filled(&mut self, time_unix_ms: u64) {
        if let Some(behind) = &self.behind {
            behind.is_filled();
        }
        self.hand_over_position(time_unix_ms);
    }

    /// Lets the store catch up and ends its thread; marks the log.
    pub(super) fn close(&mut self, time_unix_ms: u64) -> Result<(), RegistryError> {
        let marked = self.mark(time_unix_ms);
        if let Some(behind) = &mut self.behind {
            behind.close();
        }
        marked
    }

    /// The whole state checksum.
    pub(super) fn total(&self) -> u128 {
        self.total_with(&self.ledger.checksum)
    }

    /// The state checksum by prefecture.
    pub(super) fn checksum(&self) -> StateChecksum {
        let mut checksum = self.tally.checksum;
        checksum.merge(&self.ledger.checksum);
        checksum
    }

    /// What the store would say of itself at this place.
    pub(super) fn meta(&self) -> StoreMeta {
        StoreMeta {
            position: self.position,
            checksum: self.checksum(),
            horizon: self.ledger.horizon,
            next_number: self.next_number,
            dossiers: self.dossiers,
            rows: self.tally.rows,
            history_checksum: self.history_checksum,
            history_entries: self.history_entries,
            keys: self.index.key_count(),
            data_unix_ms: self.data_unix_ms,
        }
    }

    /// Publishes what a look-up reads besides the index, and the figures.
    pub(super) fn publish_view(&mut self, sources_too: bool) {
        let current = self.view.load_full();
        let sources = if sources_too || self.authorities_changed(&current) {
            Arc::new(self.ledger.sources(&self.tally.by_authority))
        } else {
            current.sources.clone()
        };
        let view = View::new(
            self.ledger.masters.clone(),
            sources,
            (self.position.sequence, self.total()),
            self.ledger.horizon,
            self.data_unix_ms,
        );
        drop(current);
        self.old_views.push(self.view.swap(Arc::new(view)));
        self.old_views.retain(|view| Arc::strong_count(view) > 1);
        self.publish_figures();
    }

    pub(super) fn publish_figures(&self) {
        let figures = &self.figures;
        figures.dossiers.store(self.dossiers, Ordering::Relaxed);
        figures.rows.store(self.tally.rows, Ordering::Relaxed);
        figures.sequence.store(self.position.sequence, Ordering::Relaxed);
        let applied = self.behind.as_ref().map_or(0, WriteBehind::applied);
        figures.store_sequence.store(applied, Ordering::Relaxed);
        figures.index_bytes.store(self.index.memory_bytes(), Ordering::Relaxed);
        figures.live_bytes.store(self.index.live_bytes(), Ordering::Relaxed);
    }

    fn total_with(&self, masters: &StateChecksum) -> u128 {
        self.tally.checksum.total().wrapping_add(masters.total())
    }

    fn is_marked(&self) -> bool {
        self.log.as_ref().is_none_or(LogWriter::ends_with_a_mark)
    }

    /// Whether an authority registered its first current row, or lost its last.
    fn authorities_changed(&self, view: &View) -> bool {
        let mut rows = self.tally.by_authority.iter();
        rows.any(|(authority, rows)| view.sources.of(authority).has_current_rows != (*rows > 0))
    }

    fn check_writable(&self) -> Result<(), RegistryError> {
        match self.troubles.stops_writing() {
            Some((trouble, detail)) => Err(RegistryError::NotWritable { trouble: trouble.word(), detail }),
            None if self.log.is_none() => {
                Err(RegistryError::NotWritable { trouble: "read_only", detail: "opened for reading only".to_owned() })
            }
            None => Ok(()),
        }
    }

    fn last_history(&self, identity: u128) -> Result<Option<HistoryKind>, RegistryError> {
        let Some(behind) = &self.behind else { return Ok(None) };
        if !behind.drain() {
            return Err(RegistryError::StoreDetached);
        }
        let store = behind.store().ok_or(RegistryError::StoreDetached)?;
        store.last_history(identity, self.history_entries).map_err(|error| {
            behind.detach(&error);
            RegistryError::StoreDetached
        })
    }

    fn plan_pruning<'c>(&self, horizon: Day) -> Plan<'c> {
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

    /// Appends and syncs a frame; nothing is believed before that.
    fn append(&mut self, kind: FrameKind, payload: &[u8], after: u128, time_unix_ms: u64) -> Result<u64, RegistryError> {
        let log = self.log.as_mut().ok_or(LogError::Poisoned)?;
        let appended = log.append(kind, payload, after, time_unix_ms).and_then(|_| log.sync());
        if log.is_poisoned() {
            let detail = appended.as_ref().err().map(ToString::to_string).unwrap_or_default();
            self.troubles.raise(Trouble::LogPoisoned, detail);
        }
        appended?;
        self.position = log.position();
        self.last_write = Instant::now();
        Ok(self.position.sequence)
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

    fn checksum_after(&self, plan: &Plan<'_>) -> u128 {
        plan.counts.iter().fold(self.total(), |sum, count| match count {
            Count::In { content, .. } => sum.wrapping_add(*content),
            Count::Out { content, .. } => sum.wrapping_sub(*content),
        })
    }

    fn replay_changes(&mut self, frame: &Frame<'_>) -> Result<(), ReplayError> {
        let changes = Changes::validated(frame.payload)?;
        let changes: Vec<Change<'_>> = changes.iter().collect();
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
        self.data_unix_ms = frame.time_unix_ms;
        self.replay_plan(&plan, frame)
    }

    fn replay_plan(&mut self, plan: &Plan<'_>, frame: &Frame<'_>) -> Result<(), ReplayError> {
        let time_unix_s = unix_s(frame.time_unix_ms);
        let laid_out = plan.lay_out(&self.index, frame.sequence, time_unix_s, &mut self.next_number);
        let laid_out = laid_out.ok_or(ReplayError::State)?;
        self.advance(frame);
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
    }

    /// Tells the store that a frame changed nothing in it but the place it stands at.
    fn hand_over_position(&mut self, time_unix_ms: u64) {
        if let Some(effects) = self.effects(None, Vec::new(), Vec::new(), time_unix_ms)
            && let Some(behind) = &self.behind
        {
            behind.push(effects);
        }
    }

    fn advance(&mut self, frame: &Frame<'_>) {
        self.position = Position {
            sequence: frame.sequence,
            chain: self.position.chain.after(frame.bytes),
            state_checksum: frame.state_checksum,
            ..self.position
        };
    }

    /// Publishes a durable plan: gains first, then what is lost; then the store's share, and the view.
    fn publish_plan(&mut self, plan: &Plan<'_>, laid_out: LaidOut, time_unix_ms: u64) -> Result<(), RegistryError> {
        let past = self.count(plan, unix_s(time_unix_ms));
        let mut interim = Vec::new();
        for gain in &laid_out.gains {
            let Some(dossier) = laid_out.batch.dossier(gain.place) else { continue };
            let position = match gain.old {
                Some(old) => self.index.replace(old, dossier)?,
                None => {
                    self.dossiers += 1;
                    self.index.insert(dossier)?
                }
            };
            if gain.interim {
                interim.push((gain.old, position));
            }
        }
        if laid_out.moves {
            self.index.begin_taking_away();
        }
        let mut removed = Vec::new();
        for loss in &laid_out.losses {
            let stands = interim.iter().find(|(old, _)| loss.after_interim && *old == loss.old);
            let Some(old) = stands.map(|(_, position)| *position).or(loss.old) else { continue };
            match loss.place.and_then(|place| laid_out.batch.dossier(place)) {
                Some(dossier) => {
                    self.index.replace(old, dossier)?;
                }
                None => {
                    self.index.remove(old);
                    self.dossiers -= 1;
                    removed.push(loss.number);
                }
            }
        }
        if let Some(effects) = self.effects(Some(laid_out), removed, past, time_unix_ms)
            && let Some(behind) = &self.behind
        {
            behind.push(effects);
        }
        self.index.tidy()?;
        self.publish_view(false);
        Ok(())
    }

    /// Counts rows in and out, and gathers what becomes history, while the old versions still stand.
    fn count(&mut self, plan: &Plan<'_>, time_unix_s: u32) -> Vec<OwnedPast> {
        // One run for a whole frame, told by what was there before it, so that a replayed frame writes the same keys.
        let run = run_of(self.history_entries);
        let mut owned = Vec::with_capacity(plan.past.len());
        for past in &plan.past {
            let (row, since_sequence, since_unix_s) = match past.source {
                PastSource::New(bytes) => (bytes.to_vec(), self.position.sequence, time_unix_s),
                PastSource::Held { position, place } => match self.index.dossier(position).row_at(place) {
                    Some(held) => (held.bytes.to_vec(), held.sequence, held.time_unix_s),
                    None => continue,
                },
            };
            owned.push(OwnedPast { run, identity: past.identity, kind: past.kind, since_sequence, since_unix_s, row });
        }
        for count in &plan.counts {
            match count {
                Count::In { row, content } => self.tally.add(row, *content),
                Count::Out { position, place, content } => {
                    if let Some(held) = self.index.dossier(*position).row_at(*place) {
                        self.tally.take(held.row, *content);
                    }
                }
            }
        }
        owned
    }

    /// What a frame does to the store; `None` when there is no store to write.
    fn effects(
        &mut self,
        laid_out: Option<LaidOut>,
        removed: Vec<u64>,
        past: Vec<OwnedPast>,
        time_unix_ms: u64,
    ) -> Option<Effects> {
        let until_unix_s = unix_s(time_unix_ms);
        let mut bytes = 256;
        for past in &past {
            let entry = HistoryEntry {
                run: past.run,
                identity: past.identity,
                kind: past.kind,
                since_sequence: past.since_sequence,
                since_unix_s: past.since_unix_s,
                until_sequence: self.position.sequence,
                until_unix_s,
                row: &past.row,
            };
            self.history_checksum = self.history_checksum.wrapping_add(entry.hash());
            self.history_entries += 1;
            bytes += past.row.len() + 64;
        }
        self.behind.as_ref()?;
        let laid_out = laid_out.unwrap_or_default();
        bytes += laid_out.batch.byte_count();
        let LaidOut { batch, interim_places, .. } = laid_out;
        let meta = self.meta();
        let effects =
            Effects { batch, interim_places, removed, past, ledger: None, ledger_removed: Vec::new(), time_unix_ms, meta, bytes };
        Some(effects)
    }

    fn finish_ledger_frame(&mut self, kind: FrameKind, payload: Vec<u8>, obsolete: Vec<u64>, time_unix_ms: u64) {
        if let Some(mut effects) = self.effects(None, Vec::new(), Vec::new(), time_unix_ms) {
            effects.bytes += payload.len();
            effects.ledger = Some((kind as u8, payload));
            effects.ledger_removed = obsolete;
            if let Some(behind) = &self.behind {
                behind.push(effects);
            }
        }
        self.publish_view(true);
    }
}

fn unix_s(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX)
}

/// After this long without a frame, the last one is vouched for by a mark.
const IDLE: Duration = Duration::from_secs(1);

/// Why a frame of the log could not be worked in.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReplayError {
    #[error(transparent)]
    Record(#[from] crate::record::RecordError),
    #[error(transparent)]
    Ledger(#[from] super::ledger::LedgerError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the state after the frame is not the one it carries")]
    State,
}
