//! The routes under `/v1/log/` as anybody's HTTP client sees them: tags, conditions, ranges, waiting, and what is gone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::Place;
use common::houses::{Certificates, House};
use common::liar::{Passing, ask, client};
use rustls::ClientConfig;
use shikaku::sync::checkpoint::Checkpoint;

struct Asking {
    hub: House,
    address: SocketAddr,
    client: Arc<ClientConfig>,
}

impl Asking {
    fn of(place: Place) -> Asking {
        let certificates = Certificates::new();
        let hub = House::started(place, certificates.api("hub"));
        Asking { address: hub.api(), client: client(&certificates, "ward"), hub }
    }

    fn get(&self, target: &str, headers: &[(&str, &str)]) -> Passing {
        ask(self.address, &self.client, target, headers)
    }

    fn object(&self, target: &str) -> serde_json::Value {
        serde_json::from_slice(&self.get(target, &[]).body).unwrap()
    }

    /// A checkpoint once nothing more comes: the mark behind the last frame is written.
    fn at_rest(&self) -> Passing {
        common::eventually("the log is at rest", || {
            let (sequence, _) = self.hub.position();
            std::thread::sleep(Duration::from_millis(1500));
            self.hub.position().0 == sequence
        });
        self.get("/v1/log/checkpoint", &[])
    }
}

#[test]
fn a_checkpoint_is_known_by_its_tag_and_waited_for() {
    let asking = Asking::of(Place::new());
    asking.hub.register(0..5);
    let first = asking.at_rest();
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!((first.status, first.header("content-type")), (200, Some("application/octet-stream")));
    let key = asking.hub.hub_key().parse().unwrap();
    let checkpoint = Checkpoint::verify(&first.body, &key).unwrap();
    assert_eq!((checkpoint.sequence, format!("{:032x}", checkpoint.state.total())), asking.hub.position());
    assert_eq!(asking.get("/v1/log/checkpoint", &[("if-none-match", &tag)]).status, 304);
    // Waiting ends with the next sequence, and not before.
    let began = Instant::now();
    let waited = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| asking.get("/v1/log/checkpoint?wait=30", &[("if-none-match", &tag)]));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!waiting.is_finished() || began.elapsed() > Duration::from_secs(5));
        asking.hub.register(5..6);
        waiting.join().unwrap()
    });
    assert_eq!(waited.status, 200);
    let next = Checkpoint::verify(&waited.body, &key).unwrap();
    assert!(next.sequence > checkpoint.sequence || next.time_unix_ms > checkpoint.time_unix_ms);
    // One that nothing comes of ends in time, though the server stops in the middle of another.
    let began = Instant::now();
    let tag = asking.at_rest().header("etag").unwrap().to_owned();
    let short = asking.get("/v1/log/checkpoint?wait=1", &[("if-none-match", &tag)]);
    assert!(matches!(short.status, 200 | 304) && began.elapsed() < Duration::from_secs(20), "{}", short.status);
}

