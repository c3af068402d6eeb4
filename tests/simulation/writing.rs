//! Registering, with a crash after every operation of the disk.

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::Machine;
use crate::model::Model;
use crate::proof::proved;
use crate::rows::Row;

const PROMISE: &str =
    "every acknowledged frame is there, then at most whole unacknowledged ones, with the right checksum and answers";

/// A registry with current rows and history.
pub(crate) fn lived_in(machine: Machine) -> Life {
    let mut life = Life::new(machine);
    life.take(&Deed::register(&[Row::of(0, 0, 0), Row::of(0, 1, 0), Row::of(1, 1, 1), Row::of(2, 1, 2)])).unwrap();
    life.take(&Deed::register(&[Row { ends: 1, ..Row::of(2, 1, 2) }])).unwrap();
    life.take(&Deed::withdraw(Row::of(1, 1, 1))).unwrap();
    life
}

/// An import as it comes: feed records around row changes, some of which move to another person; masters; a pruning.
fn an_import() -> Vec<Deed> {
    vec![
        Deed::Feed { file: 1, ended: false },
        Deed::register(&[Row::of(3, 1, 3), Row::of(4, 2, 3), Row::of(0, 1, 1)]),
        Deed::register(&[Row { segment: 1, ..Row::of(0, 0, 4) }, Row::of(2, 1, 0)]),
        Deed::withdraw(Row::of(3, 1, 3)),
        Deed::Feed { file: 1, ended: true },
        Deed::SetPayers { version: 1 },
        Deed::Mark,
        Deed::Prune { months: 3 },
        Deed::withdraw(Row::of(0, 0, 4)),
    ]
}

#[test]
fn an_import_may_be_cut_off_after_any_operation() {
    let scenario = Scenario::after(lived_in(Machine::new(1)), an_import());
    let count = scenario.crash_everywhere();
    proved(PROMISE, "crash after every operation of an import", "an_import_may_be_cut_off_after_any_operation", count);
}

#[test]
fn a_roll_to_the_next_segment_may_be_cut_off_after_any_operation() {
    let machine = Machine { segment_bytes_max: 1_200, ..Machine::new(2) };
    let scenario = Scenario::after(lived_in(machine), an_import());
    let count = scenario.crash_everywhere();
    let test = "a_roll_to_the_next_segment_may_be_cut_off_after_any_operation";
    proved(PROMISE, "crash after every operation of segment rolls", test, count);
}

#[test]
fn a_first_start_may_be_cut_off_after_any_operation() {
    let deeds = vec![Deed::register(&[Row::of(0, 1, 0)])];
    let scenario = Scenario::on(Machine::new(3), Model::new(), deeds);
    let count = scenario.crash_everywhere();
    proved(PROMISE, "crash after every operation of a first start", "a_first_start_may_be_cut_off_after_any_operation", count);
}
