//! Looking up: what a reader does between being asked and answering. No lock, no system call, no allocation.

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam_epoch::Guard;

use super::Shared;
use super::table::{Position, Probe};
use crate::record::DossierRef;
use crate::record::identity::KeyHash;

/// The most dossiers gathered under one key; more than this is several people whatever else is true.
pub const FOUND_MAX: usize = 128;

/// The dossiers found under a key.
pub struct Found<'g> {
    /// Each confirmed against the record's own bytes.
    pub dossiers: ArrayVec<DossierRef<'g>, FOUND_MAX>,
    /// Whether these are all.
    pub complete: bool,
}

impl Default for Found<'_> {
    /// Nothing yet.
    #[inline]
    fn default() -> Self {
        Found { dossiers: ArrayVec::new_const(), complete: true }
    }
}

impl Found<'_> {
    #[inline]
    fn clear(&mut self) {
        self.dossiers.clear();
        self.complete = true;
    }
}

/// Where a key's dossier lies, as far as it was looked for ahead of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// It is still to be found: nobody has looked, several dossiers may have the key, or rows were moving.
    #[default]
    ToBeFound,
    /// No dossier has the key.
    Nowhere,
    /// Only the dossier there may have the key; its bytes must confirm it.
    At(Position),
}

/// A handle for looking up; cheap to clone, and any number may be used at once.
#[derive(Clone)]
pub struct IndexReader {
    pub(super) shared: Arc<Shared>,
}

impl IndexReader {
    /// Finds the dossiers under a key, into `found`: it is too large to be moved about. `confirm` says whether a dossier really has the
    /// key that hashed so.
    ///
    /// The guard must have been pinned before, and lives as long as what is found is used: `crossbeam_epoch::pin()`.
    #[inline]
    pub fn find<'g>(&self, guard: &'g Guard, key: KeyHash, found: &mut Found<'g>, confirm: impl Fn(DossierRef<'g>) -> bool) {
        loop {
            found.clear();
            let before = self.shared.moves.before();
            let Some(table) = self.shared.table(guard) else { return };
            table.probe(key, |position| {
                // Its lines lie in a row, and reading them one after the other would wait for memory as often.
                self.shared.arena.prefetch(position);
                // SAFETY: the position was just read from a slot, and `guard` keeps its segment mapped as long as `'g`.
                let dossier: DossierRef<'g> = unsafe { self.shared.arena.dossier(position) };
                if confirm(dossier) && found.dossiers.try_push(dossier).is_err() {
                    found.complete = false;
                    return Probe::Stop;
                }
                Probe::GoOn
            });
            if self.shared.moves.unchanged_since(before) {
                return;
            }
        }
    }

    /// Looks for a run of keys together, so that where one look-up waits twice for memory they all wait twice together, and asks for what
    /// is found. Each pass is a short loop of its own: a processor goes ahead of a wait by a few hundred instructions and no further, and
    /// work between the waits would keep them apart. `places` becomes as many places as there are keys.
    ///
    /// The places are good for [`IndexReader::find_at`] under this guard.
    #[inline]
    pub fn locate(&self, guard: &Guard, keys: impl Iterator<Item = KeyHash> + Clone, places: &mut [Place]) {
        let Some(table) = self.shared.table(guard) else { return places.fill(Place::Nowhere) };
        keys.clone().for_each(|key| table.prefetch(key));
        let before = self.shared.moves.before();
        places.iter_mut().zip(keys).for_each(|(place, key)| *place = table.place_of(key));
        if !self.shared.moves.unchanged_since(before) {
            return places.fill(Place::ToBeFound);
        }
        let found = || places.iter().filter_map(|place| if let Place::At(position) = place { Some(*position) } else { None });
        found().for_each(|position| self.shared.arena.prefetch(position));
        // SAFETY: the positions were just read from slots, and `guard` keeps their segments mapped.
        found().for_each(|position| unsafe { self.shared.arena.prefetch_rest(position) });
    }

    /// Asks for the slots of a key, while there is something else to do before finding it.
    #[inline]
    pub fn prefetch(&self, guard: &Guard, key: KeyHash) {
        if let Some(table) = self.shared.table(guard) {
            table.prefetch(key);
        }
    }

    /// As [`IndexReader::find`], where [`IndexReader::locate`] has looked before, under the same guard.
    #[inline]
    pub fn find_at<'g>(
        &self,
        guard: &'g Guard,
        key: KeyHash,
        place: Place,
        found: &mut Found<'g>,
        confirm: impl Fn(DossierRef<'g>) -> bool,
    ) {
        let Place::At(position) = place else {
            return match place {
                Place::Nowhere => found.clear(),
                Place::ToBeFound | Place::At(_) => self.find(guard, key, found, confirm),
            };
        };
        found.clear();
        // SAFETY: `locate` read the position from a slot under this guard, which keeps its segment mapped as long as `'g`.
        let dossier: DossierRef<'g> = unsafe { self.shared.arena.dossier(position) };
        if confirm(dossier) {
            found.dossiers.push(dossier);
        }
    }
}
