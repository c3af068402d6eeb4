//! `compare`, with whichever peers are installed, on a population that takes seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]
#![allow(clippy::print_stderr, reason = "what is skipped is said")]

mod common;

use common::{complaint, loadtest, shikaku};
use serde_json::Value;

fn compare(work: &std::path::Path, more: &[&str]) -> (std::process::Output, Value) {
    let json = work.join("found.json");
    let paths = ["--binary", shikaku().to_str().unwrap(), "--work", work.to_str().unwrap(), "--json", json.to_str().unwrap()];
    let short = ["--recipients", "3000", "--questions", "4000", "--seconds", "1", "--warm-up-ms", "50", "--rounds", "1"];
    let small = ["--connections", "8", "--depth", "16", "--batch-connections", "2", "--lines", "100"];
    let output = loadtest(&[&["compare", "--allow-saturated-client"], &paths[..], &short[..], &small[..], more].concat());
    let found = std::fs::read(&json).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or(Value::Null);
    (output, found)
}

fn measured<'v>(found: &'v Value, who: &str) -> Vec<&'v Value> {
    let groups = found["measured"].as_array().unwrap().iter();
    groups.flat_map(|group| group["servers"].as_array().unwrap()).filter(|series| series["who"] == who).collect()
}

#[test]
fn whoever_is_installed_is_asked_about_the_same_people_and_answers_right() {
    let work = tempfile::tempdir().unwrap();
    let (output, found) = compare(work.path(), &["--second-opinion"]);
    assert!(output.status.success(), "{}", complaint(&output));
    for who in ["appliance", "floor"] {
        assert_eq!(measured(&found, who).len(), 5, "{found}");
    }
    for (who, series) in [("Redis", 3), ("memcached", 3), ("PostgreSQL", 1)] {
        let absent = found["peers"]["absent"].as_array().unwrap().iter().any(|line| line.as_str().unwrap().starts_with(who));
        if absent {
            eprintln!("skipped: {who} is not installed; scripts/peers.sh installs it");
            assert!(complaint(&output).contains(&format!("{who}: not installed")));
            assert!(measured(&found, who).is_empty());
            continue;
        }
        let of_peer = measured(&found, who);
        assert_eq!(of_peer.len(), series, "{found}");
        for one in of_peer {
            assert!(one["lookups_per_s"].as_f64().unwrap() > 0.0, "{one}");
            assert!(one["server_cpu_ns_per_lookup"].as_f64().unwrap() > 0.0, "{one}");
            // The values are the answers: as long as the appliance's about people it knows.
            assert!((20.0..200.0).contains(&one["answer_bytes"].as_f64().unwrap()), "{one}");
        }
    }
    let targets = found["targets"].as_array().unwrap();
    assert!(targets.iter().any(|target| target["target"] == "P2" && target["measured"].is_number()), "{found}");
    assert!(targets.iter().any(|target| target["target"] == "P5" && target["not_measured"] == "--full measures it"), "{found}");
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("| P1 |") && table.contains("| P8 |"), "{table}");
    let left: Vec<_> = std::fs::read_dir(work.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["found.json"], "nothing else is left behind");
}

#[test]
fn a_target_that_is_missed_fails_the_run_where_that_is_asked_for() {
    let work = tempfile::tempdir().unwrap();
    // Without peers and with one look-up a batch's CPU this small machine misses something, or meets all: both are told.
    let (output, found) = compare(work.path(), &["--without", "redis,memcached,postgres", "--meet-targets"]);
    let missed = found["targets"].as_array().unwrap().iter().any(|target| target["met"] == false);
    assert_eq!(output.status.code(), Some(i32::from(missed)), "{}", complaint(&output));
    assert_eq!(complaint(&output).contains("missed: P"), missed);
    assert!(measured(&found, "Redis").is_empty());
}

#[test]
fn a_full_run_measures_every_target() {
    let work = tempfile::tempdir().unwrap();
    let page = work.path().join("morning.html");
    let morning = ["--crest-per-s", "500", "--compress", "600", "--from", "08:50", "--to", "09:20", "--appointments", "2000"];
    let more = ["--without", "redis,memcached,postgres", "--full", "--rate", "5000", "--newcomers", "100", "--report"];
    let (output, found) = compare(work.path(), &[&more[..], &[page.to_str().unwrap()], &morning].concat());
    assert!(output.status.success(), "{}", complaint(&output));
    assert!(std::fs::read_to_string(page).unwrap().contains("</html>"));
    let of_growth = found["targets"].as_array().unwrap().iter().filter(|target| target["target"] == "P11").count();
    assert_eq!(of_growth, 3, "{found}");
    for name in ["P5", "P7", "P8", "P10"] {
        let of_name = found["targets"].as_array().unwrap().iter().filter(|target| target["target"] == name);
        assert!(of_name.clone().count() > 0 && of_name.clone().all(|target| target["measured"].is_number()), "{name}: {found}");
    }
    // So few rows may be acknowledged at once, and then there is no rate to tell.
    let streaming = &found["rest"]["deltas"];
    assert!(streaming["rows"].as_u64().unwrap() > 0 && streaming["answers_checked_afterwards"].as_u64().unwrap() > 0, "{found}");
    assert_eq!(found["targets"].as_array().unwrap().iter().filter(|target| target["target"] == "P9").count(), 2, "{found}");
    // A row's archived bytes are some 200 to 500, and 3,000 recipients have some 7,500 rows.
    let row_bytes = found["full"]["row_bytes"].as_u64().unwrap();
    assert!((1_000_000..5_000_000).contains(&row_bytes), "{row_bytes}");
}
