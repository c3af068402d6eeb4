//! A hub that is away, one that is withheld by whoever answers for it, and one whose log no longer reaches back to a follower: each is said
//! in its own words, look-ups go on, and the word goes away with what it tells of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::time::{Duration, Instant};

use common::houses::{Certificates, House, await_end_of, await_trouble, settle, trimmed};
use common::liar::{Liar, Passing};
use common::proof::proof;
use common::proxy::{Fault, Proxy};
use common::{Place, eventually};
use jiff::Timestamp;
use shikaku::disk::RealDisk;
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::key::HubSigner;

/// From when on a hub without a word is called unreachable.
const SILENCE: Duration = Duration::from_secs(60);
/// How long a follower may pause between two attempts, and how long one may take, on a busy machine.
const LOOKS_AGAIN_WITHIN: Duration = Duration::from_secs(120);

#[test]
fn a_follower_that_the_hubs_log_no_longer_reaches_back_to_says_so_and_answers_until_it_begins_anew() {
    let certificates = Certificates::new();
    let mut hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..40);
    let line = Proxy::to(hub.api());
    let mut house = House::started(Place::new(), certificates.follow("ward", line.address, &hub.hub_key()));
    let held = settle(&hub, &[&house]);
    house.stop();
    hub.stop();
    let oldest = trimmed(&hub.place, 400);
    assert!(oldest > held.0 + 1, "the hub's log begins at {oldest}, the house stands at {}", held.0);
    hub.start();
    line.lead_to(hub.api());

    house.start();
    for _ in 0..2 {
        await_trouble(&house, "hub_too_far");
        let following = house.following();
        let quarantine = &following["quarantine"];
        assert_eq!(quarantine["trouble"], "hub_too_far", "{following}");
        let detail = quarantine["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("{} is needed", held.0 + 1)) && detail.contains("a snapshot is needed"), "{detail}");
        assert_eq!(house.troubles(), ["hub_too_far"], "and nothing else");
        assert!(following["lag_sequences"].as_u64().unwrap() > 0, "it knows how far the hub is: {following}");
        assert!(house.answers_for(0) && house.answers_for(39) && !house.answers_for(399), "it answers from what it has");
        assert_eq!(house.position(), held);
        // A restart does not forget it.
        house.stop();
        house.start();
    }
    // Asked again, the hub has no more than before.
    await_trouble(&house, "hub_too_far");
    let since = house.following()["quarantine"]["since_unix_ms"].clone();
    house.place.run("follow resume", &[]).ends(0);
    eventually("it is refused again", || {
        let quarantine = house.following()["quarantine"].clone();
        quarantine["trouble"] == "hub_too_far" && quarantine["since_unix_ms"] != since
    });
    assert!(house.answers_for(39));

    house.stop();
    house.place.run("follow resnapshot", &[]).ends(0);
    house.start();
    hub.register(400..410);
    settle(&hub, &[&house]);
    assert!(house.answers_for(0) && house.answers_for(399) && house.answers_for(409));
    assert!(house.troubles().is_empty() && house.following()["quarantine"].is_null());
    let test = "a_follower_that_the_hubs_log_no_longer_reaches_back_to_says_so_and_answers_until_it_begins_anew";
    proof("a follower that is too far behind says so and goes on answering", "the hub's log trimmed beyond it", test, 1);
}

#[test]
fn a_hub_without_a_word_for_a_minute_is_called_unreachable_until_it_is_back() {
    let certificates = Certificates::new();
    let mut hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..20);
    let key = hub.hub_key();
    // Of one nothing listens any more, the other's line takes everything and brings nothing.
    let lines = [Proxy::to(hub.api()), Proxy::to(hub.api())];
    let follower = |name: &str, line: &Proxy| House::started(Place::new(), certificates.follow(name, line.address, &key));
    let houses = [follower("away", &lines[0]), follower("mute", &lines[1])];
    settle(&hub, &[&houses[0], &houses[1]]);
    lines[1].set(Fault::Drop);
    hub.kill();

    for house in &houses {
        let until = Instant::now() + SILENCE + LOOKS_AGAIN_WITHIN;
        eventually("the failure is said", || house.following()["failure"].is_string());
        let heard: Timestamp = house.following()["last_contact"].as_str().unwrap().parse().unwrap();
        while !house.has_trouble("hub_unreachable") {
            assert!(house.answers_for(19), "it answers meanwhile");
            assert!(Instant::now() < until, "it says nothing: {}", house.following());
            std::thread::sleep(Duration::from_millis(100));
        }
        let silent = Timestamp::now().duration_since(heard);
        assert!(silent.unsigned_abs() >= SILENCE, "it is called so after {silent}");
        assert_eq!(house.troubles(), ["hub_unreachable"]);
        assert!(house.following()["quarantine"].is_null(), "a hub that is away is not suspected of anything");
        assert!(house.answers_for(0) && house.answers_for(19));
    }

    hub.start();
    hub.register(20..40);
    lines[1].set(Fault::None);
    for (line, house) in lines.iter().zip(&houses) {
        line.lead_to(hub.api());
        await_end_of(house, "hub_unreachable");
    }
    settle(&hub, &[&houses[0], &houses[1]]);
    for house in &houses {
        assert!(house.answers_for(39) && house.troubles().is_empty() && house.following()["failure"].is_null());
    }
    let test = "a_hub_without_a_word_for_a_minute_is_called_unreachable_until_it_is_back";
    proof("a hub that is away is said, and look-ups go on", "a hub killed; a line that carries nothing", test, houses.len());
}

