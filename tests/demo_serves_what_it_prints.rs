//! `demo`: from nothing to look-ups that can be pasted, and again from what it kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::process::Command;
use std::time::Duration;

use common::{Place, Running, Server};
use serde_json::Value;

fn start(place: &Place) -> (Server, Vec<String>) {
    let data = place.data();
    let demo = Running::start(["demo", "--recipients", "20000", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    let lines = demo.out.wait(|lines| {
        let lines: Vec<String> = lines.iter().filter(|line| line.starts_with("curl ")).cloned().collect();
        (lines.len() == 3).then_some(lines)
    });
    let lines = lines.unwrap_or_else(|| panic!("it ended: {:#?}", demo.err.all()));
    let host = lines[0].split("http://").nth(1).unwrap().split('/').next().unwrap();
    let address = host.parse().unwrap();
    (Server { process: demo, address }, lines)
}

/// Pastes a line into a shell. A machine without `curl` asks the same with the tests' own client.
fn paste(server: &Server, line: &str) -> Value {
    let pasted = Command::new("sh").args(["-c", line]).output().unwrap();
    if pasted.status.code() == Some(127) {
        let body = line.split(" -d '").nth(1).unwrap().trim_end_matches('\'');
        return server.question(body).succeeds().json();
    }
    assert!(pasted.status.success(), "{line}: {pasted:?}");
    serde_json::from_slice(&pasted.stdout).unwrap()
}

fn answers(server: &Server, lines: &[String]) -> Vec<Value> {
    let answers = lines.iter().map(|line| paste(server, line));
    answers.map(|answer| serde_json::json!([answer["verdict"], answer["service_date"], answer["entitlements"]])).collect()
}

#[test]
fn its_lines_work_as_pasted_and_a_second_start_answers_the_same_at_once() {
    let place = Place::new();
    let (mut first, lines) = start(&place);
    let asked = answers(&first, &lines);
    let verdicts: Vec<&Value> = asked.iter().map(|answer| &answer[0]).collect();
    assert_eq!(verdicts, ["eligible", "expired", "not_registered"]);
    assert!(lines.iter().all(|line| !line.contains('\n') && line.contains("service_date")));
    let status = first.status();
    assert_eq!(status["recipients"], 20_000);
    first.process.signal("INT");
    let (ended, took) = first.process.wait();
    assert_eq!(ended, 0);
    assert!(took < Duration::from_secs(10), "{took:?}");

    let (second, lines) = start(&place);
    assert_eq!(answers(&second, &lines), asked);
    let again = second.status();
    assert_eq!(again["state_checksum"], status["state_checksum"]);
    assert!(!place.data().join("population.csv").exists());
    assert_eq!(second.stop(), 0);
}

#[test]
fn it_does_not_take_over_a_directory_that_holds_something_else() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    place.write("data/letter.txt", "mine");
    let said = place.run("demo --recipients 10 --listen 127.0.0.1:0", &[]).ends(1);
    assert!(said.err.contains("not empty"), "{}", said.err);
    assert_eq!(place.read("data/letter.txt"), "mine");
}
