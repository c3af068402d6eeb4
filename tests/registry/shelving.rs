//! Snapshots on the shelf, and the log that is trimmed behind them: a rebuild begins with the newest snapshot that is sound, and what
//! is removed was covered by two.

use std::fs;
use std::path::PathBuf;

use shikaku::registry::snapshot::restore;
use shikaku::registry::{Keeping, Registry, RegistryError, Round};

use crate::fixture::*;

/// Whatever two snapshots cover may go at once.
const AT_ONCE: Keeping = Keeping { snapshots: 3, log_retention_ms: 0 };

fn in_small_segments() -> Home {
    let mut home = Home::new();
    home.options.segment_bytes_max = 4 << 10;
    home
}

fn round(registry: &Registry) -> Round {
    registry.keep_snapshots(&AT_ONCE, NOW + 1).unwrap()
}

fn register_some(registry: &Registry, people: std::ops::Range<u32>) {
    for n in people {
        register(registry, [person(n)]);
    }
}

fn shelved(home: &Home) -> Vec<PathBuf> {
    home.names("snapshots").iter().map(|name| home.path().join("snapshots").join(name)).collect()
}

/// A directory with three snapshots, each followed by a few segments of log, and nothing older in the log than it must hold.
fn trimmed() -> (Home, u128) {
    let home = in_small_segments();
    let registry = home.open();
    for stage in 0..3 {
        register_some(&registry, stage * 20..stage * 20 + 20);
        round(&registry);
    }
    register_some(&registry, 60..80);
    let checksum = registry.state_checksum();
    registry.close(NOW).unwrap();
    (home, checksum)
}

fn first_sequence(home: &Home) -> u64 {
    home.segments()[0].file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn everybody_is_there(registry: &Registry, checksum: u128) {
    assert_eq!(registry.state_checksum(), checksum);
    for n in 0..80 {
        assert!(is_eligible(registry, &person(n)), "{n}");
    }
}

#[test]
fn a_snapshot_is_named_by_its_sequence_and_can_be_restored() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..5);
    let taken = round(&registry).taken.unwrap();
    assert_eq!(taken.sequence, registry.sequence());
    let name = format!("{:020}.snap", taken.sequence);
    assert_eq!(home.names("snapshots"), [name.as_str()]);
    let standing = registry.shelf_standing();
    let newest = standing.newest.unwrap();
    assert_eq!((newest.sequence, newest.bytes, newest.unix_ms), (taken.sequence, taken.bytes, NOW + 1));
    assert_eq!((standing.kept, standing.log_first_sequence), (1, 1));

    let copy = Home::new();
    once_free(|| restore(&copy.options.disk, copy.path(), &home.path().join("snapshots").join(&name), NOW)).unwrap();
    assert_eq!(copy.open().state_checksum(), registry.state_checksum());
    // The standing is the same after a start.
    registry.close(NOW).unwrap();
    let again = home.open().shelf_standing();
    assert_eq!((again.newest.unwrap().sequence, again.newest.unwrap().bytes, again.kept), (newest.sequence, newest.bytes, 1));
}

#[test]
fn no_snapshot_is_taken_where_nothing_was_registered_since() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..3);
    assert!(round(&registry).taken.is_some());
    let second = round(&registry);
    assert_eq!((second.taken, second.sound), (None, 1));
    register_some(&registry, 3..4);
    assert_eq!(round(&registry).taken.map(|taken| taken.rows), Some(4));
}

#[test]
fn the_newest_are_kept_and_the_oldest_go() {
    let home = Home::new();
    let registry = home.open();
    let mut taken = Vec::new();
    for n in 0..6 {
        register_some(&registry, n..n + 1);
        taken.push(round(&registry).taken.unwrap().sequence);
        let kept: Vec<String> = taken.iter().rev().take(3).rev().map(|sequence| format!("{sequence:020}.snap")).collect();
        assert_eq!(home.names("snapshots"), kept);
    }
    // Fewer than two are never kept: the log lets go of nothing that only one covers.
    registry.keep_snapshots(&Keeping { snapshots: 0, log_retention_ms: 0 }, NOW + 1).unwrap();
    assert_eq!(home.names("snapshots").len(), 2);
}

