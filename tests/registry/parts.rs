//! Followers that hold some prefectures only: every frame in their log, and of the rows those of theirs and of the national issuers.

use std::fs;
use std::path::PathBuf;

use shikaku::domain::decision::Verdict;
use shikaku::domain::identifier::PayerNumber;
use shikaku::domain::prefectures::Prefectures;
use shikaku::domain::registration::Registration;
use shikaku::registry::snapshot::{SnapshotError, SnapshotReader, restore};
use shikaku::registry::{Following, FollowingError, Registry, RegistryError};

use crate::fixture::{Home, NOW, SAPPORO, authority, person, real_disk, register, seen, withdraw};
use crate::following::{catch_up_with_part, following};

const NATIONAL: &str = "N00002";
const OSAKA: &str = "271004";

/// A person's certificate of another authority.
fn of(code: &str, n: u32) -> Registration {
    Registration {
        authority: authority(code),
        certificate_type: format!("T{code}"),
        payer: Some(PayerNumber::parse(b"54136015").unwrap()),
        recipient_number: format!("{}", 2_000_000 + n),
        ..person(n)
    }
}

fn part_of(hub: &Registry, prefectures: &str) -> Following {
    Following { prefectures: Some(Prefectures::parse(prefectures).unwrap()), ..following(hub) }
}

/// A hub with people who are registered in Tokyo, in Sapporo, in both, in Osaka and nationally; some rows are history.
fn hub() -> (Home, Registry) {
    let home = Home::new();
    let hub = home.open();
    register(&hub, [person(1), of(SAPPORO, 2), person(3), of(SAPPORO, 3), of(NATIONAL, 4), of(OSAKA, 5)]);
    register(&hub, [person(6), of(SAPPORO, 7)]);
    withdraw(&hub, [person(6), of(SAPPORO, 7)]);
    (home, hub)
}

fn begun(hub: &Registry, prefectures: &str, snapshot: Option<&PathBuf>) -> (Home, Registry) {
    let home = Home::new();
    let following = part_of(hub, prefectures);
    Registry::begin_following(&real_disk(), home.path(), &following, snapshot.map(PathBuf::as_path), NOW).unwrap();
    let follower = home.open();
    catch_up_with_part(&follower, hub);
    (home, follower)
}

fn snapshot_of(home: &Home, registry: &Registry, name: &str) -> PathBuf {
    let file = home.path().join(name);
    registry.create_snapshot(&file).unwrap();
    file
}

/// It stands where the hub does, with the hub's state of these prefectures and of no other.
fn judge(follower: &Registry, hub: &Registry, held: &[usize]) {
    let ((place, parts), (hub_place, hub_parts)) = (follower.standing(), hub.standing());
    assert_eq!(place, hub_place);
    for (number, (part, hubs)) in parts.parts().iter().zip(hub_parts.parts()).enumerate() {
        assert_eq!(*part, if number == 0 || held.contains(&number) { *hubs } else { 0 }, "prefecture {number}");
    }
}

#[test]
fn a_part_is_answered_from_and_nothing_else_is_held() {
    let (_hub_home, hub) = hub();
    let (home, follower) = begun(&hub, "13", None);
    judge(&follower, &hub, &[13]);
    assert_eq!(follower.held(), Some(Prefectures::parse("13").unwrap()));
    assert_eq!(seen(&follower, &person(1)), seen(&hub, &person(1)));
    assert_eq!(seen(&follower, &of(NATIONAL, 4)), seen(&hub, &of(NATIONAL, 4)));
    for nobody in [of(SAPPORO, 2), of(OSAKA, 5)] {
        assert_eq!(seen(&follower, &nobody), (Verdict::NotRegistered, Vec::new()));
    }
    // The certificate of Tokyo, not that of Sapporo, in the same dossier at the hub.
    let at = snapshot_of(&home, &follower, "part.snap");
    let summary = SnapshotReader::open(&shikaku::disk::RealDisk, &at).unwrap().check().unwrap();
    assert_eq!((summary.recipients, summary.rows, summary.history), (3, 3, 1));
    follower.close(NOW).unwrap();
    let report = home.verify();
    assert_eq!((report.fault, report.rows), (None, 3));
}

