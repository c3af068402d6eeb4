//! Backups, with a crash after every operation of the disk.

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::machine::Machine;
use crate::proof::proved;
use crate::rows::Row;
use crate::writing::lived_in;

#[test]
fn a_snapshot_may_be_cut_off_after_any_operation() {
    let mut life = lived_in(Machine::new(4));
    life.take(&Deed::Snapshot).unwrap();
    let deeds = vec![
        Deed::register(&[Row::of(5, 1, 2)]),
        Deed::Snapshot,
        Deed::register(&[Row::of(6, 1, 3), Row::of(5, 1, 3)]),
        Deed::Snapshot,
    ];
    let count = Scenario::after(life, deeds).crash_everywhere();
    let promise = "a backup is whole: the last acknowledged, or the one under way; and nothing acknowledged is lost";
    let test = "a_snapshot_may_be_cut_off_after_any_operation";
    proved(promise, "crash after every operation of a snapshot", test, count);
}
