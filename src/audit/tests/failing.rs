//! Disks that are full or fail: nothing that was taken is dropped without a word.

use std::time::{Duration, Instant};

use super::super::entry::{BatchHead, Entry, Via};
use super::super::status::AuditCondition;
use super::*;
use crate::domain::decision::Verdict;

fn entry(number: u64) -> Entry {
    Entry {
        unix_ms: NOW,
        institution: None,
        token: None,
        key: person(number),
        service_date: Day::parse(b"2026-11-22").unwrap(),
        consent: true,
        verdict: Verdict::Eligible,
        sequence: 1,
        via: Via::Fast,
    }
}

#[track_caller]
fn wait_for(auditor: &Auditor, condition: AuditCondition) {
    let until = Instant::now() + Duration::from_secs(30);
    while auditor.status().condition != condition {
        assert!(Instant::now() < until, "never {condition:?}: {:?}", auditor.status());
        std::thread::yield_now();
    }
}

#[test]
fn a_full_disk_is_waited_for_and_then_nothing_is_missing() {
    let (home, faults) = Home::on_a_faulty_disk();
    let auditor = home.auditor();
    auditor.note(&entry(0)).unwrap();
    faults.full.store(true, Ordering::SeqCst);
    auditor.note(&entry(1)).unwrap();
    wait_for(&auditor, AuditCondition::OutOfSpace);
    assert!(auditor.status().why.is_some());
    auditor.note(&entry(2)).unwrap();
    faults.full.store(false, Ordering::SeqCst);
    wait_for(&auditor, AuditCondition::Recording);
    auditor.close().unwrap();
    home.is_whole();
    assert_eq!(home.look_ups().len(), 3);
}

#[test]
fn memory_is_bounded_and_what_was_accepted_before_the_refusal_is_all_there_afterwards() {
    let (mut home, faults) = Home::on_a_faulty_disk();
    (home.options.ring_words, home.options.blocks_queued_max) = (64, 2);
    home.options.segment_bytes_max = 1 << 20;
    let auditor = home.auditor();
    faults.full.store(true, Ordering::SeqCst);
    let mut accepted = 0;
    while auditor.note_waiting(&entry(accepted), Duration::from_millis(700)).is_ok() {
        accepted += 1;
        assert!(accepted < 1_000_000, "it never ends");
    }
    assert_eq!(auditor.status().refused, 1);
    assert!(auditor.note(&entry(0)).is_err() && auditor.status().refused == 2);
    assert_eq!(auditor.status().condition, AuditCondition::OutOfSpace);
    faults.full.store(false, Ordering::SeqCst);
    wait_for(&auditor, AuditCondition::Recording);
    auditor.note_waiting(&entry(accepted), Duration::from_secs(30)).unwrap();
    auditor.close().unwrap();
    home.is_whole();
    assert_eq!(home.look_ups().len() as u64, accepted + 1);
}

#[test]
fn a_disk_that_stays_full_until_the_end_is_said_with_the_number_of_entries() {
    let (home, faults) = Home::on_a_faulty_disk();
    let auditor = home.auditor();
    faults.full.store(true, Ordering::SeqCst);
    (0..7).for_each(|number| auditor.note(&entry(number)).unwrap());
    assert!(matches!(auditor.close(), Err(AuditError::Lost { entries: 7, .. })));
    faults.full.store(false, Ordering::SeqCst);
    home.writer().close(NOW).unwrap();
    home.is_whole();
}

#[test]
fn a_failed_sync_stops_the_taking_at_once() {
    let (mut home, faults) = Home::on_a_faulty_disk();
    home.options.sync_ms = 10;
    let auditor = home.auditor();
    faults.fail_syncs.store(true, Ordering::SeqCst);
    auditor.note(&entry(1)).unwrap();
    wait_for(&auditor, AuditCondition::Poisoned);
    assert!(auditor.note(&entry(2)).is_err());
    let began = Instant::now();
    assert!(auditor.note_waiting(&entry(2), Duration::from_secs(60)).is_err());
    assert!(began.elapsed() < Duration::from_secs(30), "there is nothing to wait for");
    assert!(auditor.close().is_err());
    faults.fail_syncs.store(false, Ordering::SeqCst);
    let auditor = home.auditor();
    assert!(!auditor.notes().is_empty());
    auditor.note(&entry(3)).unwrap();
    auditor.close().unwrap();
    home.is_whole();
    assert_eq!(home.look_ups().len(), 2);
}

#[test]
fn entries_taken_before_a_write_failed_are_counted_as_lost() {
    let (home, faults) = Home::on_a_faulty_disk();
    let auditor = home.auditor();
    faults.fail_writes.store(true, Ordering::SeqCst);
    (0..5).for_each(|number| auditor.note(&entry(number)).unwrap());
    wait_for(&auditor, AuditCondition::Poisoned);
    assert!(matches!(auditor.close(), Err(AuditError::Lost { entries: 5, .. })));
    assert_eq!(auditor.status().lost, 5);
}

#[test]
fn a_block_half_written_to_a_full_disk_is_taken_back_or_poisons() {
    let (home, faults) = Home::on_a_faulty_disk();
    let mut writer = home.writer();
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(is_want_of_space(&writer.append(&content(0..5, NOW), NOW)) && !writer.is_poisoned());
    }
    faults.full.store(false, Ordering::SeqCst);
    writer.append(&content(0..5, NOW), NOW).unwrap();
    home.is_whole();
    faults.full.store(true, Ordering::SeqCst);
    faults.fail_cuts.store(true, Ordering::SeqCst);
    let appended = writer.append(&content(5..10, NOW), NOW);
    assert!(appended.is_err() && !is_want_of_space(&appended) && writer.is_poisoned());
}

#[test]
fn a_segment_that_could_not_be_begun_or_sealed_on_a_full_disk_is_when_there_is_room() {
    let (home, faults) = Home::on_a_faulty_disk();
    let mut writer = home.writer();
    for block in 0..6u64 {
        let content = content(block * 60..block * 60 + 60, NOW);
        faults.full.store(true, Ordering::SeqCst);
        assert!(is_want_of_space(&writer.append(&content, NOW)));
        faults.full.store(false, Ordering::SeqCst);
        writer.append(&content, NOW).unwrap();
    }
    faults.full.store(true, Ordering::SeqCst);
    assert!(is_want_of_space(&writer.close(NOW)));
    faults.full.store(false, Ordering::SeqCst);
    writer.close(NOW).unwrap();
    home.is_whole();
    assert!(home.segments().len() > 2 && home.look_ups().len() == 360);
}

#[test]
fn a_batch_is_refused_when_there_is_no_room_for_its_lines() {
    let (mut home, faults) = Home::on_a_faulty_disk();
    (home.options.ring_words, home.options.blocks_queued_max) = (1_024, 1);
    let auditor = home.auditor();
    faults.full.store(true, Ordering::SeqCst);
    let head = BatchHead { unix_ms: NOW, institution: None, token: None, consent: true, sequence: 1, via: Via::Fast };
    let day = Day::parse(b"2026-11-22").unwrap();
    let send = || {
        let mut batch = auditor.batch(head, Duration::from_millis(600));
        (0..5_000).try_for_each(|line| batch.line(person(line), day, Verdict::Eligible)).and_then(|()| batch.finish())
    };
    let mut sent = 0;
    while send().is_ok() {
        sent += 1;
        assert!(sent < 10_000, "it never ends");
    }
    faults.full.store(false, Ordering::SeqCst);
    auditor.close().unwrap();
    home.is_whole();
    assert!(home.look_ups().len() as u64 >= sent * 5_000);
}
