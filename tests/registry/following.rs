//! Directories that follow a stream: how they begin, what they take, and what they refuse.

use std::fs;
use std::path::Path;

use shikaku::domain::masters::MasterKind;
use shikaku::log::{Fault, SEGMENT_HEAD};
use shikaku::record::payload::FeedPhase;
use shikaku::registry::snapshot::{SnapshotError, restore};
use shikaku::registry::{Following, FollowingError, Keeping, Registry, RegistryError};

use crate::fixture::{
    CHIYODA, Home, NOW, as_member, ask, counts, feed, flip, is_eligible, once_free, person, real_disk, register, seen, today,
    troubles, upserts, withdraw,
};

/// What a registry hands on from a sequence on: its segments' frames.
fn frames_behind(registry: &Registry, sequence: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in registry.segments().unwrap() {
        let segment = registry.read_segment(entry.first_sequence, SEGMENT_HEAD as u64..u64::MAX).unwrap();
        let mut rest = &segment[..];
        while let Ok(frame) = shikaku::log::Frame::first_of(rest) {
            if frame.sequence > sequence {
                bytes.extend_from_slice(frame.bytes);
            }
            rest = &rest[frame.bytes.len()..];
        }
    }
    bytes
}

pub(crate) fn following(hub: &Registry) -> Following {
    Following { stream: hub.stream(), hub_key: [9; 32], prefectures: None }
}

fn begin(home: &Home, following: &Following, snapshot: Option<&Path>) -> Result<(), RegistryError> {
    once_free(|| Registry::begin_following(&real_disk(), home.path(), following, snapshot, NOW)).map(drop)
}

/// A hub with two people, one withdrawn, and a registry that follows it from the beginning, and is as far.
fn hub_and_follower() -> (Home, Registry, Home, Registry) {
    let (hub_home, home) = (Home::new(), Home::new());
    let hub = hub_home.open();
    register(&hub, [person(1), person(2), person(3)]);
    withdraw(&hub, [person(3)]);
    begin(&home, &following(&hub), None).unwrap();
    let follower = home.open();
    catch_up(&follower, &hub);
    (hub_home, hub, home, follower)
}

fn catch_up(follower: &Registry, hub: &Registry) {
    catch_up_with_part(follower, hub);
    assert_eq!(follower.standing(), hub.standing());
}

/// The same where the follower holds a part of the hub's rows.
pub(crate) fn catch_up_with_part(follower: &Registry, hub: &Registry) {
    let taken = follower.take_frames(&frames_behind(hub, follower.sequence())).unwrap();
    assert_eq!(taken, hub.sequence());
}

#[test]
fn a_follower_answers_as_its_hub_does_and_goes_on_after_a_restart() {
    let (_hub_home, hub, home, follower) = hub_and_follower();
    assert_eq!(follower.following(), Some(&following(&hub)));
    for n in 1..=3 {
        assert_eq!(seen(&follower, &person(n)), seen(&hub, &person(n)));
    }
    follower.close(NOW).unwrap();
    register(&hub, [person(4)]);
    let follower = home.open();
    assert!(!is_eligible(&follower, &person(4)));
    catch_up(&follower, &hub);
    assert!(is_eligible(&follower, &person(4)));
    follower.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
}

#[test]
fn a_follower_registers_nothing_and_says_where_to() {
    let (_hub_home, hub, home, follower) = hub_and_follower();
    let before = home.log_bytes();
    for refused in [
        follower.apply(&upserts([person(5)]), NOW).map(drop),
        follower.set_master(MasterKind::Payers, MasterKind::Payers.header(), NOW).map(drop),
        follower.record_feed(&feed(FeedPhase::Began, "file", &[CHIYODA]), NOW).map(drop),
    ] {
        let words = refused.unwrap_err().to_string();
        let expected = format!("{} follows stream {:?}; register at its hub", home.path().display(), hub.stream());
        assert_eq!(words, expected);
    }
    assert_eq!(follower.prune_to(today().plus_months(6), NOW).unwrap(), 0);
    assert_eq!(follower.standing(), hub.standing());
    follower.close(NOW).unwrap();
    home.open().close(NOW).unwrap();
    assert_eq!(home.log_bytes(), before, "it wrote a frame of its own");
}

