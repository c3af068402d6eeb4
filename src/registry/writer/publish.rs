//! What is durable comes into memory and is handed to the store.

use super::{Writer, unix_s};
use crate::log::FrameKind;
use crate::registry::RegistryError;
use crate::registry::plan::{Count, LaidOut, PastSource, Plan};
use crate::registry::write_behind::{Effects, OwnedPast};
use crate::sabotage::{Sabotage, sabotaged};
use crate::store::{HistoryEntry, run_of};

impl Writer {
    /// Publishes a durable plan: gains first, then what is lost; then the store's share, and the view.
    pub(super) fn publish_plan(&mut self, plan: &Plan<'_>, laid_out: LaidOut, time_unix_ms: u64) -> Result<(), RegistryError> {
        let past = self.count(plan, unix_s(time_unix_ms));
        let mut interim = Vec::new();
        let half = if sabotaged(Sabotage::PublishHalfAFrame) { 1 } else { usize::MAX };
        let new = laid_out.gains.iter().take(half).filter(|gain| gain.old.is_none());
        self.dossiers += self.index.insert_all(new.filter_map(|gain| laid_out.batch.dossier(gain.place)))?;
        for gain in laid_out.gains.iter().take(half) {
            let (Some(old), Some(dossier)) = (gain.old, laid_out.batch.dossier(gain.place)) else { continue };
            let position = self.index.replace(old, dossier)?;
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

    pub(super) fn finish_ledger_frame(&mut self, kind: FrameKind, payload: Vec<u8>, obsolete: Vec<u64>, time_unix_ms: u64) {
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

    /// Tells the store that a frame changed nothing in it but the place it stands at.
    pub(super) fn hand_over_position(&mut self, time_unix_ms: u64) {
        if let Some(effects) = self.effects(None, Vec::new(), Vec::new(), time_unix_ms)
            && let Some(behind) = &self.behind
        {
            behind.push(effects);
        }
    }

    /// Says that a store that was rebuilt is whole here.
    pub(in crate::registry) fn store_is_filled(&mut self, time_unix_ms: u64) {
        if let Some(behind) = &self.behind {
            behind.is_filled();
        }
        self.hand_over_position(time_unix_ms);
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
}
