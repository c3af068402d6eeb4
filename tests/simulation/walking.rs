//! Long random walks: everything that is done to a registry and everything that happens to its disk, drawn by a seed.
//!
//! `SHIKAKU_SEEDS=10000` walks so many; `SHIKAKU_SEED=7` walks that one alone.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use shikaku::disk::simulated::{Aftermath, Chance, Faults};
use shikaku::domain::registration::Operation;
use shikaku::registry::snapshot::restore;

use crate::deeds::Deed;
use crate::life::{Backups, Life};
use crate::machine::{Machine, NOW, backup, difference};
use crate::proof::proved;
use crate::rows::{Row, RowChange};

const SEEDS: u64 = 300;
const STEPS: u64 = 40;

struct Walk {
    life: Life,
    chance: Chance,
    restored: u32,
    /// Whether the disk has faults now.
    is_faulty: bool,
    faults: u64,
    crashes: u64,
}

impl Walk {
    fn new(seed: u64) -> Walk {
        let mut chance = Chance::new(seed);
        let segment_bytes_max = [900, 4_000, 256 << 20][chance.below(3) as usize];
        let flush_every_frames = 1 + chance.below(12);
        // One of three keeps an image; the others start from the store.
        let machine = Machine { segment_bytes_max, flush_every_frames, keeps_images: seed % 3 == 1, ..Machine::new(seed) };
        Walk { life: Life::new(machine), chance, restored: 0, is_faulty: false, faults: 0, crashes: 0 }
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..58 => self.do_something(),
            58..66 => self.set_faults(),
            66..70 => {
                self.is_faulty = false;
                self.life.machine.disk.set_faults(Faults::default());
            }
            70..84 => self.lose_power(),
            84..92 => self.be_killed(),
            92..96 => self.close(),
            _ => self.move_to_the_backup(),
        }
        let stopped = self.life.registry().troubles().stops_writing();
        if stopped.is_some() {
            self.be_killed();
        }
    }

    fn do_something(&mut self) {
        let chance = &mut self.chance;
        let deed = match chance.below(40) {
            0..29 => {
                let count = 1 + chance.below(6);
                Deed::Apply((0..count).map(|_| drawn(chance)).collect())
            }
            29..31 => Deed::Prune { months: chance.below(6) as u8 },
            31..33 => Deed::SetPayers { version: chance.below(3) as u8 },
            33..36 => Deed::Feed { file: chance.below(4) as u8, ended: chance.percent(50) },
            36 if self.life.machine.keeps_images => Deed::Image,
            36 => Deed::Mark,
            37 => Deed::Keep,
            _ => Deed::Snapshot,
        };
        if let Err(error) = self.life.take(&deed) {
            let is_excused = self.is_faulty || !self.life.registry().troubles().list().is_empty();
            assert!(is_excused, "{deed:?} on a disk without faults: {error}\n{}", self.life.told());
        }
    }

    fn set_faults(&mut self) {
        self.faults += 1;
        self.is_faulty = true;
        let faults = self.drawn_faults();
        self.life.machine.disk.set_faults(faults);
    }

    fn drawn_faults(&mut self) -> Faults {
        let used = self.life.machine.disk.used_bytes();
        let chance = &mut self.chance;
        match chance.below(4) {
            0 => Faults { fails_at: Some(1 + chance.below(40)), ..Faults::default() },
            1 => Faults { failures_per_million: 10_000 + chance.below(150_000) as u32, ..Faults::default() },
            2 => Faults { flips_per_million: 10_000 + chance.below(60_000) as u32, ..Faults::default() },
            _ => Faults { capacity_bytes: Some(used + chance.below(4_000)), ..Faults::default() },
        }
    }

    fn lose_power(&mut self) {
        self.crashes += 1;
        let aftermath = [Aftermath::Lost, Aftermath::Kept, Aftermath::Torn, Aftermath::Torn][self.chance.below(4) as usize];
        self.life.lose_power(aftermath);
        self.start();
    }

    fn be_killed(&mut self) {
        self.crashes += 1;
        self.life.be_killed();
        self.start();
    }

    fn close(&mut self) {
        // With faults it may end without its last mark, and that is all.
        let registry = self.life.registry.take().unwrap();
        let _ = if self.life.machine.keeps_images { registry.close_with_image(NOW) } else { registry.close(NOW) };
        self.life.machine = self.life.machine.after_kill();
        self.start();
    }

    /// Starts, sometimes on a disk that fails: such a start may come to nothing, and the next one must come to everything.
    fn start(&mut self) {
        self.is_faulty = false;
        for _ in 0..2 {
            if !self.chance.percent(25) {
                break;
            }
            self.faults += 1;
            let faults = self.drawn_faults();
            self.life.machine.disk.set_faults(faults);
            if self.life.start().is_ok() {
                let registry = self.life.registry();
                let is_stopped = registry.troubles().stops_writing().is_some();
                let stands = [&self.life.model].into_iter().chain(&self.life.possible);
                let stands = stands.filter_map(|model| difference(registry, model));
                assert!(is_stopped || stands.count() <= self.life.possible.len(), "{}", self.life.told());
            }
            if self.chance.percent(50) {
                self.life.be_killed();
            } else {
                self.life.lose_power(Aftermath::Torn);
            }
        }
        self.life.start_and_judge();
    }

    /// Goes on from the backup, in another directory.
    fn move_to_the_backup(&mut self) {
        self.life.be_killed();
        if self.life.machine.disk.bytes_of(backup()).is_none() {
            assert_eq!(self.life.backups.acknowledged, None, "{}", self.life.told());
            return self.life.start_and_judge();
        }
        self.restored += 1;
        self.life.machine.directory = PathBuf::from(format!("/var/copy{}", self.restored));
        let restored = restore(&self.life.machine.door(), &self.life.machine.directory, backup(), NOW);
        restored.unwrap_or_else(|error| panic!("{error}\n{}", self.life.told()));
        let Backups { acknowledged, possible } = self.life.backups.clone();
        let mut candidates = acknowledged.into_iter().chain(possible);
        self.life.model = candidates.next().unwrap();
        self.life.possible = candidates.collect();
        self.life.start_and_judge();
    }

    fn end(mut self) {
        self.life.lose_power(Aftermath::Torn);
        self.life.start_and_judge();
        self.life.judge_backup();
        self.life.goes_on();
    }
}

