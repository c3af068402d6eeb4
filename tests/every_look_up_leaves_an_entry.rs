//! The audit as its operator sees it: what was asked of a server stands there afterwards, and nobody's number does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::net::IpAddr;

use bytes::BytesMut;
use common::{HOSPITAL, Place, Row, run_with_input, shikaku};
use serde_json::Value;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;

const SECRET: &str = "SECRET-77";

/// The entries of look-ups, notes left out.
fn entries(place: &Place) -> Vec<Value> {
    let said = shikaku(&format!("audit show --data {} --json", place.data().display())).ends(0);
    assert!(!said.mentions(SECRET));
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|entry| entry["verdict"].is_string()).collect()
}

#[test]
fn single_look_ups_and_the_lines_of_a_batch_stand_in_the_audit_by_pseudonym() {
    let place = Place::new();
    let server = place.serve();
    let question = |consent: bool| format!("{{\"card_link\":\"{SECRET}\",\"consent\":{consent},\"institution\":\"{HOSPITAL}\"}}");
    server.question(&question(true)).succeeds();
    server.question(&question(false)).succeeds();
    let lines: String = (0..1_500).map(|n| if n == 7 { "m\tbroken\n".to_owned() } else { format!("k\t{SECRET}{n}\n") }).collect();
    assert_eq!(server.batch("consent=true", &lines).len(), 1_500);
    // Without consent the index is not touched, but that somebody asked is kept all the same.
    assert!(server.question("{\"card_link\":7}").status == 400);
    assert_eq!(server.stop(), 0);

    let entries = entries(&place);
    assert_eq!(entries.len(), 2 + 1_500);
    let of = |verdict: &str| entries.iter().filter(|entry| entry["verdict"] == verdict).count();
    assert_eq!((of("not_registered"), of("no_information"), of("not_answered")), (1 + 1_499, 1, 1));
    // Which worker writes first is nobody's promise.
    let without_consent = entries.iter().find(|entry| entry["verdict"] == "no_information").unwrap();
    assert_eq!((&without_consent["institution"], &without_consent["via"]), (&Value::from(HOSPITAL), &Value::from("fast")));
    let about_the_same = entries.iter().filter(|entry| entry["who"] == without_consent["who"]);
    assert_eq!(about_the_same.count(), 2, "one person has one pseudonym");
    let people: std::collections::HashSet<_> = entries.iter().map(|entry| entry["who"].to_string()).collect();
    assert_eq!(people.len(), 1 + 1_499 + 1);
    let verified = shikaku(&format!("audit verify --data {}", place.data().display())).ends(0);
    assert!(verified.mentions("verified"), "{}", verified.out);
    // The operator can ask who asked about somebody, and says whom on standard input.
    let data = place.data();
    let about = ["audit", "show", "--data", data.to_str().unwrap(), "--json", "--about-stdin"];
    let about = run_with_input(about, &format!("k\t{SECRET}\n")).ends(0);
    assert_eq!(about.out.lines().count(), 2, "{}", about.out);
}

#[test]
fn a_look_up_from_the_shell_without_a_server_is_noted_too() {
    let place = Place::new();
    place.import("one.csv", [&Row::of(1)], &[]).ends(0);
    let data = place.data().to_str().unwrap().to_owned();
    run_with_input(["lookup", "--data", &data, "--stdin", "--consent"], &format!("k\t{SECRET}\n")).ends(0);
    let entries = entries(&place);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["via"], "command");
}

#[test]
fn a_token_that_finds_nobody_too_often_waits_for_the_next_minute_and_loopback_never_does() {
    let place = Place::new();
    let file = place.data().join("tokens");
    let said = shikaku(&format!("token add --data {} --institution {HOSPITAL} --role lookup", place.data().display())).ends(0);
    let secret = said.out.split_whitespace().find(|word| word.len() > 30).expect("the token is shown once").to_owned();
    let settings = place.data().join("settings.toml");
    std::fs::write(&settings, "plaintext_networks = [\"10.0.0.0/8\"]\nmisses_per_minute_max = 3\n").unwrap();
    let service = Service::new(Config::read(&settings).unwrap(), Tokens::read(&file).unwrap());
    let registry = Registry::open(&place.data(), &OpenOptions::at(1_795_273_200_000)).unwrap();
    let _ = service.reader.set(registry.reader());
    let bearer = format!("Bearer {secret}");
    let ask = |peer: &str| {
        let request = Request {
            method: Method::Post,
            path: "/v1/eligibility",
            query: "consent=true&on=2026-11-22",
            content_type: Some("text/plain"),
            accept: Some("text/tab-separated-values"),
            authorization: Some(bearer.as_bytes()),
            peer: peer.parse::<IpAddr>().unwrap(),
            body: b"k\tnobody",
        };
        let mut out = BytesMut::new();
        let mut reply = Reply::new(&mut out);
        service.respond(&request, Door::Fast, &mut reply);
        (reply.status_code(), reply.retry_after())
    };
    let answers: Vec<_> = (0..20)
        .map(|_| {
            service.clock.tick();
            (ask("10.1.2.3"), 60 - service.clock.unix_s() % 60)
        })
        .collect();
    for ((status, retry_after), seconds_left) in &answers {
        let expected = (*status == 429).then(|| format!("Retry-After: {seconds_left}"));
        assert_eq!(*retry_after, expected.as_deref(), "{answers:?}");
    }
    let asked: Vec<u16> = answers.iter().map(|((status, _), _)| *status).collect();
    // A minute may end in between, once.
    assert!(asked.iter().filter(|status| **status == 200).count() <= 8, "{asked:?}");
    assert_eq!(asked.last(), Some(&429), "{asked:?}");
    assert!((0..20).all(|_| ask("127.0.0.1") == (200, None)));
}
