//! `saturate`, and the thresholds of runs against a server that runs already.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

mod common;

use common::{Server, complaint, loadtest, registered, report};

/// Far below what any machine can do, and a limit that only a machine at a standstill misses.
const MODEST: [&str; 8] = ["--first-rate", "200", "--highest-rate", "400", "--p99-us-at-most", "5000000", "--seconds", "1"];

#[test]
fn a_modest_rate_is_met_with_every_answer_right_and_an_impossible_limit_is_not() {
    let population = registered(2_000);
    let server = Server::start(&population.path().join("data"));
    let (url, pid) = (server.address.to_string(), server.pid());
    let target = ["--url", &url, "--server-pid", &pid, "--recipients", "2000", "--questions", "2000", "--warm-up-ms", "100"];

    let found = report(&loadtest(&[&["saturate", "--json", "--floor-ratio-at-least", "0.1"], &MODEST[..], &target[..]].concat()));
    assert_eq!(found["rate_per_s"], 400.0);
    assert_eq!(found["floor_rate_per_s"], 400.0);
    let answered = found["figures"]["lookups"].as_u64().unwrap();
    assert!((380..=420).contains(&answered), "{answered} answers in a second");
    assert!(found["figures"]["latency_us"]["p99"].as_f64().unwrap() > 0.0);

    let impossible = ["saturate", "--first-rate", "200", "--p99-us-at-most", "0.001", "--tries", "1", "--seconds", "1"];
    let missed = loadtest(&[&impossible[..], &target[..6], &["--warm-up-ms", "0", "--questions", "500"]].concat());
    assert_eq!(missed.status.code(), Some(1));
    assert!(complaint(&missed).contains("no rate meets p99"), "{}", complaint(&missed));

    let single = ["single", "--seconds", "1", "--json", "--allow-saturated-client", "--floor-ratio-at-least", "0.01"];
    let beside_floor = report(&loadtest(&[&single[..], &target[..]].concat()));
    assert!(beside_floor["floor_ratio"].as_f64().unwrap() > 0.01);
}
