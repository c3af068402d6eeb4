//! The machine with the disk: it counts operations, lets them fail, and carries the others out.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::aftermath::Aftermath;
use super::chance::Chance;
use super::content::Content;
use super::entries::Entries;
use super::faults::Faults;
use super::tree::{Id, Node, Tree, names_of};
use crate::disk::OpenMode;

/// How many operations are remembered in words.
const TRACE_MAX: usize = 24;

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub(super) tree: Tree,
    pub(super) is_off: bool,
    pub(super) boot: u64,
    pub(super) operations: u64,
    pub(super) changes: u64,
    pub(super) trace: VecDeque<String>,
    faults: Faults,
    chance: Chance,
    held: BTreeSet<PathBuf>,
}

/// What an operation does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Looks,
    Changes,
}

/// Whether an operation goes as it should.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Luck {
    Good,
    Bad,
}

impl Machine {
    pub(super) fn new(seed: u64) -> Machine {
        Machine {
            tree: Tree::new(),
            is_off: false,
            boot: 0,
            operations: 0,
            changes: 0,
            trace: VecDeque::new(),
            faults: Faults::default(),
            chance: Chance::new(seed),
            held: BTreeSet::new(),
        }
    }

    pub(super) fn fork(&self, seed: u64) -> Machine {
        let mut machine = Machine { chance: Chance::new(seed), ..self.clone() };
        machine.end_process();
        machine
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        (self.operations, self.changes) = (0, 0);
    }

    pub(super) fn restart(&mut self, aftermath: Aftermath) -> u64 {
        self.tree.settle(aftermath, &mut self.chance);
        self.end_process()
    }

    pub(super) fn end_process(&mut self) -> u64 {
        self.boot += 1;
        self.is_off = false;
        self.held.clear();
        self.set_faults(Faults::default());
        self.boot
    }

    pub(super) fn open(&mut self, boot: u64, path: &Path, mode: OpenMode) -> io::Result<Id> {
        let kind = if mode == OpenMode::Replace { Kind::Changes } else { Kind::Looks };
        self.lucky(boot, kind, "open", path)?;
        if mode != OpenMode::Replace {
            let id = self.tree.find(path)?;
            let is_file = self.tree.content(id).is_some();
            return if is_file || mode == OpenMode::Read { Ok(id) } else { Err(ErrorKind::IsADirectory.into()) };
        }
        let (above, name) = self.tree.place_of(path)?;
        let id = self.tree.add(Node::File(Content::default()));
        let entries = self.tree.entries_mut(above)?;
        if entries.names().contains_key(&name) {
            entries.remove(&name);
        }
        entries.set(&name, id);
        Ok(id)
    }

