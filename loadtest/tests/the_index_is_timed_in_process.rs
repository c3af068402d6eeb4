//! `index`, on a register that nobody serves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

mod common;

use common::{Server, complaint, loadtest, registered, report};

#[test]
fn every_pass_is_timed_and_every_answer_right() {
    let population = registered(3_000);
    let data = population.path().join("data");
    let index = |more: &[&str]| {
        let arguments = ["index", "--data", data.to_str().unwrap(), "--recipients", "3000", "--questions", "5000"];
        loadtest(&[&arguments[..], &["--rounds", "2", "--json"], more].concat())
    };
    let found = report(&index(&[]));
    for pass in ["one_ns", "many_ns", "one_decided_ns", "many_decided_ns"] {
        assert!(found["figures"][pass].as_f64().unwrap() > 0.0, "{pass}: {found}");
        assert_eq!(found["rounds"][pass].as_array().unwrap().len(), 2);
    }
    assert!(found["lookups_per_round"].as_u64().unwrap() > 4_500, "{found}");

    let other = index(&["--seed", "2"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(complaint(&other).contains("answers were wrong"), "{}", complaint(&other));

    let _server = Server::start(&data);
    let taken = index(&[]);
    assert_eq!(taken.status.code(), Some(1), "a register that is served is not opened a second time");
}
