//! The reception from end to end: a few thousand people, registered for real and served for real, through four seconds of a morning.
//! Speed is not looked at: other tests run beside this one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic in a test is the report"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use serde_json::Value;

const RECIPIENTS: &str = "3000";

/// The appliance beside the load test's own binary, built if it is not there: another package's binaries are not built for a test.
static APPLIANCE: LazyLock<PathBuf> = LazyLock::new(|| {
    let beside = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("shikaku");
    if !beside.exists() {
        let profile = beside.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap();
        let profile = if profile == "debug" { "dev" } else { profile };
        let target = beside.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "shikaku", "--bin", "shikaku", "--profile", profile, "--target-dir"]).arg(target);
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
    }
    beside
});

/// A directory with the population imported.
fn registered() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("population.csv");
    let run = |arguments: &[&str], path: &Path| {
        let output = Command::new(&*APPLIANCE).args(arguments).arg(path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["synth", "--recipients", RECIPIENTS, "--out"], &file);
    run(&["import", "--data", place.path().join("data").to_str().unwrap()], &file);
    place
}

const MORNING: [(&str, &str); 14] = [
    ("--questions", "4000"),
    ("--crest-per-s", "800"),
    ("--compress", "600"),
    ("--from", "08:40"),
    ("--to", "09:20"),
    ("--appointments", "2500"),
    ("--newcomers", "100"),
    ("--door-burst", "50"),
    ("--p99-ms-at-most", "600000"),
    ("--p999-ms-at-most", "600000"),
    ("--lateness-p99-ms-at-most", "600000"),
    ("--generator-busy-at-most", "1.5"),
    ("--answers-within-s", "120"),
    ("--seed", "1"),
];

/// The morning above, with these in place of what stands there.
fn reception(place: &Path, other: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["reception", "--recipients", RECIPIENTS, "--binary"]).arg(&*APPLIANCE).arg("--data").arg(place.join("data"));
    let usual = MORNING.iter().filter(|(name, _)| !other.iter().any(|(replaced, _)| replaced == name));
    command.args(usual.chain(other).flat_map(|(name, value)| [*name, *value]));
    command.output().unwrap()
}

#[test]
fn a_whole_morning_is_answered_right_and_told_in_json_and_on_a_page() {
    let place = registered();
    let (json, page) = (place.path().join("result.json"), place.path().join("page.html"));
    let written = [("--json", json.to_str().unwrap()), ("--report", page.to_str().unwrap())];
    // A second time on the same directory: other newcomers are registered.
    for _ in 0..2 {
        let output = reception(place.path(), &written);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let result: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
        let number =
            |pointer: &str| result.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{pointer}: {result}"));
        assert_eq!(result["met"], true, "{result}");
        assert!(number("/asked/lookups") > 1_500);
        assert_eq!(number("/answered"), number("/asked/lookups"));
        assert_eq!(number("/checked"), number("/asked/lookups"));
        assert_eq!((number("/night/lookups") % 1_000, number("/night/wrong")), (0, 0));
        assert!(number("/night/lookups") >= 2_000);
        let imported = result["changes"]["imported"].as_array().unwrap();
        assert!(imported.len() == 3 && imported.iter().all(|file| file["rows"].as_u64().unwrap() >= 100));
        assert_eq!((number("/changes/newcomers/asked_about_afterwards"), number("/changes/newcomers/wrong")), (300, 0));
        for kind in ["hospital", "clinic", "dental", "pharmacy"] {
            assert!(number(&format!("/asked/institutions/{kind}")) > 30, "{kind}");
        }
        for occasion in ["visit", "family", "repeat", "burst"] {
            // Repeats come half an hour after the window's first visits, and so from 09:10.
            assert!(number(&format!("/asked/occasions/{occasion}")) > 10, "{occasion}");
        }
        for letter in ["E", "X", "N", "C"] {
            assert!(number(&format!("/asked/right_answers/{letter}")) > 10, "{letter}");
        }
        assert!(number("/asked/short_connections") > 10);
        // However late all connections stand again after the great reconnect, it is waited for and told.
        assert!(result["reconnected_after_ms"].is_number(), "{result}");
        assert!(result["server_cpu_ns_per_lookup"].is_number() && result["environment"]["kernel"].is_string());
    }
    let page = std::fs::read_to_string(&page).unwrap();
    assert_eq!(page.matches("<svg ").count(), 2);
    assert!(page.contains("All thresholds are met"));
}

#[test]
fn a_generator_that_is_late_or_saturated_and_a_server_that_is_slow_fail_the_run_in_words() {
    let place = registered();
    let json = place.path().join("result.json");
    let strict =
        ["--newcomers", "--p99-ms-at-most", "--lateness-p99-ms-at-most", "--generator-busy-at-most"].map(|name| (name, "0"));
    let output = reception(place.path(), &[&strict[..], &[("--json", json.to_str().unwrap())]].concat());
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for part in ["p99 ", "patients wait", "the generator was measured, not the server", "the client saturates its core"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("wrong answers"), "{said}");
    let result: Value = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!((&result["met"], &result["dropped"]), (&Value::Bool(false), &Value::from(0)));
}

#[test]
fn answers_about_another_population_fail_the_run() {
    let place = registered();
    let output = reception(place.path(), &[("--newcomers", "0"), ("--seed", "2")]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("wrong answers ") && said.contains("expected E"), "{said}");
}

#[test]
fn what_does_not_fit_together_is_said_before_anything_starts() {
    for (arguments, said) in [
        (&["--from", "09:30", "--to", "09:00"][..], "ends before it begins"),
        (&["--gateways", "60", "--kept-each", "8"], "keeps 256 connections"),
        (&["--url", "192.0.2.1:80"], "loopback"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let output = command.args(["reception", "--recipients", "10", "--data", "nowhere"]).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(said), "{said}");
    }
}
