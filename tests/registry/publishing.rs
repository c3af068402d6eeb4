//! The log as others read it: byte for byte, as far as it is acknowledged, whatever is registered, rolled and trimmed meanwhile.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shikaku::log::{Frame, Position, SEGMENT_HEAD};
use shikaku::registry::{Keeping, Registry, RegistryError, SegmentEntry};

use crate::fixture::{Home, NOW, flip, person, register};

const EVERYTHING: std::ops::Range<u64> = 0..u64::MAX;

fn home_of_small_segments() -> Home {
    let mut home = Home::new();
    home.options.segment_bytes_max = 2_000;
    home
}

/// Walks a segment's frames from its header on; gives the place behind the last, and wants it to end with a whole frame.
fn walk(entry: &SegmentEntry, bytes: &[u8]) -> Position {
    let mut place = entry.before;
    let mut rest = &bytes[SEGMENT_HEAD..];
    while !rest.is_empty() {
        let frame = Frame::first_of(rest).unwrap();
        assert_eq!(frame.sequence, place.sequence + 1);
        place = place.behind(&frame);
        rest = &rest[frame.bytes.len()..];
    }
    place
}

fn keep_and_trim(registry: &Registry) {
    registry.keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, NOW + 1_000).unwrap();
}

#[test]
fn what_is_handed_on_is_the_log_byte_for_byte() {
    let home = home_of_small_segments();
    let registry = home.open();
    (0..12).for_each(|n| drop(register(&registry, [person(n)])));
    let segments = registry.segments().unwrap();
    assert!(segments.len() > 3);
    let mut place = Position::beginning(registry.stream());
    for (entry, path) in segments.iter().zip(home.segments()) {
        assert_eq!((entry.first_sequence, entry.before), (place.sequence + 1, place));
        let bytes = registry.read_segment(entry.first_sequence, EVERYTHING).unwrap();
        assert_eq!(bytes.len() as u64, entry.bytes);
        assert_eq!(bytes, fs::read(path).unwrap());
        assert_eq!(registry.read_segment(entry.first_sequence, 128..200).unwrap(), bytes[128..200]);
        assert!(registry.read_segment(entry.first_sequence, entry.bytes..u64::MAX).unwrap().is_empty());
        place = walk(entry, &bytes);
    }
    let (standing, checksum) = registry.standing();
    assert_eq!(standing, place);
    assert_eq!((standing.sequence, checksum.total()), (registry.sequence(), registry.state_checksum()));
    let sealed: Vec<bool> = segments.iter().map(|entry| entry.sealed).collect();
    assert_eq!(sealed.iter().filter(|sealed| !**sealed).count(), 1);
    assert!(!sealed[sealed.len() - 1]);
    assert_eq!(registry.oldest_sequence().unwrap(), 1);
}

#[test]
fn bytes_behind_what_is_acknowledged_are_not_shown() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let before = registry.segments().unwrap();
    let segments = home.segments();
    let mut file = OpenOptions::new().append(true).open(&segments[0]).unwrap();
    file.write_all(&[0x53; 4096]).unwrap();
    assert_eq!(registry.segments().unwrap(), before);
    let bytes = registry.read_segment(1, EVERYTHING).unwrap();
    assert_eq!(walk(&before[0], &bytes), registry.standing().0);
    assert!(matches!(registry.segment(2), Err(RegistryError::NoSegment { first_sequence: 2 })));
    assert!(matches!(registry.segment(u64::MAX), Err(RegistryError::NoSegment { .. })));
}

