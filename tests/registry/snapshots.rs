//! Backup and restore.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use shikaku::disk::RealDisk;
use shikaku::domain::decision::Verdict;
use shikaku::domain::masters::MasterKind;
use shikaku::domain::registration::Registration;
use shikaku::record::payload::FeedPhase;
use shikaku::registry::snapshot::{SnapshotError, SnapshotReader, SnapshotSummary, restore};
use shikaku::registry::{Registry, RegistryError};
use shikaku::store::StoreMeta;

use crate::fixture::*;

/// A registry with current rows, history of every kind, masters and feeds.
fn lived_in() -> (Home, Registry) {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..40).map(person));
    register(&registry, (0..10).map(|n| Registration { valid_to: day("2028-03-31"), ..person(n) }));
    withdraw(&registry, [person(39)]);
    register(&registry, [Registration { valid_from: day("2020-01-01"), valid_to: day("2021-01-01"), ..person(50) }]);
    let payers = format!("{}\n88131016,{CHIYODA},子ども,13,warn,2020-04-01,9999-12-31\n", MasterKind::Payers.header());
    registry.set_master(MasterKind::Payers, &payers, NOW).unwrap();
    registry.record_feed(&feed(FeedPhase::Began, "one", &[CHIYODA]), NOW).unwrap();
    registry.record_feed(&feed(FeedPhase::Ended, "one", &[CHIYODA]), NOW).unwrap();
    (home, registry)
}

fn snapshot(home: &Home, registry: &Registry) -> (PathBuf, SnapshotSummary) {
    let file = home.path().join("backup.snap");
    let summary = registry.create_snapshot(&file).unwrap();
    (file, summary)
}

fn restored(file: &std::path::Path) -> (Home, SnapshotSummary) {
    let home = Home::new();
    let summary = once_free(|| restore(&real_disk(), home.path(), file, NOW)).unwrap();
    (home, summary)
}

fn answers_alike(one: &Registry, other: &Registry) {
    assert_eq!(one.state_checksum(), other.state_checksum());
    for n in 0..60 {
        assert_eq!(seen_each(one, &person(n)), seen_each(other, &person(n)), "{n}");
    }
    for kind in MasterKind::ALL {
        assert_eq!(one.master_text(kind), other.master_text(kind));
    }
    assert_eq!(one.reader().view().horizon, other.reader().view().horizon);
}

#[test]
fn a_restored_directory_answers_alike_and_begins_a_stream_that_names_its_parent() {
    let (home, registry) = lived_in();
    let (file, summary) = snapshot(&home, &registry);
    assert_eq!((summary.recipients, summary.rows, summary.sequence), (39, 39, registry.sequence()));
    assert_eq!(summary.bytes, fs::metadata(&file).unwrap().len());
    // What comes after the snapshot is not in it.
    register(&registry, [person(55)]);
    let (copy, restored_summary) = restored(&file);
    assert_eq!(restored_summary, summary);
    let other = copy.open();
    assert_ne!(other.stream(), registry.stream());
    assert_eq!(other.sequence(), summary.sequence);
    assert_eq!(seen(&other, &person(55)).0, Verdict::NotRegistered);
    register(&other, [person(55)]);
    answers_alike(&registry, &other);
    assert_eq!(troubles(&other), Vec::<&str>::new());
    // The history came along.
    assert_eq!(counts(&withdraw(&other, [person(39)])).already_withdrawn, 1);
    assert_eq!(counts(&withdraw(&other, [person(50)])).withdrawn, 1);
    assert!(other.baseline().ledger.files().of("one").unwrap().ended);
    assert_eq!(other.verify_running().unwrap().fault, None);
    other.close(NOW).unwrap();
    assert_eq!(copy.verify().fault, None);
}

#[test]
fn a_restored_directory_is_rebuilt_from_its_base_when_the_store_is_gone() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    let (copy, _) = restored(&file);
    // Without the store from the first moment, after a start, and after writing.
    for round in 0..3 {
        let other = copy.open();
        register(&registry, [person(60 + round)]);
        register(&other, [person(60 + round)]);
        answers_alike(&registry, &other);
        other.close(NOW).unwrap();
        assert_eq!(copy.verify().fault, None);
        fs::remove_dir_all(copy.store()).unwrap();
        let report = copy.verify();
        assert_eq!((report.fault, report.rows), (None, 40 + u64::from(round)));
    }
    let other = copy.open();
    answers_alike(&registry, &other);
    assert_eq!(counts(&withdraw(&other, [person(39)])).already_withdrawn, 1);
    assert_eq!(other.verify_running().unwrap().fault, None);
}

#[test]
fn a_snapshot_of_a_restored_directory_is_a_backup_too() {
    let (home, registry) = lived_in();
    let (file, first) = snapshot(&home, &registry);
    let (copy, _) = restored(&file);
    let other = copy.open();
    let (again, second) = snapshot(&copy, &other);
    assert_eq!((second.rows, second.history), (first.rows, first.history));
    let (third, _) = restored(&again);
    answers_alike(&registry, &third.open());
}

