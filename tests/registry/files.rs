//! Files that come again, however long ago they came first: what memory has forgotten is asked of the store, and never taken for new.

use std::fs;
use std::sync::atomic::Ordering;

use shikaku::limits::FILES_REMEMBERED_MAX;
use shikaku::record::payload::FeedPhase;
use shikaku::registry::snapshot::restore;
use shikaku::registry::{KnownFile, Registry};

use crate::failing::on_a_failing_disk;
use crate::fixture::*;

/// Two files that began long ago, one of them not to its end, and so many since that memory has forgotten both. Chiyoda has sent
/// something newer; from Sapporo nothing came since.
fn long_used() -> (Home, Registry) {
    let (home, disk) = on_a_failing_disk();
    disk.lazy.store(true, Ordering::SeqCst);
    let registry = home.open();
    let record = |phase, hash: &str, authorities: &[&str]| registry.record_feed(&feed(phase, hash, authorities), NOW).unwrap();
    record(FeedPhase::Began, "first", &[CHIYODA, SAPPORO]);
    record(FeedPhase::Ended, "first", &[CHIYODA, SAPPORO]);
    record(FeedPhase::Began, "broken off", &[CHIYODA]);
    for file in 0..=FILES_REMEMBERED_MAX {
        record(FeedPhase::Ended, &format!("file {file}"), &[CHIYODA]);
    }
    (home, registry)
}

fn known(registry: &Registry, hash: &str, authorities: &[&str]) -> KnownFile {
    let authorities: Vec<_> = authorities.iter().map(|code| authority(code)).collect();
    registry.known_file(hash, &authorities)
}

fn keeps_its_promises(registry: &Registry) {
    let ledger = registry.baseline().ledger;
    assert!(ledger.files().forgot_some());
    assert!(ledger.files().of("first").is_none() && ledger.files().of("broken off").is_none());
    assert_eq!(known(registry, "first", &[CHIYODA, SAPPORO]), KnownFile::Older);
    assert_eq!(known(registry, "broken off", &[CHIYODA]), KnownFile::Older);
    assert_eq!(known(registry, "first", &[SAPPORO]), KnownFile::Completed, "nothing newer came from there");
    assert_eq!(known(registry, "never seen", &[CHIYODA]), KnownFile::New);
    let newest = format!("file {FILES_REMEMBERED_MAX}");
    assert_eq!(known(registry, &newest, &[CHIYODA]), KnownFile::Completed);
    assert_eq!(known(registry, "file 0", &[CHIYODA]), KnownFile::Older);
}

#[test]
fn a_file_that_memory_has_forgotten_is_known_after_a_restart_a_rebuild_and_a_restore() {
    let (home, registry) = long_used();
    keeps_its_promises(&registry);
    let backup = home.path().join("backup.snap");
    registry.create_snapshot(&backup).unwrap();
    registry.close(NOW).unwrap();

    let registry = home.open();
    keeps_its_promises(&registry);
    drop(registry);
    fs::remove_dir_all(home.store()).unwrap();
    keeps_its_promises(&home.open());

    let copy = Home::new();
    once_free(|| restore(&real_disk(), copy.path(), &backup, NOW)).unwrap();
    keeps_its_promises(&copy.open());
}

#[test]
fn without_the_store_a_file_that_memory_does_not_know_is_not_taken_for_new() {
    let (_home, registry) = long_used();
    registry.finish(NOW).unwrap();
    assert_eq!(known(&registry, "first", &[CHIYODA]), KnownFile::CannotBeKnown);
    assert_eq!(known(&registry, "never seen", &[CHIYODA]), KnownFile::CannotBeKnown);
    let newest = format!("file {FILES_REMEMBERED_MAX}");
    assert_eq!(known(&registry, &newest, &[CHIYODA]), KnownFile::Completed);
}

#[test]
fn while_nothing_was_forgotten_a_new_file_is_known_to_be_new_without_the_store() {
    let home = Home::new();
    let registry = home.open();
    registry.record_feed(&feed(FeedPhase::Ended, "one", &[CHIYODA]), NOW).unwrap();
    registry.finish(NOW).unwrap();
    assert_eq!(known(&registry, "never seen", &[CHIYODA]), KnownFile::New);
    assert_eq!(known(&registry, "one", &[CHIYODA]), KnownFile::Completed);
}
