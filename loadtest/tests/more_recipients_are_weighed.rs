//! `growth`, over sizes that take seconds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a panic in a test is the report")]

mod common;

use common::{complaint, loadtest, report, shikaku};

#[test]
fn every_size_is_made_asked_weighed_and_removed() {
    let work = tempfile::tempdir().unwrap();
    let paths = ["--binary", shikaku().to_str().unwrap(), "--work", work.path().to_str().unwrap()];
    let short = ["--seconds", "1", "--warm-up-ms", "50", "--runs", "1", "--questions", "3000", "--allow-saturated-client"];
    let found = report(&loadtest(&[&["growth", "--json", "--sizes", "1000,3000"], &paths[..], &short[..]].concat()));
    let sizes = found["sizes"].as_array().unwrap();
    assert_eq!(sizes.iter().map(|size| size["recipients"].as_u64().unwrap()).collect::<Vec<_>>(), [1_000, 3_000]);
    for size in sizes {
        for figure in ["import_s", "disk_bytes", "start_s", "resident_bytes", "dossier_bytes"] {
            assert!(size[figure].as_f64().unwrap() > 0.0, "{figure}: {size}");
        }
        assert!(size["pipeline"]["lookups_per_s"].as_f64().unwrap() > 0.0, "{size}");
        assert!(size["batch"]["lookups_per_s"].as_f64().unwrap() > 0.0, "{size}");
    }
    assert!(sizes[1]["dossier_bytes"].as_u64() > sizes[0]["dossier_bytes"].as_u64());
    assert!(found["targets"][0]["measured"].is_number(), "{found}");
    assert_eq!(found["targets"][2]["not_measured"], "it takes three sizes");
    assert_eq!(std::fs::read_dir(work.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn sizes_out_of_order_are_refused() {
    let output = loadtest(&["growth", "--sizes", "3000,1000"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint(&output).contains("from the smallest to the largest"));
}