#[test]
fn a_registry_of_its_own_stream_takes_no_frames() {
    let (_hub_home, hub, _home, _follower) = hub_and_follower();
    let home = Home::new();
    let other = home.open();
    let refused = other.take_frames(&frames_behind(&hub, other.sequence()));
    assert!(matches!(refused, Err(RegistryError::FollowsNothing { .. })), "{refused:?}");
}

#[test]
fn frames_that_are_not_the_next_or_not_whole_are_refused_and_those_before_them_stand() {
    let (_hub_home, hub, _home, follower) = hub_and_follower();
    let at = follower.sequence();
    register(&hub, [person(4)]);
    register(&hub, [person(5)]);
    register(&hub, [person(6)]);
    let bytes = frames_behind(&hub, at);
    let refused = |bytes: &[u8]| match follower.take_frames(bytes) {
        Err(RegistryError::Untaken { sequence, what }) => (sequence, what),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&frames_behind(&hub, at + 1)), (at + 1, Fault::Sequence));
    assert_eq!(refused(&frames_behind(&hub, at - 1)), (at + 1, Fault::Sequence));
    let mut flipped = bytes.clone();
    flipped[100] ^= 4;
    assert_eq!(refused(&flipped), (at + 1, Fault::Checksum));
    assert_eq!(follower.sequence(), at);
    // Two whole ones, and one that is cut.
    assert_eq!(refused(&bytes[..bytes.len() - 8]), (at + 3, Fault::Short));
    assert_eq!(follower.sequence(), at + 2);
    assert!(is_eligible(&follower, &person(5)) && !is_eligible(&follower, &person(6)));
    assert_eq!(troubles(&follower), [""; 0]);
    catch_up(&follower, &hub);
}

#[test]
fn a_follower_begins_from_a_snapshot_of_its_stream_and_is_rebuilt_from_it() {
    let (hub_home, hub, _home, _follower) = hub_and_follower();
    let snapshot = hub_home.path().join("hub.snap");
    hub.create_snapshot(&snapshot).unwrap();
    let taken_at = hub.standing();
    register(&hub, [person(4)]);
    let home = Home::new();
    let begun = Registry::begin_following(&real_disk(), home.path(), &following(&hub), Some(&snapshot), NOW).unwrap();
    assert_eq!(begun, taken_at.0);
    let follower = home.open();
    assert_eq!(follower.standing(), taken_at);
    catch_up(&follower, &hub);
    assert_eq!(follower.oldest_sequence().unwrap(), begun.sequence + 1);
    follower.close(NOW).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    let follower = home.open();
    assert_eq!(follower.standing(), hub.standing());
    assert!(is_eligible(&follower, &person(4)));
    // Withdrawn at the hub, of which the history knows.
    assert_eq!(follower.create_snapshot(&home.path().join("x.snap")).unwrap().history, 1);
}

#[test]
fn a_follower_begins_only_in_a_directory_of_its_own_and_from_a_snapshot_of_its_stream() {
    let (hub_home, hub, home, follower) = hub_and_follower();
    let snapshot = hub_home.path().join("hub.snap");
    hub.create_snapshot(&snapshot).unwrap();
    drop(follower);
    let lived_in = Home::new();
    lived_in.open().close(NOW).unwrap();
    for taken in [&home, &lived_in] {
        let refused = begin(taken, &following(&hub), None);
        assert!(matches!(refused, Err(RegistryError::Following(FollowingError::NotEmpty { .. }))), "{refused:?}");
    }
    let of_another = Following { stream: shikaku::log::StreamId([1; 16]), ..following(&hub) };
    let empty = Home::new();
    let refused = begin(&empty, &of_another, Some(&snapshot));
    assert!(matches!(refused, Err(RegistryError::Following(FollowingError::OtherStream { .. }))), "{refused:?}");
    flip(&snapshot, 3_000);
    let refused = begin(&empty, &following(&hub), Some(&snapshot));
    assert!(matches!(refused, Err(RegistryError::Snapshot(SnapshotError::Damaged { .. }))), "{refused:?}");
    begin(&empty, &following(&hub), None).unwrap();
}

