//! What was changed, removed, exchanged or cut is found, and named with its offset.

use std::fs;

use xxhash_rust::xxh3::xxh3_64;

use super::super::retention::{Daybreak, Pruned, prune};
use super::super::segment::{CHAIN_AT, FIRST_ENTRY_AT, KEY_CHECK_AT, NUMBER_AT};
use super::super::verify::{Kept, verify};
use super::*;

#[test]
fn every_flipped_byte_of_a_segment_is_found_at_or_before_its_place() {
    let home = Home::filled();
    home.is_whole();
    for path in home.segments() {
        let bytes = fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 0x10;
            fs::write(&path, flipped).unwrap();
            let faults = home.faults();
            let (name, offset, _) = &faults[0];
            assert!(*name == name_of(&path) && *offset <= place as u64, "{name} byte {place}: {faults:?}");
        }
        fs::write(&path, bytes).unwrap();
    }
    home.is_whole();
}

#[test]
fn an_edit_with_a_new_checksum_breaks_the_chain_at_the_next_block() {
    let home = Home::filled();
    for (number, path) in home.segments().into_iter().enumerate() {
        let bytes = fs::read(&path).unwrap();
        let offsets = offsets(&path);
        for pair in offsets.windows(2) {
            let (from, to) = (usize::try_from(pair[0]).unwrap(), usize::try_from(pair[1]).unwrap());
            let mut edited = bytes.clone();
            // The base time: everything about the block stays plausible.
            edited[from + 16] ^= 1;
            let checksum = xxh3_64(&edited[from..to - 8]);
            edited[to - 8..to].copy_from_slice(&checksum.to_le_bytes());
            fs::write(&path, edited).unwrap();
            let faults = home.faults();
            let is_last_block = pair[1] == offsets[offsets.len() - 1];
            let expected = match home.segments().get(number + 1) {
                Some(next) if is_last_block => (name_of(next), CHAIN_AT, Fault::Chain),
                None if is_last_block => (name_of(&path), pair[1], Fault::EndChanged),
                _ => (name_of(&path), pair[1], Fault::Chain),
            };
            assert_eq!(faults[0], expected, "{faults:?}");
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn an_edited_header_breaks_the_chain_too() {
    let home = Home::filled();
    let path = home.newest();
    let mut bytes = fs::read(&path).unwrap();
    bytes[80] ^= 1;
    let checksum = xxh3_64(&bytes[..120]);
    bytes[120..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert_eq!(home.faults()[0], (name_of(&path), 128, Fault::Chain));
}

#[test]
fn a_removed_segment_is_missed_wherever_it_was() {
    let all = Home::filled().segments().len();
    for place in 0..all {
        let home = Home::filled();
        let segments = home.segments();
        fs::remove_file(&segments[place]).unwrap();
        let expected = match segments.get(place + 1) {
            Some(next) => (name_of(next), NUMBER_AT, Fault::Missing),
            None => {
                let before = &segments[place - 1];
                (name_of(before), fs::metadata(before).unwrap().len(), Fault::EndMissing)
            }
        };
        assert_eq!(home.faults()[0], expected);
    }
    let home = Home::filled();
    home.segments().iter().for_each(|path| fs::remove_file(path).unwrap());
    assert_eq!(home.faults(), [("state".to_owned(), 32, Fault::EndMissing)]);
}

#[test]
fn exchanged_segments_are_named() {
    let home = Home::filled();
    let segments = home.segments();
    let (one, other) = (fs::read(&segments[0]).unwrap(), fs::read(&segments[1]).unwrap());
    fs::write(&segments[0], &other).unwrap();
    fs::write(&segments[1], &one).unwrap();
    assert_eq!(home.faults()[0], (name_of(&segments[0]), FIRST_ENTRY_AT, Fault::Name));
    // The same file twice is no better.
    fs::write(&segments[1], &other).unwrap();
    assert_eq!(home.faults()[0], (name_of(&segments[0]), FIRST_ENTRY_AT, Fault::Name));
}

#[test]
fn a_segment_of_another_audit_is_found() {
    let (home, other) = (Home::filled(), Home::filled());
    fs::copy(&other.segments()[1], &home.segments()[1]).unwrap();
    let faults = home.faults();
    let name = name_of(&home.segments()[1]);
    assert!(
        faults.contains(&(name.clone(), 16, Fault::Stream)) && faults.contains(&(name, KEY_CHECK_AT, Fault::Key)),
        "{faults:?}"
    );
}

#[test]
fn a_cut_segment_is_found_at_any_length() {
    let home = Home::filled();
    for path in [home.segments().remove(0), home.newest()] {
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() as u64 {
            fs::write(&path, &bytes).unwrap();
            cut(&path, length);
            let faults = home.faults();
            assert!(faults[0].0 == name_of(&path) && faults[0].1 <= length, "{length}: {faults:?}");
        }
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn what_was_durable_cannot_be_cut_from_a_segment_that_is_not_sealed_yet() {
    let home = Home::new();
    let mut writer = home.writer();
    writer.append(&content(0..30, NOW), NOW).unwrap();
    // A minute later the state is written with the sync.
    writer.sync(NOW + 60_000).unwrap();
    writer.append(&content(30..60, NOW), NOW).unwrap();
    let path = home.newest();
    let [.., durable, whole] = offsets(&path)[..] else { panic!("too few blocks") };
    let bytes = fs::read(&path).unwrap();
    for length in 128..whole {
        fs::write(&path, &bytes).unwrap();
        cut(&path, length);
        let faults = home.faults();
        if length >= durable {
            assert_eq!(faults, [], "{length}: a crash may leave this");
        } else {
            assert!(faults[0].0 == name_of(&path) && faults[0].1 <= length, "{length}: {faults:?}");
        }
    }
}

#[test]
fn something_behind_a_seal_is_found() {
    let home = Home::filled();
    let path = home.newest();
    let length = fs::metadata(&path).unwrap().len();
    fs::write(&path, [fs::read(&path).unwrap(), vec![0; 16]].concat()).unwrap();
    assert_eq!(home.faults(), [(name_of(&path), length, Fault::BehindSeal)]);
}

#[test]
fn state_and_key_are_missed_and_every_flipped_byte_of_them_is_found() {
    let home = Home::filled();
    for name in ["state", "key"] {
        let path = home.path().join(name);
        let bytes = fs::read(&path).unwrap();
        for place in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[place] ^= 2;
            fs::write(&path, flipped).unwrap();
            let faults = home.faults();
            assert!(faults.len() == 1 && faults[0].0 == name, "{name} byte {place}: {faults:?}");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(home.faults(), [(name.to_owned(), 0, Fault::FileMissing)]);
        fs::write(&path, bytes).unwrap();
    }
}

#[test]
fn retention_is_told_from_removal() {
    let home = Home::new();
    for day in 0..4 {
        let now = NOW + day * DAY;
        let mut writer = home.opened(now).writer;
        writer.append(&content(day * 10..day * 10 + 10, now), now).unwrap();
        writer.close(now).unwrap();
    }
    assert_eq!(home.segments().len(), 4);
    let now = NOW + 4 * DAY;
    let mut writer = home.opened(now).writer;
    assert_eq!(prune(&mut writer, now, 30, Daybreak::Start).unwrap(), Pruned::Nothing);
    assert_eq!(
        prune(&mut writer, now, 2, Daybreak::Start).unwrap(),
        Pruned::Segments(1),
        "the second ended two days ago, not more"
    );
    writer.close(now).unwrap();
    home.is_whole();
    assert_eq!((home.segments().len(), home.look_ups().len()), (4, 30));
    assert!(matches!(home.notes()[..], [.., Note::Pruned { through_segment: 1, through_entry: 11, days: 2, .. }]));
    let oldest = home.segments().remove(0);
    fs::remove_file(oldest).unwrap();
    assert_eq!(home.faults()[0], (name_of(&home.segments()[0]), NUMBER_AT, Fault::Missing));
}

#[test]
fn a_segment_that_is_noted_as_removed_and_still_there_is_no_fault_unless_it_was_changed() {
    let home = Home::filled();
    let before = home.crashed();
    let now = NOW + 10 * DAY;
    let mut writer = home.opened(now).writer;
    assert_eq!(prune(&mut writer, now, 5, Daybreak::Next).unwrap(), Pruned::Segments(before.segments().len() - 1));
    writer.close(now).unwrap();
    home.is_whole();
    // A crash between the note and the removal leaves the last ones.
    let last = before.segments()[before.segments().len() - 2].clone();
    fs::copy(&last, home.path().join(name_of(&last))).unwrap();
    home.is_whole();
    let mut bytes = fs::read(&last).unwrap();
    bytes[200] ^= 1;
    fs::write(home.path().join(name_of(&last)), bytes).unwrap();
    assert_eq!(home.faults()[0].0, name_of(&last));
}

#[test]
fn a_clock_that_runs_years_ahead_takes_nothing_away_at_a_start() {
    let home = Home::filled();
    let segments = home.segments().len();
    let now = NOW + 4_000 * DAY;
    let mut writer = home.opened(now).writer;
    assert_eq!(prune(&mut writer, now, 1_827, Daybreak::Start).unwrap(), Pruned::Doubted);
    assert_eq!(home.segments().len(), segments + 1);
    assert_eq!(
        prune(&mut writer, now, 1_827, Daybreak::Next).unwrap(),
        Pruned::Segments(segments - 1),
        "a day later it is believed"
    );
}

#[test]
fn a_clock_that_jumps_while_the_audit_is_written_takes_nothing_away_that_day() {
    let home = Home::filled();
    let segments = home.segments().len();
    let mut writer = home.opened(NOW).writer;
    let (today, ahead) = (NOW / DAY, NOW / DAY + 4_000);
    for before in [today, ahead + 1] {
        let daybreak = Daybreak::of(ahead, Some(before));
        assert_eq!(prune(&mut writer, NOW + 4_000 * DAY, 1_827, daybreak).unwrap(), Pruned::Doubted);
    }
    assert_eq!(home.segments().len(), segments + 1);
    let daybreak = Daybreak::of(ahead + 1, Some(ahead));
    assert_eq!(
        prune(&mut writer, NOW + 4_001 * DAY, 1_827, daybreak).unwrap(),
        Pruned::Segments(segments),
        "a day later it is believed"
    );
}

#[test]
fn a_segment_that_was_begun_while_a_clock_ran_ahead_is_kept_no_longer_than_the_others() {
    let home = Home::new();
    for day in [0, 4_000, 2, 3] {
        let now = NOW + day * DAY;
        let mut writer = home.opened(now).writer;
        writer.append(&content(day * 10..day * 10 + 10, now), now).unwrap();
        writer.close(now).unwrap();
    }
    let mut writer = home.opened(NOW + 10 * DAY).writer;
    for (days, gone) in [(9, 0), (7, 2), (6, 1), (5, 0)] {
        let expected = if gone == 0 { Pruned::Nothing } else { Pruned::Segments(gone) };
        assert_eq!(prune(&mut writer, NOW + 10 * DAY, days, Daybreak::Next).unwrap(), expected, "{days} days");
    }
}

#[test]
fn bytes_cut_after_a_crash_are_kept_no_longer_than_segments() {
    let home = Home::filled();
    let torn = format!("torn-{:020}-{NOW}.bin", 1);
    fs::write(home.path().join(&torn), b"torn").unwrap();
    let mut writer = home.opened(NOW).writer;
    prune(&mut writer, NOW + 5 * DAY, 5, Daybreak::Next).unwrap();
    assert!(home.names().contains(&torn));
    prune(&mut writer, NOW + 5 * DAY + 1, 5, Daybreak::Next).unwrap();
    assert!(!home.names().contains(&torn));
}

#[test]
fn a_history_that_was_written_anew_does_not_have_the_chain_that_was_kept_elsewhere() {
    let home = Home::filled();
    let report = home.report();
    let kept = Kept { entry: report.last_entry, chain: report.chain.unwrap() };
    assert_eq!(verify(&home.path(), Some(kept)).unwrap().faults, []);
    // More may have come since.
    home.writer().close(NOW).unwrap();
    assert_eq!(verify(&home.path(), Some(kept)).unwrap().faults, []);
    let forged = Home::filled();
    forged.is_whole();
    let faults = verify(&forged.path(), Some(kept)).unwrap().faults;
    assert_eq!(faults.iter().map(|fault| fault.what).collect::<Vec<_>>(), [Fault::NotAsKept]);
}

#[test]
fn an_absent_audit_is_empty() {
    let home = Home::new();
    assert!(home.report().faults.is_empty() && home.report().notes[0].starts_with("empty"));
}
