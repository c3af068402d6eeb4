//! Files and directories by their numbers. A file whose name is gone stays until the next power failure: its name may come back.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};

use super::aftermath::Aftermath;
use super::chance::Chance;
use super::content::Content;
use super::entries::Entries;

pub(super) type Id = u64;

const ROOT: Id = 0;

#[derive(Clone, Debug)]
pub(super) enum Node {
    File(Content),
    Directory(Entries),
}

#[derive(Clone, Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Id, Node>,
    next: Id,
}

impl Tree {
    pub(super) fn new() -> Tree {
        Tree { nodes: BTreeMap::from([(ROOT, Node::Directory(Entries::default()))]), next: ROOT + 1 }
    }

    pub(super) fn find(&self, path: &Path) -> io::Result<Id> {
        let mut id = ROOT;
        for name in names_of(path) {
            let entries = self.entries(id).ok_or(ErrorKind::NotADirectory)?;
            id = *entries.names().get(&name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(id)
    }

    /// The directory that a path lies in, and its name there.
    pub(super) fn place_of(&self, path: &Path) -> io::Result<(Id, String)> {
        let name = names_of(path).last().ok_or(ErrorKind::InvalidInput)?;
        let above = self.find(path.parent().unwrap_or(Path::new("/")))?;
        self.entries(above).ok_or(ErrorKind::NotADirectory)?;
        Ok((above, name))
    }

    pub(super) fn add(&mut self, node: Node) -> Id {
        let id = self.next;
        self.next += 1;
        self.nodes.insert(id, node);
        id
    }

    pub(super) fn content(&self, id: Id) -> Option<&Content> {
        if let Some(Node::File(content)) = self.nodes.get(&id) { Some(content) } else { None }
    }

    pub(super) fn content_mut(&mut self, id: Id) -> io::Result<&mut Content> {
        if let Some(Node::File(content)) = self.nodes.get_mut(&id) { Ok(content) } else { Err(ErrorKind::IsADirectory.into()) }
    }

    pub(super) fn entries(&self, id: Id) -> Option<&Entries> {
        if let Some(Node::Directory(entries)) = self.nodes.get(&id) { Some(entries) } else { None }
    }

    pub(super) fn entries_mut(&mut self, id: Id) -> io::Result<&mut Entries> {
        if let Some(Node::Directory(entries)) = self.nodes.get_mut(&id) {
            Ok(entries)
        } else {
            Err(ErrorKind::NotADirectory.into())
        }
    }

    /// What a power failure leaves of everything.
    pub(super) fn settle(&mut self, aftermath: Aftermath, chance: &mut Chance) {
        for node in self.nodes.values_mut() {
            match node {
                Node::File(content) => {
                    let fate = aftermath.fate(chance, content.changes());
                    content.settle(fate, chance);
                }
                Node::Directory(entries) => {
                    let fate = aftermath.fate(chance, entries.changes());
                    entries.settle(fate, chance);
                }
            }
        }
        let mut reached = Vec::from([ROOT]);
        let mut place = 0;
        while let Some(id) = reached.get(place).copied() {
            reached.extend(self.entries(id).into_iter().flat_map(|entries| entries.names().values()));
            place += 1;
        }
        self.nodes.retain(|id, _| reached.contains(id));
    }

    pub(super) fn lose(&mut self, path: &Path) {
        if let Ok((above, name)) = self.place_of(path)
            && let Ok(entries) = self.entries_mut(above)
        {
            entries.lose(&name);
        }
    }

    pub(super) fn flip(&mut self, path: &Path, bit: u64) {
        if let Ok(content) = self.find(path).and_then(|id| self.content_mut(id)) {
            content.flip(bit);
        }
    }

    pub(super) fn files_below(&self, directory: &Path) -> Vec<PathBuf> {
        let Some(entries) = self.find(directory).ok().and_then(|id| self.entries(id)) else { return Vec::new() };
        let below = entries.names().iter().flat_map(|(name, id)| {
            let path = directory.join(name);
            if self.content(*id).is_some() { vec![path] } else { self.files_below(&path) }
        });
        below.collect()
    }

    /// The bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let files = self.files_below(Path::new("/"));
        let lengths = files.iter().filter_map(|path| self.find(path).ok().and_then(|id| self.content(id)));
        lengths.map(|content| content.bytes().len() as u64).sum()
    }
}

/// The names in a path, the root left out.
pub(super) fn names_of(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}
