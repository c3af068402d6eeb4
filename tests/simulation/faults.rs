//! Operations that fail, a disk that fills up, bits that flip, files that vanish: what was acknowledged stays, and no answer is wrong.

use shikaku::disk::simulated::{Aftermath, Faults};
use shikaku::store::StoreBatch;

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::{Machine, NOW, difference};
use crate::proof::proved;
use crate::rows::Row;
use crate::writing::lived_in;

fn deeds() -> Vec<Deed> {
    vec![
        Deed::register(&[Row::of(3, 1, 3), Row::of(4, 2, 3), Row::of(0, 1, 1)]),
        Deed::Feed { file: 1, ended: true },
        Deed::withdraw(Row::of(3, 1, 3)),
        Deed::Snapshot,
        Deed::register(&[Row::of(6, 1, 3)]),
    ]
}

/// Registers a row that is in no scenario.
fn one_more() -> Deed {
    Deed::register(&[Row { segment: 5, ..Row::of(5, 1, 4) }])
}

#[test]
fn any_operation_may_fail() {
    let machine = Machine { segment_bytes_max: 1_200, ..Machine::new(7) };
    let scenario = Scenario::after(lived_in(machine), deeds());
    let operations = scenario.operations();
    let mut judged = 0;
    for operation in 1..=operations {
        for seed in 0..4 {
            let mut life = scenario.begun(operation * 10 + seed);
            life.machine.disk.set_faults(Faults { fails_at: Some(operation), ..Faults::default() });
            if life.start().is_err() {
                life.be_killed();
                life.start_and_judge();
            }
            for deed in &scenario.deeds {
                let _ = life.take(deed);
            }
            match seed {
                0 => life.be_killed(),
                1 => life.lose_power(Aftermath::Lost),
                _ => life.lose_power(Aftermath::Torn),
            }
            life.start_and_judge();
            life.judge_backup();
            life.goes_on();
            judged += 1;
        }
    }
    let promise = "what was acknowledged is there after the next start, whichever operation failed; look-ups go on";
    proved(promise, "EIO on the n-th operation, a failing fsync that forgets among them", "any_operation_may_fail", judged);
}

#[test]
fn a_disk_may_be_full_at_any_byte_and_registering_resumes_once_there_is_room() {
    let machine = Machine { segment_bytes_max: 1_200, ..Machine::new(8) };
    let scenario = Scenario::after(lived_in(machine), deeds());
    let mut judged = 0;
    for room in (0..6_000).step_by(61) {
        let mut life = scenario.begun(room);
        life.start().unwrap();
        let used = life.machine.disk.used_bytes();
        life.machine.disk.set_faults(Faults { capacity_bytes: Some(used + room), ..Faults::default() });
        for deed in &scenario.deeds {
            let _ = life.take(deed);
        }
        life.machine.disk.set_faults(Faults::default());
        life.take(&one_more()).unwrap();
        if room % 2 == 0 {
            life.be_killed();
        } else {
            life.lose_power(Aftermath::Torn);
        }
        life.start_and_judge();
        life.judge_backup();
        life.goes_on();
        judged += 1;
    }
    let promise = "acknowledged data stay, look-ups go on, and registering resumes without a restart once there is room";
    let test = "a_disk_may_be_full_at_any_byte_and_registering_resumes_once_there_is_room";
    proved(promise, "ENOSPC with a short write", test, judged);
}

#[test]
fn a_start_that_reads_wrongly_destroys_nothing() {
    let machine = Machine { segment_bytes_max: 1_200, flush_every_frames: 5, ..Machine::new(9) };
    let mut life = lived_in(machine);
    life.take_all(&deeds());
    life.lose_power(Aftermath::Lost);
    let mut troubled = 0;
    const STARTS: u64 = 300;
    for seed in 0..STARTS {
        let mut next = Life::of(life.machine.fork(seed), life.model.clone(), life.backups.clone());
        next.machine.disk.set_faults(Faults { flips_per_million: 60_000, ..Faults::default() });
        match next.start() {
            Ok(()) => {
                let registry = next.registry();
                let is_stopped = registry.troubles().stops_writing().is_some();
                troubled += u64::from(is_stopped);
                // What stands may end early, and then nothing more is taken; it is never something else.
                let differs = difference(registry, &next.model).filter(|_| !is_stopped);
                assert_eq!(differs, None, "seed {seed}\n{}", next.told());
            }
            Err(_) => troubled += 1,
        }
        if seed % 2 == 0 {
            next.be_killed();
        } else {
            next.lose_power(Aftermath::Torn);
        }
        next.start_and_judge();
        next.goes_on();
    }
    assert!(troubled > STARTS / 10, "hardly any start noticed: {troubled}");
    let promise = "no wrong answer, and nothing lost once the disk reads well again";
    proved(promise, "bits flipped while a start reads", "a_start_that_reads_wrongly_destroys_nothing", STARTS);
}

