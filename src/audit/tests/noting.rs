//! Entries come out as they went in.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use super::super::contents::LineOfBatch;
use super::super::entry::{BatchHead, Entry, TokenId, Via};
use super::*;
use crate::domain::decision::Verdict;
use crate::domain::identifier::InstitutionCode;

fn day(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

fn entry(number: u64) -> Entry {
    let verdicts = Verdict::ALL;
    Entry {
        unix_ms: NOW + number,
        institution: (!number.is_multiple_of(3)).then(|| InstitutionCode::parse(b"0110113719").unwrap()),
        token: number.is_multiple_of(2).then(|| TokenId::parse("00c0ffee").unwrap()),
        key: person(number),
        service_date: day("2026-11-22").plus_days(i64::try_from(number).unwrap()),
        consent: !number.is_multiple_of(5),
        verdict: verdicts[usize::try_from(number).unwrap() % verdicts.len()],
        sequence: 1_000 + number / 4,
        via: if number.is_multiple_of(7) { Via::Control } else { Via::Fast },
    }
}

fn key_of(home: &Home) -> PseudonymKey {
    PseudonymKey::read(&RealDisk, &home.path()).unwrap().unwrap()
}

#[test]
fn every_field_of_a_look_up_is_read_back() {
    let mut home = Home::new();
    home.options.segment_bytes_max = 1 << 20;
    let auditor = home.auditor();
    (0..200).for_each(|number| auditor.note(&entry(number)).unwrap());
    auditor.close().unwrap();
    home.is_whole();
    let (look_ups, key) = (home.look_ups(), key_of(&home));
    assert_eq!(look_ups.len(), 200);
    for (number, look_up) in (0..).zip(&look_ups) {
        let entry = entry(number);
        let expected = LookedUp {
            entry: number + 2,
            unix_ms: entry.unix_ms,
            institution: entry.institution,
            token: entry.token,
            via: Some(entry.via),
            sequence: entry.sequence,
            pseudonym: Some(key.pseudonym(entry.key)),
            service_date: Some(entry.service_date),
            consent: entry.consent,
            verdict: Some(entry.verdict),
            line: None,
        };
        assert_eq!(*look_up, expected);
    }
}

#[test]
fn a_batch_is_read_back_line_by_line_also_what_was_not_answered() {
    for lines in [1u64, 2, 511, 512, 513, 1_024, 1_300] {
        let home = Home::new();
        let auditor = home.auditor();
        let head = BatchHead {
            unix_ms: NOW,
            institution: None,
            token: TokenId::parse("00000000"),
            consent: true,
            sequence: 8,
            via: Via::Fast,
        };
        auditor.batch(head, Duration::ZERO).finish().unwrap();
        let mut batch = auditor.batch(head, Duration::from_secs(30));
        for line in 0..lines {
            match line % 5 {
                3 => batch.malformed_line(),
                4 => batch.unanswered_line(person(line), day("2020-01-01")),
                _ => batch.line(person(line), day("2026-11-22"), Verdict::Expired),
            }
            .unwrap();
        }
        batch.finish().unwrap();
        auditor.close().unwrap();
        home.is_whole();
        let (look_ups, key) = (home.look_ups(), key_of(&home));
        assert_eq!(look_ups.len() as u64, lines);
        for (line, look_up) in (0u64..).zip(&look_ups) {
            let place = LineOfBatch { request: 2, line: u32::try_from(line).unwrap() };
            assert_eq!((look_up.line, look_up.unix_ms, look_up.sequence, look_up.consent), (Some(place), NOW, 8, true));
            assert_eq!((look_up.institution, look_up.token.map(TokenId::number)), (None, Some(0)));
            let pseudonym = Some(key.pseudonym(person(line)));
            let (answered, unanswered) = (Some(day("2026-11-22")), Some(day("2020-01-01")));
            let expected = match line % 5 {
                3 => (None, None, None),
                4 => (pseudonym, unanswered, None),
                _ => (pseudonym, answered, Some(Verdict::Expired)),
            };
            assert_eq!((look_up.pseudonym, look_up.service_date, look_up.verdict), expected, "line {line}");
        }
    }
}

#[test]
fn a_line_of_a_batch_costs_twelve_bytes_and_a_look_up_sixteen() {
    let mut home = Home::new();
    home.options.segment_bytes_max = 1 << 30;
    let written = |note: &dyn Fn(&Auditor)| {
        let auditor = home.auditor();
        note(&auditor);
        auditor.close().unwrap();
        fs::metadata(home.newest()).unwrap().len()
    };
    let head = BatchHead { unix_ms: NOW, institution: None, token: None, consent: true, sequence: 8, via: Via::Fast };
    let nothing = written(&|_| {});
    let batch = written(&|auditor| {
        let mut batch = auditor.batch(head, Duration::from_secs(30));
        (0..10_000).for_each(|line| batch.line(person(line), day("2026-11-22"), Verdict::Eligible).unwrap());
        batch.finish().unwrap();
    });
    // The pieces' heads; and a block's head, context, padding and checksum, some blocks more where the thread was slow.
    assert!(batch - nothing <= 12 * 10_000 + 20 * 16 + 20 * 104, "{}", batch - nothing);
    let single = Entry { token: None, institution: None, sequence: 1, via: Via::Fast, ..entry(0) };
    let singles = written(&|auditor| {
        (0..10_000)
            .for_each(|number| auditor.note_waiting(&Entry { key: person(number), ..single }, Duration::from_secs(30)).unwrap());
    });
    assert!(singles - nothing <= 16 * 10_000 + 20 * 104, "{}", singles - nothing);
}

#[test]
fn threads_that_note_at_once_lose_nothing() {
    let mut home = Home::new();
    home.options.ring_words = 256;
    home.options.segment_bytes_max = 1 << 16;
    let auditor = home.auditor();
    std::thread::scope(|scope| {
        for thread in 0..6u64 {
            let auditor = &auditor;
            scope.spawn(move || {
                for number in 0..5_000 {
                    auditor
                        .note_waiting(&Entry { key: person(thread << 32 | number), ..entry(1) }, Duration::from_secs(60))
                        .unwrap();
                }
            });
        }
    });
    assert_eq!(auditor.status().lost, 0);
    auditor.close().unwrap();
    home.is_whole();
    let pseudonyms: BTreeSet<_> = home.look_ups().iter().filter_map(|look_up| look_up.pseudonym).collect();
    assert_eq!((home.look_ups().len(), pseudonyms.len()), (30_000, 30_000));
}

#[test]
fn the_hash_of_who_was_asked_about_never_reaches_the_disk() {
    let home = Home::new();
    let auditor = home.auditor();
    (0..50).for_each(|number| auditor.note(&entry(number)).unwrap());
    auditor.close().unwrap();
    let bytes: Vec<u8> = home.names().iter().flat_map(|name| fs::read(home.path().join(name)).unwrap()).collect();
    for number in 0..50 {
        // The low seven bytes are the same with and without the kind above them.
        let hash = &person(number).hash.to_le_bytes()[..7];
        assert!(!bytes.windows(7).any(|window| window == hash), "person {number}");
    }
}

#[test]
fn what_was_noted_is_durable_soon_and_a_kill_then_loses_nothing_of_it() {
    let mut home = Home::new();
    home.options.sync_ms = 10;
    let auditor = home.auditor();
    (0..40).for_each(|number| auditor.note(&entry(number)).unwrap());
    let until = std::time::Instant::now() + Duration::from_secs(30);
    while auditor.status().durable_entry < 41 {
        assert!(std::time::Instant::now() < until, "{:?}", auditor.status());
        std::thread::yield_now();
    }
    let crashed = home.crashed();
    crashed.is_whole();
    crashed.auditor().close().unwrap();
    crashed.is_whole();
    assert_eq!(crashed.look_ups().len(), 40);
    let status = auditor.status();
    assert_eq!((status.written_entry, status.segment, status.lost, status.refused), (41, 1, 0, 0));
    let kept = super::super::verify::Kept { entry: status.durable_entry, chain: status.durable_chain };
    assert_eq!(verify(&crashed.path(), Some(kept)).unwrap().faults, []);
}

#[test]
fn a_period_gives_its_own_look_ups_only() {
    let home = Home::new();
    for day in 0..5 {
        let now = NOW + day * DAY;
        let mut writer = home.opened(now).writer;
        writer.append(&content(0..4, now + 5), now).unwrap();
        writer.close(now).unwrap();
    }
    let within = |from_unix_ms, to_unix_ms| {
        let mut times = Vec::new();
        let period = Period { from_unix_ms, to_unix_ms };
        read(&home.path(), &period, &mut |noted| {
            if let Noted::LookUp(look_up) = noted {
                times.push((look_up.unix_ms - NOW) / DAY);
            }
        })
        .unwrap();
        times.dedup();
        times
    };
    assert_eq!(within(NOW + DAY, NOW + 3 * DAY), [1, 2]);
    assert_eq!(within(NOW + DAY + 6, NOW + 2 * DAY + 6), [2]);
    assert!(within(NOW + 9 * DAY, u64::MAX).is_empty() && within(0, NOW).is_empty());
}

#[test]
fn a_closed_audit_takes_nothing_and_says_so() {
    let home = Home::new();
    let auditor = home.auditor();
    auditor.close().unwrap();
    auditor.close().unwrap();
    assert!(auditor.note(&entry(1)).is_err());
    assert_eq!(auditor.status().condition.word(), "closed");
}
