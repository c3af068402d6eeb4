//! What a restart keeps: everything.

use shikaku::domain::decision::Verdict;
use shikaku::domain::masters::{MasterKind, built_in};
use shikaku::domain::registration::Registration;
use shikaku::record::payload::FeedPhase;
use shikaku::registry::{Counts, KnownFile};

use crate::fixture::*;

#[test]
fn a_new_directory_becomes_a_stream_with_the_built_in_masters() {
    let home = Home::new();
    let registry = home.open();
    for kind in MasterKind::ALL {
        assert_eq!(registry.master_text(kind), Some(built_in(kind)), "{kind:?}");
    }
    assert_eq!(registry.reader().view().horizon, day("2024-11-01"));
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    assert_eq!(home.segments().len(), 1);
}

#[test]
fn a_restart_answers_as_before_and_keeps_stream_position_and_checksum() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..100).map(person));
    withdraw(&registry, [person(5)]);
    let (stream, checksum) = (registry.stream(), registry.state_checksum());
    registry.close(NOW).unwrap();
    let registry = home.open();
    assert_eq!((registry.stream(), registry.state_checksum()), (stream, checksum));
    assert!(is_eligible(&registry, &person(99)));
    assert_eq!(seen(&registry, &person(5)).0, Verdict::NotRegistered);
    assert_eq!(counts(&withdraw(&registry, [person(5)])).already_withdrawn, 1);
    assert_eq!(counts(&register(&registry, [person(1), person(5)])), Counts { registered: 1, unchanged: 1, ..Counts::default() });
    assert_eq!(troubles(&registry), Vec::<&str>::new());
}

#[test]
fn a_crash_right_after_an_acknowledgement_loses_nothing() {
    let home = Home::new();
    let registry = home.open();
    for n in 0..8 {
        register(&registry, [person(n)]);
        let crashed = home.crashed();
        let restarted = crashed.open();
        assert!(is_eligible(&restarted, &person(n)), "{n}");
        assert_eq!(restarted.position(), registry.position());
    }
}

#[test]
fn masters_feeds_and_the_horizon_survive_a_restart_and_a_rebuild() {
    let home = Home::new();
    let registry = home.open();
    let payers = format!("{}\n88131016,{CHIYODA},子ども,13,warn,2020-04-01,9999-12-31\n", MasterKind::Payers.header());
    registry.set_master(MasterKind::Payers, &payers, NOW).unwrap();
    registry.record_feed(&feed(FeedPhase::Began, "older", &[CHIYODA, SAPPORO]), NOW).unwrap();
    registry.record_feed(&feed(FeedPhase::Ended, "older", &[CHIYODA, SAPPORO]), NOW + 1000).unwrap();
    registry.record_feed(&feed(FeedPhase::Began, "newer", &[CHIYODA]), NOW + 2000).unwrap();
    registry.prune_to(day("2027-01-01"), NOW + 3000).unwrap();
    register(&registry, [person(1)]);
    let checksum = registry.state_checksum();
    registry.close(NOW).unwrap();

    let check = |home: &Home| {
        let registry = home.open();
        assert_eq!(registry.state_checksum(), checksum);
        assert_eq!(registry.master_text(MasterKind::Payers).as_deref(), Some(payers.as_str()));
        assert_eq!(registry.reader().view().horizon, day("2025-01-01"));
        assert_eq!(registry.known_file("older", &[authority(CHIYODA)]), KnownFile::Older);
        assert_eq!(registry.known_file("older", &[authority(SAPPORO)]), KnownFile::Completed);
        assert_eq!(registry.known_file("newer", &[authority(CHIYODA)]), KnownFile::Begun);
        assert_eq!(registry.known_file("never seen", &[authority(CHIYODA)]), KnownFile::New);
        let reader = registry.reader();
        let sources = reader.view().sources.clone();
        let fed = |code| sources.of(&authority(code)).last_feed_unix_s;
        assert_eq!((fed(CHIYODA), fed(SAPPORO)), (Some(NOW / 1000 + 1), Some(NOW / 1000 + 1)));
        assert!(sources.of(&authority(CHIYODA)).has_current_rows);
        assert!(!sources.of(&authority(SAPPORO)).has_current_rows);
    };
    check(&home);
    std::fs::remove_dir_all(home.store()).unwrap();
    check(&home);
}

#[test]
fn a_master_table_with_a_fault_changes_nothing() {
    let home = Home::new();
    let registry = home.open();
    let before = registry.position();
    assert!(registry.set_master(MasterKind::Payers, "payer_number\n1\n", NOW).is_err());
    assert_eq!(registry.position(), before);
}

#[test]
fn a_master_table_larger_than_a_frame_travels_in_pieces() {
    let home = Home::new();
    let registry = home.open();
    let mut payers = format!("{}\n", MasterKind::Payers.header());
    for n in 0..20_000 {
        payers.push_str(&format!("{:08},{CHIYODA},長い名前の制度,,off,2020-04-01,9999-12-31\n", 10_000_000 + n));
    }
    assert!(payers.len() > shikaku::log::PAYLOAD_BYTES_MAX);
    registry.set_master(MasterKind::Payers, &payers, NOW).unwrap();
    registry.set_master(MasterKind::Payers, &payers, NOW).unwrap();
    let checksum = registry.state_checksum();
    drop(registry);
    let registry = home.open();
    assert_eq!(registry.master_text(MasterKind::Payers), Some(payers));
    assert_eq!(registry.state_checksum(), checksum);
}

#[test]
fn a_run_larger_than_a_frame_becomes_several_and_all_of_it_stands() {
    let home = Home::new();
    let registry = home.open();
    let before = registry.sequence();
    let long = |n| Registration { additional_conditions: "条".repeat(200), ..person(n) };
    let applied = register(&registry, (0..2000).map(long));
    assert_eq!(counts(&applied).registered, 2000);
    assert!(applied.sequence > before + 1);
    drop(registry);
    let registry = home.open();
    assert_eq!(registry.verify_running().unwrap().rows, 2000);
    assert!(is_eligible(&registry, &person(1999)));
}