#[test]
fn a_part_is_the_same_from_the_log_from_a_snapshot_and_after_any_start() {
    let (hub_home, hub) = hub();
    let whole = snapshot_of(&hub_home, &hub, "whole.snap");
    register(&hub, [person(8), of(SAPPORO, 8), of(OSAKA, 8)]);
    withdraw(&hub, [of(OSAKA, 5)]);
    let (home, from_log) = begun(&hub, "1,27", None);
    let (other_home, from_snapshot) = begun(&hub, "1,27", Some(&whole));
    judge(&from_log, &hub, &[1, 27]);
    judge(&from_snapshot, &hub, &[1, 27]);
    let summaries = [(&home, &from_log), (&other_home, &from_snapshot)].map(|(home, registry)| {
        let summary = registry.create_snapshot(&home.path().join("part.snap")).unwrap();
        (summary.recipients, summary.rows, summary.history)
    });
    assert_eq!(summaries[0], summaries[1]);
    for (home, registry) in [(home, from_log), (other_home, from_snapshot)] {
        registry.close(NOW).unwrap();
        judge(&home.open(), &hub, &[1, 27]);
        fs::remove_dir_all(home.store()).unwrap();
        let registry = home.open();
        judge(&registry, &hub, &[1, 27]);
        assert_eq!(seen(&registry, &of(OSAKA, 8)).0, Verdict::Eligible);
        assert_eq!(registry.verify_running().unwrap().fault, None);
        registry.close(NOW).unwrap();
        assert_eq!(home.verify().fault, None);
    }
}

#[test]
fn a_parts_snapshot_begins_no_whole_and_says_so() {
    let (_hub_home, hub) = hub();
    let (home, follower) = begun(&hub, "1,13", None);
    let part = snapshot_of(&home, &follower, "part.snap");
    let empty = Home::new();
    let refused = restore(&real_disk(), empty.path(), &part, NOW).unwrap_err();
    assert!(matches!(refused, RegistryError::Snapshot(SnapshotError::Part { .. })));
    assert!(refused.to_string().contains("holds the rows of prefectures 1,13 only"), "{refused}");
    for wanted in [following(&hub), part_of(&hub, "1,27"), part_of(&hub, "1,13,27")] {
        let refused = Registry::begin_following(&real_disk(), empty.path(), &wanted, Some(&part), NOW).unwrap_err();
        assert!(matches!(refused, RegistryError::Following(FollowingError::HoldsTooLittle { .. })), "{refused}");
    }
    let (_home, smaller) = begun(&hub, "13", Some(&part));
    judge(&smaller, &hub, &[13]);
}

#[test]
fn a_snapshot_of_a_part_on_a_whole_directorys_shelf_is_of_no_use_and_named() {
    let (hub_home, hub) = hub();
    let (home, follower) = begun(&hub, "13", None);
    let part = snapshot_of(&home, &follower, "part.snap");
    hub.close(NOW).unwrap();
    fs::create_dir_all(hub_home.path().join("snapshots")).unwrap();
    fs::copy(part, hub_home.path().join("snapshots").join("part.snap")).unwrap();
    fs::remove_dir_all(hub_home.store()).unwrap();
    let fault = hub_home.verify().fault.unwrap();
    assert!(fault.what.contains("does not hold what the directory does"), "{fault:?}");
    // It is rebuilt from the log.
    assert_eq!(seen(&hub_home.open(), &of(SAPPORO, 2)).0, Verdict::Eligible);
}

#[test]
fn a_flipped_bit_in_a_part_is_noticed() {
    let (_hub_home, hub) = hub();
    let (home, follower) = begun(&hub, "13", None);
    let part = snapshot_of(&home, &follower, "part.snap");
    let bytes = fs::read(&part).unwrap();
    for place in (0..bytes.len()).step_by(61) {
        let mut flipped = bytes.clone();
        flipped[place] ^= 8;
        fs::write(&part, flipped).unwrap();
        let checked = SnapshotReader::open(&shikaku::disk::RealDisk, &part).and_then(SnapshotReader::check);
        assert!(checked.is_err(), "byte {place}");
    }
}
