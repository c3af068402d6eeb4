//! What a start does with what it finds: one test for each line of the table in `docs/format.md`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use shikaku::disk::{Disk, RealDisk};
use shikaku::domain::decision::Verdict;
use shikaku::domain::masters::{MasterKind, built_in};
use shikaku::domain::registration::Operation;
use shikaku::index::IndexOptions;
use shikaku::log::{Fault, FrameKind, LogError, LogReader, PAYLOAD_BYTES_MAX};
use shikaku::record::payload::{FeedPhase, MasterPiece, horizon_to_bytes};
use shikaku::registry::{KnownFile, Outcome, Registry, RegistryError};
use shikaku::store::{Engine, ModelOptions, StoreBatch};

use crate::faulty::{Faults, FaultyDisk};
use crate::fixture::*;

/// A directory with people 0 to 29, closed in order, and its state checksum.
fn with_thirty() -> (Home, u128) {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..10).map(person));
    register(&registry, (10..20).map(person));
    register(&registry, (20..30).map(person));
    withdraw(&registry, (10..20).map(person));
    register(&registry, (10..20).map(person));
    let checksum = registry.state_checksum();
    registry.close(NOW).unwrap();
    (home, checksum)
}

/// The same in segments of a few frames.
fn in_small_segments() -> Home {
    let mut home = Home::new();
    home.options.segment_bytes_max = 8 << 10;
    let registry = home.open();
    for n in 0..60 {
        register(&registry, [person(n)]);
    }
    registry.close(NOW).unwrap();
    assert!(home.segments().len() >= 4, "{:?}", home.segments());
    home
}

/// The directory as it is now, and the registry opened again: a store is copied while nobody writes it.
fn store_of_now(home: &Home, registry: Registry) -> (Registry, Home) {
    drop(registry);
    let copy = home.crashed();
    (home.open(), copy)
}

/// Puts the store of one directory into another.
fn take_store(from: &Home, to: &Home) {
    fs::remove_dir_all(to.store()).unwrap();
    fs::rename(from.store(), to.store()).unwrap();
}

fn refuses_writing(registry: &Registry, word: &str) {
    match registry.apply(&upserts([person(999)]), NOW) {
        Err(RegistryError::NotWritable { trouble, .. }) => assert_eq!(trouble, word),
        other => panic!("{:?}", other.map(|applied| applied.counts)),
    }
    assert!(troubles(registry).contains(&word));
    assert_eq!(seen(registry, &person(999)).0, Verdict::NotRegistered);
}

fn names_file_and_offset(registry: &Registry, segment: &Path) {
    let list = registry.troubles().list();
    let detail = &list.iter().find(|(trouble, _)| trouble.word() == "log_corrupt").unwrap().1;
    assert!(detail.contains(&segment.display().to_string()) && detail.contains("offset"), "{detail}");
}

#[test]
fn none_and_none_is_a_new_stream() {
    let (one, other) = (Home::new(), Home::new());
    assert_ne!(one.open().stream(), other.open().stream());
}

#[test]
fn a_stream_whose_beginning_was_cut_short_is_begun_to_its_end() {
    let home = Home::new();
    drop(home.open());
    let whole = home.open().state_checksum();
    let segment = home.segments().remove(0);
    let bytes = fs::read(&segment).unwrap();
    // Cut behind each of the first frames: the masters and the horizon are one frame each.
    for frames in 0..6 {
        let mut at = 128;
        for _ in 0..frames {
            let payload = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            at += 56 + payload.next_multiple_of(8) + 8;
        }
        fs::remove_dir_all(home.store()).unwrap();
        fs::write(&segment, &bytes[..at]).unwrap();
        let registry = home.open();
        assert_eq!(registry.state_checksum(), whole, "after {frames} frames");
        assert_eq!(registry.reader().view().horizon, day("2024-11-01"));
        assert_eq!(registry.master_text(MasterKind::Payers), Some(built_in(MasterKind::Payers)));
    }
}

#[test]
fn a_good_store_is_loaded_and_the_rest_replayed() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, (0..10).map(person));
    let (registry, behind) = store_of_now(&home, registry);
    register(&registry, (10..20).map(person));
    let position = registry.position();
    registry.close(NOW).unwrap();
    take_store(&behind, &home);
    let registry = home.open();
    assert_eq!(registry.position().1, position.1);
    assert!(registry.notes().iter().any(|note| note.starts_with("loaded 10 recipients")), "{:?}", registry.notes());
    assert!(registry.notes().iter().any(|note| note.starts_with("replayed 2 frames")), "{:?}", registry.notes());
    assert!(is_eligible(&registry, &person(19)));
    assert_eq!(troubles(&registry), Vec::<&str>::new());
}

