//! A disk that fails while the registry is written: nothing is acknowledged that is not durable, and look-ups go on.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use shikaku::domain::decision::Verdict;
use shikaku::log::LogError;
use shikaku::registry::RegistryError;

use crate::faulty::{Faults, FaultyDisk};
use crate::fixture::*;

pub(crate) fn on_a_failing_disk() -> (Home, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let mut home = Home::new();
    home.options.disk = Arc::new(FaultyDisk(faults.clone()));
    (home, faults)
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_stops_writing_until_a_restart() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    let position = registry.position();
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(matches!(registry.apply(&upserts([person(2)]), NOW), Err(RegistryError::Log(LogError::Disk { .. }))));
    faults.fail_syncs.store(false, Ordering::SeqCst);
    assert!(matches!(
        registry.apply(&upserts([person(3)]), NOW),
        Err(RegistryError::NotWritable { trouble: "log_poisoned", .. })
    ));
    assert_eq!((registry.position(), troubles(&registry)), (position, vec!["log_poisoned"]));
    assert!(is_eligible(&registry, &person(1)));
    assert_eq!(seen(&registry, &person(2)).0, Verdict::NotRegistered);
    registry.close(NOW).unwrap();

    // The frame was written whole. It was not acknowledged, and may stand.
    let registry = home.open();
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    assert!(is_eligible(&registry, &person(1)) && is_eligible(&registry, &person(2)));
    register(&registry, [person(3)]);
    assert_eq!(registry.verify_running().unwrap().fault, None);
}

#[test]
fn a_full_disk_refuses_a_registration_and_takes_it_when_there_is_room_again() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    let position = registry.position();
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(registry.apply(&upserts([person(2)]), NOW).is_err());
    }
    assert_eq!((registry.position(), troubles(&registry)), (position, vec!["disk_full"]));
    faults.full.store(false, Ordering::SeqCst);
    register(&registry, [person(2)]);
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    drop(registry);
    let registry = home.open();
    assert!(is_eligible(&registry, &person(1)) && is_eligible(&registry, &person(2)));
    assert_eq!(troubles(&registry), Vec::<&str>::new());
}

#[test]
fn what_was_loaded_is_answered_where_the_disk_does_not_give_the_end_of_the_log() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    registry.close(NOW).unwrap();
    let (log, bytes) = (home.names("log"), home.log_bytes());
    *faults.unreadable_from.lock().unwrap() = Some(128);
    let registry = home.open();
    assert_eq!(troubles(&registry), ["log_corrupt"]);
    let (_, detail) = registry.troubles().list().remove(0);
    assert!(detail.contains(".seg") && detail.contains("the test's disk fails"), "{detail}");
    assert!(is_eligible(&registry, &person(1)));
    let refused = registry.apply(&upserts([person(2)]), NOW);
    assert!(matches!(refused, Err(RegistryError::NotWritable { trouble: "log_corrupt", .. })));
    registry.close(NOW).unwrap();
    assert_eq!((home.names("log"), home.log_bytes()), (log, bytes), "nothing is written behind it");
    *faults.unreadable_from.lock().unwrap() = None;
    let registry = home.open();
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    register(&registry, [person(2)]);
    assert!((1..=2).all(|n| is_eligible(&registry, &person(n))));
}

#[test]
fn what_was_loaded_is_answered_where_a_log_that_failed_has_no_room_to_be_made_durable() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    faults.fail_syncs.store(true, Ordering::SeqCst);
    assert!(registry.apply(&upserts([person(2)]), NOW).is_err());
    faults.fail_syncs.store(false, Ordering::SeqCst);
    registry.close(NOW).unwrap();

    faults.full.store(true, Ordering::SeqCst);
    let log = home.names("log");
    for _ in 0..2 {
        let registry = home.open();
        assert_eq!(troubles(&registry), ["no_room_at_start"]);
        assert!(is_eligible(&registry, &person(1)));
        let refused = registry.apply(&upserts([person(3)]), NOW);
        assert!(matches!(refused, Err(RegistryError::NotWritable { trouble: "no_room_at_start", .. })));
        registry.close(NOW).unwrap();
        assert_eq!(home.names("log"), log, "half a copy is left");
    }
    faults.full.store(false, Ordering::SeqCst);
    let registry = home.open();
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    register(&registry, [person(3)]);
    assert!((1..=3).all(|n| is_eligible(&registry, &person(n))));
}