#[test]
fn the_log_reaches_back_to_the_newest_snapshot_but_one() {
    let home = in_small_segments();
    let registry = home.open();
    register_some(&registry, 0..20);
    let first = round(&registry);
    assert_eq!((first.trimmed.segments, first.trimmed.first_sequence), (0, 1), "one snapshot covers nothing");
    register_some(&registry, 20..40);
    let second = round(&registry);
    let covered = first.taken.unwrap().sequence;
    assert!(second.trimmed.segments > 0);
    assert_eq!(first_sequence(&home), second.trimmed.first_sequence);
    assert_eq!(registry.shelf_standing().log_first_sequence, second.trimmed.first_sequence);
    // The segment that holds the frame behind the older snapshot is the oldest that is left.
    let segments = home.segments();
    let second_segment: u64 = segments[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    assert!(second.trimmed.first_sequence <= covered + 1 && second_segment > covered + 1, "{covered}");
    // What is young stays.
    register_some(&registry, 40..60);
    let day_ms = 24 * 3600 * 1000;
    let patient = Keeping { snapshots: 3, log_retention_ms: day_ms };
    assert_eq!(registry.keep_snapshots(&patient, NOW + 1).unwrap().trimmed.segments, 0);
    assert!(registry.keep_snapshots(&patient, NOW + day_ms + 1).unwrap().trimmed.segments > 0);
    println!(
        "proof: the log lets go of what two sound snapshots cover, and of nothing else | none | the_log_reaches_back_to_the_newest_snapshot_but_one | 1"
    );
}

#[test]
fn a_trimmed_directory_starts_verifies_and_goes_on() {
    let (home, checksum) = trimmed();
    assert!(first_sequence(&home) > 1);
    let report = home.verify();
    assert_eq!((report.fault, report.rows), (None, 80));
    assert_eq!(report.state_checksum, format!("{checksum:032x}"));
    let registry = home.open();
    everybody_is_there(&registry, checksum);
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    assert_eq!(registry.verify_running().unwrap().fault, None);
    register_some(&registry, 80..90);
    round(&registry);
    registry.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
    assert!(is_eligible(&home.open(), &person(85)));
}

#[test]
fn a_store_that_is_gone_is_rebuilt_from_the_newest_snapshot_and_the_log_behind_it() {
    let (home, checksum) = trimmed();
    fs::remove_dir_all(home.store()).unwrap();
    let report = home.verify();
    assert_eq!((report.fault, report.rows), (None, 80));
    let registry = home.open();
    everybody_is_there(&registry, checksum);
    let newest = shelved(&home).pop().unwrap();
    assert!(registry.notes().iter().any(|note| note.contains(newest.to_str().unwrap())), "{:?}", registry.notes());
    // The history came along: a withdrawal of what was withdrawn is nothing.
    assert_eq!(counts(&withdraw(&registry, [person(3)])).withdrawn, 1);
    assert_eq!(counts(&withdraw(&registry, [person(3)])).already_withdrawn, 1);
    assert_eq!(registry.verify_running().unwrap().fault, None);
    registry.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | a lost store behind a trimmed log | a_store_that_is_gone_is_rebuilt_from_the_newest_snapshot_and_the_log_behind_it | 1"
    );
}

#[test]
fn a_damaged_newest_snapshot_leaves_the_one_before_and_two_damaged_ones_leave_a_refusal() {
    let (home, checksum) = trimmed();
    let snapshots = shelved(&home);
    fs::remove_dir_all(home.store()).unwrap();
    flip(&snapshots[2], fs::metadata(&snapshots[2]).unwrap().len() / 2);
    assert_eq!(home.verify().fault.unwrap().path, snapshots[2]);
    let one_damaged = home.crashed();
    let registry = home.open();
    everybody_is_there(&registry, checksum);
    assert_eq!(troubles(&registry), ["snapshot_damaged"]);
    assert!(registry.notes().iter().any(|note| note.contains(snapshots[1].to_str().unwrap())), "{:?}", registry.notes());
    registry.close(NOW).unwrap();

    let snapshots = shelved(&one_damaged);
    flip(&snapshots[1], fs::metadata(&snapshots[1]).unwrap().len() / 2);
    let log = one_damaged.log_bytes();
    for _ in 0..2 {
        match one_damaged.try_open() {
            Err(RegistryError::NoVerifiedState { detail, .. }) => {
                assert!(detail.contains(snapshots[1].to_str().unwrap()), "{detail}");
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    }
    assert_eq!(one_damaged.log_bytes(), log);
    assert_eq!(shelved(&one_damaged), snapshots);
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | one and two damaged snapshots | a_damaged_newest_snapshot_leaves_the_one_before_and_two_damaged_ones_leave_a_refusal | 3"
    );
}

#[test]
fn a_snapshot_of_another_history_is_passed_over() {
    let (home, checksum) = trimmed();
    let (other, _) = trimmed();
    let mine = shelved(&home).pop().unwrap();
    fs::copy(shelved(&other).pop().unwrap(), &mine).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    everybody_is_there(&home.open(), checksum);
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | a snapshot of another history | a_snapshot_of_another_history_is_passed_over | 1"
    );
}