#[test]
fn a_segment_is_served_whole_and_in_parts() {
    let asking = Asking::of(Place::new());
    asking.hub.register(0..200);
    asking.at_rest();
    let list = asking.object("/v1/log/segments");
    let segment = &list["segments"].as_array().unwrap()[0];
    let (name, bytes) = (segment["name"].as_str().unwrap(), segment["bytes"].as_u64().unwrap());
    let target = format!("/v1/log/segments/{name}");
    let whole = asking.get(&target, &[]);
    let tag = whole.header("etag").unwrap().to_owned();
    assert_eq!((whole.status, whole.body.len() as u64, tag.as_str()), (200, bytes, segment["etag"].as_str().unwrap()));
    assert_eq!(whole.body, std::fs::read(asking.hub.place.data().join("log").join(name)).unwrap());
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    let part = asking.get(&target, &[("range", "bytes=100-299")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &whole.body[100..300]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 100-299/{bytes}").as_str()));
    let rest = asking.get(&target, &[("range", "bytes=128-"), ("if-range", &tag)]);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &whole.body[128..]));
    let changed = asking.get(&target, &[("range", "bytes=128-"), ("if-range", "\"another\"")]);
    assert_eq!((changed.status, changed.body.len()), (200, whole.body.len()));
    let outside = asking.get(&target, &[("range", &format!("bytes={bytes}-"))]);
    assert_eq!((outside.status, outside.header("content-range")), (416, Some(format!("bytes */{bytes}").as_str())));
    assert_eq!(asking.get(&target, &[("if-none-match", &tag)]).status, 304);
    // A place is where the frame behind a sequence begins.
    for after in [0, 3, 9] {
        let place = asking.object(&format!("/v1/log/place?after={after}"));
        let offset = usize::try_from(place["offset"].as_u64().unwrap()).unwrap();
        let frame = shikaku::log::Frame::first_of(&whole.body[offset..]).unwrap();
        assert_eq!((frame.sequence, place["segment"].as_str()), (after + 1, Some(name)));
    }
    for nothing in
        ["/v1/log/segments/00000000000000000009.seg", "/v1/log/segments/..%2Fstore", "/v1/log/snapshot", "/v1/log/nothing"]
    {
        assert_eq!(asking.get(nothing, &[]).status, 404, "{nothing}");
    }
}

#[test]
fn what_was_trimmed_is_gone_and_the_snapshot_is_named() {
    let place = Place::new();
    common::houses::trimmed(&place, 200);
    let asking = Asking::of(place);
    let first = "/v1/log/segments/00000000000000000001.seg";
    for target in [first, "/v1/log/place?after=0"] {
        let gone = asking.get(target, &[]);
        let body: serde_json::Value = serde_json::from_slice(&gone.body).unwrap();
        assert_eq!((gone.status, body["error"]["code"].as_str()), (410, Some("trimmed")), "{target}");
        assert!(body["oldest_sequence"].as_u64().unwrap() > 1);
        let manifest = asking.get(body["snapshot"].as_str().unwrap(), &[]);
        assert_eq!(manifest.status, 200);
        let key = asking.hub.hub_key().parse().unwrap();
        let manifest = shikaku::sync::manifest::SnapshotManifest::verify(&manifest.body, &key).unwrap();
        let snapshot = asking.get(&format!("/v1/log/snapshots/{}", manifest.name()), &[]);
        assert_eq!((snapshot.status, snapshot.body.len() as u64), (200, manifest.bytes));
        let (content, end) = snapshot.body.split_at(snapshot.body.len() - 40);
        assert_eq!(blake3::hash(content), manifest.content);
        assert_eq!(&end[8..], manifest.content.as_bytes());
    }
    assert_eq!(asking.get("/v1/log/snapshots/00000000000000000001.snap", &[]).status, 404);
}

#[test]
fn a_damaged_log_is_handed_on_to_nobody() {
    let place = Place::new();
    common::houses::trimmed(&place, 200);
    let certificates = Certificates::new();
    let house = House::started(place, format!("scrub_pause_s = 1\n{}", certificates.api("hub")));
    let client = client(&certificates, "ward");
    assert_eq!(ask(house.api(), &client, "/v1/log/checkpoint", &[]).status, 200);
    // The scrubber finds it.
    let log = house.place.data().join("log");
    let mut names: Vec<_> = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut bytes = std::fs::read(&names[0]).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&names[0], bytes).unwrap();
    common::houses::await_trouble(&house, "log_corrupt");
    for target in ["/v1/log/checkpoint", "/v1/log/segments", "/v1/log/place?after=0", "/v1/log/snapshot"] {
        let refused = ask(house.api(), &client, target, &[]);
        let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
        assert_eq!((refused.status, body["error"]["code"].as_str()), (503, Some("log_corrupt")), "{target}");
    }
}
