//! Long random walks of a follower: everything that comes from its hub, and everything that happens to its disk, drawn by a seed.
//!
//! `SHIKAKU_SEEDS=10000` walks so many; `SHIKAKU_SEED=7` walks that one alone.

use std::path::Path;

use shikaku::disk::simulated::{Aftermath, Chance, Faults};
use shikaku::registry::{Keeping, Registry, RegistryError};

use crate::deeds::Deed;
use crate::following::with_another_state;
use crate::hub::{Hub, frames_of};
use crate::machine::{Machine, NOW, difference};
use crate::proof::proved;
use crate::walking::drawn;

const SEEDS: u64 = 100;
const STEPS: u64 = 40;
/// Hubs that are lived once, and followed by all walks.
const HUBS: u64 = 4;

/// A hub that did whatever was drawn.
fn drawn_hub(seed: u64) -> Hub {
    let mut chance = Chance::new(seed);
    let mut deeds: Vec<Deed> = (0..60)
        .map(|_| match chance.below(20) {
            0..14 => Deed::Apply((0..1 + chance.below(6)).map(|_| drawn(&mut chance)).collect()),
            14 => Deed::Prune { months: chance.below(6) as u8 },
            15 => Deed::SetPayers { version: chance.below(3) as u8 },
            16..18 => Deed::Feed { file: chance.below(4) as u8, ended: chance.percent(50) },
            _ => Deed::Mark,
        })
        .collect();
    deeds.insert(20, Deed::Snapshot);
    Hub::of(seed, deeds)
}

struct Walk<'h> {
    hub: &'h Hub,
    machine: Machine,
    registry: Option<Registry>,
    chance: Chance,
    begins: u64,
    acknowledged: u64,
    is_faulty: bool,
    crashes: u64,
    diverged: u64,
}

impl<'h> Walk<'h> {
    fn begin(hub: &'h Hub, seed: u64) -> Walk<'h> {
        let mut chance = Chance::new(seed);
        let segment_bytes_max = [900, 4_000, 9_000, 256 << 20][chance.below(4) as usize];
        let flush_every_frames = 1 + chance.below(12);
        let machine = Machine { segment_bytes_max, flush_every_frames, ..hub.machine.fork(seed) };
        let snapshot = chance.percent(40).then(|| hub.backup());
        let begun = Registry::begin_following(&machine.door(), &machine.directory, &hub.following(), snapshot, NOW).unwrap();
        let registry = Some(machine.open().unwrap());
        let (begins, acknowledged) = (begun.sequence, begun.sequence);
        Walk { hub, machine, registry, chance, begins, acknowledged, is_faulty: false, crashes: 0, diverged: 0 }
    }

    fn registry(&self) -> &Registry {
        self.registry.as_ref().unwrap()
    }

    fn step(&mut self) {
        match self.chance.below(100) {
            0..46 => self.take_some(),
            46..52 => self.take_what_diverges(),
            52..60 => self.set_faults(),
            60..64 => {
                self.is_faulty = false;
                self.machine.disk.set_faults(Faults::default());
            }
            64..70 => self.keep(),
            70..84 => self.lose_power(),
            84..92 => self.be_killed(),
            92..96 => self.lose_the_store(),
            _ => self.close(),
        }
        if self.registry().troubles().stops_writing().is_some() {
            self.be_killed();
        }
    }

    fn take_some(&mut self) {
        let sequence = self.registry().sequence();
        let many = if self.chance.percent(30) { 40 } else { 5 };
        let count = 1 + self.chance.below(many);
        let taken = self.registry().take_frames(&self.hub.behind(sequence, count));
        self.judge();
        match taken {
            Ok(taken) => assert_eq!(taken, self.hub.last().min(sequence + count)),
            Err(error) => assert!(self.is_faulty || !self.registry().troubles().list().is_empty(), "{error}"),
        }
    }

    fn take_what_diverges(&mut self) {
        let sequence = self.registry().sequence();
        let good = self.chance.below(4);
        let Some(frame) = self.hub.frames.get((sequence + good) as usize) else { return };
        let mut bytes = self.hub.behind(sequence, good);
        bytes.extend(with_another_state(&frame.bytes));
        let refused = self.registry().take_frames(&bytes).unwrap_err();
        self.judge();
        assert!(self.registry().sequence() <= sequence + good);
        match refused {
            RegistryError::Diverged { sequence: at } => {
                assert_eq!((at, self.registry().sequence()), (sequence + good + 1, at - 1));
            }
            error => assert!(self.is_faulty, "{error}"),
        }
        self.diverged += 1;
    }

    fn set_faults(&mut self) {
        self.is_faulty = true;
        let used = self.machine.disk.used_bytes();
        let chance = &mut self.chance;
        // Never two failures close to each other: a snapshot that is read wrongly twice is moved aside, and it may be the only one that the
        // log goes on from.
        let faults = match chance.below(2) {
            0 => Faults { fails_at: Some(1 + chance.below(40)), ..Faults::default() },
            _ => Faults { capacity_bytes: Some(used + chance.below(4_000)), ..Faults::default() },
        };
        self.machine.disk.set_faults(faults);
    }

    fn keep(&mut self) {
        let kept = self.registry().keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, NOW + 1_000);
        assert!(kept.is_ok() || self.is_faulty || !self.registry().troubles().list().is_empty(), "{kept:?}");
    }

    fn lose_power(&mut self) {
        self.machine.disk.cut_power();
        self.registry = None;
        let aftermath = [Aftermath::Lost, Aftermath::Kept, Aftermath::Torn, Aftermath::Torn][self.chance.below(4) as usize];
        self.machine = self.machine.after_power_failure(aftermath);
        self.start();
    }