#[test]
fn a_log_beside_another_streams_word_is_not_opened() {
    let (hub_home, hub, home, follower) = hub_and_follower();
    drop((follower, hub));
    fs::copy(home.path().join("follows"), hub_home.path().join("follows")).unwrap();
    drop(hub_home.open());
    let other_home = Home::new();
    other_home.open().close(NOW).unwrap();
    fs::copy(home.path().join("follows"), other_home.path().join("follows")).unwrap();
    let refused = other_home.try_open();
    assert!(matches!(refused, Err(RegistryError::Following(FollowingError::OtherLog { .. }))));
    let fault = other_home.verify().fault.unwrap();
    assert!(fault.what.contains("is followed, and the log is of another"), "{fault:?}");
}

#[test]
fn a_follower_that_lost_its_log_begins_no_stream_of_its_own() {
    let (_hub_home, _hub, home, follower) = hub_and_follower();
    follower.close(NOW).unwrap();
    fs::remove_dir_all(home.log()).unwrap();
    fs::remove_dir_all(home.store()).unwrap();
    assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })));
}

#[test]
fn a_followers_own_word_that_is_damaged_is_named() {
    let (_hub_home, _hub, home, follower) = hub_and_follower();
    drop(follower);
    flip(&home.path().join("follows"), 30);
    assert!(matches!(home.try_open(), Err(RegistryError::Following(FollowingError::Damaged { .. }))));
    assert!(home.verify().fault.is_some());
}

#[test]
fn a_followers_snapshot_restores_as_any_other_and_its_log_is_trimmed_behind_two() {
    let (_hub_home, hub, home, follower) = hub_and_follower();
    drop(follower);
    let mut home = home;
    home.options.segment_bytes_max = 900;
    let follower = home.open();
    for round in 0..3 {
        (0..4).for_each(|n| drop(register(&hub, [person(10 * (round + 1) + n)])));
        catch_up(&follower, &hub);
        follower.keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, NOW + 1_000).unwrap();
    }
    assert!(follower.oldest_sequence().unwrap() > 1);
    let file = home.path().join("follower.snap");
    follower.create_snapshot(&file).unwrap();
    follower.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
    fs::remove_dir_all(home.store()).unwrap();
    assert_eq!(home.open().standing(), hub.standing());
    let restored_home = Home::new();
    restore(&real_disk(), restored_home.path(), &file, NOW).unwrap();
    let restored = restored_home.open();
    assert_eq!(restored.following(), None);
    assert!(is_eligible(&restored, &person(33)));
    assert_eq!(counts(&register(&restored, [person(99)])).registered, 1);
}

#[test]
fn a_follower_is_followed_in_turn() {
    let (_hub_home, hub, _home, follower) = hub_and_follower();
    let last_home = Home::new();
    begin(&last_home, &following(&hub), None).unwrap();
    let last = last_home.open();
    catch_up(&last, &follower);
    assert_eq!(last.standing(), hub.standing());
    assert_eq!(ask(&last, &as_member(&person(2))), ask(&hub, &as_member(&person(2))));
}

#[test]
fn a_running_verification_of_a_follower_finds_nothing_wrong() {
    let (_hub_home, _hub, _home, follower) = hub_and_follower();
    assert_eq!(follower.verify_running().unwrap().fault, None);
}
