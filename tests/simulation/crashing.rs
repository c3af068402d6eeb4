//! A crash after every single change of the disk, and every kind of aftermath.

use shikaku::disk::simulated::{Aftermath, Faults};

use crate::deeds::Deed;
use crate::life::{Backups, Life};
use crate::machine::{Machine, NOW};
use crate::model::Model;

/// How often a torn aftermath is drawn for each crash; more often where the walks are long too.
fn torn_aftermaths() -> u64 {
    if std::env::var_os("SHIKAKU_SEEDS").is_some() { 8 } else { 2 }
}

/// What is done, from which state on.
pub(crate) struct Scenario {
    pub(crate) machine: Machine,
    pub(crate) model: Model,
    pub(crate) backups: Backups,
    pub(crate) deeds: Vec<Deed>,
    /// Whether the store is lost with every crash, and all must come from the log and what it goes on from.
    pub(crate) loses_the_store: bool,
    /// The same for the newest snapshot on the shelf, where there are two.
    pub(crate) loses_the_newest_snapshot: bool,
}

impl Scenario {
    /// What is done on a machine that holds this.
    pub(crate) fn on(machine: Machine, model: Model, deeds: Vec<Deed>) -> Scenario {
        let backups = Backups::default();
        Scenario { machine, model, backups, deeds, loses_the_store: false, loses_the_newest_snapshot: false }
    }

    /// What follows on what a life has come to, in order.
    pub(crate) fn after(life: Life, deeds: Vec<Deed>) -> Scenario {
        let Life { machine, registry, model, backups, .. } = life;
        registry.unwrap().close(NOW).unwrap();
        // In order: the system writes out what nobody synced.
        Scenario { backups, ..Scenario::on(machine.after_power_failure(Aftermath::Kept), model, deeds) }
    }

    /// A life that stands before it.
    pub(crate) fn begun(&self, seed: u64) -> Life {
        Life::of(self.machine.fork(seed), self.model.clone(), self.backups.clone())
    }

    /// How many operations it takes from the start to the last deed, when all goes well.
    pub(crate) fn operations(&self) -> u64 {
        let mut life = self.begun(0);
        life.start().unwrap();
        assert!(life.take_all(&self.deeds));
        life.machine.disk.operations()
    }

    /// Starts, does everything, and closes, with the power failing after so many changes; gives how many there were.
    fn live(&self, power_fails_after: Option<u64>) -> (Life, u64) {
        let mut life = self.begun(power_fails_after.unwrap_or(0));
        life.machine.disk.set_faults(Faults { power_fails_after, ..Faults::default() });
        match life.start() {
            Ok(()) => {
                if life.take_all(&self.deeds) {
                    let closed = life.registry().finish(NOW);
                    assert!(closed.is_ok() || life.machine.disk.is_off(), "{closed:?}");
                }
            }
            Err(error) => assert!(life.machine.disk.is_off(), "{error}\n{}", life.told()),
        }
        let changes = life.machine.disk.changes();
        life.registry = None;
        (life, changes)
    }

    /// Tries it with a crash after every change; returns how many recoveries were judged.
    pub(crate) fn crash_everywhere(&self) -> u64 {
        let (whole, changes) = self.live(None);
        assert!(!whole.machine.disk.is_off() && whole.possible.is_empty());
        let mut judged = 0;
        let torn_aftermaths = torn_aftermaths();
        for change in 1..=changes {
            let (life, _) = self.live(Some(change));
            let torn = (0..torn_aftermaths).map(|seed| (Some(Aftermath::Torn), seed));
            let aftermaths = [(Some(Aftermath::Lost), 0), (Some(Aftermath::Kept), 0), (None, 0)];
            for (aftermath, seed) in aftermaths.into_iter().chain(torn) {
                self.recover(&life, aftermath, change * 1_000 + seed);
                judged += 1;
            }
        }
        judged
    }

    /// What is left of a life after a power failure, or after its process was killed, must be recovered.
    fn recover(&self, life: &Life, aftermath: Option<Aftermath>, seed: u64) {
        let crashed = life.machine.fork(seed);
        let machine = match aftermath {
            Some(aftermath) => crashed.after_power_failure(aftermath),
            None => crashed.after_kill(),
        };
        let mut next = Life::of(machine, life.model.clone(), life.backups.clone());
        next.possible.clone_from(&life.possible);
        if self.loses_the_store {
            next.machine.disk.lose(&next.machine.directory.join("store").join("model"));
        }
        if self.loses_the_newest_snapshot {
            lose_the_newest_snapshot(&next.machine);
        }
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            next.start_and_judge();
            next.judge_backup();
            next.goes_on();
        }));
        if let Err(panic) = judged {
            eprintln!("crash {} and {aftermath:?}, seed {seed}, after:\n{}", seed / 1_000, life.told());
            std::panic::resume_unwind(panic);
        }
    }
}

fn lose_the_newest_snapshot(machine: &Machine) {
    let shelf = machine.disk.files_below(&machine.directory.join("snapshots"));
    let snapshots: Vec<_> = shelf.iter().filter(|path| path.extension().is_some_and(|extension| extension == "snap")).collect();
    if let [_, .., newest] = snapshots[..] {
        machine.disk.lose(newest);
    }
}
