//! The shelf: the snapshots in `DIR/snapshots`. A rebuild begins with the newest of them that the log still reaches, and what they
//! cover the log may let go.
//!
//! ```text
//! base.snap                   what a restored directory began with
//! 00000000000000001204.snap   taken by the server at sequence 1204, and read back whole before it got this name
//! ….snap.bad                  one that could no longer be read as it was written, kept for an operator
//! next.snap                   one that is being written or read back; what a crash leaves of it is removed
//! ```
//!
//! Any other `….snap` that somebody put there is read in a rebuild too, but never counted and never removed.

mod examining;
mod keeping;
mod standing;

use std::io;
use std::path::{Path, PathBuf};

pub(super) use examining::{Sums, examine};
pub use keeping::{Keeping, Round};
pub(super) use standing::StandingCell;
pub use standing::{NewestSnapshot, ShelfStanding};

use super::snapshot::SnapshotReader;
use super::{RegistryError, base};
use crate::disk::Disk;
use crate::domain::prefectures::Prefectures;
use crate::log::{LogError, LogReader, Position};

/// A snapshot whose beginning can be read.
#[derive(Clone, Debug)]
pub(super) struct Shelved {
    pub(super) path: PathBuf,
    /// Where it was taken; in its parent's stream where it is the base.
    pub(super) taken_at: Position,
    pub(super) is_base: bool,
    /// The server took it, read it back, and gave it its name.
    pub(super) is_own: bool,
}

/// What lies on the shelf.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    /// Those whose beginning can be read, the newest first.
    pub(super) snapshots: Vec<Shelved>,
    /// What is wrong with each of the others.
    pub(super) unusable: Vec<(PathBuf, String)>,
}

/// Where the snapshots of a directory lie.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("snapshots")
}

impl Shelf {
    /// Looks at the beginning of each snapshot; nothing of it is believed before it was read whole. One that holds more or less than the
    /// directory does is of no use there.
    pub(super) fn look(disk: &dyn Disk, directory: &Path, held: Option<Prefectures>) -> Result<Shelf, RegistryError> {
        let folder = path(directory);
        let names = match disk.list(&folder) {
            Ok(names) => names,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            // A shelf that cannot be looked at is not an empty one.
            Err(source) => return Err(RegistryError::Directory { path: folder, source }),
        };
        let mut shelf = Shelf::default();
        for name in names.iter().filter(|name| name.ends_with(".snap") && *name != keeping::NEXT) {
            let path = folder.join(name);
            let is_base = path == base::path(directory);
            match SnapshotReader::open(disk, &path) {
                Ok(reader) if reader.held() != held => {
                    let what = "it does not hold what the directory does: all prefectures, or the same";
                    shelf.unusable.push((path.clone(), format!("{}: {what}", path.display())));
                }
                Ok(reader) => {
                    let taken_at = reader.header().position;
                    let is_own = sequence_of(name) == Some(taken_at.sequence);
                    shelf.snapshots.push(Shelved { path, taken_at, is_base, is_own });
                }
                Err(error) => shelf.unusable.push((path, error.to_string())),
            }
        }
        shelf.snapshots.sort_by_key(|shelved| std::cmp::Reverse(shelved.taken_at.sequence));
        Ok(shelf)
    }

    /// Whether nothing was ever put here.
    pub(super) fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.unusable.is_empty()
    }

    /// The snapshots from which the log goes on, the newest first.
    pub(super) fn reached_by<'s>(&'s self, log: &'s LogReader) -> impl DoubleEndedIterator<Item = &'s Shelved> {
        self.snapshots.iter().filter(move |shelved| shelved.is_reached_by(log))
    }

    /// The newest one of the log's stream: a log that ends before it has lost something.
    pub(super) fn newest_of(&self, log: &LogReader) -> Option<&Shelved> {
        self.snapshots.iter().find(|shelved| Some(shelved.taken_at.stream) == log.stream())
    }

    /// Those that the server took, the newest first.
    fn own(&self) -> impl Iterator<Item = &Shelved> {
        self.snapshots.iter().filter(|shelved| shelved.is_own)
    }

    /// Takes one out that turned out not to be what it seemed.
    pub(super) fn give_up(&mut self, path: &Path, why: String) {
        self.snapshots.retain(|shelved| shelved.path != path);
        self.unusable.push((path.to_owned(), why));
    }
}

impl Shelved {
    /// Where the log goes on behind it: a base begins its directory's own stream.
    pub(super) fn continued_at(&self, log: &LogReader) -> Result<Position, LogError> {
        if self.is_base { log.beginning() } else { Ok(self.taken_at) }
    }

    fn is_reached_by(&self, log: &LogReader) -> bool {
        let is_of_its_stream = self.is_base || Some(self.taken_at.stream) == log.stream();
        is_of_its_stream && log.first_sequence() <= self.taken_at.sequence.saturating_add(1)
    }
}

/// The name of a snapshot that the server took.
pub(super) fn file_name(sequence: u64) -> String {
    format!("{sequence:020}.snap")
}

/// Whether a file has a name that the server gave.
fn is_own_name(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| sequence_of(name).is_some())
}

/// The sequence that a file name says, where it is one the server gave.
fn sequence_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snap").filter(|digits| digits.len() == 20)?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_their_sequences_do_and_other_names_are_not_the_servers() {
        assert_eq!(sequence_of(&file_name(1204)), Some(1204));
        assert!(file_name(9) < file_name(10));
        for other in ["base.snap", "today.snap", "1204.snap", "00000000000000001204.snap.bad", "00000000000000001204.seg"] {
            assert_eq!(sequence_of(other), None, "{other}");
        }
    }
}
