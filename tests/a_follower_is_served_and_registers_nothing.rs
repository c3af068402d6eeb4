//! The program on a directory that follows a stream: everything that reads works as on any other, and everything that registers is
//! refused with the way to go, alone and through a running server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use common::proof::proof;
use common::{Place, Row, ask_member, bytes_below};
use shikaku::disk::RealDisk;
use shikaku::log::SEGMENT_HEAD;
use shikaku::registry::{Following, OpenOptions, Registry};

const NOW: u64 = 1_795_273_200_000;
const TEST: &str = "what_reads_works_and_what_registers_is_told_where_to_go";

fn open(data: &Path) -> Registry {
    Registry::open(data, &OpenOptions::at(NOW)).unwrap()
}

/// A hub with some rows, and a directory that follows it and is as far.
fn hub_and_follower(rows: &[Row]) -> (Place, Place) {
    let (hub_place, place) = (Place::new(), Place::new());
    hub_place.import("rows.csv", rows, &[]).ends(0);
    let hub = open(&hub_place.data());
    let following = Following { stream: hub.stream(), hub_key: [5; 32], prefectures: None };
    Registry::begin_following(&(Arc::new(RealDisk) as _), &place.data(), &following, None, NOW).unwrap();
    let follower = open(&place.data());
    for segment in hub.segments().unwrap() {
        let frames = hub.read_segment(segment.first_sequence, SEGMENT_HEAD as u64..u64::MAX).unwrap();
        follower.take_frames(&frames).unwrap();
    }
    assert_eq!(follower.standing(), hub.standing());
    follower.close(NOW).unwrap();
    (hub_place, place)
}

#[test]
fn what_reads_works_and_what_registers_is_told_where_to_go() {
    let rows: Vec<Row> = (1..20).map(Row::of).collect();
    let (hub_place, place) = hub_and_follower(&rows);
    let more = place.file("more.csv", &[Row::of(99)]);
    let payers = place.write("payers.csv", "payer_number,authority_code,name,prefecture,check,from,to\n");
    let refusals = |place: &Place| {
        let mut refused = 0;
        for (command, arguments) in [
            ("import", vec![more.to_str().unwrap()]),
            ("import", vec!["--accept", more.to_str().unwrap()]),
            ("masters set", vec!["--payers", payers.to_str().unwrap()]),
        ] {
            let said = place.run(command, &arguments);
            assert!(said.status != 0 && said.mentions("follows stream"), "{said:?}");
            assert!(said.mentions("register at its hub"), "{said:?}");
            refused += 1;
        }
        refused
    };
    let log = place.data().join("log");
    let before = bytes_below(&log);
    let mut refused = refusals(&place);
    let server = place.serve();
    let lines: String = rows.iter().map(|row| ask_member(row) + "\n").collect();
    let answers = server.batch("consent=true", &lines);
    assert!(answers.len() == rows.len() && answers.iter().all(|answer| answer.starts_with('E')), "{answers:?}");
    refused += refusals(&place);
    let snapshot = place.path("follower.snap");
    place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    assert_eq!(server.stop(), 0);
    assert_eq!(place.state_checksum(), hub_place.state_checksum());
    assert_eq!(bytes_below(&log), before, "something was written to its log");
    assert!(fs::metadata(snapshot).unwrap().len() > 0);
    proof("refused in words, nothing written", "registering where a stream is followed", TEST, refused);
}
