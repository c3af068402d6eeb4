//! Somebody else who may write to the broker's stream, or take from it.

use std::sync::Arc;

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use shikaku::log::Frame;
use shikaku::registry::Registry;
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::intake::Intake;
use shikaku::sync::jetstream::OtherWay;
use shikaku::sync::key::HubSigner;

use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

pub(crate) fn frames_of(hub: &Hub) -> String {
    format!("shikaku.{:?}.frames", hub.registry().stream())
}

pub(crate) fn checkpoint_of(hub: &Hub) -> String {
    format!("shikaku.{:?}.checkpoint", hub.registry().stream())
}

/// The frame of a sequence as it lies in the broker's stream.
async fn message_of(stream: &Stream, subject: &str, sequence: u64) -> StreamMessage {
    let info = stream.get_info().await.unwrap();
    for at in info.state.first_sequence..=info.state.last_sequence {
        let Ok(message) = stream.get_raw_message(at).await else { continue };
        if message.subject.as_str() == subject && Frame::first_of(&message.payload).is_ok_and(|frame| frame.sequence == sequence)
        {
            return message;
        }
    }
    panic!("no frame {sequence}");
}

/// Puts a message into the stream under no id, or under the one it has.
pub(crate) fn put(servers: &Servers, subject: &str, mut headers: HeaderMap, payload: Bytes, with_id: bool) {
    if !with_id {
        headers.insert("Nats-Msg-Id", "");
    }
    let mut sent = HeaderMap::new();
    for name in ["Shikaku-Chain", "Shikaku-Signature", "Nats-Msg-Id"] {
        if let Some(value) = headers.get(name).filter(|value| !value.as_str().is_empty()) {
            sent.insert(name, value.as_str());
        }
    }
    let subject = subject.to_owned();
    servers.ask(|context| async move {
        context.publish_with_headers(subject, sent, payload).await.unwrap().await.unwrap();
    });
}

pub(crate) fn message(servers: &Servers, subject: &str, sequence: u64) -> StreamMessage {
    servers.ask(|context| async move {
        let stream = context.get_stream("shikaku").await.unwrap();
        message_of(&stream, subject, sequence).await
    })
}

pub(crate) fn delete(servers: &Servers, at: u64) {
    servers.ask(|context| async move {
        let stream = context.get_stream("shikaku").await.unwrap();
        assert!(stream.delete_message(at).await.unwrap());
    });
}