    fn be_killed(&mut self) {
        self.machine = self.machine.after_kill();
        self.registry = None;
        self.start();
    }

    fn lose_the_store(&mut self) {
        self.machine = self.machine.after_kill();
        self.registry = None;
        self.machine.disk.lose(&self.machine.directory.join("store").join("model"));
        self.start();
    }

    fn close(&mut self) {
        // With faults it may fail, and that is all.
        let _ = self.registry.take().unwrap().close(NOW);
        self.machine = self.machine.after_kill();
        self.start();
    }

    /// Starts on a disk without faults.
    fn start(&mut self) {
        self.crashes += 1;
        self.is_faulty = false;
        // A cut that failed left the frame that diverged where it was: the start stands before it, or has nothing to stand on where the
        // store is lost besides. An operator begins anew.
        let stopped = match self.machine.open() {
            Ok(registry) => {
                self.registry = Some(registry);
                self.judge();
                let stopped = self.registry().troubles().stops_writing();
                stopped.map(|(trouble, detail)| format!("{}: {detail}", trouble.word()))
            }
            Err(error) => Some(error.to_string()),
        };
        if let Some(words) = stopped {
            let is_what_diverged = words.contains("log_corrupt") || words.contains("no verified state");
            assert!(self.diverged > 0 && is_what_diverged && words.contains("the state after this frame"), "{words}");
            self.begin_anew();
        }
    }

    fn begin_anew(&mut self) {
        self.registry = None;
        self.machine.directory = format!("/var/follower-after-{}", self.crashes).into();
        Registry::begin_following(&self.machine.door(), &self.machine.directory, &self.hub.following(), None, NOW).unwrap();
        (self.begins, self.acknowledged, self.diverged) = (0, 0, 0);
        self.registry = Some(self.machine.open().unwrap());
    }

    /// It stands at a prefix that holds all that was acknowledged, with the hub's state and answers there.
    fn judge(&mut self) {
        let sequence = self.registry().sequence();
        assert!(sequence >= self.acknowledged, "{sequence}, and {} was acknowledged", self.acknowledged);
        self.acknowledged = sequence;
        assert_eq!(self.registry().state_checksum(), self.hub.checksum_at(sequence), "the state at {sequence}");
        if let Some(model) = self.hub.models.get(&sequence) {
            assert_eq!(difference(self.registry(), model), None, "at {sequence}");
        }
    }

    fn end(mut self) {
        self.lose_power();
        let sequence = self.registry().sequence();
        if sequence < self.hub.last() {
            self.registry().take_frames(&self.hub.behind(sequence, u64::MAX)).unwrap();
        }
        self.judge();
        let registry = self.registry();
        assert_eq!(registry.sequence(), self.hub.last());
        let own: Vec<u8> = frames_of(registry).into_iter().flat_map(|frame| frame.bytes).collect();
        let oldest = registry.oldest_sequence().unwrap();
        assert!(oldest > self.begins);
        assert_eq!(own, self.hub.behind(oldest - 1, u64::MAX), "its log is not the hub's");
        let held = registry.create_snapshot(Path::new("/follower.snap")).unwrap();
        let end = &self.hub.end;
        assert_eq!((held.recipients, held.rows, held.history), (end.recipients, end.rows, end.history), "applied twice");
        self.registry.take().unwrap().close(NOW).unwrap();
        let report = self.machine.verify();
        assert_eq!(report.fault, None, "{:?}", report.notes);
    }
}

fn walk(hub: &Hub, seed: u64) -> (u64, u64) {
    let mut walk = Walk::begin(hub, seed);
    let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| (0..STEPS).for_each(|_| walk.step())));
    let figures = (walk.crashes, walk.diverged);
    let operations = walk.machine.disk.last_operations().join("\n  ");
    let ended = walked.and_then(|()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| walk.end())));
    if let Err(panic) = ended {
        eprintln!("the walk of seed {seed} failed; its last operations before its end:\n  {operations}");
        std::panic::resume_unwind(panic);
    }
    figures
}

#[test]
fn whatever_happens_to_its_disk_a_follower_holds_a_prefix_of_its_hubs_frames() {
    let seeds = std::env::var("SHIKAKU_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let hubs: Vec<Hub> = (0..HUBS).map(|seed| drawn_hub(100 + seed)).collect();
    let (mut crashes, mut diverged) = (0, 0);
    if let Some(seed) = std::env::var("SHIKAKU_SEED").ok().and_then(|seed| seed.parse().ok()) {
        walk(&hubs[(seed % HUBS) as usize], seed);
        return;
    }
    for seed in 0..seeds {
        let (its_crashes, its_diverged) = walk(&hubs[(seed % HUBS) as usize], seed);
        crashes += its_crashes;
        diverged += its_diverged;
    }
    let promise = "a follower holds a prefix of its hub's frames and answers as the hub did there";
    let test = "whatever_happens_to_its_disk_a_follower_holds_a_prefix_of_its_hubs_frames";
    proved(promise, "random walks of a follower with failing and full disks: seeds", test, seeds);
    proved(promise, "random walks of a follower with failing and full disks: starts after a crash", test, crashes);
    proved(promise, "random walks of a follower with failing and full disks: frames that diverged", test, diverged);
}

/// A frame that a failing disk took in part was cut off and the next ones became a segment of their own: the power failed, and the part
/// was back in a segment that was no longer the last.
#[test]
fn the_walk_of_a_cut_that_nobody_synced() {
    walk(&drawn_hub(101), 1609);
}