#[test]
fn a_segment_that_is_trimmed_away_while_it_is_read_is_read_to_its_end() {
    let home = home_of_small_segments();
    let registry = home.open();
    assert_eq!(registry.newest_snapshot(), None);
    let reader = registry.segment(1).unwrap();
    let whole = reader.read(EVERYTHING).unwrap();
    for round in 0..3 {
        (0..6).for_each(|n| drop(register(&registry, [person(round * 10 + n)])));
        keep_and_trim(&registry);
    }
    assert!(matches!(registry.segment(1), Err(RegistryError::NoSegment { first_sequence: 1 })));
    assert_eq!(reader.read(EVERYTHING).unwrap(), whole);
    let segments = registry.segments().unwrap();
    assert_eq!(segments[0].first_sequence, registry.oldest_sequence().unwrap());
    assert!(segments[0].first_sequence > 1);
    let (sequence, path, bytes) = registry.newest_snapshot().unwrap();
    assert_eq!((sequence, bytes), (registry.sequence(), fs::metadata(path).unwrap().len()));
}

#[test]
fn what_is_read_while_the_log_is_written_rolled_and_trimmed_is_whole_and_never_too_much() {
    let home = home_of_small_segments();
    let registry = home.open();
    let ended = AtomicBool::new(false);
    let mut looks = 0;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..120 {
                register(&registry, [person(n)]);
                if n % 20 == 19 {
                    keep_and_trim(&registry);
                }
            }
            ended.store(true, Ordering::Release);
        });
        while !ended.load(Ordering::Acquire) || looks < 20 {
            looks += 1;
            let known = registry.sequence();
            // The place that was read to; none where what was known has been trimmed away meanwhile.
            let mut reached = None;
            for entry in registry.segments().unwrap() {
                reached = match registry.segment(entry.first_sequence) {
                    Ok(segment) => {
                        // It may have grown since it was listed.
                        assert!(segment.bytes() >= entry.bytes);
                        let bytes = segment.read(0..entry.bytes).unwrap();
                        assert_eq!(bytes.len() as u64, entry.bytes);
                        Some(walk(&entry, &bytes).sequence)
                    }
                    Err(RegistryError::NoSegment { .. }) => None,
                    Err(error) => panic!("{error}"),
                };
            }
            let oldest = registry.oldest_sequence().unwrap();
            let (standing, checksum) = registry.standing();
            match reached {
                Some(reached) => {
                    assert!(known <= reached && reached <= standing.sequence, "{known} {reached} {}", standing.sequence);
                }
                None => assert!(known < oldest, "{known} is not there, and the log begins at {oldest}"),
            }
            assert_eq!(standing.state_checksum, checksum.total());
        }
    });
    assert!(registry.oldest_sequence().unwrap() > 1, "nothing was trimmed");
}

#[test]
fn who_waits_is_told_when_something_is_acknowledged_and_not_before() {
    let home = Home::new();
    let registry = home.open();
    let sequence = registry.sequence();
    assert_eq!(registry.wait_beyond(sequence, Duration::from_millis(1)), sequence);
    assert_eq!(registry.wait_beyond(sequence - 1, Duration::from_secs(600)), sequence);
    let mut arrivals = registry.arrivals();
    assert_eq!(*arrivals.borrow_and_update(), sequence);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| registry.wait_beyond(sequence, Duration::from_secs(600)));
        register(&registry, [person(1)]);
        assert_eq!(waiting.join().unwrap(), sequence + 1);
    });
    assert!(arrivals.has_changed().unwrap());
    assert_eq!(*arrivals.borrow_and_update(), sequence + 1);
    registry.maintain(NOW).unwrap();
    register(&registry, [person(1)]);
    assert!(!arrivals.has_changed().unwrap(), "nothing changed");
}

#[test]
fn a_log_that_is_damaged_is_not_handed_on() {
    let home = home_of_small_segments();
    let registry = home.open();
    (0..12).for_each(|n| drop(register(&registry, [person(n)])));
    flip(&home.segments()[1], 200);
    assert!(registry.scrub(|| true).is_err());
    for refused in [registry.segments().map(drop), registry.read_segment(1, EVERYTHING).map(drop)] {
        assert!(matches!(refused, Err(RegistryError::NotHandedOn { trouble: "log_corrupt", .. })), "{refused:?}");
    }
}
