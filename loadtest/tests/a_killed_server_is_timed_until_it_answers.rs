//! `restart`, against a server that it starts, kills and starts again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

mod common;

use common::{complaint, loadtest, registered, report, shikaku};

#[test]
fn every_round_is_timed_and_checked_and_a_limit_that_is_missed_fails_the_run() {
    let population = registered(2_000);
    let data = population.path().join("data");
    let arguments = ["restart", "--recipients", "2000", "--questions", "2000", "--rounds", "2"];
    let paths = ["--data", data.to_str().unwrap(), "--binary", shikaku().to_str().unwrap()];
    let restart = |more: &[&str]| loadtest(&[&arguments[..], &paths[..], more].concat());
    let figures = report(&restart(&["--json"]))["figures"].clone();
    assert_eq!(figures["kill_to_ready_ms"].as_array().unwrap().len(), 2);
    assert!(figures["kill_to_ready_ms_median"].as_u64().unwrap() > 0);
    assert!(figures["answers_checked"].as_u64().unwrap() > 300, "{figures}");
    let missed = restart(&["--ready-ms-at-most", "0"]);
    assert_eq!(missed.status.code(), Some(1));
    assert!(complaint(&missed).contains("from kill to ready, wanted at most 0"), "{}", complaint(&missed));
}

#[test]
fn another_population_than_the_one_registered_is_noticed() {
    let population = registered(500);
    let data = population.path().join("data");
    let paths = ["--data", data.to_str().unwrap(), "--binary", shikaku().to_str().unwrap()];
    let output = loadtest(&[&["restart", "--recipients", "500", "--seed", "2", "--rounds", "1"], &paths[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("answers were wrong"), "{}", complaint(&output));
}