/// The hub's own log, read from this process, where a replica would ask its API.
fn by_the_hubs_api(hub: &Hub) -> OtherWay {
    let (registry, signer): (Arc<Registry>, Arc<HubSigner>) = (hub.registry().clone(), hub.signer.clone());
    Box::new(move |intake: &mut Intake| {
        let segments = registry.segments().map_err(|error| error.to_string())?;
        let signed = Checkpoint::of(&registry, &segments, u64::MAX / 2).sign(&signer);
        intake.consider(&signed).map_err(|error| error.to_string())?;
        for segment in segments {
            let bytes = registry.read_segment(segment.first_sequence, 128..segment.bytes).map_err(|error| error.to_string())?;
            intake.take(&bytes).map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

#[test]
fn forged_and_doubled_messages_change_nothing() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(30, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    await_that("the checkpoint is there", || hub.published().checkpoint_unix_ms > 0);
    let (frames, checkpoint) = (frames_of(&hub), checkpoint_of(&hub));
    let last = hub.registry().sequence();
    let genuine = message(&servers, &frames, last);
    let other = message(&servers, &frames, last - 1);

    // A frame that is well formed in every way but the hub's, as the next one; its checksum is right.
    let mut forged = genuine.payload.to_vec();
    forged[8..16].copy_from_slice(&(last + 1).to_le_bytes());
    let covered = forged.len() - 8;
    let checksum = xxhash_rust::xxh3::xxh3_64(&forged[..covered]);
    forged[covered..].copy_from_slice(&checksum.to_le_bytes());
    assert_eq!(Frame::first_of(&forged).unwrap().sequence, last + 1);
    let stranger = HubSigner::read_or_make(&shikaku::disk::RealDisk, tempfile::tempdir().unwrap().path()).unwrap();
    let segments = hub.registry().segments().unwrap();
    let strange = Checkpoint { sequence: last + 1, ..Checkpoint::of(hub.registry(), &segments, u64::MAX / 2) }.sign(&stranger);
    let strange: Bytes = strange.into();
    let mut cut = genuine.payload.clone();
    cut.truncate(60);
    let forgeries = [
        (&frames, genuine.headers.clone(), Bytes::from(forged)),
        (&frames, other.headers.clone(), genuine.payload.clone()),
        (&frames, genuine.headers.clone(), cut),
        (&frames, HeaderMap::new(), genuine.payload.clone()),
        (&frames, HeaderMap::new(), Bytes::from_static(b"no frame")),
        (&frames, HeaderMap::new(), Bytes::new()),
        (&checkpoint, HeaderMap::new(), strange),
        (&checkpoint, HeaderMap::new(), Bytes::from_static(b"no checkpoint")),
    ];
    for (subject, headers, payload) in &forgeries {
        put(&servers, subject, headers.clone(), payload.clone(), false);
    }
    let doubled = [last, last - 1, last, 1];
    for sequence in doubled {
        let message = message(&servers, &frames, sequence);
        put(&servers, &frames, message.headers, message.payload, false);
    }
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    await_that("all of it was looked at", || {
        let followed = replica.followed();
        followed.forged >= forgeries.len() as u64 && followed.doubled >= doubled.len() as u64
    });
    // The hub publishes on behind all of that, and the replica goes on.
    hub.register(10, 5);
    replica.await_equal(&hub);
    hub.stop();
    hub.restart();
    hub.register(10, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    replica.await_equal(&hub);
    let test = "forged_and_doubled_messages_change_nothing";
    proof(
        "nothing that the hub did not sign is applied from a broker",
        "forged frames and checkpoints in its stream",
        test,
        forgeries.len(),
    );
    proof("nothing from a broker is applied twice", "doubled messages in its stream", test, doubled.len());
}

#[test]
fn messages_in_another_order_are_put_in_order() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(60, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    hub.stop();
    hub.restart();
    let frames = frames_of(&hub);
    let moved = [5, 41, 40, 17, 60];
    for sequence in moved {
        let message = message(&servers, &frames, sequence);
        delete(&servers, message.sequence);
        put(&servers, &frames, message.headers, message.payload, false);
    }
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    assert!(replica.registry().wait_beyond(59, crate::servers::PATIENCE) >= 60);
    assert_eq!(replica.followed().gaps, 0, "they came soon enough");
    hub.publish(publish_to(&servers.urls(), 1));
    replica.await_equal(&hub);
    let test = "messages_in_another_order_are_put_in_order";
    proof("frames from a broker are applied in order", "messages moved to the stream's end", test, moved.len());
}

#[test]
fn a_gap_is_healed_from_the_hub_and_without_it_is_said_and_nothing_passes_it() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(60, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    let frames = frames_of(&hub);
    let missing = [8, 30, 31, 32];
    let kept: Vec<StreamMessage> = missing.iter().map(|sequence| message(&servers, &frames, *sequence)).collect();
    for message in &kept {
        delete(&servers, message.sequence);
    }
    let mut alone = Replica::of(&hub);
    alone.follow(broker(&servers.urls()), None);
    await_that("the gap is said", || alone.troubles().contains(&"hub_refused"));
    assert_eq!(alone.registry().sequence(), 7, "nothing passes a gap");
    let words = alone.registry().troubles().list();
    assert!(words[0].1.contains("sequence 8 was to follow"), "{words:?}");

    let mut helped = Replica::of(&hub);
    helped.follow(broker(&servers.urls()), Some(by_the_hubs_api(&hub)));
    helped.await_equal(&hub);
    assert!(helped.followed().gaps >= 1);

    // What was missing comes after all, out of order and late.
    for message in kept {
        put(&servers, &frames, message.headers, message.payload, false);
    }
    alone.await_equal(&hub);
    await_that("the gap is over", || alone.troubles().is_empty());
    let test = "a_gap_is_healed_from_the_hub_and_without_it_is_said_and_nothing_passes_it";
    proof(
        "a gap among a broker's messages is healed from the hub, or said",
        "messages taken out of the stream",
        test,
        missing.len(),
    );
}

#[test]
fn a_stream_that_begins_too_late_is_said_and_healed_from_the_hub() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(40, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    servers.ask(|context| async move {
        context.get_stream("shikaku").await.unwrap().purge().sequence(25).await.unwrap();
    });
    let mut alone = Replica::of(&hub);
    alone.follow(broker(&servers.urls()), None);
    await_that("it is said", || alone.troubles().contains(&"hub_too_far"));
    assert_eq!(alone.registry().sequence(), 0);
    let mut helped = Replica::of(&hub);
    helped.follow(broker(&servers.urls()), Some(by_the_hubs_api(&hub)));
    helped.await_equal(&hub);
    let test = "a_stream_that_begins_too_late_is_said_and_healed_from_the_hub";
    proof("a broker's stream that begins too late is said, and healed from the hub", "old messages gone", test, 1);
}

#[test]
fn a_hub_that_was_set_back_is_found_out_by_the_broker_and_by_the_replica() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(20, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    replica.await_equal(&hub);
    hub.stop();
    let copy = hub.copied();
    hub.restart();
    hub.register(10, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    replica.await_equal(&hub);
    hub.stop();

    // An old copy of the directory registers something else, and is to publish it.
    let mut back = copy;
    back.register(3, 9);
    back.publish(publish_to(&servers.urls(), 1));
    await_that("the broker's stream shows it", || {
        back.registry().troubles().list().iter().any(|(_, detail)| detail.contains("rolled back"))
    });
    let stood = replica.registry().standing().0;
    // Even into an empty stream, where the broker cannot show it: the replica knows.
    servers.ask(|context| async move { context.delete_stream("shikaku").await.unwrap() });
    back.register(20, 9);
    await_that("the replica says so", || {
        replica.troubles().iter().any(|word| *word == "hub_forked" || *word == "hub_rolled_back")
    });
    assert_eq!(replica.registry().standing().0, stood);
    replica.restart();
    replica.follow(broker(&servers.urls()), None);
    await_that("a restart does not forget it", || {
        replica.troubles().iter().any(|word| *word == "hub_forked" || *word == "hub_rolled_back")
    });
    let test = "a_hub_that_was_set_back_is_found_out_by_the_broker_and_by_the_replica";
    proof("a hub that was set back is refused through a broker", "an old copy of its directory publishes", test, 2);
}

#[test]
fn a_gap_is_judged_while_other_messages_keep_coming() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(20, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    let frames = frames_of(&hub);
    delete(&servers, message(&servers, &frames, 8).sequence);
    let mut replica = Replica::of(&hub);
    replica.follow(broker(&servers.urls()), None);
    let mut put_in = 0;
    await_that("the gap is said", || {
        put(&servers, &frames, HeaderMap::new(), Bytes::from_static(b"no frame"), false);
        put_in += 1;
        std::thread::sleep(std::time::Duration::from_millis(100));
        replica.troubles().contains(&"hub_refused")
    });
    assert_eq!(replica.registry().sequence(), 7, "nothing passes a gap");
    let test = "a_gap_is_judged_while_other_messages_keep_coming";
    proof("a gap among a broker's messages is said", "other messages that never cease", test, put_in);
}