#[test]
fn an_absent_store_is_rebuilt_from_the_log_with_its_history() {
    let (home, checksum) = with_thirty();
    let registry = home.open();
    withdraw(&registry, [person(3)]);
    register(&registry, [person(3)]);
    withdraw(&registry, [person(4)]);
    let after = registry.state_checksum();
    assert_ne!(after, checksum);
    drop(registry);
    fs::remove_dir_all(home.store()).unwrap();
    let registry = home.open();
    assert_eq!(registry.state_checksum(), after);
    assert_eq!(counts(&withdraw(&registry, [person(4)])).already_withdrawn, 1);
    assert_eq!(registry.verify_running().unwrap().fault, None);
    registry.close(NOW).unwrap();
    assert_eq!(home.verify().fault, None);
}

#[test]
fn a_store_with_any_byte_flipped_is_either_rebuilt_or_not_affected() {
    let (home, checksum) = with_thirty();
    let names = files_below(&home.store());
    assert!(!names.is_empty());
    let (mut rebuilt, mut detached, mut flipped) = (0, 0, 0);
    for name in names {
        let length = fs::metadata(home.store().join(&name)).unwrap().len();
        // The first bytes, the last, and a sample of those between.
        let step = (length / 5).max(1);
        for offset in (0..length).step_by(usize::try_from(step).unwrap()).chain([length.saturating_sub(1)]) {
            if offset >= length {
                continue;
            }
            let damaged = home.crashed();
            flip(&damaged.store().join(&name), offset);
            flipped += 1;
            let registry = damaged.open();
            assert_eq!(registry.state_checksum(), checksum, "{name} at {offset}");
            assert!(is_eligible(&registry, &person(29)), "{name} at {offset}");
            rebuilt += usize::from(troubles(&registry) == ["store_rebuilt"]);
            // The history is not read at a start. Where it is damaged, asking it detaches the store, and the next start mends it.
            if let Err(error) = registry.apply(&changes(Operation::Withdraw, [person(500)]), NOW) {
                assert!(matches!(error, RegistryError::StoreDetached), "{error}");
                assert_eq!(troubles(&registry), ["store_detached"]);
                drop(registry);
                let registry = damaged.open();
                assert_eq!(troubles(&registry), ["store_rebuilt"], "{name} at {offset}");
                assert_eq!(rejected(&withdraw(&registry, [person(500)])), [Outcome::Unknown]);
                assert!(!damaged.path().join("store.failed").exists());
                detached += 1;
            }
        }
    }
    assert!(rebuilt > 0 && detached > 0, "{rebuilt} {detached}");
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped byte of the store | a_store_with_any_byte_flipped_is_either_rebuilt_or_not_affected | {flipped}"
    );
}

/// Where a leaf is damaged that the engine wants to move while it opens, its flush fails, and the next one waits for that one.
#[test]
fn a_damaged_store_in_which_the_engine_waits_for_itself_is_rebuilt() {
    let home = Home::new();
    for round in 0..4 {
        let registry = home.open();
        for n in 0..8 {
            register(&registry, (n * 100..n * 100 + 40 + 5 * round).map(person));
            withdraw(&registry, (n * 100 + round * 9..n * 100 + round * 9 + 9).map(person));
            registry.maintain(NOW).unwrap();
        }
        if round < 3 {
            registry.close(NOW).unwrap();
        } else {
            drop(registry);
        }
    }
    let home = home.crashed();
    let checksum = home.crashed().open().state_checksum();
    let (mut waited, mut flipped) = (0, 0);
    for name in files_below(&home.store()).into_iter().filter(|name| name.contains("slabs/")) {
        let length = fs::metadata(home.store().join(&name)).unwrap().len();
        let slot: u64 = name.rsplit('/').next().unwrap().parse().unwrap();
        for offset in (0..length).step_by(slot as usize).map(|start| start + 9).filter(|offset| *offset < length) {
            let damaged = home.crashed();
            flip(&damaged.store().join(&name), offset);
            flipped += 1;
            let registry = damaged.open();
            assert_eq!(registry.state_checksum(), checksum, "{name} at {offset}");
            assert!(troubles(&registry).iter().all(|trouble| *trouble == "store_rebuilt"), "{name} at {offset}");
            waited += usize::from(registry.notes().iter().any(|note| note.contains("failed to flush")));
        }
    }
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped byte of each slot of the store | a_damaged_store_in_which_the_engine_waits_for_itself_is_rebuilt | {flipped} flips, {waited} of them such that the engine waits for itself"
    );
}

