//! The image, which a start may take its memory from: with a crash after every operation of the disk, and where it is read wrongly.

use shikaku::disk::simulated::Faults;

use crate::crashing::Scenario;
use crate::deeds::Deed;
use crate::life::Life;
use crate::machine::{Machine, NOW, difference};
use crate::proof::proved;
use crate::rows::Row;
use crate::writing::lived_in;

/// A registry that has an image, and frames behind it.
fn imaged(machine: Machine) -> Life {
    let mut life = lived_in(Machine { keeps_images: true, ..machine });
    life.take(&Deed::Image).unwrap();
    life.take(&Deed::register(&[Row::of(3, 1, 3), Row { segment: 1, ..Row::of(2, 1, 2) }])).unwrap();
    life
}

/// Says that the last start took its memory from the image.
#[track_caller]
fn began_with_the_image(life: &Life) {
    let notes = life.registry().notes();
    assert!(notes.iter().any(|note| note.contains("from the image")), "{notes:?}");
}

#[test]
fn writing_an_image_may_be_cut_off_after_any_operation() {
    let deeds = vec![
        Deed::register(&[Row::of(5, 1, 2)]),
        Deed::Image,
        Deed::register(&[Row::of(6, 1, 3), Row::of(5, 1, 3)]),
        Deed::withdraw(Row::of(3, 1, 3)),
        Deed::Image,
        Deed::register(&[Row { segment: 2, ..Row::of(0, 0, 0) }]),
    ];
    let scenario = Scenario::after(imaged(Machine::new(21)), deeds);
    let mut whole = scenario.begun(0);
    whole.start().unwrap();
    began_with_the_image(&whole);
    whole.take_all(&scenario.deeds);
    whole.be_killed();
    whole.start().unwrap();
    began_with_the_image(&whole);
    let count = scenario.crash_everywhere();
    let promise = "a start from the image comes to what a start without one does";
    proved(promise, "crash after every operation of images", "writing_an_image_may_be_cut_off_after_any_operation", count);
}

#[test]
fn an_image_that_is_read_wrongly_answers_nothing_wrong() {
    let mut life = imaged(Machine::new(22));
    life.registry().finish(NOW).unwrap();
    life.be_killed();
    let (mut believed, mut refused) = (0, 0);
    const STARTS: u64 = 300;
    for seed in 0..STARTS {
        let mut next = Life::of(life.machine.fork(seed), life.model.clone(), life.backups.clone());
        next.machine.disk.set_faults(Faults { flips_per_million: 40_000, ..Faults::default() });
        if next.start().is_ok() {
            let said = next.registry().notes().join("\n");
            believed += u64::from(said.contains("from the image"));
            refused += u64::from(said.contains("the image is of no use"));
            let is_stopped = next.registry().troubles().stops_writing().is_some();
            let differs = difference(next.registry(), &next.model).filter(|_| !is_stopped);
            assert_eq!(differs, None, "seed {seed}\n{}", next.told());
        }
        next.be_killed();
        next.start_and_judge();
        next.goes_on();
    }
    assert!(believed > STARTS / 10 && refused > STARTS / 10, "of {STARTS}: {believed} believed, {refused} refused");
    let promise = "a start from the image comes to what a start without one does";
    proved(promise, "bits flipped while an image is read", "an_image_that_is_read_wrongly_answers_nothing_wrong", STARTS);
}
