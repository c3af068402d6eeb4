//! The clock jumps back a day, across a month's end: sequences go on, the horizon stays, nothing that was answered is answered otherwise,
//! a restart in the past opens what the future wrote, and the audit holds every look-up in its order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use common::Place;
use common::proof::proof;
use serde_json::Value;
use shikaku::audit::{AuditOptions, Auditor, Entry, Via, verify};
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::decision::Verdict;
use shikaku::domain::identifier::{AuthorityCode, InsurerNumber};
use shikaku::domain::registration::Operation;
use shikaku::ingest::blank_registration;
use shikaku::record::identity::{KeyHash, KeyKind};
use shikaku::record::payload::{Changes, FeedPhase, FeedRecord};
use shikaku::record::row::Row;
use shikaku::registry::view::today_in_japan;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;

const TEST: &str = "a_clock_that_jumps_back_changes_no_answer";
const DAY_MS: u64 = 24 * 3600 * 1000;
/// 2026-12-01, one in the morning in Japan: the horizon has just moved to 2024-12-01.
const AFTER_UNIX_MS: u64 = 1_796_054_400_000;
const BEFORE_UNIX_MS: u64 = AFTER_UNIX_MS - DAY_MS;

fn day(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

fn register(registry: &Registry, numbers: std::ops::Range<u32>, now_unix_ms: u64) -> u64 {
    let mut changes = Changes::new();
    for number in numbers {
        let mut row = blank_registration();
        row.authority = AuthorityCode::parse(common::HACHIOJI.as_bytes()).unwrap();
        row.certificate_type = "A1".into();
        row.certificate_name = "乳幼児医療証".into();
        row.insurer = InsurerNumber::parse_padded(b"06132013").unwrap();
        row.number = number.to_string();
        row.birth_date = BirthDate::parse(b"1980-01-01").unwrap();
        row.recipient_number = format!("R{number}");
        row.history_key = "1".into();
        row.valid_from = day("2026-01-01");
        row.valid_to = day("2027-01-01");
        row.card_link = format!("card-{number}");
        changes.push(Operation::Upsert, &Row::of(&row)).unwrap();
    }
    registry.apply(&changes, now_unix_ms).unwrap().sequence
}

/// The answers about some people on some days, without the place in the log that each was answered from.
fn answers(registry: &Registry, numbers: std::ops::Range<u32>, on: &str) -> Vec<Value> {
    let service = Service::new(Config::default(), Tokens::default());
    let _ = service.reader.set(registry.reader());
    let lines: String = numbers.map(|number| format!("k\tcard-{number}\n")).collect();
    let query = format!("on={on}&consent=true");
    let request = Request {
        method: Method::Post,
        path: "/v1/eligibility/batch",
        query: &query,
        content_type: Some("text/tab-separated-values"),
        accept: None,
        authorization: None,
        peer: Ipv4Addr::LOCALHOST.into(),
        body: lines.as_bytes(),
    };
    let mut body = BytesMut::new();
    service.respond(&request, Door::Fast, &mut Reply::new(&mut body));
    let lines = std::str::from_utf8(&body).unwrap().lines();
    let answer = |line| {
        let mut answer: Value = serde_json::from_str(line).unwrap();
        answer.as_object_mut().unwrap().remove("as_of");
        answer
    };
    lines.map(answer).collect()
}

#[test]
fn of_a_registry() {
    let place = Place::new();
    let open = |now_unix_ms| Registry::open(&place.data(), &OpenOptions::at(now_unix_ms)).unwrap();
    let registry = open(BEFORE_UNIX_MS);
    let first = register(&registry, 1..50, BEFORE_UNIX_MS);
    let today = |now_unix_ms: u64| today_in_japan(now_unix_ms / 1000);
    registry.prune_to(today(AFTER_UNIX_MS), AFTER_UNIX_MS).unwrap();
    let second = register(&registry, 50..100, AFTER_UNIX_MS);
    let on_days = ["2026-11-30", "2026-12-01", "2027-01-02", "2024-11-30"];
    let ask = |registry: &Registry| on_days.map(|on| answers(registry, 0..120, on));
    let known = ask(&registry);
    assert_eq!(known[3][0]["error"]["code"], "before_retention");

    // The clock jumps.
    assert_eq!(registry.prune_to(today(BEFORE_UNIX_MS), BEFORE_UNIX_MS).unwrap(), 0);
    registry.maintain(BEFORE_UNIX_MS).unwrap();
    assert_eq!(ask(&registry), known);
    let third = register(&registry, 200..250, BEFORE_UNIX_MS);
    let feed = FeedRecord {
        phase: FeedPhase::Ended,
        file_name: "rows.csv".to_owned(),
        file_hash: "00".repeat(32),
        authorities: vec![common::HACHIOJI.to_owned()],
        rows: 50,
        rejects: 0,
        gates_overridden: Vec::new(),
        accepted_by: None,
    };
    registry.record_feed(&feed, BEFORE_UNIX_MS).unwrap();
    assert!(first < second && second < third);
    assert_eq!(ask(&registry), known);
    let (sequence, checksum) = registry.position();
    registry.close(BEFORE_UNIX_MS).unwrap();

    for now_unix_ms in [BEFORE_UNIX_MS, AFTER_UNIX_MS, BEFORE_UNIX_MS] {
        let registry = open(now_unix_ms);
        assert_eq!(registry.troubles().list(), []);
        assert!(registry.position().0 >= sequence);
        assert_eq!(registry.position().1, checksum);
        assert_eq!(ask(&registry), known);
        assert_eq!(registry.prune_to(today(now_unix_ms), now_unix_ms).unwrap(), 0);
        registry.close(now_unix_ms).unwrap();
    }
    place.verified();
    let count = format!("{} answers", 5 * known.iter().map(Vec::len).sum::<usize>());
    proof("no answer changes, sequences go on, the horizon stays", "the clock jumps back a day", TEST, count);
}

static CLOCK_UNIX_MS: AtomicU64 = AtomicU64::new(AFTER_UNIX_MS);

fn note(audit: &Auditor, numbers: std::ops::Range<u64>, unix_ms: u64) {
    CLOCK_UNIX_MS.store(unix_ms, Ordering::SeqCst);
    for number in numbers {
        let entry = Entry {
            unix_ms,
            institution: None,
            token: None,
            key: KeyHash::of(KeyKind::Card, &number.to_le_bytes()),
            service_date: day("2026-11-30"),
            consent: true,
            verdict: Verdict::NotRegistered,
            sequence: number,
            via: Via::Fast,
        };
        audit.note_waiting(&entry, Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn of_the_audit() {
    let place = Place::new();
    let directory = place.path("audit");
    let open = || {
        let options = AuditOptions { now_unix_ms: || CLOCK_UNIX_MS.load(Ordering::SeqCst), ..AuditOptions::default() };
        Auditor::open(Path::new(&directory), &options).unwrap()
    };
    let audit = open();
    note(&audit, 0..500, AFTER_UNIX_MS);
    note(&audit, 500..1000, BEFORE_UNIX_MS);
    note(&audit, 1000..1500, AFTER_UNIX_MS);
    CLOCK_UNIX_MS.store(BEFORE_UNIX_MS, Ordering::SeqCst);
    audit.close().unwrap();
    let audit = open();
    note(&audit, 1500..2000, BEFORE_UNIX_MS);
    audit.close().unwrap();
    let report = verify::verify(Path::new(&directory), None).unwrap();
    assert_eq!(report.faults, []);
    assert!(report.last_entry >= 2000, "{report:?}");
    proof("every look-up stands in the audit, which verifies", "the clock jumps back a day", TEST, "2000 entries");
}