#[test]
fn a_damaged_snapshot_is_moved_aside_in_the_next_round_and_covers_nothing() {
    let home = in_small_segments();
    let registry = home.open();
    register_some(&registry, 0..20);
    round(&registry);
    let oldest = shelved(&home).pop().unwrap();
    flip(&oldest, fs::metadata(&oldest).unwrap().len() / 3);
    register_some(&registry, 20..40);
    let second = round(&registry);
    assert_eq!((second.sound, second.trimmed.segments), (1, 0));
    assert_eq!(troubles(&registry), ["snapshot_damaged"]);
    assert!(home.names("snapshots").contains(&format!("{}.bad", oldest.file_name().unwrap().to_str().unwrap())));
    register_some(&registry, 40..60);
    let third = round(&registry);
    assert_eq!(third.sound, 2);
    assert!(third.trimmed.segments > 0 && third.trimmed.first_sequence <= second.taken.unwrap().sequence + 1);
    registry.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
    println!(
        "proof: the log lets go of what two sound snapshots cover, and of nothing else | a damaged snapshot | a_damaged_snapshot_is_moved_aside_in_the_next_round_and_covers_nothing | 1"
    );
}

#[test]
fn of_many_damaged_snapshots_the_oldest_and_the_newest_are_kept() {
    let home = in_small_segments();
    let registry = home.open();
    let mut damaged = Vec::new();
    for n in 0..5 {
        register_some(&registry, n * 10..n * 10 + 10);
        round(&registry);
        let newest = shelved(&home).pop().unwrap();
        flip(&newest, fs::metadata(&newest).unwrap().len() / 3);
        damaged.push(format!("{}.bad", newest.file_name().unwrap().to_str().unwrap()));
    }
    let aside = || home.names("snapshots").into_iter().filter(|name| name.ends_with(".bad")).collect::<Vec<_>>();
    register_some(&registry, 50..60);
    assert_eq!(round(&registry).sound, 1);
    assert_eq!(aside(), damaged, "one of them might be the only one that the log goes on from");
    register_some(&registry, 60..70);
    assert_eq!(round(&registry).sound, 2);
    assert_eq!(aside(), [damaged[0].as_str(), damaged[4].as_str()]);
}

#[test]
fn nothing_is_taken_or_removed_while_there_is_a_trouble_that_stops_writing() {
    let (home, _) = trimmed();
    let registry = home.open();
    let segments = home.segments();
    flip(&segments[0], 200);
    assert!(registry.scrub(|| true).is_err());
    let snapshots = shelved(&home);
    assert!(matches!(registry.keep_snapshots(&AT_ONCE, NOW + 1), Err(RegistryError::NotWritable { trouble: "log_corrupt", .. })));
    assert_eq!((home.segments(), shelved(&home)), (segments, snapshots));
    println!(
        "proof: the log lets go of what two sound snapshots cover, and of nothing else | a corrupt log | nothing_is_taken_or_removed_while_there_is_a_trouble_that_stops_writing | 1"
    );
}

#[test]
fn what_a_crash_left_of_a_snapshot_is_removed_in_the_next_round() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..3);
    round(&registry);
    let whole = fs::read(&shelved(&home)[0]).unwrap();
    for left in ["next.snap", "next.snap.tmp"] {
        fs::write(home.path().join("snapshots").join(left), &whole[..whole.len() / 2]).unwrap();
    }
    register_some(&registry, 3..4);
    registry.close(NOW).unwrap();
    let registry = home.open();
    assert_eq!(registry.shelf_standing().kept, 1, "what was not read back does not count");
    round(&registry);
    assert!(home.names("snapshots").iter().all(|name| !name.starts_with("next")), "{:?}", home.names("snapshots"));
}

#[test]
fn a_log_damaged_before_the_snapshot_is_named_and_everybody_is_answered_for() {
    let home = Home::new();
    let registry = home.open();
    let offset = fs::metadata(&home.segments()[0]).unwrap().len() + 60;
    register_some(&registry, 0..3);
    round(&registry);
    register_some(&registry, 3..5);
    let checksum = registry.state_checksum();
    registry.close(NOW).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    flip(&home.segments()[0], offset);
    let registry = home.open();
    assert_eq!(registry.state_checksum(), checksum);
    assert_eq!(troubles(&registry), ["log_corrupt"]);
    assert!(registry.apply(&upserts([person(9)]), NOW).is_err());
}

