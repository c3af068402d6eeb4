//! Looking up: what a reader does between being asked and answering. No lock, no system call, no allocation.

use std::sync::Arc;

use arrayvec::ArrayVec;
use crossbeam_epoch::Guard;

use super::Shared;
use super::table::Probe;
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
            found.dossiers.clear();
            found.complete = true;
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

    /// First pass of a batch: asks for the slots of a key.
    #[inline]
    pub fn prefetch_slots(&self, guard: &Guard, key: KeyHash) {
        if let Some(table) = self.shared.table(guard) {
            table.prefetch(key);
        }
    }

    /// Second pass of a batch: asks for the dossier the key's first matching slot points to.
    #[inline]
    pub fn prefetch_dossier(&self, guard: &Guard, key: KeyHash) {
        if let Some(table) = self.shared.table(guard) {
            table.probe(key, |position| {
                self.shared.arena.prefetch(position);
                Probe::Stop
            });
        }
    }
}
