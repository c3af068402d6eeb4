//! Restoring a backup, with a crash after every operation of the disk.

use std::path::PathBuf;

use shikaku::disk::simulated::{Aftermath, Faults};
use shikaku::registry::RegistryError;
use shikaku::registry::snapshot::restore;

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::{Machine, NOW, backup, difference};
use crate::model::Model;
use crate::proof::proved;
use crate::rows::Row;
use crate::writing::lived_in;

/// A machine with a backup, the model of what it holds, and an empty place to restore it to.
fn backed_up(seed: u64) -> (Machine, Model) {
    let mut life = lived_in(Machine::new(seed));
    life.take(&Deed::SetPayers { version: 2 }).unwrap();
    life.take(&Deed::Snapshot).unwrap();
    let Life { machine, registry, model, .. } = life;
    registry.unwrap().close(NOW).unwrap();
    let machine = machine.after_power_failure(Aftermath::Lost);
    (Machine { directory: PathBuf::from("/var/copy"), ..machine }, model)
}

fn restored(machine: &Machine) -> Result<(), RegistryError> {
    restore(&machine.door(), &machine.directory, backup(), NOW).map(|_| ())
}

#[test]
fn a_restore_may_be_cut_off_after_any_operation() {
    let (machine, model) = backed_up(5);
    let whole = machine.fork(0);
    restored(&whole).unwrap();
    let changes = whole.disk.changes();
    let mut judged = 0;
    for change in 1..=changes {
        let crashed = machine.fork(change);
        crashed.disk.set_faults(Faults { power_fails_after: Some(change), ..Faults::default() });
        let acknowledged = restored(&crashed).is_ok();
        assert!(crashed.disk.is_off());
        for seed in 0..8 {
            let aftermath = [Aftermath::Lost, Aftermath::Kept, Aftermath::Torn][seed.min(2) as usize];
            let after = crashed.fork(seed).after_power_failure(aftermath);
            match after.open() {
                Ok(registry) => {
                    let is_empty = difference(&registry, &Model::new()).is_none();
                    let differs = difference(&registry, &model).filter(|_| acknowledged || !is_empty);
                    assert_eq!(differs, None, "crash {change}, seed {seed}");
                }
                Err(error) => {
                    assert!(!acknowledged && matches!(error, RegistryError::NoVerifiedState { .. }), "{error}");
                }
            }
            // Elsewhere it can be done again.
            let again = Machine { directory: PathBuf::from("/var/again"), ..after };
            restored(&again).unwrap();
            assert_eq!(difference(&again.open().unwrap(), &model), None);
            judged += 1;
        }
    }
    let promise = "an acknowledged restore is there whole; one that was cut off answers nothing wrong and can be done again";
    let test = "a_restore_may_be_cut_off_after_any_operation";
    proved(promise, "crash after every operation of a restore", test, judged);
}

#[test]
fn what_follows_a_restore_may_be_cut_off_after_any_operation() {
    let (machine, model) = backed_up(6);
    restored(&machine).unwrap();
    let deeds = vec![Deed::register(&[Row::of(5, 1, 2)]), Deed::withdraw(Row::of(1, 1, 1)), Deed::Snapshot];
    let scenario = Scenario::on(machine.after_power_failure(Aftermath::Lost), model, deeds);
    // The backup it came from is somebody else's.
    scenario.machine.disk.lose(backup());
    let count = scenario.crash_everywhere();
    let promise = "a restored directory keeps what it began with and every acknowledged frame since";
    let test = "what_follows_a_restore_may_be_cut_off_after_any_operation";
    proved(promise, "crash after every operation of the first start from a backup", test, count);
}

#[test]
fn a_restore_that_reads_wrongly_is_refused_or_whole() {
    const RESTORES: u64 = 200;
    let (machine, model) = backed_up(12);
    let mut refused = 0;
    for seed in 0..RESTORES {
        let reading = machine.fork(seed);
        reading.disk.set_faults(Faults { flips_per_million: 150_000, ..Faults::default() });
        let acknowledged = restored(&reading).is_ok();
        let after = reading.after_power_failure(Aftermath::Torn);
        if acknowledged {
            assert_eq!(difference(&after.open().unwrap(), &model), None, "seed {seed}");
        } else {
            refused += 1;
        }
    }
    assert!(refused > 10 && refused < RESTORES, "{refused}");
    let promise = "a restore that was acknowledged holds what the backup held";
    let test = "a_restore_that_reads_wrongly_is_refused_or_whole";
    proved(promise, "bits flipped while a restore reads", test, RESTORES);
}
