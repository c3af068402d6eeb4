//! Keeping snapshots and trimming the log behind them, with a crash after every operation of the disk.

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::Machine;
use crate::proof::proved;
use crate::rows::Row;
use crate::writing::lived_in;

/// Rounds of keeping between registrations, enough for the log to be trimmed twice.
fn rounds() -> Vec<Deed> {
    let mut deeds = Vec::new();
    for round in 0..3 {
        deeds.push(Deed::register(&[Row::of(3 + round, 1, round)]));
        deeds.push(Deed::withdraw(Row::of(3 + round, 1, round)));
        deeds.push(Deed::register(&[Row { segment: 1, ..Row::of(3 + round, 1, 4 - round) }]));
        deeds.push(Deed::Keep);
    }
    deeds
}

fn lived_in_small_segments(seed: u64) -> Life {
    lived_in(Machine { segment_bytes_max: 900, ..Machine::new(seed) })
}

#[test]
fn trimming_may_be_cut_off_after_any_operation() {
    let scenario = Scenario::after(lived_in_small_segments(14), rounds());
    let mut whole = scenario.begun(0);
    whole.start().unwrap();
    whole.take_all(&scenario.deeds);
    assert!(
        whole.machine.disk.bytes_of(&whole.machine.directory.join("log/00000000000000000001.seg")).is_none(),
        "trimmed nothing"
    );
    let count = scenario.crash_everywhere();
    let promise =
        "every acknowledged frame is there, then at most whole unacknowledged ones, with the right checksum and answers";
    let test = "trimming_may_be_cut_off_after_any_operation";
    proved(promise, "crash after every operation of keeping snapshots and trimming", test, count);
}

#[test]
fn a_trimmed_log_and_the_older_snapshot_give_everything_when_the_store_is_lost_too() {
    let life = lived_in_small_segments(15);
    let after = Scenario::after(life, rounds());
    let scenario = Scenario { loses_the_store: true, loses_the_newest_snapshot: true, ..after };
    let count = scenario.crash_everywhere();
    let promise = "what the log let go is in two snapshots that are as durable";
    let test = "a_trimmed_log_and_the_older_snapshot_give_everything_when_the_store_is_lost_too";
    proved(promise, "crash after every operation of trimming, the store and the newest snapshot lost", test, count);
}
