//! Readers look on while every row is replaced again and again, moves from one insured person to another, the table grows and the arena is
//! compacted: each answer is one version, whole, and no reader ever sees an older one after a newer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::BytesMut;
use common::Place;
use common::proof::proof;
use serde_json::Value;
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::identifier::{AuthorityCode, InsurerNumber};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::index::IndexOptions;
use shikaku::ingest::blank_registration;
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;

/// 2026-11-22, midnight in Japan.
const NOW_UNIX_MS: u64 = 1_795_273_200_000;
const PEOPLE: u32 = 60;
const VERSIONS: u32 = 400;
const READERS: usize = 3;
/// Rows that nobody asks about and that make the table grow under the readers.
const CROWD: u32 = 20;

/// A version of a person's row: two fields say which. Every third version belongs to another insured number.
fn row(person: u32, version: u32) -> Registration {
    let mut row = blank_registration();
    row.authority = AuthorityCode::parse(common::HACHIOJI.as_bytes()).unwrap();
    row.certificate_type = "A1".to_owned();
    row.certificate_name = format!("第{version}版");
    row.insurer = InsurerNumber::parse_padded(b"06132013").unwrap();
    row.number = (if version.is_multiple_of(3) { 900_000 + person } else { person }).to_string();
    row.birth_date = BirthDate::parse(b"1980-01-01").unwrap();
    row.recipient_number = format!("R{person}");
    row.history_key = "1".to_owned();
    row.copay.outpatient_visit_yen = Some(version);
    row.valid_from = Day::parse(b"2026-01-01").unwrap();
    row.valid_to = Day::parse(b"2027-01-01").unwrap();
    row.card_link = format!("card-{person}");
    row
}

fn register(registry: &Registry, rows: impl Iterator<Item = Registration>) {
    let mut changes = Changes::new();
    for row in rows {
        changes.push(Operation::Upsert, &Row::of(&row)).unwrap();
    }
    registry.apply(&changes, NOW_UNIX_MS).unwrap();
}

fn ask(service: &Service, person: u32) -> Value {
    let body = format!("{{\"card_link\":\"card-{person}\",\"service_date\":\"2026-11-22\",\"consent\":true}}");
    let request = Request {
        method: Method::Post,
        path: "/v1/eligibility",
        query: "",
        content_type: Some("application/json"),
        accept: None,
        authorization: None,
        peer: Ipv4Addr::LOCALHOST.into(),
        body: body.as_bytes(),
    };
    let mut out = BytesMut::new();
    service.respond(&request, Door::Fast, &mut Reply::new(&mut out));
    serde_json::from_slice(&out).unwrap()
}

/// The version that an answer shows, which must show one and only one, whole.
fn version_in(answer: &Value) -> u32 {
    let rows = answer["entitlements"].as_array().unwrap();
    assert_eq!((&answer["verdict"], rows.len()), (&Value::from("eligible"), 1), "{answer}");
    let yen = rows[0]["copay"]["outpatient_visit_yen"].as_u64().unwrap();
    assert_eq!(rows[0]["certificate_name"], format!("第{yen}版"), "{answer}");
    u32::try_from(yen).unwrap()
}

#[test]
fn no_reader_is_taken_back() {
    let place = Place::new();
    let mut options = OpenOptions::at(NOW_UNIX_MS);
    // Small segments and a small table, so that both are outgrown many times.
    options.index = IndexOptions { segment_words_log2: 13, slots: 64 };
    let registry = Registry::open(&place.data(), &options).unwrap();
    register(&registry, (0..PEOPLE).map(|person| row(person, 1)));
    let service = Service::new(Config::default(), Tokens::default());
    let _ = service.reader.set(registry.reader());
    let (done, looks) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut sequence) = ([0; PEOPLE as usize], 0);
                    while !done.load(Ordering::Relaxed) {
                        for person in 0..PEOPLE {
                            let answer = ask(&service, person);
                            let (version, as_of) = (version_in(&answer), answer["as_of"]["sequence"].as_u64().unwrap());
                            let before = &mut seen[person as usize];
                            assert!(version >= *before, "person {person}: version {version} after {before}");
                            assert!(as_of >= sequence, "as of {as_of} after {sequence}");
                            (*before, sequence) = (version, as_of);
                            looks.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for version in 2..=VERSIONS {
            register(&registry, (0..PEOPLE).map(|person| row(person, version)));
            register(&registry, (0..CROWD).map(|nth| row(10_000 + version * CROWD + nth, version)));
            registry.maintain(NOW_UNIX_MS).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
    });
    assert!((0..PEOPLE).all(|person| version_in(&ask(&service, person)) == VERSIONS));
    registry.close(NOW_UNIX_MS).unwrap();
    let count = format!("{} looks by {READERS} readers over {VERSIONS} versions", looks.load(Ordering::Relaxed));
    let promise = "each answer is one version, whole, and none older than the one before";
    proof(promise, "rows replaced and moved while the index grows and is compacted", "no_reader_is_taken_back", count);
}