#[test]
fn a_directory_that_is_not_empty_is_not_restored_into() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    let target = Home::new();
    fs::write(target.path().join("tokens"), b"x").unwrap();
    let before = target.names(".");
    match once_free(|| restore(&real_disk(), target.path(), &file, NOW)) {
        Err(RegistryError::Snapshot(SnapshotError::NotEmpty { .. })) => {}
        other => panic!("{other:?}"),
    }
    let kept: Vec<String> = target.names(".").into_iter().filter(|name| name != "LOCK").collect();
    assert_eq!(kept, before);
    match restore(&real_disk(), home.path(), &file, NOW) {
        Err(RegistryError::InUse { .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_snapshot_with_any_byte_flipped_or_cut_is_refused_and_nothing_is_begun() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..3).map(person));
    withdraw(&registry, [person(0)]);
    let (file, _) = snapshot(&home, &registry);
    let bytes = fs::read(&file).unwrap();
    let damaged = home.path().join("damaged.snap");
    let mut tried = 0;
    let mut refused = |bytes: &[u8], what: String| {
        tried += 1;
        fs::write(&damaged, bytes).unwrap();
        assert!(SnapshotReader::open(&RealDisk, &damaged).and_then(SnapshotReader::check).is_err(), "{what}");
    };
    // The masters make most of the file; their middle is sampled, head and tail are tried whole.
    let sampled = (0..2048).chain((2048..bytes.len() - 2048).step_by(997)).chain(bytes.len() - 2048..bytes.len());
    for offset in sampled {
        let mut flipped = bytes.clone();
        flipped[offset] ^= 0x40;
        refused(&flipped, format!("byte {offset}"));
    }
    for length in (0..bytes.len()).step_by(bytes.len() / 50).chain([bytes.len() - 1, bytes.len() - 40]) {
        refused(&bytes[..length], format!("cut at {length}"));
    }
    refused(&[&bytes[..], b"more"].concat(), "more behind the end".to_owned());

    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(&damaged, flipped).unwrap();
    let target = Home::new();
    assert!(once_free(|| restore(&real_disk(), target.path(), &damaged, NOW)).is_err());
    assert_eq!(target.names("."), ["LOCK"]);
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped or missing byte of a snapshot | a_snapshot_with_any_byte_flipped_or_cut_is_refused_and_nothing_is_begun | {tried}"
    );
}

/// Changes what a snapshot says of itself, and makes its hash fit again.
fn rewritten(file: &std::path::Path, change: impl FnOnce(&mut StoreMeta)) {
    let mut bytes = fs::read(file).unwrap();
    let place = 24..24 + StoreMeta::LENGTH;
    let mut meta = StoreMeta::decode(&bytes[place.clone()]).unwrap();
    change(&mut meta);
    bytes[place].copy_from_slice(&meta.encode());
    let end = bytes.len() - 40;
    let hash = *blake3::hash(&bytes[..end]).as_bytes();
    bytes[end + 8..].copy_from_slice(&hash);
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_snapshot_that_claims_more_keys_than_it_can_hold_takes_no_memory_for_them() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    for keys in [u64::MAX, u64::MAX / 100, 1 << 40] {
        rewritten(&file, |meta| meta.keys = keys);
        let (copy, _) = restored(&file);
        let restored = copy.open();
        assert!(restored.figures().index_bytes.load(Ordering::Relaxed) < 64 << 20);
        answers_alike(&registry, &restored);
    }
}

#[test]
fn a_snapshot_of_a_newer_format_is_named_as_such() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    let mut bytes = fs::read(&file).unwrap();
    bytes[8] = 3;
    fs::write(&file, bytes).unwrap();
    assert!(matches!(SnapshotReader::open(&RealDisk, &file), Err(SnapshotError::Newer { found: 3, .. })));
}

#[test]
fn a_damaged_base_is_refused_only_when_it_is_needed() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    let (copy, _) = restored(&file);
    copy.open().close(NOW).unwrap();
    let base = copy.path().join("snapshots/base.snap");
    let length = fs::metadata(&base).unwrap().len();
    flip(&base, length / 2);
    assert_eq!(copy.open().state_checksum(), registry.state_checksum());
    assert_eq!(copy.verify().fault.unwrap().path, base);
    fs::remove_dir_all(copy.store()).unwrap();
    assert!(copy.try_open().is_err());
    assert!(copy.try_open().is_err(), "again");
    // With neither store nor log, a base that cannot be read does not make the directory a new one.
    flip(&base, 0);
    fs::remove_dir_all(copy.store()).ok();
    fs::remove_dir_all(copy.log()).unwrap();
    assert!(matches!(copy.try_open(), Err(RegistryError::NoVerifiedState { .. })));
}

#[test]
fn a_base_of_another_directory_is_refused() {
    let (home, registry) = lived_in();
    let (file, _) = snapshot(&home, &registry);
    let (one, _) = restored(&file);
    // The same sequence, another content.
    let (other_home, other) = lived_in();
    let (other_file, _) = snapshot(&other_home, &other);
    fs::copy(other_file, one.path().join("snapshots/base.snap")).unwrap();
    match one.try_open() {
        Err(RegistryError::NoVerifiedState { detail, .. }) => assert!(detail.contains("base.snap"), "{detail}"),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn writing_goes_on_while_a_snapshot_is_taken_and_stays_out_of_it() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..500).map(person));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let mut round = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round += 1;
                let segment = format!("{round}");
                register(&registry, (0..50).map(|n| Registration { segment: segment.clone(), ..person(n * 10) }));
            }
        });
        for _ in 0..3 {
            let (file, summary) = snapshot(&home, &registry);
            assert_eq!((summary.recipients, summary.rows), (500, 500));
            let (copy, _) = restored(&file);
            let other = copy.open();
            assert_eq!(other.sequence(), summary.sequence);
            assert_eq!(other.verify_running().unwrap().fault, None);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        writing.join().unwrap();
    });
}
