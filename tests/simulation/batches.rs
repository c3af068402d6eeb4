//! A batch that takes several frames, cut off in between.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use shikaku::disk::simulated::{Aftermath, Faults};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::record::payload::Changes;
use shikaku::record::row::Row as ArchivedForm;
use shikaku::registry::Registry;

use crate::machine::{Machine, NOW, knows};
use crate::proof::proved;
use crate::rows::Row;

const ROWS: usize = 1_800;

fn number_of(place: usize) -> String {
    format!("{:07}", 5_000 + place)
}

/// Rows so long that a frame holds a few hundred of them.
fn batch() -> Changes {
    let mut changes = Changes::new();
    for place in 0..ROWS {
        let registration = Registration {
            number: number_of(place),
            recipient_number: number_of(place),
            card_link: format!("card{place}"),
            certificate_name: "証".repeat(100),
            additional_conditions: "条".repeat(200),
            ..Row::of(0, 1, 0).registration()
        };
        changes.push(Operation::Upsert, &ArchivedForm::of(&registration)).unwrap();
    }
    changes
}

/// How many rows are there, which must be the first of the batch.
fn rows_there(registry: &Registry) -> usize {
    let count = registry.figures().rows.load(Ordering::Relaxed) as usize;
    for place in 0..ROWS {
        assert_eq!(knows(registry, &number_of(place)), place < count, "row {place} of {count}");
    }
    count
}

#[test]
fn a_batch_that_is_cut_off_is_there_by_whole_frames_from_its_beginning() {
    let before = Machine::new(13);
    before.open().unwrap().close(NOW).unwrap();
    let before = before.after_power_failure(Aftermath::Lost);
    let batch = batch();

    let whole = before.fork(0);
    let registry = whole.open().unwrap();
    let at_the_start = whole.disk.changes();
    let sequence = registry.sequence();
    registry.apply(&batch, NOW).unwrap();
    let frames = (registry.sequence() - sequence) as usize;
    let changes = whole.disk.changes();
    assert!(frames >= 3, "{frames} frames");
    drop(registry);

    let mut counts = BTreeSet::new();
    let mut judged = 0;
    for change in at_the_start + 1..=changes {
        let machine = before.fork(change);
        machine.disk.set_faults(Faults { power_fails_after: Some(change), ..Faults::default() });
        let registry = machine.open().unwrap();
        let acknowledged = registry.apply(&batch, NOW).is_ok();
        let visible = rows_there(&registry);
        drop(registry);
        for (seed, aftermath) in [Aftermath::Lost, Aftermath::Kept, Aftermath::Torn, Aftermath::Torn].into_iter().enumerate() {
            let after = machine.fork(seed as u64).after_power_failure(aftermath);
            let count = rows_there(&after.open().unwrap());
            assert!(count >= visible && (!acknowledged || count == ROWS), "{count} rows, {visible} had been visible");
            counts.insert(count);
            judged += 1;
        }
    }
    assert!(counts.len() <= frames + 1 && counts.len() > 2, "{counts:?} with {frames} frames");
    assert!(counts.contains(&0) && counts.contains(&ROWS), "{counts:?}");
    let promise = "of a batch of several frames the first ones are there, each whole, and all that was ever visible";
    let test = "a_batch_that_is_cut_off_is_there_by_whole_frames_from_its_beginning";
    proved(promise, "crash after every operation of a batch of several frames", test, judged);
}
