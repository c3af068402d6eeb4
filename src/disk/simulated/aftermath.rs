//! What a power failure leaves of the changes since the last sync.

use super::chance::Chance;

/// What becomes of everything that was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing of it reached the disk.
    Lost,
    /// All of it did.
    Kept,
    /// By chance: of each file and directory nothing, all, the first changes, or some, sector by sector and entry by entry.
    Torn,
}

/// The same for one file or directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Lost,
    Kept,
    First(usize),
    Some,
}

impl Aftermath {
    /// What becomes of a file or directory with so many unsynced changes.
    pub(super) fn fate(self, chance: &mut Chance, changes: usize) -> Fate {
        match self {
            Aftermath::Lost => Fate::Lost,
            Aftermath::Kept => Fate::Kept,
            Aftermath::Torn => match chance.below(5) {
                0 => Fate::Lost,
                1 => Fate::Kept,
                2 => Fate::First(usize::try_from(chance.below(changes as u64 + 1)).unwrap_or(0)),
                _ => Fate::Some,
            },
        }
    }
}