#[test]
fn a_rewriting_after_a_failed_sync_keeps_no_wrongly_read_bit() {
    let mut life = lived_in(Machine::new(10));
    // The sync of the next frame fails; the start after it writes the segment anew.
    life.machine.disk.set_faults(Faults { fails_at: Some(2), ..Faults::default() });
    assert!(life.take(&one_more()).is_err());
    life.machine = life.machine.after_kill();
    life.registry = None;
    const STARTS: u64 = 300;
    for seed in 0..STARTS {
        let mut next = Life::of(life.machine.fork(seed), life.model.clone(), life.backups.clone());
        next.possible.clone_from(&life.possible);
        next.machine.disk.set_faults(Faults { flips_per_million: 100_000, ..Faults::default() });
        let _ = next.start();
        next.be_killed();
        next.start_and_judge();
        next.goes_on();
    }
    let promise = "the segment that is written anew holds what the old one held";
    let test = "a_rewriting_after_a_failed_sync_keeps_no_wrongly_read_bit";
    proved(promise, "bits flipped while a start rewrites the last segment", test, STARTS);
}

#[test]
fn a_file_that_vanished_or_rotted_never_makes_an_answer_wrong() {
    let machine = Machine { segment_bytes_max: 1_200, ..Machine::new(11) };
    let mut life = lived_in(machine);
    life.take_all(&deeds());
    life.registry.take().unwrap().close(NOW).unwrap();
    let files = life.machine.disk.files_below(&life.machine.directory);
    assert!(files.len() > 5, "{files:?}");
    let mut judged = 0;
    for file in &files {
        let length = life.machine.disk.bytes_of(file).unwrap().len() as u64;
        let step = (length * 8 / 40).max(1) as usize;
        let bits = (0..length * 8).step_by(step).map(|bit| Some(bit + bit % 8));
        for bit in bits.chain([None]) {
            let next = Life::of(life.machine.fork(judged), life.model.clone(), life.backups.clone());
            match bit {
                Some(bit) => next.machine.disk.flip(file, bit),
                None => next.machine.disk.lose(file),
            }
            if let Ok(registry) = next.machine.open() {
                let stands = registry.troubles().stops_writing().is_some() || difference(&registry, &next.model).is_none();
                assert!(stands, "{} at {bit:?}: {:?}", file.display(), difference(&registry, &next.model));
            }
            judged += 1;
        }
    }
    let test = "a_file_that_vanished_or_rotted_never_makes_an_answer_wrong";
    proved("the start refuses, takes no writes, or answers as before", "a bit rotted or a file vanished", test, judged);
}

#[test]
fn a_store_that_lacks_a_dossier_is_rebuilt() {
    let mut life = lived_in(Machine::new(12));
    life.take_all(&deeds());
    let recipients = life.model.dossiers();
    life.registry.take().unwrap().close(NOW).unwrap();
    for number in 1..=recipients + 1 {
        let mut next = Life::of(life.machine.fork(number), life.model.clone(), life.backups.clone());
        // Every value of it is whole; only one of them is missing.
        let store = next.machine.engine().open(&next.machine.directory.join("store")).unwrap();
        let mut batch = StoreBatch::default();
        batch.remove_dossier(number);
        store.apply_unplaced(batch).and_then(|()| store.flush()).unwrap();
        drop(store);
        next.start_and_judge();
        next.goes_on();
    }
    let promise = "a store that does not add up is not believed, and is rebuilt from the log";
    proved(promise, "a dossier missing in the store", "a_store_that_lacks_a_dossier_is_rebuilt", recipients + 1);
}
