//! A registry that lives on a machine where things go wrong, beside the model of what it has acknowledged.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use shikaku::disk::simulated::Aftermath;
use shikaku::domain::registration::Operation;
use shikaku::registry::snapshot::{SnapshotReader, restore};
use shikaku::registry::{Registry, RegistryError};

use crate::deeds::Deed;
use crate::machine::{Machine, NOW, backup, difference};
use crate::model::Model;
use crate::rows::{self, Row, RowChange};

pub(crate) struct Life {
    pub(crate) machine: Machine,
    pub(crate) registry: Option<Registry>,
    /// What was acknowledged.
    pub(crate) model: Model,
    /// What may be found instead after a restart: deeds that were refused, but whose frame may have reached the disk.
    pub(crate) possible: Vec<Model>,
    pub(crate) backups: Backups,
}

/// What the backup may hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backups {
    pub(crate) acknowledged: Option<Model>,
    pub(crate) possible: Vec<Model>,
}

impl Life {
    /// A life that begins with what is on a machine.
    pub(crate) fn of(machine: Machine, model: Model, backups: Backups) -> Life {
        Life { machine, registry: None, model, possible: Vec::new(), backups }
    }

    /// A new one, on a disk without faults.
    pub(crate) fn new(machine: Machine) -> Life {
        let mut life = Life::of(machine, Model::new(), Backups::default());
        life.start().unwrap();
        life
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.registry.as_ref().unwrap()
    }

    /// Does a deed; what was refused may be found after a restart, and is not seen before.
    pub(crate) fn take(&mut self, deed: &Deed) -> Result<(), RegistryError> {
        let stages = deed.stages(&self.model);
        let before = self.registry().sequence();
        let done = deed.done(self.registry.as_ref().unwrap(), &mut self.model);
        if self.registry().sequence() > before {
            // A frame stands where a refused one would.
            self.possible.clear();
        }
        match &done {
            Ok(()) if matches!(deed, Deed::Snapshot) => {
                self.backups = Backups { acknowledged: Some(self.model.clone()), possible: Vec::new() };
            }
            Ok(()) => {}
            Err(_) if matches!(deed, Deed::Snapshot) => self.backups.possible.push(self.model.clone()),
            Err(error) => self.stop_within(stages, self.registry().sequence() - before, error),
        }
        let differs = difference(self.registry(), &self.model);
        assert_eq!(differs, None, "after {deed:?}: {done:?}\n{}", self.told());
        done
    }

    /// A deed of several frames may be refused behind any of them: those before it are done, and its own may be found later.
    fn stop_within(&mut self, stages: Vec<Model>, frames_done: u64, error: &RegistryError) {
        let mut refused = stages.into_iter();
        for stage in refused.by_ref().take(frames_done as usize) {
            self.model = stage;
        }
        // These are refused before anything is written.
        if !matches!(error, RegistryError::NotWritable { .. } | RegistryError::StoreDetached) {
            self.possible.extend(refused.next());
        }
    }

    /// All deeds until one is refused; whether none was.
    pub(crate) fn take_all(&mut self, deeds: &[Deed]) -> bool {
        deeds.iter().all(|deed| match self.take(deed) {
            Ok(()) => true,
            Err(error) => {
                assert!(self.machine.disk.is_off(), "{error} with power on\n{}", self.told());
                false
            }
        })
    }

    /// Opens the registry.
    pub(crate) fn start(&mut self) -> Result<(), RegistryError> {
        self.registry = Some(self.machine.open()?);
        Ok(())
    }

    /// Opens the registry on a disk without faults: it must come to what was acknowledged, or to something that was refused and yet
    /// reached the disk whole; and from there it must go on.
    pub(crate) fn start_and_judge(&mut self) {
        if let Err(error) = self.start() {
            panic!("it does not start again: {error}\n{}", self.told());
        }
        let registry = self.registry();
        let stopped = registry.troubles().stops_writing();
        assert!(stopped.is_none(), "{stopped:?}\n{}", self.told());
        let candidates = || [&self.model].into_iter().chain(&self.possible);
        let mut alike: Vec<&Model> = candidates().filter(|model| differs_in_anything(registry, model).is_none()).collect();
        alike.dedup();
        if alike.len() > 1 {
            alike.retain(|model| self.remembers_what(model));
        }
        let Some(found) = alike.first() else {
            let differ: Vec<_> = candidates().map(|model| differs_in_anything(registry, model)).collect();
            panic!("it is neither what was acknowledged nor what was refused: {differ:?}\n{}", self.told());
        };
        self.model = (*found).clone();
        self.possible.clear();
    }