#[test]
fn a_store_of_cut_files_or_of_garbage_is_moved_aside_and_rebuilt() {
    let (home, checksum) = with_thirty();
    for garbage in [false, true] {
        for name in files_below(&home.store()) {
            let damaged = home.crashed();
            let path = damaged.store().join(&name);
            let bytes = fs::read(&path).unwrap();
            let bytes = if garbage { vec![0xa5; bytes.len()] } else { bytes[..bytes.len() / 2].to_vec() };
            fs::write(&path, bytes).unwrap();
            let registry = damaged.open();
            assert_eq!(registry.state_checksum(), checksum, "{name}");
            register(&registry, [person(100)]);
            registry.close(NOW).unwrap();
            let registry = damaged.open();
            assert!(is_eligible(&registry, &person(100)));
            assert_eq!(troubles(&registry), Vec::<&str>::new(), "{name}");
        }
    }
}

#[test]
fn a_damaged_store_is_kept_for_an_operator() {
    let (home, checksum) = with_thirty();
    let other = Home::new();
    other.open().close(NOW).unwrap();
    take_store(&other, &home);
    for _ in 0..2 {
        let registry = home.open();
        assert_eq!(registry.state_checksum(), checksum);
        assert_eq!(troubles(&registry), ["store_rebuilt"]);
        registry.close(NOW).unwrap();
        let again = Home::new();
        again.open().close(NOW).unwrap();
        take_store(&again, &home);
    }
    assert_eq!(home.names(".").iter().filter(|name| name.starts_with("store.bad-")).count(), 2);
}

/// The damaged stores that were moved aside.
fn stores_aside(home: &Home) -> Vec<String> {
    home.names(".").into_iter().filter(|name| name.starts_with("store.bad-")).collect()
}

#[test]
fn however_often_a_start_fails_on_a_corrupt_log_the_damaged_store_is_kept_and_nothing_heaps_up() {
    let (home, checksum) = with_thirty();
    let other = Home::new();
    other.open().close(NOW).unwrap();
    take_store(&other, &home);
    let segment = home.segments().remove(0);
    let offset = fs::metadata(&segment).unwrap().len() - 500;
    flip(&segment, offset);
    let mut kept = Vec::new();
    for attempt in 0..5 {
        assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })), "{attempt}");
        let aside = stores_aside(&home);
        assert_eq!(aside.len(), 1, "{aside:?}");
        kept.push(aside);
    }
    assert!(kept.windows(2).all(|pair| pair[0] == pair[1]), "{kept:?}");
    // It is the store that was found, not a half of ours.
    let restored = home.crashed();
    fs::rename(restored.path().join(&kept[0][0]), restored.path().join("kept")).unwrap();
    assert_eq!(files_below(&restored.path().join("kept")), files_below(&home.path().join(&kept[0][0])));
    // Once the log is whole again, so is everything; that a store was damaged was said when it was moved aside.
    flip(&segment, offset);
    for _ in 0..2 {
        let registry = home.open();
        assert_eq!((registry.state_checksum(), troubles(&registry)), (checksum, vec![]));
        registry.close(NOW).unwrap();
    }
    // The start behind the rebuild has seen that it is whole.
    assert!(!home.path().join("store.rebuilding").exists());
    assert_eq!(stores_aside(&home), kept[0]);
}

#[test]
fn half_a_rebuild_that_was_killed_is_begun_again_and_not_kept() {
    let (home, checksum) = with_thirty();
    for is_marked in [true, false] {
        let killed = home.crashed();
        fs::remove_dir_all(killed.store()).unwrap();
        let half = Engine::Sled.open(&killed.store()).unwrap();
        let mut batch = StoreBatch::default();
        batch.put_ledger(1, FrameKind::Master as u8, NOW, b"some of it");
        half.apply_unplaced(batch).unwrap();
        half.flush().unwrap();
        drop(half);
        if is_marked {
            fs::write(killed.path().join("store.rebuilding"), "").unwrap();
        }
        let registry = killed.open();
        assert_eq!((registry.state_checksum(), troubles(&registry)), (checksum, vec!["store_rebuilt"]));
        // Whose half it is cannot be known without the marker.
        assert_eq!(stores_aside(&killed).len(), usize::from(!is_marked));
    }
}

