//! `verify`: clean directories pass, damaged ones are named.

use std::fs;

use shikaku::registry::{RegistryError, verify::verify};

use crate::fixture::*;

fn closed(people: u32) -> Home {
    let home = Home::new();
    let registry = home.open();
    for n in 0..people {
        register(&registry, [person(n)]);
    }
    registry.close(NOW).unwrap();
    home
}

#[test]
fn an_absent_or_empty_directory_verifies_as_empty_and_is_not_made() {
    let home = Home::new();
    let absent = home.path().join("absent");
    for path in [absent.as_path(), home.path()] {
        let report = verify(path).unwrap();
        assert_eq!((report.fault, report.segments), (None, 0));
        assert!(report.notes[0].starts_with("empty"));
    }
    assert!(!absent.exists());
}

#[test]
fn a_clean_directory_passes_with_its_figures_and_is_left_as_it_was() {
    let home = closed(5);
    let (names, log) = (home.names("."), home.log_bytes());
    let report = home.verify();
    assert_eq!((report.fault, report.notes.len(), report.segments, report.rows), (None, 0, 1, 5));
    assert_eq!((home.names("."), home.log_bytes()), (names, log));
    let registry = home.open();
    assert_eq!(report.state_checksum, format!("{:032x}", registry.state_checksum()));
    assert_eq!(report.sequence, registry.sequence());
    assert!(matches!(verify(home.path()), Err(RegistryError::InUse { .. })));
    let running = registry.verify_running().unwrap();
    assert_eq!((running.fault, running.rows, running.sequence), (None, 5, report.sequence));
}

#[test]
fn an_absent_store_and_one_that_lags_are_notes() {
    let home = closed(3);
    let behind = home.crashed();
    let registry = home.open();
    register(&registry, [person(10)]);
    registry.close(NOW).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    assert!(home.verify().fault.is_none());
    assert!(home.verify().notes[0].contains("no store"));
    fs::rename(behind.store(), home.store()).unwrap();
    let report = home.verify();
    assert_eq!((report.fault, report.rows), (None, 4));
    assert!(report.notes.iter().any(|note| note.contains("behind the log")), "{:?}", report.notes);
}

#[test]
fn a_flipped_byte_anywhere_in_the_log_is_named() {
    let home = closed(4);
    let length = fs::metadata(&home.segments()[0]).unwrap().len();
    let mut flipped = 0;
    let mut named = |home: &Home, offset: u64| {
        flipped += 1;
        let segment = home.segments().remove(0);
        flip(&segment, offset);
        let fault = home.verify().fault.unwrap_or_else(|| panic!("byte {offset} is not noticed"));
        assert_eq!(fault.path, segment, "byte {offset}");
        assert!(fault.offset.unwrap() <= offset, "byte {offset}");
        flip(&segment, offset);
    };
    // The last frame is vouched for by the store only; all others by the frames behind them.
    let mark = length - 64;
    for offset in (mark..length).step_by(13) {
        named(&home, offset);
    }
    assert_eq!(home.verify().fault, None);
    let bare = home.crashed();
    fs::remove_dir_all(bare.store()).unwrap();
    for offset in (0..128).step_by(9).chain((128..mark).step_by(9973)).chain(mark - 900..mark) {
        named(&bare, offset);
    }
    flip(&bare.segments()[0], mark + 3);
    let report = bare.verify();
    assert!(report.fault.is_none() && report.notes.iter().any(|note| note.contains("torn tail")), "{report:?}");
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped byte of the log | a_flipped_byte_anywhere_in_the_log_is_named | {flipped}"
    );
}

#[test]
fn a_store_that_is_damaged_ahead_or_of_another_stream_is_named() {
    let home = closed(3);
    let early_log = home.crashed();
    let registry = home.open();
    register(&registry, [person(10)]);
    registry.close(NOW).unwrap();

    let other = closed(3);
    let mixed = home.crashed();
    fs::remove_dir_all(mixed.store()).unwrap();
    fs::rename(other.store(), mixed.store()).unwrap();
    assert_eq!(mixed.verify().fault.unwrap().path, mixed.store());

    let ahead = home.crashed();
    fs::remove_dir_all(ahead.log()).unwrap();
    fs::rename(early_log.log(), ahead.log()).unwrap();
    let fault = ahead.verify().fault.unwrap();
    assert!(fault.path == ahead.store() && fault.what.contains("ahead"), "{fault:?}");

    let lost = home.crashed();
    fs::remove_dir_all(lost.log()).unwrap();
    assert_eq!(lost.verify().fault.unwrap().path, lost.log());

    let garbage = home.crashed();
    for entry in fs::read_dir(garbage.store().join("slabs")).unwrap() {
        let path = entry.unwrap().path();
        let length = fs::metadata(&path).unwrap().len();
        fs::write(&path, vec![0x5a; usize::try_from(length).unwrap()]).unwrap();
    }
    assert_eq!(garbage.verify().fault.unwrap().path, garbage.store());
}