    pub(super) fn exists(&mut self, boot: u64, path: &Path) -> io::Result<bool> {
        self.lucky(boot, Kind::Looks, "look for", path)?;
        match self.tree.find(path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(super) fn list(&mut self, boot: u64, directory: &Path) -> io::Result<Vec<String>> {
        self.lucky(boot, Kind::Looks, "list", directory)?;
        let id = self.tree.find(directory)?;
        let entries = self.tree.entries(id).ok_or(ErrorKind::NotADirectory)?;
        Ok(entries.names().keys().cloned().collect())
    }

    pub(super) fn rename(&mut self, boot: u64, from: &Path, to: &Path) -> io::Result<()> {
        self.lucky(boot, Kind::Changes, "rename to", to)?;
        let id = self.tree.find(from)?;
        let ((above, old), (target, new)) = (self.tree.place_of(from)?, self.tree.place_of(to)?);
        if above == target {
            self.tree.entries_mut(above)?.rename(&old, &new, id);
        } else {
            self.tree.entries_mut(above)?.remove(&old);
            self.tree.entries_mut(target)?.set(&new, id);
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, boot: u64, path: &Path) -> io::Result<()> {
        self.lucky(boot, Kind::Changes, "remove", path)?;
        let id = self.tree.find(path)?;
        self.tree.content(id).ok_or(ErrorKind::IsADirectory)?;
        let (above, name) = self.tree.place_of(path)?;
        self.tree.entries_mut(above)?.remove(&name);
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, boot: u64, directory: &Path) -> io::Result<()> {
        let luck = self.step(boot, Kind::Changes, "sync directory", directory)?;
        let id = self.tree.find(directory)?;
        let entries = self.tree.entries_mut(id)?;
        if luck == Luck::Bad {
            entries.fail_to_sync(&mut self.chance);
            return Err(broken());
        }
        entries.sync();
        Ok(())
    }

    pub(super) fn create_directory(&mut self, boot: u64, directory: &Path) -> io::Result<()> {
        self.lucky(boot, Kind::Changes, "make directory", directory)?;
        let mut path = PathBuf::from("/");
        for name in names_of(directory) {
            let above = self.tree.find(&path)?;
            path.push(&name);
            if self.tree.entries_mut(above)?.names().contains_key(&name) {
                continue;
            }
            let id = self.tree.add(Node::Directory(Entries::default()));
            self.tree.entries_mut(above)?.set(&name, id);
        }
        Ok(())
    }

    pub(super) fn append(&mut self, boot: u64, id: Id, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let luck = self.step(boot, Kind::Changes, "append to", path)?;
        let room = self.faults.capacity_bytes.map(|capacity| capacity.saturating_sub(self.tree.used_bytes()));
        let room = room.map_or(bytes.len(), |room| usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len()));
        let is_full = room < bytes.len();
        let written = match luck {
            Luck::Good => room,
            Luck::Bad => usize::try_from(self.chance.below(room as u64 + 1)).unwrap_or(0),
        };
        let content = self.tree.content_mut(id)?;
        if let Some(bytes) = bytes.get(..written).filter(|bytes| !bytes.is_empty()) {
            content.append(bytes);
        }
        match luck {
            Luck::Bad => Err(broken()),
            Luck::Good if is_full => Err(ErrorKind::StorageFull.into()),
            Luck::Good => Ok(()),
        }
    }

    pub(super) fn read(&mut self, boot: u64, id: Id, path: &Path, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.lucky(boot, Kind::Looks, "read", path)?;
        let content = self.tree.content(id).ok_or(ErrorKind::IsADirectory)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.checked_add(bytes.len());
        let there = end.and_then(|end| content.bytes().get(start..end)).ok_or(ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(there);
        if !bytes.is_empty() && self.chance.per_million(self.faults.flips_per_million) {
            let bit = self.chance.below(8 * bytes.len() as u64);
            if let Some(byte) = bytes.get_mut(usize::try_from(bit / 8).unwrap_or(0)) {
                *byte ^= 1 << (bit % 8);
            }
        }
        Ok(())
    }

    pub(super) fn length(&mut self, boot: u64, id: Id, path: &Path) -> io::Result<u64> {
        self.lucky(boot, Kind::Looks, "measure", path)?;
        let content = self.tree.content(id).ok_or(ErrorKind::IsADirectory)?;
        Ok(content.bytes().len() as u64)
    }

    pub(super) fn cut(&mut self, boot: u64, id: Id, path: &Path, length: u64) -> io::Result<()> {
        self.lucky(boot, Kind::Changes, "cut", path)?;
        self.tree.content_mut(id)?.cut(usize::try_from(length).unwrap_or(0));
        Ok(())
    }

    pub(super) fn sync(&mut self, boot: u64, id: Id, path: &Path) -> io::Result<()> {
        let luck = self.step(boot, Kind::Changes, "sync", path)?;
        let content = self.tree.content_mut(id)?;
        if luck == Luck::Bad {
            content.fail_to_sync(&mut self.chance);
            return Err(broken());
        }
        content.sync();
        Ok(())
    }

    pub(super) fn hold(&mut self, boot: u64, path: &Path) -> io::Result<bool> {
        self.lucky(boot, Kind::Looks, "hold", path)?;
        Ok(self.held.insert(path.to_owned()))
    }

    pub(super) fn let_go(&mut self, boot: u64, path: &Path) {
        if boot == self.boot {
            self.held.remove(path);
        }
    }

    pub(super) fn free_bytes(&mut self, boot: u64) -> io::Result<u64> {
        self.lucky(boot, Kind::Looks, "measure", Path::new("/"))?;
        let capacity = self.faults.capacity_bytes.unwrap_or(u64::MAX);
        Ok(capacity.saturating_sub(self.tree.used_bytes()))
    }

    /// An operation that simply does not happen when it fails.
    fn lucky(&mut self, boot: u64, kind: Kind, word: &str, path: &Path) -> io::Result<()> {
        match self.step(boot, kind, word, path)? {
            Luck::Good => Ok(()),
            Luck::Bad => Err(broken()),
        }
    }

    /// Counts an operation and draws its luck. The one after which the power fails is still done.
    fn step(&mut self, boot: u64, kind: Kind, word: &str, path: &Path) -> io::Result<Luck> {
        if self.is_off || boot != self.boot {
            return Err(io::Error::other("the simulated machine has no power, or another process has it"));
        }
        self.operations += 1;
        let fails = self.faults.fails_at == Some(self.operations) || self.chance.per_million(self.faults.failures_per_million);
        if kind == Kind::Changes {
            self.changes += 1;
            self.is_off = self.faults.power_fails_after == Some(self.changes);
        }
        if self.trace.len() == TRACE_MAX {
            self.trace.pop_front();
        }
        let outcome = if fails { ": fails" } else { "" };
        self.trace.push_back(format!("{word} {}{outcome}", path.display()));
        Ok(if fails { Luck::Bad } else { Luck::Good })
    }
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}
