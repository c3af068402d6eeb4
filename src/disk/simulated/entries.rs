//! One directory's entries: as they are seen, as they are durable, and the changes in between.

use std::collections::BTreeMap;

use super::aftermath::Fate;
use super::chance::Chance;
use super::tree::Id;

type Names = BTreeMap<String, Id>;

#[derive(Clone, Debug, Default)]
pub(super) struct Entries {
    cache: Names,
    durable: Names,
    unsynced: Vec<Change>,
}

/// A creation sets, a removal removes, a renaming does both at once.
#[derive(Clone, Debug)]
struct Change {
    removed: Option<String>,
    set: Option<(String, Id)>,
}

impl Entries {
    pub(super) fn names(&self) -> &Names {
        &self.cache
    }

    pub(super) fn set(&mut self, name: &str, id: Id) {
        self.change(None, Some((name.to_owned(), id)));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.change(Some(name.to_owned()), None);
    }

    pub(super) fn rename(&mut self, from: &str, to: &str, id: Id) {
        self.change(Some(from.to_owned()), Some((to.to_owned(), id)));
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.cache);
        self.unsynced.clear();
    }

    /// A sync that fails: the changes may have reached the disk or not, and may be forgotten or still wait.
    pub(super) fn fail_to_sync(&mut self, chance: &mut Chance) {
        self.durable = self.left_by(Fate::Some, chance);
        if chance.percent(50) {
            self.unsynced.clear();
        }
    }

    pub(super) fn changes(&self) -> usize {
        self.unsynced.len()
    }

    /// What a power failure leaves.
    pub(super) fn settle(&mut self, fate: Fate, chance: &mut Chance) {
        self.durable = self.left_by(fate, chance);
        self.cache.clone_from(&self.durable);
        self.unsynced.clear();
    }

    /// Takes a name out, durably.
    pub(super) fn lose(&mut self, name: &str) {
        self.cache.remove(name);
        self.durable.remove(name);
        self.unsynced.retain(|change| change.set.as_ref().is_none_or(|(set, _)| set != name));
    }

    fn change(&mut self, removed: Option<String>, set: Option<(String, Id)>) {
        let change = Change { removed, set };
        change.apply(&mut self.cache);
        self.unsynced.push(change);
    }

    fn left_by(&self, fate: Fate, chance: &mut Chance) -> Names {
        let mut left = self.durable.clone();
        let changes = self.unsynced.iter();
        match fate {
            Fate::Lost => {}
            Fate::Kept => left.clone_from(&self.cache),
            Fate::First(count) => changes.take(count).for_each(|change| change.apply(&mut left)),
            Fate::Some => changes.filter(|_| chance.percent(50)).for_each(|change| change.apply(&mut left)),
        }
        left
    }
}

impl Change {
    fn apply(&self, to: &mut Names) {
        if let Some(name) = &self.removed {
            to.remove(name);
        }
        if let Some((name, id)) = &self.set {
            to.insert(name.clone(), *id);
        }
    }
}
