//! A hub and those who follow it, as processes over TLS on loopback: everybody ends at the hub's sequence and state, from wherever they
//! begin and however often they are restarted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::sync::Arc;

use common::houses::{Certificates, House, frames_in, settle, trimmed};
use common::proof::proof;
use common::{Place, eventually};
use shikaku::disk::{Disk, RealDisk};
use shikaku::registry::snapshot;

const TEST: &str = "houses_follow_a_hub_over_https";

fn hub_with(certificates: &Certificates, people: u64) -> House {
    let hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..people);
    hub
}

fn follower(certificates: &Certificates, name: &str, of: &House, hub_key: &str) -> House {
    House::new(Place::new(), certificates.follow(name, of.api(), hub_key))
}

#[test]
fn everybody_ends_at_the_hubs_sequence_and_state_and_holds_its_frames_byte_for_byte() {
    let certificates = Certificates::new();
    let hub = hub_with(&certificates, 50);
    let key = hub.hub_key();
    let mut houses: Vec<House> = ["ward", "clinic"].iter().map(|name| follower(&certificates, name, &hub, &key)).collect();
    for house in &mut houses {
        house.start();
    }
    for turn in 1..4 {
        hub.register(50 * turn..50 * turn + 50);
    }
    // One that comes late.
    let mut late = follower(&certificates, "late", &hub, &key);
    late.start();
    houses.push(late);
    settle(&hub, &houses.iter().collect::<Vec<_>>());
    for house in &houses {
        assert!(house.answers_for(0) && house.answers_for(199) && !house.answers_for(200));
        let following = house.following();
        assert_eq!((following["lag_sequences"].as_u64(), following["lag_s"].as_u64()), (Some(0), Some(0)), "{following}");
        assert!(following["quarantine"].is_null() && following["failure"].is_null(), "{following}");
        assert!(following["last_contact"].is_string() && following["hub"].as_str().unwrap().starts_with("https://127.0.0.1:"));
        let metrics = house.server().get("/metrics").body;
        assert!(metrics.contains("\nshikaku_follow_lag_sequences 0\n") && metrics.contains("\nshikaku_follow_quarantine 0\n"));
        assert!(house.troubles().is_empty());
    }
    assert!(hub.following().is_null());
    // Nobody registers where somebody follows.
    let refused = houses[0].place.import("own.csv", &[common::Row::of(9999)], &[]).ends(1);
    assert!(refused.mentions("register at its hub"), "{refused:?}");
    let count = houses.len();
    let mut hub = hub;
    hub.stop();
    for mut house in houses {
        // The hub's last mark may come while it stops.
        house.stop();
        let (own, hubs) = (house.frames(), hub.frames());
        assert!(hubs.starts_with(&own) && !own.is_empty(), "the frames are the hub's own");
        house.place.verified();
    }
    proof("each follower ends at the hub's sequence and state checksum", "none", TEST, count);
}

#[test]
fn a_restart_goes_on_exactly_and_a_hub_that_is_away_is_waited_for() {
    let certificates = Certificates::new();
    let mut hub = hub_with(&certificates, 20);
    let line = common::proxy::Proxy::to(hub.api());
    let mut house = House::new(Place::new(), certificates.follow("ward", line.address, &hub.hub_key()));
    house.start();
    settle(&hub, &[&house]);
    for turn in 1..4 {
        house.stop();
        hub.register(20 * turn..20 * turn + 20);
        hub.stop();
        // The hub is away when the house starts: it answers from what it has.
        house.start();
        assert!(house.answers_for(20 * turn - 1) && !house.answers_for(20 * turn));
        eventually("the failure is said", || house.following()["failure"].is_string());
        hub.start();
        line.lead_to(hub.api());
        settle(&hub, &[&house]);
        assert!(house.answers_for(20 * turn + 19));
        let pulled = house.following()["pulled_bytes"].as_u64().unwrap();
        assert!(pulled < frames_in(&hub.place.data()).len() as u64, "what was held is not fetched again");
    }
    house.stop();
    hub.stop();
    assert!(hub.frames().starts_with(&house.frames()));
    proof("a follower goes on exactly where it stood", "restarts of both, each away while the other starts", TEST, 3);
}

#[test]
fn a_relay_of_a_relay_passes_on_what_the_hub_signed() {
    let certificates = Certificates::new();
    let hub = hub_with(&certificates, 30);
    let key = hub.hub_key();
    let relay = |name: &str, of: &House| {
        let config = format!("{}{}", certificates.follow(name, of.api(), &key), certificates.api(&format!("{name}-api")));
        House::started(Place::new(), config)
    };
    let first = relay("first", &hub);
    let second = relay("second", &first);
    assert_eq!(second.hub_key(), key, "a relay is known by the hub's key");
    let mut last = follower(&certificates, "last", &second, &key);
    last.start();
    hub.register(30..60);
    settle(&hub, &[&first, &second, &last]);
    assert!(last.answers_for(59));
    assert!(!last.place.data().join("signing.key").exists() && !first.place.data().join("signing.key").exists());
    proof("followers of followers verify the hub itself", "a relay of a relay", TEST, 3);
}

