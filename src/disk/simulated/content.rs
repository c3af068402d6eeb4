//! One file's bytes: as they are read, as they are durable, and the changes in between.

use std::collections::BTreeSet;

use super::SECTOR_BYTES;
use super::aftermath::Fate;
use super::chance::Chance;

#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    cache: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Cut { length: usize },
}

impl Content {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.cache
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.unsynced.push(Change::Write { offset: self.cache.len(), bytes: bytes.to_vec() });
        self.cache.extend_from_slice(bytes);
    }

    pub(super) fn cut(&mut self, length: usize) {
        self.unsynced.push(Change::Cut { length });
        self.cache.resize(length, 0);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.cache);
        self.unsynced.clear();
    }

    /// A sync that fails: some of the changes reach the disk, and none is ever written again. What is read afterwards is what was written,
    /// or what the disk has.
    pub(super) fn fail_to_sync(&mut self, chance: &mut Chance) {
        self.durable = self.left_by(Fate::Some, chance);
        self.unsynced.clear();
        if chance.percent(30) {
            self.cache.clone_from(&self.durable);
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

    /// Flips a bit where it lies, counted from the first byte and around the end.
    pub(super) fn flip(&mut self, bit: u64) {
        for bytes in [&mut self.cache, &mut self.durable] {
            let place = usize::try_from(bit / 8).unwrap_or(0).checked_rem(bytes.len());
            if let Some(byte) = place.and_then(|place| bytes.get_mut(place)) {
                *byte ^= 1 << (bit % 8);
            }
        }
    }

    fn left_by(&self, fate: Fate, chance: &mut Chance) -> Vec<u8> {
        let mut left = self.durable.clone();
        match fate {
            Fate::Lost => {}
            Fate::Kept => left.clone_from(&self.cache),
            Fate::First(count) => self.unsynced.iter().take(count).for_each(|change| change.apply(&mut left)),
            Fate::Some => self.tear(&mut left, chance),
        }
        left
    }

    /// Each sector gets the first of its changes, as many as chance wants; the file may be as long as it was said to be though its bytes
    /// are missing.
    fn tear(&self, left: &mut Vec<u8>, chance: &mut Chance) {
        let survival = 20 + chance.below(75);
        let mut lost = BTreeSet::new();
        for change in &self.unsynced {
            match change {
                Change::Cut { .. } if chance.percent(50) => change.apply(left),
                Change::Cut { .. } => {}
                Change::Write { offset, bytes } => {
                    for (at, piece) in in_sectors(*offset, bytes) {
                        let sector = at / SECTOR_BYTES;
                        if lost.contains(&sector) || !chance.percent(survival) {
                            lost.insert(sector);
                        } else {
                            write(left, at, piece);
                        }
                    }
                }
            }
        }
        if left.len() < self.cache.len() && chance.percent(50) {
            left.resize(self.cache.len(), 0);
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => write(to, *offset, bytes),
            Change::Cut { length } => to.truncate(*length),
        }
    }
}

fn write(to: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if to.len() < offset + bytes.len() {
        to.resize(offset + bytes.len(), 0);
    }
    if let Some(place) = to.get_mut(offset..offset + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

/// The parts of a write that lie in one sector each, with their offsets.
fn in_sectors(offset: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let to_next = (SECTOR_BYTES - offset % SECTOR_BYTES).min(bytes.len());
    let (first, rest) = bytes.split_at_checked(to_next).unwrap_or((bytes, &[]));
    let others = rest.chunks(SECTOR_BYTES).enumerate();
    std::iter::once((offset, first)).chain(others.map(move |(place, part)| (offset + to_next + place * SECTOR_BYTES, part)))
}
