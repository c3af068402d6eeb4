//! The image: a start from it gives the state that the store and the log give, and a bad one is only slow.

use std::fs;
use std::time::Duration;

use shikaku::registry::{ImageOptions, Registry};

use crate::fixture::{Home, NOW, day, files_below, flip, person, register, seen_each, withdraw};

/// Enough for several leaves of the store, so that not every damage reaches the one that says what the store is.
const PEOPLE: u32 = 3000;

fn home() -> Home {
    let mut home = Home::new();
    home.options.image = ImageOptions { from_bytes: 0, idle: Duration::ZERO, frames_behind: 1 };
    home
}

fn write_image(registry: &Registry) {
    assert!(registry.drain_store());
    assert!(registry.write_image(|| true).unwrap(), "the image was not written");
}

fn notes(registry: &Registry) -> String {
    registry.notes().join("; ")
}

/// What three people are answered with, one of them unchanged, one changed and one withdrawn since the image.
fn answers(registry: &Registry) -> Vec<String> {
    [5, 6, 7].iter().map(|n| format!("{:?}", seen_each(registry, &person(*n)))).collect()
}

/// A home whose image is some frames older than its store: 6 was registered anew, 7 withdrawn.
fn changed_since_the_image() -> (Home, Vec<String>, u128) {
    let home = home();
    let registry = home.open();
    register(&registry, (0..PEOPLE).map(person));
    write_image(&registry);
    let mut six = person(6);
    six.valid_to = day("2026-12-31");
    register(&registry, [six]);
    withdraw(&registry, [person(7)]);
    let (seen, checksum) = (answers(&registry), registry.reader().view().state_checksum);
    registry.close(NOW).unwrap();
    (home, seen, checksum)
}

#[test]
fn a_start_from_the_image_and_the_frames_behind_it_is_a_start_from_the_store() {
    let (home, seen, checksum) = changed_since_the_image();
    let from_image = home.open();
    assert!(notes(&from_image).contains("from the image and"), "{}", notes(&from_image));
    assert_eq!(answers(&from_image), seen);
    assert_eq!(from_image.reader().view().state_checksum, checksum);
    // And it goes on from there.
    register(&from_image, [person(PEOPLE)]);
    let after = from_image.reader().view().state_checksum;
    from_image.close(NOW).unwrap();
    fs::remove_file(home.path().join("image")).unwrap();
    let from_store = home.open();
    assert!(notes(&from_store).contains("from the store"));
    assert_eq!(from_store.reader().view().state_checksum, after);
    assert_eq!(answers(&from_store), seen);
}

#[test]
fn closing_with_an_image_leaves_one_that_needs_no_frames() {
    let home = home();
    let registry = home.open();
    // The store's thread has most of it still before it.
    register(&registry, (0..PEOPLE).map(person));
    withdraw(&registry, [person(7)]);
    let (seen, checksum) = (answers(&registry), registry.reader().view().state_checksum);
    registry.close_with_image(NOW).unwrap();
    let again = home.open();
    assert!(notes(&again).contains("from the image and 0 frames"), "{}", notes(&again));
    assert_eq!((answers(&again), again.reader().view().state_checksum), (seen, checksum));
    // Nothing was registered since: the image is young enough.
    let written = fs::metadata(home.path().join("image")).unwrap().modified().unwrap();
    let mut home = home;
    home.options.image.frames_behind = 32;
    drop(again);
    home.open().close_with_image(NOW).unwrap();
    assert_eq!(fs::metadata(home.path().join("image")).unwrap().modified().unwrap(), written);
}

#[test]
fn closing_succeeds_where_no_image_can_be_written() {
    let home = home();
    let registry = home.open();
    register(&registry, (0..PEOPLE).map(person));
    // Nothing can be written under the name aside, whoever asks.
    fs::create_dir(home.path().join("image.tmp")).unwrap();
    registry.close_with_image(NOW).unwrap();
    assert!(!home.path().join("image").exists());
    let again = home.open();
    assert!(notes(&again).contains("from the store"), "{}", notes(&again));
}

#[test]
fn a_damaged_image_is_passed_over() {
    let (home, seen, checksum) = changed_since_the_image();
    let image = home.path().join("image");
    let whole = fs::read(&image).unwrap();
    for at in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        fs::write(&image, damaged).unwrap();
        let registry = home.open();
        assert!(notes(&registry).contains("the image is of no use"), "byte {at}: {}", notes(&registry));
        assert_eq!((answers(&registry), registry.reader().view().state_checksum), (seen.clone(), checksum));
        assert!(registry.troubles().list().is_empty());
        registry.close(NOW).unwrap();
    }
}

#[test]
fn an_image_of_another_stream_is_passed_over() {
    let (home, seen, _) = changed_since_the_image();
    let other = self::home();
    let registry = other.open();
    register(&registry, (0..PEOPLE).map(|n| person(n + 1)));
    write_image(&registry);
    registry.close(NOW).unwrap();
    fs::copy(other.path().join("image"), home.path().join("image")).unwrap();
    let registry = home.open();
    assert!(notes(&registry).contains("the image is of no use"));
    assert_eq!(answers(&registry), seen);
}

#[test]
fn a_store_damaged_behind_an_image_is_found_while_look_ups_go_on() {
    let (home, seen, _) = changed_since_the_image();
    let mut found_while_running = 0;
    for name in files_below(&home.store()) {
        let length = fs::metadata(home.store().join(&name)).unwrap().len();
        for offset in (0..length).step_by(usize::try_from(length / 4 + 1).unwrap()) {
            let damaged = home.crashed();
            flip(&damaged.store().join(&name), offset);
            let registry = damaged.open();
            assert_eq!(answers(&registry), seen, "{name} at {offset}");
            let from_image = notes(&registry).contains("from the image");
            // Closing would not wait for the thread that judges the store.
            registry.drain_store();
            registry.close(NOW).unwrap();
            let found = from_image && damaged.path().join("store.failed").exists();
            found_while_running += usize::from(found);
            drop(registry_again(&damaged, &seen, found));
        }
    }
    assert!(found_while_running > 0, "no damage reached the dossiers");
}

/// The next start, which rebuilds a store that was found damaged.
fn registry_again(home: &Home, seen: &[String], rebuilt: bool) -> Registry {
    let registry = home.open();
    assert_eq!(answers(&registry), seen);
    assert_eq!(notes(&registry).contains("rebuilt from the log"), rebuilt, "{}", notes(&registry));
    registry
}