#[test]
fn of_many_damaged_stores_the_oldest_and_the_newest_are_kept() {
    let (mut home, checksum) = with_thirty();
    for days in 0..6 {
        let other = Home::new();
        other.open().close(NOW).unwrap();
        take_store(&other, &home);
        home.options.now_unix_ms = NOW + days * 86_400_000;
        let registry = home.open();
        assert_eq!(registry.state_checksum(), checksum);
        registry.close(home.options.now_unix_ms).unwrap();
    }
    let kept = [0, 4, 5].map(|days| format!("store.bad-{}", NOW + days * 86_400_000));
    assert_eq!(stores_aside(&home), kept);
}

#[test]
fn a_store_that_is_damaged_after_it_was_rebuilt_is_kept_like_any_other() {
    let (home, checksum) = with_thirty();
    fs::remove_dir_all(home.store()).unwrap();
    home.open().close(NOW).unwrap();
    // The next start takes the marker away; it tells nothing of a store that says where it stands.
    assert!(home.path().join("store.rebuilding").exists());
    let other = Home::new();
    other.open().close(NOW).unwrap();
    take_store(&other, &home);
    assert_eq!(home.open().state_checksum(), checksum);
    assert_eq!(stores_aside(&home).len(), 1);
}

#[test]
fn a_store_of_another_history_of_the_stream_is_rebuilt() {
    let (home, _) = with_thirty();
    let fork = home.crashed();
    for (home, n) in [(&home, 40), (&fork, 41)] {
        let registry = home.open();
        register(&registry, [person(n)]);
        registry.close(NOW).unwrap();
    }
    take_store(&fork, &home);
    let registry = home.open();
    assert!(is_eligible(&registry, &person(40)));
    assert_eq!(seen(&registry, &person(41)).0, Verdict::NotRegistered);
    assert_eq!(troubles(&registry), ["store_rebuilt"]);
}

#[test]
fn a_lost_log_is_answered_for_by_the_store_and_nothing_is_written_or_destroyed() {
    let (home, checksum) = with_thirty();
    let earlier = home.crashed();
    let registry = home.open();
    register(&registry, [person(50)]);
    registry.close(NOW).unwrap();

    // The log is gone altogether.
    let gone = home.crashed();
    fs::remove_dir_all(gone.log()).unwrap();
    let registry = gone.open();
    refuses_writing(&registry, "log_lost");
    assert!(is_eligible(&registry, &person(50)));
    registry.close(NOW).unwrap();
    assert!(!gone.log().exists());
    assert!(gone.store().exists());
    assert!(is_eligible(&gone.open(), &person(50)));

    // The log is an older copy.
    fs::remove_dir_all(home.log()).unwrap();
    fs::rename(earlier.log(), home.log()).unwrap();
    let before = home.log_bytes();
    let registry = home.open();
    refuses_writing(&registry, "log_lost");
    assert_ne!(registry.state_checksum(), checksum);
    assert!(is_eligible(&registry, &person(50)));
    registry.close(NOW).unwrap();
    assert_eq!(home.log_bytes(), before);
    assert!(is_eligible(&home.open(), &person(50)));
}

#[test]
fn a_log_that_begins_behind_the_store_leaves_the_store_to_answer() {
    let home = in_small_segments();
    let segments = home.segments();
    let registry = home.open();
    assert!(registry.drain_store());
    drop(registry);
    // The store of an early moment, and a log whose first segments are gone.
    let early = in_small_segments();
    drop(early);
    for segment in &segments[..2] {
        fs::remove_file(segment).unwrap();
    }
    // The store reaches the last segment: all is well.
    assert!(is_eligible(&home.open(), &person(59)));
    // Without it there is no verified state.
    fs::remove_dir_all(home.store()).unwrap();
    let before = home.log_bytes();
    assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })));
    assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })), "again");
    assert_eq!(home.log_bytes(), before);
}