    /// Whether it knows of rows that are gone what a model does, which no answer shows: a copy of the machine is asked to withdraw
    /// everything, and counts.
    fn remembers_what(&self, model: &Model) -> bool {
        let copy = self.machine.fork(1).after_kill();
        let everything: Vec<RowChange> = rows::identities().map(|row| (Operation::Withdraw, row)).collect();
        let applied = copy.open().unwrap().apply(&rows::changes(&everything), NOW).unwrap();
        applied.counts == model.clone().apply(&everything)
    }

    /// Registers one more row, loses power, and has it.
    pub(crate) fn goes_on(&mut self) {
        let probe = Row { segment: 9, ..Row::of(7, 1, 4) };
        self.take(&Deed::register(&[probe])).unwrap();
        self.lose_power(Aftermath::Lost);
        self.start_and_judge();
        assert!(self.remembers_what(&self.model), "of rows that are gone it knows something else\n{}", self.told());
        self.registry.take().unwrap().close(NOW).unwrap();
        let report = self.machine.verify();
        assert_eq!(report.fault, None, "{:?}\n{}", report.notes, self.told());
    }

    pub(crate) fn lose_power(&mut self, aftermath: Aftermath) {
        self.machine.disk.cut_power();
        self.registry = None;
        self.machine = self.machine.after_power_failure(aftermath);
    }

    pub(crate) fn be_killed(&mut self) {
        self.machine = self.machine.after_kill();
        self.registry = None;
    }

    /// The backup must be whole, and hold what it was said to hold, or what it was about to.
    pub(crate) fn judge_backup(&self) {
        let is_there = self.machine.disk.bytes_of(backup()).is_some();
        if !is_there {
            assert!(self.backups.acknowledged.is_none(), "an acknowledged backup is gone\n{}", self.told());
            return;
        }
        let checked = SnapshotReader::open(&self.machine.disk, backup()).and_then(SnapshotReader::check);
        assert!(checked.is_ok(), "{checked:?}\n{}", self.told());
        let machine = Machine { directory: "/restored".into(), ..self.machine.fork(1) };
        restore(&machine.door(), &machine.directory, backup(), NOW).unwrap();
        let registry = machine.open().unwrap();
        let differs: Vec<String> = self
            .backups
            .acknowledged
            .iter()
            .chain(&self.backups.possible)
            .map_while(|model| difference(&registry, model))
            .collect();
        let candidates = usize::from(self.backups.acknowledged.is_some()) + self.backups.possible.len();
        assert!(differs.len() < candidates, "{differs:?}\n{}", self.told());
    }

    /// What a failing test says.
    pub(crate) fn told(&self) -> String {
        let notes = self.registry.as_ref().map(|registry| registry.notes().join("\n  ")).unwrap_or_default();
        format!("last operations:\n  {}\nnotes:\n  {notes}", self.machine.disk.last_operations().join("\n  "))
    }
}

/// How a registry differs from a model in what it answers, or in the checksum of what it holds.
fn differs_in_anything(registry: &Registry, model: &Model) -> Option<String> {
    let answers = difference(registry, model);
    answers.or_else(|| (registry.state_checksum() != checksum_of(model)).then(|| "its state checksum is another".to_owned()))
}

/// The state checksum that a model's rows have when they are registered in one batch in an empty directory, remembered.
pub(crate) fn checksum_of(model: &Model) -> u128 {
    static KNOWN: Mutex<Option<HashMap<String, u128>>> = Mutex::new(None);
    let rows: Vec<Row> = model.rows().copied().collect();
    let key = format!("{rows:?} {:?} {:?}", model.horizon, model.payers);
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().get(&key).copied();
    known.unwrap_or_else(|| {
        let registry = Machine::new(0).open().unwrap();
        registry.prune_to(model.horizon.plus_months(24), NOW).unwrap();
        if let Some(payers) = &model.payers {
            registry.set_master(shikaku::domain::masters::MasterKind::Payers, payers, NOW).unwrap();
        }
        let mut empty = Model::new();
        empty.horizon = model.horizon;
        Deed::register(&rows).done(&registry, &mut empty).unwrap();
        let checksum = registry.state_checksum();
        KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_default().insert(key, checksum);
        checksum
    })
}
