//! What a start does about what it finds.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::super::segment::NUMBER_AT;
use super::*;

#[test]
fn a_clean_end_is_sealed_and_the_next_start_begins_a_new_segment() {
    let home = Home::new();
    home.writer().close(NOW).unwrap();
    let opened = home.opened(NOW);
    assert!(opened.words.is_none());
    let mut writer = opened.writer;
    writer.append(&content(0..3, NOW), NOW).unwrap();
    writer.close(NOW).unwrap();
    home.is_whole();
    assert_eq!(home.notes(), [Note::Started, Note::Started]);
    assert_eq!((home.segments().len(), home.look_ups().len(), home.report().last_entry), (2, 3, 5));
}

#[test]
fn a_crash_is_told_and_what_was_whole_stays() {
    let home = Home::new();
    let mut writer = home.writer();
    writer.append(&content(0..30, NOW), NOW).unwrap();
    let crashed = home.crashed();
    crashed.is_whole();
    let length = fs::metadata(crashed.newest()).unwrap().len();
    let opened = crashed.opened(NOW);
    assert!(opened.words.unwrap().contains("sealed after an unclean end"));
    drop(opened.writer);
    crashed.is_whole();
    assert_eq!(crashed.look_ups().len(), 30);
    assert_eq!(crashed.notes(), [Note::Started, Note::Restarted { segment: 1, offset: length, cut_bytes: 0 }]);
}

#[test]
fn a_torn_tail_is_cut_at_any_length_and_its_bytes_are_kept_aside() {
    let home = Home::new();
    let mut writer = home.writer();
    writer.append(&content(0..5, NOW), NOW).unwrap();
    writer.append(&content(5..10, NOW), NOW).unwrap();
    let path = home.newest();
    let [.., last, end] = offsets(&path)[..] else { panic!("too few blocks") };
    for length in last + 1..end {
        let crashed = home.crashed();
        cut(&crashed.newest(), length);
        assert!(crashed.report().notes[0].contains("not whole yet"));
        let torn_bytes = fs::read(crashed.newest()).unwrap()[usize::try_from(last).unwrap()..].to_vec();
        let mut writer = crashed.opened(NOW).writer;
        writer.append(&content(10..15, NOW), NOW).unwrap();
        writer.close(NOW).unwrap();
        crashed.is_whole();
        assert_eq!(crashed.look_ups().len(), 10);
        let torn = format!("torn-{:020}-{NOW}.bin", 1);
        assert_eq!(fs::read(crashed.path().join(torn)).unwrap(), torn_bytes);
        let cut_bytes = length - last;
        assert_eq!(crashed.notes()[1], Note::Restarted { segment: 1, offset: last, cut_bytes });
    }
}

#[test]
fn a_crash_in_the_middle_of_mending_is_mended_by_the_next_start() {
    let home = Home::new();
    let mut writer = home.writer();
    writer.append(&content(0..5, NOW), NOW).unwrap();
    let path = home.newest();
    cut(&path, fs::metadata(&path).unwrap().len() - 3);
    fs::write(format!("{}.tmp", path.display()), b"half a copy").unwrap();
    fs::write(home.path().join("state.tmp"), b"half a state").unwrap();
    home.writer().close(NOW).unwrap();
    home.is_whole();
    assert!(home.names().iter().all(|name| !name.ends_with(".tmp")));
}

#[test]
fn a_start_before_the_first_segment_goes_on_with_its_stream() {
    let home = Home::new();
    home.writer().close(NOW).unwrap();
    let name = name_of(&home.newest());
    let stream = fs::read(home.newest()).unwrap()[16..32].to_vec();
    let mut state = fs::read(home.path().join("state")).unwrap();
    fs::remove_file(home.newest()).unwrap();
    // As it was when only the stream had its name.
    let chain = super::super::chain::AuditChain::beginning(super::super::chain::AuditStream(stream.clone().try_into().unwrap()));
    state[12] = 1;
    state[32..56].copy_from_slice(&[[0; 8], [0; 8], 1u64.to_le_bytes()].concat());
    state[56..88].copy_from_slice(&chain.0);
    let checksum = xxhash_rust::xxh3::xxh3_64(&state[..96]);
    state[96..].copy_from_slice(&checksum.to_le_bytes());
    fs::write(home.path().join("state"), state).unwrap();
    home.is_whole();
    home.writer().close(NOW).unwrap();
    home.is_whole();
    assert_eq!((name_of(&home.newest()), fs::read(home.newest()).unwrap()[16..32].to_vec()), (name, stream));
}