#[test]
fn a_running_registry_notices_damage_and_loss_in_its_log() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let segment = home.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    register(&registry, [person(2)]);
    assert_eq!(registry.verify_running().unwrap().fault, None);
    let longer = fs::read(&segment).unwrap();

    fs::write(&segment, &whole).unwrap();
    let fault = registry.verify_running().unwrap().fault.unwrap();
    assert_eq!((fault.path, fault.offset), (segment.clone(), Some(whole.len() as u64)));

    fs::write(&segment, &longer).unwrap();
    flip(&segment, whole.len() as u64 + 60);
    let fault = registry.verify_running().unwrap().fault.unwrap();
    assert_eq!((fault.path, fault.offset), (segment.clone(), Some(whole.len() as u64)));

    fs::remove_file(&segment).unwrap();
    assert!(registry.verify_running().unwrap().fault.is_some());
    assert!(is_eligible(&registry, &person(2)));
}

#[test]
fn the_scrubber_checks_sealed_segments_and_damage_stops_writing() {
    let mut home = Home::new();
    home.options.segment_bytes_max = 4 << 10;
    let registry = home.open();
    for n in 0..40 {
        register(&registry, [person(n)]);
    }
    let segments = home.segments();
    registry.scrub(|| true).unwrap();
    let last = segments.last().unwrap();
    let whole = fs::read(last).unwrap();
    flip(last, whole.len() as u64 - 1);
    registry.scrub(|| true).expect("the last is not sealed");
    fs::write(last, whole).unwrap();
    flip(&segments[1], 200);
    let rounds = std::cell::Cell::new(0);
    registry.scrub(|| rounds.replace(rounds.get() + 1) == 0).expect("it was told to stop behind the first");
    assert!(troubles(&registry).is_empty());
    let error = registry.scrub(|| true).unwrap_err().to_string();
    assert!(error.contains(segments[1].file_name().unwrap().to_str().unwrap()), "{error}");
    assert_eq!(troubles(&registry), ["log_corrupt"]);
    assert!(registry.apply(&upserts([person(99)]), NOW).is_err());
    assert!(is_eligible(&registry, &person(1)));
}

#[test]
fn a_segment_that_the_disk_will_not_read_is_a_trouble_until_it_does_and_stops_nothing() {
    let mut home = Home::new();
    home.options.segment_bytes_max = 4 << 10;
    let registry = home.open();
    for n in 0..40 {
        register(&registry, [person(n)]);
    }
    let segment = home.segments().remove(1);
    let aside = segment.with_extension("aside");
    fs::rename(&segment, &aside).unwrap();
    fs::create_dir(&segment).unwrap();
    for _ in 0..2 {
        assert!(registry.scrub(|| true).is_err());
        assert_eq!(troubles(&registry), ["log_unreadable"]);
    }
    assert!(registry.apply(&upserts([person(99)]), NOW).is_ok());
    assert!(is_eligible(&registry, &person(99)));
    fs::remove_dir(&segment).unwrap();
    fs::rename(&aside, &segment).unwrap();
    registry.scrub(|| true).unwrap();
    assert!(troubles(&registry).is_empty());
}

#[test]
fn what_a_start_takes_for_empty_verifies_as_empty_and_what_it_refuses_does_not() {
    let begun = Home::new();
    fs::create_dir(begun.log()).unwrap();
    assert_eq!(begun.verify().fault, None);
    fs::write(begun.log().join("00000000000000000001.seg.tmp"), "half a header").unwrap();
    assert_eq!(begun.verify().fault, None);
    begun.open().close(NOW).unwrap();
    assert_eq!(begun.verify().fault, None);

    let restored = Home::new();
    fs::create_dir(restored.path().join("snapshots")).unwrap();
    fs::write(restored.path().join("snapshots/base.snap"), "something was here").unwrap();
    assert!(restored.try_open().is_err());
    assert_eq!(restored.verify().fault.unwrap().path, restored.log());
}
