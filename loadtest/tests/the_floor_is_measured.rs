//! The whole client, over real sockets, against the floor that it starts itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

use std::process::{Command, Output};

fn floor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["floor", "--recipients", "1000", "--questions", "3000", "--seconds", "1", "--warm-up-ms", "50", "--json"]);
    // What is tested is that everything is answered and counted; how busy the machine is must not matter.
    command.arg("--allow-saturated-client");
    command.args(arguments).output().unwrap()
}

#[test]
fn requests_of_every_shape_are_answered_and_counted() {
    for (mode, form) in
        [("pipeline", "compact"), ("pipeline", "json"), ("single", "compact"), ("batch", "compact"), ("batch", "ndjson")]
    {
        let output = floor(&["--mode", mode, "--form", form, "--lines", "100"]);
        assert!(output.status.success(), "{mode} {form}: {}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let figures = &report["figures"];
        assert!(figures["lookups"].as_u64().unwrap() > 100, "{mode} {form}: {figures}");
        assert!(figures["server_cpu_ns_per_lookup"].is_number());
        assert_eq!(figures["latency_us"].is_object(), mode != "pipeline");
    }
}

#[test]
fn a_threshold_that_cannot_be_reached_fails_the_run_and_says_by_how_much() {
    let output = floor(&["--mode", "single", "--at-least", "1000000000000", "--p99-us-at-most", "60000000"]);
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("wanted at least 1,000,000,000,000"), "{complaint}");
    assert!(!complaint.contains("p99"), "{complaint}");
    assert!(!output.stdout.is_empty(), "what was measured is said all the same");
}

#[test]
fn too_few_questions_for_a_batch_are_said() {
    let output = floor(&["--mode", "batch", "--lines", "4000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("do not fill a batch"));
}

#[test]
fn only_loopback_is_loaded() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    let output = command.args(["pipeline", "--recipients", "10", "--url", "192.0.2.1:80"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("loopback"));
}