#[test]
fn a_log_corrupt_behind_the_store_is_answered_up_to_there_and_named() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(0)]);
    let (registry, behind) = store_of_now(&home, registry);
    register(&registry, [person(1)]);
    let offset = fs::metadata(&home.segments()[0]).unwrap().len() + 60;
    register(&registry, [person(2)]);
    register(&registry, [person(3)]);
    registry.close(NOW).unwrap();
    take_store(&behind, &home);
    let segment = home.segments().remove(0);
    flip(&segment, offset);
    let before = home.log_bytes();
    for _ in 0..2 {
        let registry = home.open();
        refuses_writing(&registry, "log_corrupt");
        names_file_and_offset(&registry, &segment);
        assert!(is_eligible(&registry, &person(0)) && is_eligible(&registry, &person(1)));
        assert_eq!(seen(&registry, &person(2)).0, Verdict::NotRegistered);
        registry.close(NOW).unwrap();
        assert_eq!(home.log_bytes(), before);
    }
}

#[test]
fn a_log_corrupt_before_the_store_is_named_and_what_follows_is_replayed() {
    let home = Home::new();
    let registry = home.open();
    let offset = fs::metadata(&home.segments()[0]).unwrap().len() + 60;
    register(&registry, [person(0)]);
    register(&registry, [person(1)]);
    let (registry, behind) = store_of_now(&home, registry);
    register(&registry, [person(2)]);
    register(&registry, [person(3)]);
    let position = registry.position();
    drop(registry);
    take_store(&behind, &home);
    let segment = home.segments().remove(0);
    flip(&segment, offset);
    let before = home.log_bytes();
    let registry = home.open();
    assert_eq!(registry.position(), position);
    for n in 0..4 {
        assert!(is_eligible(&registry, &person(n)), "{n}");
    }
    refuses_writing(&registry, "log_corrupt");
    names_file_and_offset(&registry, &segment);
    registry.close(NOW).unwrap();
    assert_eq!(home.log_bytes(), before);
}

#[test]
fn a_damaged_header_of_an_old_segment_hides_nothing_that_follows() {
    let home = in_small_segments();
    let segments = home.segments();
    flip(&segments[1], 40);
    let registry = home.open();
    assert!(is_eligible(&registry, &person(59)));
    // A start reads only what the store has not applied; the scrubber finds the rest.
    assert!(registry.scrub(|| true).is_err());
    refuses_writing(&registry, "log_corrupt");
    drop(registry);
    let fault = home.verify().fault.unwrap();
    assert_eq!((fault.path, fault.offset), (segments[1].clone(), Some(0)));
    // The last segment's header, whose frames the store has applied.
    flip(&segments[1], 40);
    let last = home.segments().pop().unwrap();
    flip(&last, 40);
    let registry = home.open();
    assert!(is_eligible(&registry, &person(59)));
    refuses_writing(&registry, "log_corrupt");
    names_file_and_offset(&registry, &last);
}

#[test]
fn without_a_store_a_corrupt_log_is_refused_as_often_as_it_is_tried() {
    let (home, checksum) = with_thirty();
    let segment = home.segments().remove(0);
    let length = fs::metadata(&segment).unwrap().len();
    fs::remove_dir_all(home.store()).unwrap();
    for offset in [40, 200, length - 500] {
        flip(&segment, offset);
        let before = home.log_bytes();
        for _ in 0..2 {
            match home.try_open() {
                Err(RegistryError::NoVerifiedState { detail, .. }) => {
                    assert!(detail.contains(&segment.display().to_string()) && detail.contains("offset"), "{detail}");
                }
                other => panic!("{offset}: {:?}", other.map(|_| ())),
            }
        }
        assert_eq!(home.log_bytes(), before);
        flip(&segment, offset);
    }
    assert_eq!(home.open().state_checksum(), checksum);
}

#[test]
fn a_missing_segment_is_corruption_and_not_an_end() {
    let home = in_small_segments();
    fs::remove_dir_all(home.store()).unwrap();
    fs::remove_file(&home.segments()[1]).unwrap();
    assert!(matches!(home.try_open(), Err(RegistryError::NoVerifiedState { .. })));
    let fault = home.verify().fault.unwrap();
    assert_eq!(fault.path, home.segments()[0]);
}

#[test]
fn a_newer_format_is_refused_and_nothing_is_destroyed() {
    let (home, _) = with_thirty();
    let segment = home.segments().remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[8] = 2;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..120]);
    bytes[120..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&segment, bytes).unwrap();
    let (log, names) = (home.log_bytes(), home.names("."));
    match home.try_open() {
        Err(RegistryError::Log(LogError::NewerFormat { found, known, .. })) => assert_eq!((found, known), (2, 1)),
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!((home.log_bytes(), home.names(".")), (log, names));
}

