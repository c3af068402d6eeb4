//! `kill -9` of a server that answers look-ups while rows are replaced: behind the restart each row is the new one up to the last
//! `durable` line, and the old or the new one whole behind it; nothing is a mixture, and nobody is missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::crash::{durable_line, rounds, wait_for_a_moment_within};
use common::proof::proof;
use common::{Http, Place, Row, Running, Server, ask_member, day};
use serde_json::Value;

const PEOPLE: u64 = 20_000;
const TEST: &str = "a_crash_while_changes_are_served_answers_each_row_whole";
const ASKED_AT_ONCE: usize = 2_000;

/// Two fields that every version states together.
fn version(number: u64, version: u64) -> Row {
    Row::of(number).with("certificate_name", format!("第{version}版")).with("outpatient_visit_yen", (100 * version).to_string())
}

/// The version of each person asked about. A row that is neither, or is not whole, fails the test.
#[track_caller]
fn versions(http: &mut Http, people: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    let lines: String = people.clone().map(|number| ask_member(&Row::of(number)) + "\n").collect();
    let target = format!("/v1/eligibility/batch?on={}&consent=true", day(0));
    let headers = [("Content-Type", "text/tab-separated-values"), ("Accept", "application/x-ndjson")];
    let answer = http.ask("POST", &target, &headers, lines.as_bytes()).succeeds();
    let versions: Vec<u64> = answer.body.lines().map(|line| version_in(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(versions.len() as u64, people.end() - people.start() + 1);
    versions
}

#[track_caller]
fn version_in(answer: &Value) -> u64 {
    assert_eq!((&answer["verdict"], answer["entitlements"].as_array().map(Vec::len)), (&"eligible".into(), Some(1)), "{answer}");
    let row = &answer["entitlements"][0];
    let yen = row["copay"]["outpatient_visit_yen"].as_u64().unwrap_or_else(|| panic!("{row}"));
    assert_eq!(row["certificate_name"], format!("第{}版", yen / 100), "{row}");
    yen / 100
}

#[test]
fn answers_each_row_whole() {
    let base = Place::new();
    base.import("base.csv", &of_all(1), &[]).ends(0);
    let undisturbed = base.copied();
    let file = undisturbed.file("changes.csv", &of_all(2));
    let began = Instant::now();
    undisturbed.run("import", &[file.to_str().unwrap()]).ends(0);
    let takes = began.elapsed();
    let expected = undisturbed.state_checksum();
    let mut seen = 0;
    for round in 0..rounds() {
        let place = base.copied();
        let mut server = place.serve();
        let mut import = Running::start(["import", "--data", place.data().to_str().unwrap(), file.to_str().unwrap()]);
        if round > 0 {
            import.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
        }
        seen += look_on_for_a_moment(&server, takes / 2);
        server.process.kill();
        import.wait();
        let line = durable_line(&import);
        place.verified();
        let server = place.serve();
        assert_versions(&server, line);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        assert_versions(&server, PEOPLE + 1);
        assert_eq!(server.stop(), 0);
        assert_eq!(place.state_checksum(), expected, "round {round}, killed after line {line}");
    }
    let fault = "kill -9 of a server while rows are replaced and asked for";
    proof("each row answers whole, and as the new one up to the last durable line", fault, TEST, rounds());
    proof("no reader sees half a row, or an older one after a newer", "rows replaced under its eyes", TEST, seen);
}

fn of_all(which: u64) -> Vec<Row> {
    (1..=PEOPLE).map(|number| version(number, which)).collect()
}

/// Asks about the same people again and again for a part of a span; returns how many answers were seen.
fn look_on_for_a_moment(server: &Server, span: Duration) -> u64 {
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut http = server.connect();
            let (mut before, mut seen) = (vec![1; ASKED_AT_ONCE], 0);
            while !enough.load(Ordering::SeqCst) {
                let now = versions(&mut http, PEOPLE + 1 - ASKED_AT_ONCE as u64..=PEOPLE);
                assert!(now.iter().zip(&before).all(|(now, before)| now >= before), "an older row after a newer one");
                seen += now.len() as u64;
                before = now;
            }
            seen
        });
        wait_for_a_moment_within(span);
        enough.store(true, Ordering::SeqCst);
        looking.join().unwrap()
    })
}

/// The header is line 1, so person *n* stands on line *n* + 1.
#[track_caller]
fn assert_versions(server: &Server, durable_line: u64) {
    let mut http = server.connect();
    for first in (1..=PEOPLE).step_by(ASKED_AT_ONCE) {
        let people = first..=(first + ASKED_AT_ONCE as u64 - 1).min(PEOPLE);
        for (number, version) in people.clone().zip(versions(&mut http, people)) {
            assert!(version == 2 || number + 1 > durable_line, "person {number} is old, durable up to line {durable_line}");
        }
    }
}
