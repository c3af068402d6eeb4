//! `deltas`, on a population that it makes itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

mod common;

use common::{complaint, loadtest, report, shikaku};

fn deltas(work: &std::path::Path, more: &[&str]) -> std::process::Output {
    let paths = ["--binary", shikaku().to_str().unwrap(), "--work", work.to_str().unwrap()];
    let modest = ["--rate", "2000", "--depth", "8", "--connections", "4", "--quiet-seconds", "1", "--questions", "2000"];
    loadtest(&[&["deltas", "--json", "--allow-saturated-client"], &paths[..], &modest[..], more].concat())
}

#[test]
fn new_recipients_become_durable_under_look_ups_and_are_answered_about() {
    let work = tempfile::tempdir().unwrap();
    let rows = ["--recipients", "2000", "--new-recipients", "6000", "--rows-per-file", "3000"];
    let found = report(&deltas(work.path(), &rows));
    assert!(found["rows"].as_u64().unwrap() > 6_000, "{found}");
    assert!(found["acknowledgements"].as_u64().unwrap() > 2, "{found}");
    assert!(found["rows_per_s"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["quiet"]["figures"]["latency_us"]["p99.9"].as_f64().unwrap() > 0.0, "{found}");
    assert!(found["answers_checked_afterwards"].as_u64().unwrap() > 300, "{found}");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn changes_leave_everybody_else_as_they_were() {
    let work = tempfile::tempdir().unwrap();
    let output = deltas(work.path(), &["--recipients", "3000", "--rows", "changes", "--rows-at-least", "1000000000000"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = complaint(&output);
    assert!(complaint.contains("missed") && !complaint.contains("wrong"), "{complaint}");
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(found["rows"].as_u64().unwrap() > 150, "{found}");
}

#[test]
fn a_population_that_cannot_grow_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let output = deltas(work.path(), &["--recipients", "2001"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("must be even"));
}