pub(crate) fn drawn(chance: &mut Chance) -> RowChange {
    let operation = if chance.percent(20) { Operation::Withdraw } else { Operation::Upsert };
    (operation, Row::drawn(chance))
}

/// Walks one seed; gives how many crashes it went through and how often faults were set.
fn walk(seed: u64) -> (u64, u64) {
    let walked = std::panic::catch_unwind(|| {
        let mut walk = Walk::new(seed);
        (0..STEPS).for_each(|_| walk.step());
        let figures = (walk.crashes, walk.faults);
        walk.end();
        figures
    });
    walked.unwrap_or_else(|panic| {
        eprintln!("the walk of seed {seed} failed; SHIKAKU_SEED={seed} walks it alone");
        std::panic::resume_unwind(panic)
    })
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn whatever_happens_to_its_disk_the_registry_holds_what_it_acknowledged() {
    if let Some(seed) = from_environment("SHIKAKU_SEED") {
        walk(seed);
        return;
    }
    let seeds = from_environment("SHIKAKU_SEEDS").unwrap_or(SEEDS);
    let (next, crashes, faults) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let walked = std::panic::catch_unwind(|| walk(seed));
                    let (its_crashes, its_faults) = walked.unwrap_or_else(|panic| {
                        // The others need not walk on.
                        next.store(seeds, Ordering::Relaxed);
                        std::panic::resume_unwind(panic)
                    });
                    crashes.fetch_add(its_crashes, Ordering::Relaxed);
                    faults.fetch_add(its_faults, Ordering::Relaxed);
                }
            });
        }
    });
    let promise = "the registry holds and answers what a plain model of everything acknowledged does";
    let test = "whatever_happens_to_its_disk_the_registry_holds_what_it_acknowledged";
    proved(promise, "random walks with every fault: seeds", test, seeds);
    proved(promise, "random walks with every fault: crashes", test, crashes.into_inner());
    proved(promise, "random walks with every fault: times faults were set", test, faults.into_inner());
}

/// The refused row ended before the horizon: when its frame turned out to have reached the disk, no answer showed it, and a withdrawal
/// found what the model took for never registered.
#[test]
fn the_walk_of_a_refused_row_that_only_the_past_remembers() {
    walk(2613);
}

/// The disk took a part of a frame, the part was cut off, and the next segment begun: after a power failure the part was back, in a segment
/// that counted as sealed.
#[test]
fn the_walk_of_a_part_of_a_frame_that_came_back() {
    walk(6800);
}