#[test]
fn a_log_that_ends_before_a_snapshot_was_lost_and_no_sequence_is_given_twice() {
    let home = in_small_segments();
    let registry = home.open();
    register_some(&registry, 0..5);
    registry.close(NOW).unwrap();
    let earlier = home.crashed();
    let registry = home.open();
    register_some(&registry, 5..10);
    round(&registry);
    registry.close(NOW).unwrap();
    let checksum = home.open().state_checksum();
    // Log and store are an old copy, as a restored virtual machine has it; the snapshots are not.
    fs::create_dir(earlier.path().join("snapshots")).unwrap();
    let newest = shelved(&home).pop().unwrap();
    let there = earlier.path().join("snapshots").join(newest.file_name().unwrap());
    fs::copy(&newest, &there).unwrap();
    let log = earlier.log_bytes();
    let registry = earlier.open();
    assert_eq!(troubles(&registry), ["log_lost"]);
    let detail = registry.troubles().list()[0].1.clone();
    assert!(detail.contains(there.to_str().unwrap()), "{detail}");
    assert!(registry.apply(&upserts([person(90)]), NOW).is_err());
    registry.close(NOW).unwrap();
    // Without that store the snapshot is the newest verified state.
    fs::remove_dir_all(earlier.store()).unwrap();
    for _ in 0..2 {
        let registry = earlier.open();
        assert_eq!((registry.state_checksum(), troubles(&registry)), (checksum, vec!["log_lost"]));
        registry.close(NOW).unwrap();
    }
    assert_eq!(earlier.log_bytes(), log);
    assert!(earlier.names(".").iter().all(|name| !name.starts_with("store.bad")), "{:?}", earlier.names("."));
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | a log older than a snapshot | a_log_that_ends_before_a_snapshot_was_lost_and_no_sequence_is_given_twice | 3"
    );
}

#[test]
fn a_restored_directory_lets_go_of_its_base_once_the_log_no_longer_begins_with_it() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..5);
    let file = home.path().join("backup.snap");
    registry.create_snapshot(&file).unwrap();
    let mut copy = Home::new();
    copy.options.segment_bytes_max = 4 << 10;
    once_free(|| restore(&copy.options.disk, copy.path(), &file, NOW)).unwrap();
    let other = copy.open();
    for stage in 0..4 {
        assert_eq!(copy.names("snapshots").contains(&"base.snap".to_owned()), stage < 3, "stage {stage}");
        register_some(&other, 20 * (stage + 1)..20 * (stage + 2));
        round(&other);
    }
    let checksum = other.state_checksum();
    other.close(NOW).unwrap();
    assert_eq!(copy.verify().fault, None);
    fs::remove_dir_all(copy.store()).unwrap();
    assert_eq!(copy.open().state_checksum(), checksum);
}

#[test]
fn a_snapshot_can_be_taken_where_the_log_was_lost_and_restored_elsewhere() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..5);
    withdraw(&registry, [person(4)]);
    let checksum = registry.state_checksum();
    registry.close(NOW).unwrap();
    fs::remove_dir_all(home.log()).unwrap();
    let registry = home.open();
    assert_eq!(troubles(&registry), ["log_lost"]);
    let file = home.path().join("rescued.snap");
    registry.create_snapshot(&file).unwrap();
    let copy = Home::new();
    once_free(|| restore(&copy.options.disk, copy.path(), &file, NOW)).unwrap();
    let other = copy.open();
    assert_eq!((other.state_checksum(), troubles(&other)), (checksum, vec![]));
    register_some(&other, 5..6);
    assert_eq!(counts(&withdraw(&other, [person(4)])).already_withdrawn, 1);
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | a lost log | a_snapshot_can_be_taken_where_the_log_was_lost_and_restored_elsewhere | 1"
    );
}

#[test]
fn a_start_that_is_refused_again_and_again_leaves_no_more_behind_each_time() {
    let home = in_small_segments();
    let registry = home.open();
    register_some(&registry, 0..20);
    registry.close(NOW).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    let segment = home.segments().into_iter().rev().nth(1).unwrap();
    flip(&segment, 200);
    for _ in 0..3 {
        assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })));
        let names = home.names(".");
        assert!(names.iter().all(|name| !name.starts_with("store")), "{names:?}");
    }
    println!(
        "proof: what is gone is rebuilt from a sound snapshot and the log behind it, or refused | starts without a verified state | a_start_that_is_refused_again_and_again_leaves_no_more_behind_each_time | 3"
    );
}

#[test]
fn the_horizon_of_a_wrong_clock_is_undone_by_a_snapshot() {
    let home = Home::new();
    let registry = home.open();
    register_some(&registry, 0..5);
    round(&registry);
    // For a moment the clock is four years ahead: what was in force has ended before the horizon.
    registry.prune_to(day("2030-11-22"), NOW).unwrap();
    assert!(!is_eligible(&registry, &person(1)));
    let copy = Home::new();
    once_free(|| restore(&copy.options.disk, copy.path(), &shelved(&home)[0], NOW)).unwrap();
    assert!(is_eligible(&copy.open(), &person(1)));
}
