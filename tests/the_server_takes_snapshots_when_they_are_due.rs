//! The server's own snapshots: taken, read back, said in the status; and where they cannot be taken, said so, while everything else goes
//! on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Place, Row, Server, eventually};

const EVERY_SECOND: &str = "[snapshots]\nevery_s = 1\nkeep = 2\n";

fn is_covered(server: &Server) -> bool {
    let status = server.status();
    status["snapshots"]["newest"]["sequence"] == status["sequence"]
}

#[test]
fn one_is_taken_shown_and_can_be_restored() {
    let place = Place::new();
    place.import("rows.csv", &(0..50).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
    let server = place.serve_configured(EVERY_SECOND);
    eventually("a snapshot was taken", || is_covered(&server));
    let status = server.status();
    let newest = &status["snapshots"]["newest"];
    let name = format!("{:020}.snap", newest["sequence"].as_u64().unwrap());
    let file = place.data().join("snapshots").join(&name);
    assert_eq!(newest["bytes"], std::fs::metadata(&file).unwrap().len());
    assert!(newest["time"].as_str().unwrap().ends_with("+09:00"), "{newest}");
    assert_eq!(status["log_first_sequence"], 1);
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains(&format!("shikaku_snapshot_sequence {}\n", newest["sequence"])), "{metrics}");
    assert!(metrics.contains("shikaku_log_first_sequence 1\n"), "{metrics}");

    // Another as soon as there is something new, and never more than two.
    for more in 0..4 {
        place.import("more.csv", &[Row::of(100 + more)], &[]).ends(0);
        eventually("the next was taken", || is_covered(&server));
        assert!(server.status()["snapshots"]["kept"].as_u64().unwrap() <= 2);
    }
    let checksum = server.state_checksum();
    let newest = server.status()["snapshots"]["newest"]["sequence"].as_u64().unwrap();
    let file = place.data().join("snapshots").join(format!("{newest:020}.snap"));
    let elsewhere = Place::new();
    elsewhere.run("snapshot restore", &[file.to_str().unwrap()]).ends(0);
    assert_eq!(elsewhere.state_checksum(), checksum);
    place.verified();
    assert_eq!(server.stop(), 0);
    place.verified();
}

#[test]
fn one_that_cannot_be_taken_is_a_trouble_until_it_can_and_stops_nothing() {
    let place = Place::new();
    place.import("rows.csv", &[Row::of(1)], &[]).ends(0);
    // Something lies where the snapshot would be written.
    let in_the_way = place.data().join("snapshots/next.snap.tmp");
    std::fs::create_dir_all(in_the_way.join("inside")).unwrap();
    let server = place.serve_configured(EVERY_SECOND);
    eventually("the trouble is said", || server.get("/v1/health").succeeds().body.contains("snapshot_failed"));
    let status = server.status();
    assert!(status["troubles"][0]["detail"].as_str().unwrap().contains("next.snap"), "{status}");
    assert!(status["snapshots"]["newest"].is_null());
    place.import("more.csv", &[Row::of(2)], &[]).ends(0);
    assert!(server.batch("consent=true", "k\tcard-2")[0].starts_with('E'));
    std::fs::remove_dir_all(&in_the_way).unwrap();
    eventually("it is tried again", || is_covered(&server));
    eventually("the trouble is over", || !server.get("/v1/health").body.contains("snapshot_failed"));
}

#[test]
fn a_running_server_verifies_as_a_resting_one_does_and_answers_meanwhile() {
    let place = Place::new();
    place.import("rows.csv", &(0..2000).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
    let resting = place.run("verify", &[]).ends(0);
    let resting_json = place.run("verify", &["--json"]).ends(0).json();
    let server = place.serve();
    let running = place.run("verify", &[]).ends(0);
    let running_json = place.run("verify", &["--json"]).ends(0).json();
    assert_eq!((resting.out, resting_json), (running.out, running_json));
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut connection = server.connect();
            let mut answered = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(connection.batch("consent=true", "k\tcard-7")[0].starts_with('E'));
                answered += 1;
            }
            answered
        });
        for _ in 0..5 {
            place.verified();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(asking.join().unwrap() > 0);
    });
    // Registering went on as well, and is verified too.
    place.import("more.csv", &[Row::of(5000)], &[]).ends(0);
    assert_eq!(place.verified()["rows"], 2001);
}