/// Changes bytes of a segment's header, with a checksum that matches.
fn rewrite_header(segment: &Path, offset: usize, bytes: &[u8]) {
    let mut whole = fs::read(segment).unwrap();
    whole[offset..offset + bytes.len()].copy_from_slice(bytes);
    let checksum = xxhash_rust::xxh3::xxh3_64(&whole[..120]);
    whole[120..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(segment, whole).unwrap();
}

#[test]
fn a_segment_with_features_that_are_not_known_is_refused_as_a_later_version_s_and_nothing_is_destroyed() {
    let (home, _) = with_thirty();
    rewrite_header(&home.segments()[0], 12, &1u32.to_le_bytes());
    let (log, names) = (home.log_bytes(), home.names("."));
    match home.try_open() {
        Err(RegistryError::Log(error @ LogError::UnknownFeatures { flags: 1, .. })) => {
            let words = error.to_string();
            assert!(words.contains(".seg") && words.contains("a later version wrote it"), "{words}");
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    assert_eq!((home.log_bytes(), home.names(".")), (log, names));
}

#[test]
fn a_rebuild_from_the_first_frame_wants_the_stream_s_beginning() {
    let (home, checksum) = with_thirty();
    let registry = home.open();
    let stream = registry.stream();
    drop(registry);
    let segment = home.segments().remove(0);
    let header = fs::read(&segment).unwrap()[48..96].to_vec();
    fs::remove_dir_all(home.store()).unwrap();
    // Another chain, and another state, before the first frame; each would be taken over by everything behind it.
    for (offset, bytes) in [(48, vec![1; 32]), (80, vec![1; 16])] {
        rewrite_header(&segment, offset, &bytes);
        match home.try_open() {
            Err(RegistryError::NoVerifiedState { detail, .. }) => {
                let expected = format!("{} is corrupt at offset {offset}: {}", segment.display(), Fault::Beginning);
                assert_eq!(detail, expected);
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
        let fault = home.verify().fault.unwrap();
        assert_eq!((fault.path, fault.offset), (segment.clone(), Some(offset as u64)));
        rewrite_header(&segment, 48, &header);
    }
    let registry = home.open();
    assert_eq!((registry.state_checksum(), registry.stream()), (checksum, stream));
}

#[test]
fn no_room_in_memory_is_not_called_a_corrupt_log() {
    let mut home = Home::new();
    let registry = home.open();
    let (registry, behind) = store_of_now(&home, registry);
    register(&registry, (0..3).map(person));
    registry.close(NOW).unwrap();
    take_store(&behind, &home);
    // Segments that no dossier fits into: the index fails as it does where the system gives no more memory.
    let ordinary = home.options.index;
    home.options.index = IndexOptions { segment_words_log2: 3, ..ordinary };
    let before = home.log_bytes();
    let registry = home.open();
    refuses_writing(&registry, "memory_behind");
    let (_, detail) = registry.troubles().list().remove(0);
    assert!(detail.contains("the index cannot grow"), "{detail}");
    assert_eq!(troubles(&registry), ["memory_behind"]);
    let file = home.path().join("backup.snap");
    assert!(matches!(registry.create_snapshot(&file), Err(RegistryError::MemoryBehind)));
    assert!(!file.exists());
    registry.close(NOW).unwrap();
    assert_eq!(home.log_bytes(), before);
    // Where there is no store to answer from, the start fails for what it is.
    fs::remove_dir_all(home.store()).unwrap();
    assert!(matches!(home.try_open(), Err(RegistryError::Index(_))));
    home.options.index = ordinary;
    let registry = home.open();
    assert!((0..3).all(|n| is_eligible(&registry, &person(n))));
}

/// A directory whose engine is a model on a disk of its own, which may have no room to open it while that of the log has some.
fn with_a_model(mut home: Home) -> (Home, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let disk: Arc<dyn Disk> = Arc::new(FaultyDisk(faults.clone()));
    home.options.engine = Engine::Model(ModelOptions { disk, flush_every_frames: 1 });
    fs::remove_dir_all(home.store()).unwrap();
    home.open().close(NOW).unwrap();
    (home, faults)
}

fn has_no_verified_state(home: &Home) {
    let opened = home.try_open().map(|_| ());
    assert!(matches!(opened, Err(RegistryError::NoVerifiedState { .. })), "{opened:?}");
}

#[test]
fn a_start_that_can_neither_open_the_store_nor_rebuild_it_leaves_it_where_it_is() {
    let (home, faults) = with_a_model(in_small_segments());
    flip(&home.segments()[0], 300);
    let answers = || {
        let registry = home.open();
        assert_eq!(troubles(&registry), Vec::<&str>::new());
        assert!((0..60).all(|n| is_eligible(&registry, &person(n))));
        registry.close(NOW).unwrap();
    };
    answers();
    let store = files_below(&home.store());
    *faults.refuse_directories.lock().unwrap() = Some(ErrorKind::StorageFull);
    for _ in 0..2 {
        has_no_verified_state(&home);
        assert_eq!(files_below(&home.store()), store);
    }
    *faults.refuse_directories.lock().unwrap() = None;
    answers();
}

#[test]
fn a_store_that_could_not_be_opened_is_still_judged_to_its_last_page_when_it_can_be() {
    let (home, faults) = with_a_model(in_small_segments());
    let marker = home.path().join("store.failed");
    fs::write(&marker, "it failed\n").unwrap();
    for (refusal, trouble) in [(ErrorKind::StorageFull, "no_room_at_start"), (ErrorKind::TimedOut, "store_not_opened")] {
        *faults.refuse_directories.lock().unwrap() = Some(refusal);
        let store = files_below(&home.store());
        let registry = home.open();
        assert_eq!(troubles(&registry), [trouble]);
        assert!(is_eligible(&registry, &person(59)));
        let refused = registry.apply(&upserts([person(60)]), NOW);
        assert!(matches!(refused, Err(RegistryError::NotWritable { trouble: word, .. }) if word == trouble), "{refused:?}");
        registry.close(NOW).unwrap();
        assert!(marker.exists());
        assert_eq!(files_below(&home.store()), store);
    }
    *faults.refuse_directories.lock().unwrap() = None;
    home.open().close(NOW).unwrap();
    assert!(!marker.exists());
}

#[test]
fn a_store_of_an_earlier_layout_is_put_back_where_the_log_cannot_rebuild_it() {
    let home = in_small_segments();
    fs::remove_dir_all(home.store()).unwrap();
    let earlier: sled::Db<1024> = sled::Config::new().path(home.store()).open().unwrap();
    earlier.insert(b"laid out", b"otherwise").unwrap();
    earlier.flush().unwrap();
    drop(earlier);
    let store = files_below(&home.store());
    flip(&home.segments()[0], 300);
    for _ in 0..2 {
        has_no_verified_state(&home);
        assert_eq!(files_below(&home.store()), store);
        assert!(!home.path().join("store.earlier").exists());
    }
    flip(&home.segments()[0], 300);
    let registry = home.open();
    assert!((0..60).all(|n| is_eligible(&registry, &person(n))));
    assert!(!home.path().join("store.earlier").exists());
}

#[test]
fn a_torn_tail_is_cut_and_kept_beside_the_log() {
    let (home, checksum) = with_thirty();
    let segment = home.segments().remove(0);
    let whole = fs::read(&segment).unwrap();
    let torn = [&whole[..], &whole[128..300]].concat();
    fs::write(&segment, torn).unwrap();
    assert_eq!(home.verify().fault, None);
    assert!(home.verify().notes.iter().any(|note| note.contains("torn tail")));
    let registry = home.open();
    assert_eq!((registry.state_checksum(), troubles(&registry)), (checksum, vec!["torn_tail_cut"]));
    let kept = home.names("log").into_iter().find(|name| name.starts_with("torn-")).unwrap();
    assert_eq!(fs::read(home.log().join(kept)).unwrap(), &whole[128..300]);
    register(&registry, [person(70)]);
    drop(registry);
    assert!(is_eligible(&home.open(), &person(70)));
}

#[test]
fn a_poisoned_log_is_rewritten_and_the_marker_goes() {
    let (home, checksum) = with_thirty();
    fs::write(home.log().join("POISONED"), b"").unwrap();
    fs::write(home.log().join("00000000000000000099.seg.tmp"), b"half").unwrap();
    let before = fs::read(&home.segments()[0]).unwrap();
    let registry = home.open();
    assert_eq!(registry.state_checksum(), checksum);
    assert_eq!(home.names("log").len(), 1, "{:?}", home.names("log"));
    assert_eq!(fs::read(&home.segments()[0]).unwrap(), before);
}

#[test]
fn the_last_acknowledged_frame_is_vouched_for_at_the_latest_when_the_registry_closes() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let crashed = home.crashed();
    // Nothing was marked yet. The next start takes the frame, and marks it.
    let registry = crashed.open();
    let sequence = registry.sequence();
    registry.close(NOW).unwrap();
    let registry = crashed.open();
    assert_eq!(registry.sequence(), sequence + 1);
    registry.close(NOW).unwrap();
    let registry = crashed.open();
    assert_eq!(registry.sequence(), sequence + 1, "a mark needs no mark");
    drop(registry);
    // Damage to the acknowledged frame is corruption from now on, even without the store.
    fs::remove_dir_all(crashed.store()).unwrap();
    let segment = crashed.segments().remove(0);
    let length = fs::metadata(&segment).unwrap().len();
    flip(&segment, length - 64 - 20);
    assert!(matches!(crashed.try_open(), Err(RegistryError::NoVerifiedState { .. })));
}

#[test]
fn an_idle_registry_marks_its_last_frame() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let sequence = registry.sequence();
    let began = std::time::Instant::now();
    while registry.sequence() == sequence {
        assert!(began.elapsed().as_secs() < 20, "no mark was written");
        registry.maintain(NOW).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(registry.sequence(), sequence + 1);
}

/// Appends a frame that is whole and follows, but after which the state would be another than it says.
fn append_with_another_state(home: &Home, kind: FrameKind, payload: &[u8]) {
    let log = LogReader::open(Arc::new(RealDisk), &home.log()).unwrap().unwrap();
    let end = log.replay(&log.beginning().unwrap(), 0, |_| Ok(())).unwrap();
    let mut writer = log.writer_behind(&end, NOW).unwrap();
    writer.append(kind, payload, 7, NOW).unwrap();
    writer.sync().unwrap();
}

#[test]
fn nothing_of_a_frame_is_published_after_which_the_state_would_be_another() {
    let (home, checksum) = with_thirty();
    let stands_at = home.verify().sequence;
    let payers = format!("{}\n88131016,{CHIYODA},子ども,13,warn,2020-04-01,9999-12-31\n", MasterKind::Payers.header());
    let piece = MasterPiece::split(MasterKind::Payers, &payers, PAYLOAD_BYTES_MAX).remove(0);
    let frames = [
        (FrameKind::Changes, upserts([person(77)]).as_bytes().to_vec()),
        (FrameKind::Changes, changes(Operation::Withdraw, [person(3)]).as_bytes().to_vec()),
        (FrameKind::Master, piece.to_bytes()),
        (FrameKind::Feed, feed(FeedPhase::Began, "one", &[CHIYODA]).to_bytes()),
        (FrameKind::Pruning, horizon_to_bytes(day("2028-01-01")).to_vec()),
        (FrameKind::Mark, Vec::new()),
    ];
    for (kind, payload) in frames {
        let damaged = home.crashed();
        append_with_another_state(&damaged, kind, &payload);
        let fault = damaged.verify().fault.unwrap();
        assert_eq!((&fault.path, fault.what), (damaged.segments().last().unwrap(), Fault::State.to_string()), "{kind:?}");
        // Twice: the store must not have taken anything of it either.
        for _ in 0..2 {
            let registry = damaged.open();
            assert_eq!(troubles(&registry), ["log_corrupt"], "{kind:?}");
            assert_eq!(registry.position(), (stands_at, checksum), "{kind:?}");
            assert_eq!(seen(&registry, &person(77)).0, Verdict::NotRegistered);
            assert!(is_eligible(&registry, &person(3)), "{kind:?}");
            assert_eq!(registry.known_file("one", &[authority(CHIYODA)]), KnownFile::New);
            assert_eq!(registry.reader().view().horizon, day("2024-11-01"));
            assert_eq!(registry.master_text(MasterKind::Payers), Some(built_in(MasterKind::Payers)));
            registry.close(NOW).unwrap();
        }
        fs::remove_dir_all(damaged.store()).unwrap();
        assert!(matches!(damaged.try_open(), Err(RegistryError::NoVerifiedState { .. })), "{kind:?}");
    }
}
