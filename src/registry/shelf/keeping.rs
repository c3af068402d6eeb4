//! One round of keeping: take a snapshot, read it back, put it on the shelf, take old ones down, and let the log go as far as two of
//! them cover it.

use std::path::{Path, PathBuf};

use super::examining::examine;
use super::{Shelf, ShelfStanding, Shelved, file_name, path};
use crate::disk::{Disk, keep_few};
use crate::limits::SNAPSHOTS_KEPT_MIN;
use crate::log::{LogReader, Trimmed};
use crate::registry::snapshot::{SnapshotError, SnapshotReader, SnapshotSummary};
use crate::registry::troubles::Trouble;
use crate::registry::{Registry, RegistryError};

/// The name of a snapshot before it was read back.
pub(super) const NEXT: &str = "next.snap";

/// The log reaches back to this many snapshots at least.
const COVERING: usize = SNAPSHOTS_KEPT_MIN;

/// Damaged snapshots that are kept. Each is as large as the store.
const DAMAGED_ASIDE_MAX: usize = 2;

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// How many snapshots; never fewer than two.
    pub snapshots: usize,
    /// How long frames stay in the log though snapshots cover them, ms.
    pub log_retention_ms: u64,
}

/// What a round came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The snapshot that was taken; `None` where nothing was registered since the newest.
    pub taken: Option<SnapshotSummary>,
    /// Snapshots that were read whole and add up, the new one among them.
    pub sound: usize,
    /// Older ones that were removed.
    pub removed: usize,
    /// How far the log was trimmed.
    pub trimmed: Trimmed,
}

impl Registry {
    /// Takes a snapshot and reads it back before it counts; reads the older ones again; removes what is more than `keeping` asks for;
    /// trims the log, never past the newest but one of the snapshots that were just read. Look-ups and registering go on.
    ///
    /// Nothing is done while there is a trouble that stops writing: what an operator may need then is left as it is. A failure at any
    /// step leaves everything that stood before it.
    pub fn keep_snapshots(&self, keeping: &Keeping, now_unix_ms: u64) -> Result<Round, RegistryError> {
        if let Some((trouble, detail)) = self.troubles.stops_writing() {
            return Err(RegistryError::NotWritable { trouble: trouble.word(), detail });
        }
        let shelf = self.look_at_shelf()?;
        let mut round = Round::default();
        if shelf.own().next().is_none_or(|newest| newest.taken_at.sequence != self.sequence()) {
            round.taken = Some(self.shelve()?);
        }
        let sound = self.read_shelf_again(round.taken.as_ref())?;
        round.sound = sound.len();
        if round.sound >= COVERING {
            // Until then one of the damaged may turn out to be the only one that the log goes on from.
            self.keep_few_damaged();
        }
        round.removed = self.take_down(keeping, &sound)?;
        round.trimmed = self.trim_log(keeping, &sound, now_unix_ms)?;
        self.note_standing(round.taken.as_ref(), now_unix_ms)?;
        Ok(round)
    }

    /// Writes a snapshot under a name that says nothing, reads it back whole, and only then gives it its own.
    fn shelve(&self) -> Result<SnapshotSummary, RegistryError> {
        let folder = path(&self.directory);
        let next = folder.join(NEXT);
        self.disk.create_directory(&folder).map_err(RegistryError::directory(&folder))?;
        // The log is trimmed by what lies in it: the folder's own name must last as long.
        self.disk.sync_directory(&self.directory).map_err(RegistryError::directory(&self.directory))?;
        self.remove_next();
        self.check_room()?;
        let shelved = self.create_snapshot(&next).and_then(|written| {
            let read = examine(SnapshotReader::open(&*self.disk, &next)?, &next)?;
            if read != written {
                return Err(SnapshotError::Damaged { path: next.clone(), what: "it is not what was written" }.into());
            }
            let name = folder.join(file_name(written.sequence));
            let named = self.disk.rename(&next, &name).and_then(|()| self.disk.sync_directory(&folder));
            named.map_err(RegistryError::directory(&name))?;
            Ok(written)
        });
        if shelved.is_err() {
            self.remove_next();
        }
        shelved
    }

    /// Removes what is left of a snapshot that was not finished.
    fn remove_next(&self) {
        let folder = path(&self.directory);
        for name in [NEXT.to_owned(), format!("{NEXT}.tmp")] {
            // Mostly there is none.
            let _ = self.disk.remove(&folder.join(name));
        }
    }

    /// The log comes first: a snapshot is taken only where as much again stays free.
    fn check_room(&self) -> Result<(), RegistryError> {
        let newest = self.standing.read().newest.map_or(0, |newest| newest.bytes);
        let needed_bytes = 2 * newest.max(self.figures.live_bytes.load(std::sync::atomic::Ordering::Relaxed));
        match self.disk.free_bytes(&self.directory) {
            Ok(free_bytes) if free_bytes < needed_bytes => {
                Err(RegistryError::NoRoom { path: path(&self.directory), needed_bytes, free_bytes })
            }
            // Where the system does not say how much is free, writing will.
            _ => Ok(()),
        }
    }

