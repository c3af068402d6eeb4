//! `kill -9` while a snapshot is written or restored. What has the snapshot's name is whole, the older one or the newer; the register it is
//! taken of is untouched; and a restore that did not come to its end never passes for the register it was to become.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::crash::{RECIPIENTS, assert_answered_up_to, rounds, undisturbed, wait_for_a_moment_within};
use common::proof::proof;
use common::{Place, Running};
use serde_json::Value;

const TEST: &str = "a_crash_while_a_snapshot_is_made_leaves_a_whole_one_or_none";

/// A register, a snapshot of it, and how long writing and restoring it takes.
struct Whole {
    place: Place,
    creating_takes: Duration,
    restoring_takes: Duration,
}

fn whole() -> &'static Whole {
    static DONE: OnceLock<Whole> = OnceLock::new();
    DONE.get_or_init(|| {
        let place = Place::new();
        let file = place.write("rows.csv", &undisturbed().text);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        let began = Instant::now();
        let snapshot = place.path("whole.snap");
        place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
        let creating_takes = began.elapsed();
        let began = Instant::now();
        restore(&snapshot).state_checksum();
        Whole { restoring_takes: began.elapsed(), place, creating_takes }
    })
}

/// A place with what a snapshot restores to.
#[track_caller]
fn restore(snapshot: &Path) -> Place {
    let place = Place::new();
    place.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(0);
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
    place
}

fn start(command: [&str; 2], data: &Path, more: &[&str]) -> Running {
    let mut arguments = vec![command[0], command[1], "--data", data.to_str().unwrap()];
    arguments.extend(more);
    Running::start(arguments)
}

#[test]
fn killed_while_it_is_written() {
    for round in 0..rounds() {
        // Alone in one round, through a server in the next.
        let place = whole().place.copied();
        let mut server = (round % 2 == 1).then(|| place.serve());
        let out = place.path("out.snap");
        let had_one = round % 4 < 2;
        if had_one {
            std::fs::copy(whole().place.path("whole.snap"), &out).unwrap();
        }
        let mut creating = start(["snapshot", "create"], &place.data(), &["--out", out.to_str().unwrap()]);
        wait_for_a_moment_within(whole().creating_takes);
        match &mut server {
            Some(server) => server.process.kill(),
            None => creating.kill(),
        }
        creating.wait();
        drop(server);
        assert!(out.exists() || !had_one, "the older snapshot is gone");
        if out.exists() {
            restore(&out);
        }
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "round {round}");
        place.run("snapshot create", &["--out", out.to_str().unwrap()]).ends(0);
        restore(&out);
    }
    let promise = "what has a snapshot's name restores whole, and the register is untouched";
    proof(promise, "kill -9 while a snapshot is written", TEST, rounds());
}

#[test]
fn killed_while_it_is_restored() {
    let snapshot = whole().place.path("whole.snap");
    let (mut untouched, mut finished, mut half) = (0, 0, 0);
    for round in 0..rounds() {
        let place = Place::new();
        let mut restoring = start(["snapshot", "restore"], &place.data(), &[snapshot.to_str().unwrap()]);
        wait_for_a_moment_within(whole().restoring_takes / 2);
        restoring.kill();
        let verified = place.run("verify", &["--json"]);
        match outcome(&verified) {
            Outcome::Whole => {
                finished += 1;
                let server = place.serve();
                assert_answered_up_to(&server, u64::MAX);
                assert_eq!(server.stop(), 0);
            }
            Outcome::Nothing => untouched += 1,
            Outcome::Refused => {
                half += 1;
                refuses_to_serve(&place);
            }
        }
        // What the operator does then.
        let _ = std::fs::remove_dir_all(place.data());
        place.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(0);
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "round {round}");
    }
    let count = format!("{} rounds: {untouched} before, {half} half-way, {finished} behind", rounds());
    let promise = "a restore is whole, or refused, or has not begun";
    proof(promise, "kill -9 while a snapshot is restored", TEST, count);
}

enum Outcome {
    /// Everything is there.
    Whole,
    /// As if nobody had restored anything.
    Nothing,
    /// Something is there, and it is said that it is not whole.
    Refused,
}

#[track_caller]
fn outcome(verified: &common::Said) -> Outcome {
    if verified.status == 1 {
        return Outcome::Refused;
    }
    assert_eq!(verified.status, 0, "{verified:?}");
    let report: Value = verified.json();
    if report["state_checksum"] == undisturbed().state_checksum.as_str() {
        return Outcome::Whole;
    }
    assert_eq!(report["recipients"].as_u64().unwrap_or(0), 0, "of {RECIPIENTS}: {report}");
    Outcome::Nothing
}

#[track_caller]
fn refuses_to_serve(place: &Place) {
    let data = place.data();
    let mut server = Running::start(["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(server.wait().0, 1, "{:#?}", server.err.all());
}