#[test]
fn one_that_comes_when_the_log_is_trimmed_begins_with_the_snapshot() {
    let certificates = Certificates::new();
    let place = Place::new();
    trimmed(&place, 200);
    let hub = House::started(place, certificates.api("hub"));
    let key = hub.hub_key();
    let relay_config = |of: &House| {
        let follow = certificates.follow("relay", of.api(), &key);
        format!("{follow}{}[snapshots]\nenabled = false\n", certificates.api("relay-api"))
    };
    let relay = House::started(Place::new(), relay_config(&hub));
    settle(&hub, &[&relay]);
    assert!(relay.answers_for(0) && relay.answers_for(199));
    assert!(relay.status()["log_first_sequence"].as_u64().unwrap() > 1, "it holds no more of the log than it needs");
    // The relay hands on the snapshot that the hub signed.
    let mut last = follower(&certificates, "last", &relay, &key);
    last.start();
    hub.register(200..220);
    settle(&hub, &[&relay, &last]);
    assert!(last.answers_for(0) && last.answers_for(219));
    // Where it has that one no more, it fetches the hub's newest for them.
    let mut relay = relay;
    relay.stop();
    std::fs::remove_dir_all(relay.place.data().join("snapshots")).unwrap();
    relay.start();
    eventually("a snapshot is kept for others", || relay.place.data().join("intake/hub.snap").exists());
    let mut another = follower(&certificates, "another", &relay, &key);
    another.start();
    hub.register(220..230);
    settle(&hub, &[&relay, &another]);
    assert!(another.answers_for(0) && another.answers_for(229));
    proof("a fresh follower begins with the signed snapshot", "a trimmed log, at a hub and at its relay", TEST, 2);
}

#[test]
fn a_restored_hub_takes_a_snapshot_for_those_who_would_begin() {
    let certificates = Certificates::new();
    let (old, restored) = (Place::new(), Place::new());
    old.import("rows.csv", &(0..40).map(common::Row::of).collect::<Vec<_>>(), &[]).ends(0);
    let file = old.path("backup.snap");
    old.run("snapshot create", &["--out", file.to_str().unwrap()]).ends(0);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    snapshot::restore(&disk, &restored.data(), &file, 1).unwrap();
    let hub = House::started(restored, certificates.api("hub"));
    let mut house = follower(&certificates, "ward", &hub, &hub.hub_key());
    house.start();
    settle(&hub, &[&house]);
    assert!(house.answers_for(39));
}

#[test]
fn a_follower_whose_data_are_old_says_so_as_the_hub_would() {
    let certificates = Certificates::new();
    let hub = hub_with(&certificates, 5);
    let mut house =
        House::new(Place::new(), format!("data_age_max_hours = 0\n{}", certificates.follow("ward", hub.api(), &hub.hub_key())));
    house.start();
    settle(&hub, &[&house]);
    // No source is allowed any age, so the next second makes every "no" an "I do not know".
    let stranger = common::ask_member(&common::Row::of(77)) + "\n";
    eventually("the answer is stale", || house.server().batch("consent=true", &stranger)[0].starts_with('S'));
    assert!(house.answers_for(4));
    common::houses::await_trouble(&house, "old_data");
}

#[test]
fn who_may_not_follow_is_turned_away_and_ends_at_once_when_told_to() {
    let certificates = Certificates::new();
    let hub = hub_with(&certificates, 5);
    let (certificate, key) = certificates.of("operator", "watcher");
    let (own_certificate, own_key) = certificates.of("replica", "ward");
    let config = certificates.follow("ward", hub.api(), &hub.hub_key());
    let config = config.replace(own_certificate.to_str().unwrap(), certificate.to_str().unwrap());
    let config = config.replace(own_key.to_str().unwrap(), key.to_str().unwrap());
    let house = House::new(Place::new(), config);
    let mut process = house.spawn();
    let refused = process.err.wait(|lines| lines.iter().find(|line| line.contains("403")).cloned());
    assert!(refused.unwrap().contains("the hub cannot be followed yet"));
    process.signal("TERM");
    let (status, took) = process.wait();
    assert!(status == 0 && took.as_secs() < 10, "{status} after {took:?}");
    assert!(!house.place.data().join("log").exists(), "nothing was begun");
}

#[test]
fn a_house_that_holds_some_prefectures_answers_for_those_and_follows_all_the_same() {
    let certificates = Certificates::new();
    let hub = hub_with(&certificates, 20);
    let elsewhere = |number| common::Row::of(number).with("authority_code", "011002").with("payer_number", "");
    let (ours, theirs) = (common::ask_member(&common::Row::of(1)) + "\n", common::ask_member(&elsewhere(501)) + "\n");
    hub.place.import("elsewhere.csv", &(500..510).map(elsewhere).collect::<Vec<_>>(), &[]).ends(0);
    let follow = certificates.follow("ward", hub.api(), &hub.hub_key());
    let mut house = House::new(Place::new(), format!("{follow}prefectures = [13]\n"));
    house.start();
    hub.place.import("more.csv", &(510..520).map(elsewhere).collect::<Vec<_>>(), &[]).ends(0);
    let stands_with_the_hub = |house: &House| {
        eventually("it stands where the hub does", || house.newest_sequence() == hub.newest_sequence());
        let asked = |house: &House, line: &str| house.server().batch("consent=true", line)[0].chars().next().unwrap();
        assert_eq!((asked(&hub, &ours), asked(&hub, &theirs)), ('E', 'E'));
        assert_eq!((asked(house, &ours), asked(house, &theirs)), ('E', 'N'));
        assert_eq!(house.following()["prefectures"], serde_json::json!([13]));
        assert!(house.following()["quarantine"].is_null() && house.troubles().is_empty(), "{}", house.following());
    };
    stands_with_the_hub(&house);
    // What is settled stays, whether or not it is said again; something else is refused.
    house.stop();
    house.config = format!("audit = false\n{follow}");
    house.start();
    hub.register(20..30);
    stands_with_the_hub(&house);
    house.stop();
    house.config = format!("audit = false\n{follow}prefectures = [13, 14]\n");
    let mut process = house.spawn();
    assert_eq!(process.wait().0, 1);
    assert!(process.err.all().concat().contains("follows other prefectures than the configuration says"));
}