    /// Reads the server's own snapshots again, but for the one that was just read back; gives those that are sound, the newest first.
    /// A damaged one is moved aside and said.
    fn read_shelf_again(&self, just_read: Option<&SnapshotSummary>) -> Result<Vec<Shelved>, RegistryError> {
        let shelf = self.look_at_shelf()?;
        let mut sound = Vec::new();
        for shelved in shelf.own() {
            let is_new = just_read.is_some_and(|taken| taken.sequence == shelved.taken_at.sequence);
            let read = if is_new { Ok(()) } else { self.read_one_again(&shelved.path) };
            match read {
                Ok(()) => sound.push(shelved.clone()),
                Err(error) => self.move_damaged_aside(&shelved.path, &error.to_string()),
            }
        }
        for (path, why) in shelf.unusable.iter().filter(|(path, _)| super::is_own_name(path)) {
            if self.read_one_again(path).is_err() {
                self.move_damaged_aside(path, why);
            }
        }
        Ok(sound)
    }

    /// A snapshot is damaged when a second look agrees: it may be the only one that the log goes on from.
    fn read_one_again(&self, path: &Path) -> Result<(), SnapshotError> {
        let read = || SnapshotReader::open(&*self.disk, path).and_then(|reader| examine(reader, path)).map(drop);
        read().or_else(|_| read())
    }

    fn move_damaged_aside(&self, path: &Path, why: &str) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".bad");
        let moved = self.disk.rename(path, Path::new(&aside));
        let words = match moved {
            Ok(()) => format!("{why}; it was moved to {} and does not count", Path::new(&aside).display()),
            Err(error) => format!("{why}; it does not count, and could not be moved aside: {error}"),
        };
        tracing::error!(detail = words, "a snapshot is damaged");
        self.troubles.raise(Trouble::SnapshotDamaged, words);
    }

    fn keep_few_damaged(&self) {
        let is_damaged = |name: &str| name.ends_with(".snap.bad");
        if let Err(error) = keep_few(&*self.disk, &path(&self.directory), DAMAGED_ASIDE_MAX, is_damaged) {
            tracing::warn!(%error, "damaged snapshots that are too many could not be removed");
        }
    }

    /// Removes the oldest sound snapshots above the number that is kept, and the base once the log no longer goes on from it.
    fn take_down(&self, keeping: &Keeping, sound: &[Shelved]) -> Result<usize, RegistryError> {
        let kept = keeping.snapshots.max(COVERING);
        let mut superfluous: Vec<PathBuf> = sound.iter().skip(kept).map(|shelved| shelved.path.clone()).rev().collect();
        if sound.len() >= COVERING
            && let Some(log) = self.open_log()?
        {
            let bases = self.look_at_shelf()?.snapshots.into_iter().filter(|shelved| shelved.is_base);
            let left_behind = bases.filter(|base| base.taken_at.sequence + 1 < log.first_sequence());
            superfluous.extend(left_behind.map(|base| base.path));
        }
        for path in &superfluous {
            remove(&*self.disk, path)?;
        }
        Ok(superfluous.len())
    }

    /// Lets old segments of the log go as far as all but the newest of the snapshots that were just read cover them.
    fn trim_log(&self, keeping: &Keeping, sound: &[Shelved], now_unix_ms: u64) -> Result<Trimmed, RegistryError> {
        let _reading = self.log_files();
        let Some(log) = self.open_log()? else { return Ok(Trimmed::default()) };
        let of_this_log = sound.iter().filter(|shelved| Some(shelved.taken_at.stream) == log.stream());
        let covering = of_this_log.take(COVERING).collect::<Vec<_>>();
        let (Some(covered), COVERING) = (covering.last().map(|shelved| shelved.taken_at.sequence), covering.len()) else {
            return Ok(Trimmed { segments: 0, first_sequence: log.first_sequence() });
        };
        Ok(log.trim(covered, now_unix_ms.saturating_sub(keeping.log_retention_ms))?)
    }

    /// What `status` says of the shelf and of the log's beginning.
    pub fn shelf_standing(&self) -> ShelfStanding {
        self.standing.read()
    }

    fn note_standing(&self, taken: Option<&SnapshotSummary>, now_unix_ms: u64) -> Result<(), RegistryError> {
        let (shelf, log) = (self.look_at_shelf()?, self.open_log()?);
        let mut standing = ShelfStanding::look(&*self.disk, &shelf, log.as_ref());
        if let (Some(newest), Some(_)) = (&mut standing.newest, taken) {
            newest.unix_ms = now_unix_ms;
        }
        self.standing.set(standing);
        Ok(())
    }

    fn look_at_shelf(&self) -> Result<Shelf, RegistryError> {
        Shelf::look(&*self.disk, &self.directory, self.held())
    }

    fn open_log(&self) -> Result<Option<LogReader>, RegistryError> {
        Ok(LogReader::open(self.disk.clone(), &self.directory.join("log"))?)
    }
}

/// Removes a file, durably.
fn remove(disk: &dyn Disk, path: &Path) -> Result<(), RegistryError> {
    let folder = path.parent().unwrap_or(path);
    let removed = disk.remove(path).and_then(|()| disk.sync_directory(folder));
    removed.map_err(RegistryError::directory(path))
}
