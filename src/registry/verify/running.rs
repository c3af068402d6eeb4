//! Verifying while look-ups and registering go on, with little memory of its own.

use std::sync::PoisonError;

use super::judging::{State, judge_snapshots, judge_store, places};
use super::{Stopped, VerifyFault, VerifyReport, concluded};
use crate::domain::decision::Row as _;
use crate::index::Frozen;
use crate::log::{Fault, LogError, LogReader};
use crate::record::StateChecksum;
use crate::registry::plan::content_of;
use crate::registry::shelf::Shelf;
use crate::registry::troubles::Trouble;
use crate::registry::write_behind::Detacher;
use crate::registry::{Registry, RegistryError};
use crate::store::{Store, StoreError};

impl Registry {
    /// Checks the sealed segments of the log one after another, from the oldest, for as long as it may go on. Damage stops writing, and a
    /// disk that will not read is a trouble until a later round came to its end; neither stops look-ups.
    pub fn scrub(&self, may_go_on: impl Fn() -> bool) -> Result<(), RegistryError> {
        for place in 0.. {
            if !may_go_on() {
                return Ok(());
            }
            if !self.scrub_segment(place)? {
                break;
            }
        }
        self.troubles().lower(Trouble::LogUnreadable);
        Ok(())
    }

    /// Checks one sealed segment; `false` when there is no such one.
    fn scrub_segment(&self, place: usize) -> Result<bool, RegistryError> {
        let _reading = self.log_files();
        let checked = LogReader::open(self.disk.clone(), &self.directory().join("log")).and_then(|log| {
            let Some(log) = log else { return Ok(false) };
            if place + 1 >= log.segment_paths().len() {
                return Ok(false);
            }
            log.check_sealed(place).map(|()| true)
        });
        match checked {
            Ok(there) => Ok(there),
            Err(error @ LogError::Corrupt { .. }) => {
                tracing::error!(%error, "the log is damaged; nothing more is acknowledged, look-ups go on");
                self.troubles().raise(Trouble::LogCorrupt, error.to_string());
                Err(error.into())
            }
            Err(error) => {
                tracing::warn!(%error, "the log could not be checked");
                self.troubles().raise(Trouble::LogUnreadable, error.to_string());
                Err(error.into())
            }
        }
    }

    /// Verifies while running: the state in memory, the log's frames and chain up to it, the snapshots, and the store at the same
    /// sequence. Look-ups go on, and so does registering; only what has to ask the store waits until it was read.
    pub fn verify_running(&self) -> Result<VerifyReport, RegistryError> {
        let mut report = VerifyReport::default();
        // One moment: what the memory holds, and a store that is as far and stays there while the slot is held.
        let writer = self.writer();
        let (state, frozen) = (State::of(&writer), writer.index.freeze());
        let behind = writer.behind.as_ref().filter(|behind| behind.drain());
        let behind = behind.map(|behind| (behind.slot(), behind.detacher()));
        let still = behind.as_ref().map(|(slot, _)| slot.lock().unwrap_or_else(PoisonError::into_inner));
        drop(writer);
        report.sequence = state.position.sequence;
        report.rows = state.rows;
        report.state_checksum = format!("{:032x}", state.checksum.total());
        let mut all = || -> Result<(), Stopped> {
            self.read_own_log(&state, &mut report)?;
            if sum_of(&frozen) != state.rows_checksum {
                let what = "the rows in memory do not add up to the state checksum";
                return Err(Stopped::Fault(VerifyFault::at(self.directory(), what)));
            }
            match (&still, &behind) {
                (Some(store), Some((_, detacher))) => self.judge_own_store(store.as_ref(), detacher, &state, &mut report),
                _ => {
                    report.notes.push("the store is detached and was not read".to_owned());
                    Ok(())
                }
            }
        };
        let ended = all();
        drop(frozen);
        concluded(report, ended)
    }

    /// Reads the log up to a place that was acknowledged, which must be there as it was, and the snapshots.
    fn read_own_log(&self, state: &State, report: &mut VerifyReport) -> Result<(), Stopped> {
        let (directory, place) = (self.directory().join("log"), state.position);
        let by_log = |error| Stopped::by_log(self.directory(), error);
        let _reading = self.log_files();
        let log = LogReader::open(self.disk.clone(), &directory).map_err(by_log)?;
        let log = log.ok_or_else(|| by_log(LogError::BeginsTooLate { first: 0, needed: place.sequence }))?;
        report.segments = log.segment_paths().len();
        let shelf = Shelf::look(&*self.disk, self.directory(), self.held())?;
        let mut places = places(&shelf, &log);
        let beginning = log.beginning().map_err(by_log)?;
        // A log that was trimmed may begin right behind a snapshot.
        if let Some(place) = places.get_mut(&beginning.sequence) {
            *place = Some(beginning);
        }
        let end = log.read_through(&beginning, place.sequence, |position| {
            if let Some(place) = places.get_mut(&position.sequence) {
                *place = Some(*position);
            }
        });
        let end = end.map_err(by_log)?;
        if end.position.sequence < place.sequence {
            return Err(by_log(LogError::Corrupt { path: end.segment, offset: end.offset, what: Fault::Missing }));
        }
        if end.position != place {
            return Err(by_log(LogError::OtherHistory { sequence: place.sequence }));
        }
        judge_snapshots(&*self.disk, &shelf, &log, &places)
    }

    fn judge_own_store(
        &self,
        store: Option<&Store>,
        detacher: &Detacher,
        state: &State,
        report: &mut VerifyReport,
    ) -> Result<(), Stopped> {
        let judged = match store.map(Store::meta) {
            None => Err("the store could not be opened again".to_owned()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(None)) => Err("the store says nothing of itself".to_owned()),
            // A handle of its own: the one in the slot belongs to the store's thread.
            Some(Ok(Some(meta))) => store.cloned().map_or(Ok(()), |store| judge_store(&store, &meta, Some(state), report)),
        };
        judged.map_err(|what| {
            detacher.detach(&StoreError::Engine(what.clone()));
            Stopped::Fault(VerifyFault::at(&self.directory().join("store"), what))
        })
    }
}

/// What the rows in memory add up to.
fn sum_of(frozen: &Frozen) -> StateChecksum {
    let (mut checksum, mut scratch) = (StateChecksum::EMPTY, Vec::new());
    for dossier in frozen.dossiers() {
        for held in dossier.held_rows() {
            checksum.add(held.row.authority().prefecture(), content_of(held.row, &mut scratch));
        }
    }
    checksum
}
