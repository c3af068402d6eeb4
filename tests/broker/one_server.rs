//! One server: everything arrives, nothing is doubled by a restart, and registering does not wait for a broker that is away.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use shikaku::serve::clock::now_unix_ms;
use shikaku::sync::checkpoint::Checkpoint;

use crate::hostile::{checkpoint_of, put};
use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

/// Messages in the broker's stream.
fn messages(servers: &Servers) -> (u64, u64) {
    let info = servers.ask(|context| async move { context.get_stream("shikaku").await.unwrap().get_info().await.unwrap() });
    (info.state.messages, info.state.last_sequence)
}

#[test]
fn a_replica_ends_where_the_hub_does_however_it_is_restarted() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(20, 200);
    hub.publish(publish_to(&servers.urls(), 1));
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    let mut restarts = 0;
    for round in 0..4 {
        hub.register(15, 20 + round);
        replica.restart();
        hub.register(15, 3);
        replica.follow(broker(&servers.urls()), None);
        replica.await_equal(&hub);
        restarts += 1;
    }
    assert_eq!((replica.followed().forged, replica.followed().gaps), (0, 0));
    assert_eq!(replica.troubles(), Vec::<&str>::new());
    let test = "a_replica_ends_where_the_hub_does_however_it_is_restarted";
    let frames = replica.registry().sequence();
    proof("a replica through a broker ends at the hub's sequence, chain and state checksum", "none", test, frames);
    proof("a restarted replica goes on from its own log", "restarts in mid-stream", test, restarts);
}

#[test]
fn a_hub_that_is_restarted_publishes_on_where_the_broker_stands() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    let mut restarts = 0;
    for round in 0..4 {
        hub.register(10 + round, 5);
        hub.publish(publish_to(&servers.urls(), 1));
        if round % 2 == 0 {
            hub.await_published();
        }
        hub.stop();
        hub.restart();
        restarts += 1;
    }
    hub.publish(publish_to(&servers.urls(), 1));
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    let followed = replica.followed();
    assert_eq!((followed.doubled, followed.forged, followed.gaps), (0, 0, 0), "the stream itself has each frame once, in order");
    replica.await_each_taken_once(&hub);
    let test = "a_hub_that_is_restarted_publishes_on_where_the_broker_stands";
    proof("a hub publishes each frame once", "restarts in mid-stream", test, restarts);
}

#[test]
fn registering_goes_on_while_the_broker_is_away_and_everything_comes_when_it_is_back() {
    let mut servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.publish(publish_to(&servers.urls(), 1));
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    hub.register(10, 5);
    replica.await_equal(&hub);
    for _ in 0..2 {
        let stood = hub.registry().sequence();
        servers.kill(0);
        let began = Instant::now();
        hub.register(30, 5);
        assert!(began.elapsed() < Duration::from_secs(5), "registering waited for the broker");
        await_that("the hub says so", || {
            hub.registry().troubles().list().iter().any(|(trouble, _)| trouble.word() == "broker_away")
        });
        await_that("the replica says so", || replica.troubles().contains(&"hub_unreachable"));
        assert!(replica.registry().sequence() <= stood, "nothing comes from a broker that is away");
        servers.restart(0);
        replica.await_equal(&hub);
        await_that("the hub says that it is over", || hub.registry().troubles().list().is_empty());
        await_that("the replica says that it is over", || replica.troubles().is_empty());
    }
    let test = "registering_goes_on_while_the_broker_is_away_and_everything_comes_when_it_is_back";
    proof("registering does not wait for a broker, and nothing is lost", "broker killed and started again", test, 2);
}

#[test]
fn what_a_broker_lost_from_its_end_is_published_again() {
    let mut servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(40, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    await_that("the checkpoint is there", || hub.published().checkpoint_unix_ms > 0);
    let (count, last) = messages(&servers);
    // As a power failure takes away what a server had acknowledged and not yet synced.
    servers.ask(|context| async move {
        let stream = context.get_stream("shikaku").await.unwrap();
        for sequence in last - 12..=last {
            stream.delete_message(sequence).await.unwrap();
        }
    });
    assert_eq!(messages(&servers).0, count - 13);
    servers.kill(0);
    servers.restart(0);
    hub.register(5, 5);
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    let test = "what_a_broker_lost_from_its_end_is_published_again";
    proof("what a broker lost of its newest messages is published again", "messages taken from its end", test, 13);
}

#[test]
fn a_broker_without_word_from_the_hub_is_not_taken_for_the_hub() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(5, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    let mut old = Checkpoint::of(hub.registry(), &hub.registry().segments().unwrap(), now_unix_ms());
    // The hub ends. What of it was under way has come when no more of it does.
    hub.stop();
    await_that("nothing comes any more", || {
        let heard = replica.standing().last_contact_unix_ms;
        std::thread::sleep(Duration::from_secs(3));
        heard > 0 && replica.standing().last_contact_unix_ms == heard
    });
    assert!(replica.followed().connected && replica.troubles().is_empty());

    // To one that begins later, its word of a while ago is shown.
    hub.restart();
    old.time_unix_ms -= 3_600_000;
    let (subject, signed) = (checkpoint_of(&hub), Bytes::from(old.sign(&hub.signer)));
    servers.ask(|context| {
        let subject = subject.clone();
        async move { context.get_stream("shikaku").await.unwrap().purge().filter(subject).await.unwrap() }
    });
    put(&servers, &subject, HeaderMap::new(), signed, false);
    let mut late = Replica::of(&hub);
    late.follow(broker(&servers.urls()), None);
    await_that("it is said", || late.registry().sequence() == old.sequence && late.troubles() == ["hub_unreachable"]);
    let failure = late.standing().failure.unwrap();
    assert!(failure.contains("answers, but has brought nothing that the hub signed since"), "{failure}");
    assert!(late.followed().connected);
    hub.publish(publish_to(&servers.urls(), 1));
    await_that("the hub is there again", || late.troubles().is_empty() && late.standing().failure.is_none());
    hub.register(5, 5);
    late.await_equal(&hub);
    replica.await_equal(&hub);
}
