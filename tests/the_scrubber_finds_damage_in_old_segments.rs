//! A sealed segment that rots under a running server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::unix::fs::FileExt;

use common::{Place, Row, day, eventually, run};

/// A segment is sealed at 256 MiB, so this takes half a million recipients: 250 MB of rows, 300 MB of log.
const RECIPIENTS: &str = "550000";

#[test]
#[ignore = "writes about a gigabyte; `cargo test --release -- --ignored` runs it"]
fn it_stops_acknowledging_names_the_place_and_look_ups_go_on() {
    let place = Place::new();
    let file = place.path("rows.csv");
    run(["synth", "--recipients", RECIPIENTS, "--as-of", &day(0), "--out", file.to_str().unwrap()]).ends(0);
    place.run("import", &[file.to_str().unwrap()]).ends(0);
    std::fs::remove_file(&file).unwrap();
    place.import("known.csv", [&Row::of(1)], &[]).ends(0);
    let mut segments: Vec<_> = std::fs::read_dir(place.data().join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.sort();
    assert!(segments.len() >= 2, "{segments:?}");

    let server = place.serve_configured("scrub_pause_s = 1\n");
    let sealed = std::fs::OpenOptions::new().read(true).write(true).open(&segments[0]).unwrap();
    let offset = sealed.metadata().unwrap().len() / 2;
    let mut byte = [0];
    sealed.read_exact_at(&mut byte, offset).unwrap();
    sealed.write_all_at(&[byte[0] ^ 4], offset).unwrap();

    let name = segments[0].file_name().unwrap().to_str().unwrap();
    eventually("the scrubber came by", || server.get("/v1/health").body.contains("log_corrupt"));
    let status = server.status();
    let detail = status["troubles"][0]["detail"].as_str().unwrap();
    assert!(detail.contains(name) && detail.contains("offset"), "{detail}");
    let said = place.import("more.csv", [&Row::of(2)], &[]).ends(1);
    assert!(said.err.contains("log_corrupt"), "{}", said.err);
    assert!(server.batch("consent=true", "k\tcard-1")[0].starts_with('E'));
    let said = place.run("verify", &[]).ends(1);
    assert!(said.out.contains(name), "{}", said.out);
    assert_eq!(server.stop(), 0);
}