#[test]
fn a_source_that_answers_and_withholds_what_the_hub_signs_is_said_to() {
    const HOUR_S: u64 = 3600;
    let certificates = Certificates::new();
    let hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..20);
    let signer = HubSigner::read_or_make(&RealDisk, &hub.place.data()).unwrap();
    let liar = Liar::before(hub.api(), &certificates);
    // What it shows is the hub's own word, of an hour ago.
    liar.tell(move |target, mut passing| {
        if is_checkpoint(target) && passing.status == 200 {
            let mut checkpoint = Checkpoint::verify(&passing.body, &signer.public()).unwrap();
            checkpoint.time_unix_ms -= 1000 * HOUR_S;
            passing.body = checkpoint.sign(&signer);
        }
        passing
    });
    let house = House::started(Place::new(), certificates.follow("ward", liar.address, &hub.hub_key()));
    settle(&hub, &[&house]);
    await_trouble(&house, "hub_unreachable");
    let status = house.status();
    let (following, trouble) = (&status["following"], &status["troubles"][0]);
    assert!(
        trouble["detail"].as_str().unwrap().contains("answers, but has brought nothing that the hub signed since"),
        "{status}"
    );
    assert_eq!(following["failure"], trouble["detail"], "{status}");
    assert!(following["state_age_s"].as_u64().unwrap() > HOUR_S - 60, "{status}");
    let metrics = house.server().get("/metrics").body;
    let age = metrics.lines().find_map(|line| line.strip_prefix("shikaku_follow_state_age_seconds ")).unwrap();
    assert!(age.parse::<u64>().unwrap() > HOUR_S - 60, "{age}");
    assert!(following["quarantine"].is_null() && house.answers_for(0) && house.answers_for(19));

    liar.tell_the_truth();
    await_end_of(&house, "hub_unreachable");
    hub.register(20..30);
    settle(&hub, &[&house]);
    assert!(house.answers_for(29) && house.troubles().is_empty() && house.following()["failure"].is_null());
    let test = "a_source_that_answers_and_withholds_what_the_hub_signs_is_said_to";
    proof("a hub that is away is said, and look-ups go on", "somebody between who shows what was signed an hour ago", test, 1);
}

#[test]
fn a_source_that_answers_at_once_and_brings_nothing_newer_is_asked_once_a_second() {
    const WATCHED: Duration = Duration::from_secs(4);
    let certificates = Certificates::new();
    let hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..20);
    let liar = Liar::before(hub.api(), &certificates);
    let house = House::started(Place::new(), certificates.follow("ward", liar.address, &hub.hub_key()));
    settle(&hub, &[&house]);
    // The same again and again, without the tag by which one would ask for the next.
    let mut shown: Option<Passing> = None;
    liar.tell(move |target, mut passing| {
        if !is_checkpoint(target) || passing.status != 200 {
            return passing;
        }
        passing.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("etag"));
        shown.get_or_insert(passing).clone()
    });
    eventually("it is asked without a tag", || liar.told() > 2);
    let (began, before) = (Instant::now(), liar.told());
    std::thread::sleep(WATCHED);
    let (told, watched) = (liar.told() - before, began.elapsed());
    assert!(told <= watched.as_secs() + 2, "{told} times in {watched:?}");
    assert!(house.troubles().is_empty() && house.answers_for(19));
}

fn is_checkpoint(target: &str) -> bool {
    target.starts_with("/v1/log/checkpoint")
}