#[test]
fn a_start_does_not_hide_that_the_newest_segments_were_removed() {
    let home = Home::filled();
    fs::remove_file(home.newest()).unwrap();
    let opened = home.opened(NOW);
    assert!(opened.words.unwrap().contains("newer segments are missing"));
    drop(opened.writer);
    let newest = name_of(&home.newest());
    for _ in 0..2 {
        let faults = home.faults();
        assert!(faults.contains(&(newest.clone(), NUMBER_AT, Fault::Missing)), "{faults:?}");
        assert!(faults.contains(&(newest.clone(), 128, Fault::FoundDamaged)), "{faults:?}");
        home.writer().close(NOW).unwrap();
    }
}

#[test]
fn a_start_does_not_hide_a_cut_an_edit_or_a_missing_state_and_changes_no_file() {
    let open = || {
        let home = Home::new();
        let mut writer = home.writer();
        (0..4).for_each(|block| writer.append(&content(block * 5..block * 5 + 5, NOW), NOW).unwrap());
        writer.sync(NOW + 60_000).unwrap();
        home
    };
    type Damage = fn(&Home);
    let damages: [(Damage, &str); 6] = [
        (|home| cut(&home.newest(), offsets(&home.newest())[2]), "what was durable at its end is missing"),
        (|home| cut(&home.newest(), offsets(&home.newest())[2] + 9), "what was durable at its end is missing"),
        (|home| flip(&home.newest(), 300), "it is damaged where no crash damages"),
        (|home| flip(&home.newest(), 9), "its header cannot be read"),
        (|home| fs::remove_file(home.path().join("state")).unwrap(), "the state is missing"),
        (|home| flip(&home.path().join("state"), 40), "the state cannot be read"),
    ];
    for (damage, words) in damages {
        let home = open();
        damage(&home);
        let newest = home.newest();
        let bytes = fs::read(&newest).unwrap();
        let opened = home.opened(NOW);
        assert!(opened.words.as_ref().unwrap().contains(words), "{words}: {:?}", opened.words);
        let mut writer = opened.writer;
        writer.append(&content(90..95, NOW), NOW).unwrap();
        writer.close(NOW).unwrap();
        assert_eq!(fs::read(&newest).unwrap(), bytes, "{words}");
        let faults = home.faults();
        assert!(faults.iter().any(|fault| fault.2 == Fault::FoundDamaged), "{words}: {faults:?}");
        assert!(home.look_ups().len() >= 5, "what comes after is kept: {words}");
    }
}

#[test]
fn a_key_that_is_missing_beside_segments_is_not_replaced() {
    let home = Home::filled();
    fs::remove_file(home.path().join("key")).unwrap();
    let opened = open_writer(&home.path(), &home.options, NOW);
    assert!(matches!(opened, Err(AuditError::KeyMissing { .. })));
    assert!(!home.path().join("key").exists());
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_destroyed() {
    let home = Home::filled();
    let path = home.newest();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..120]);
    bytes[120..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(open_writer(&home.path(), &home.options, NOW), Err(AuditError::NewerFormat { found: 9, .. })));
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_segment_is_sealed_when_it_is_full_and_when_the_day_in_japan_ends() {
    let home = Home::new();
    let mut writer = home.writer();
    for unix_ms in [NOW, NOW + DAY - 1, NOW + DAY, NOW + DAY + 1] {
        writer.append(&content(0..5, unix_ms), unix_ms).unwrap();
    }
    assert_eq!(home.segments().len(), 2, "a new day");
    (0..3).for_each(|_| writer.append(&content(0..60, NOW + DAY), NOW + DAY).unwrap());
    assert_eq!(home.segments().len(), 4, "two blocks fill a segment");
    writer.close(NOW + DAY).unwrap();
    home.is_whole();
    assert!(home.segments().iter().all(|path| fs::metadata(path).unwrap().len() < 2_048 + 200));
}

#[test]
fn after_a_failed_sync_the_next_start_writes_the_segment_anew() {
    let (home, faults) = Home::on_a_faulty_disk();
    let mut writer = home.writer();
    writer.append(&content(0..5, NOW), NOW).unwrap();
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(writer.close(NOW).is_err() && writer.is_poisoned());
    assert!(matches!(writer.append(&content(5..10, NOW), NOW), Err(AuditError::Poisoned)));
    faults.fail_syncs.store(false, Ordering::SeqCst);
    drop(writer);
    assert!(home.names().iter().any(|name| name.starts_with("POISONED")));
    let inode = fs::metadata(home.newest()).unwrap().ino();
    let first = home.newest();
    home.writer().close(NOW).unwrap();
    assert_ne!(fs::metadata(first).unwrap().ino(), inode, "the seal stood there, but nobody knows what reached the disk");
    assert!(home.names().iter().all(|name| !name.starts_with("POISONED")));
    assert_eq!(home.look_ups().len(), 5);
    home.is_whole();
}

fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 4;
    fs::write(path, bytes).unwrap();
}
