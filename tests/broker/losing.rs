//! What a broker loses, and what somebody else puts in, while the hub's connection stands: nothing tells the hub but the broker's sequences.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream;
use bytes::Bytes;
use shikaku::log::Frame;

use crate::hostile::{frames_of, message, put};
use crate::houses::{Hub, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

/// Everything that the broker's stream holds, in its order.
fn everything(servers: &Servers) -> Vec<StreamMessage> {
    servers.ask(|context| async move {
        let stream = context.get_stream("shikaku").await.unwrap();
        let state = stream.get_info().await.unwrap().state;
        let mut messages = Vec::new();
        for at in state.first_sequence..=state.last_sequence {
            match stream.get_raw_message(at).await {
                Ok(message) => messages.push(message),
                Err(error) => assert!(error.to_string().contains("no message found"), "{error}"),
            }
        }
        messages
    })
}

/// The sequences of the frames that the broker's stream holds, in its order.
fn sequences(servers: &Servers, hub: &Hub) -> Vec<u64> {
    let (subject, messages) = (frames_of(hub), everything(servers));
    let frames = messages.iter().filter(|message| message.subject.as_str() == subject);
    frames.filter_map(|message| Some(Frame::first_of(&message.payload).ok()?.sequence)).collect()
}

/// A hub whose frames and checkpoint the broker has acknowledged.
fn published(servers: &Servers, frames: u32) -> Hub {
    let mut hub = Hub::new();
    hub.register(frames, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    await_that("the checkpoint is there", || hub.published().checkpoint_unix_ms > 0);
    hub
}

#[test]
fn what_a_broker_lost_from_its_end_while_the_line_stood_is_published_again() {
    let servers = or_skip!(Servers::one());
    let mut hub = published(&servers, 40);
    // As another server leads the stream that had acknowledged less, and the one that the hub is connected to stays.
    let mut kept = everything(&servers);
    kept.truncate(kept.len() - 13);
    servers.ask(|context| async move {
        let config = context.get_stream("shikaku").await.unwrap().cached_info().config.clone();
        context.delete_stream("shikaku").await.unwrap();
        context.create_stream(config).await.unwrap();
    });
    for message in kept {
        put(&servers, &message.subject, message.headers, message.payload, true);
    }
    let last = hub.register(5, 5);
    await_that("everything is there", || sequences(&servers, &hub).last() == Some(&last));
    assert_eq!(sequences(&servers, &hub), (1..=last).collect::<Vec<u64>>());
    let standing = hub.published();
    assert!(standing.out_of_step >= 1 && standing.breaks == 0, "{standing:?}");
    let test = "what_a_broker_lost_from_its_end_while_the_line_stood_is_published_again";
    proof("what a broker lost of its newest messages is published again", "the connection standing meanwhile", test, 12);
}

#[test]
fn a_message_that_somebody_else_put_under_a_frames_id_keeps_no_frame_out() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    let subjects = vec![frames_of(&hub), frames_of(&hub).replace("frames", "checkpoint")];
    servers.ask(|context| async move {
        // Forgotten after a while, so that the hub's own is taken under that id then.
        let duplicate_window = Duration::from_secs(4);
        let config = stream::Config { name: "shikaku".to_owned(), subjects, duplicate_window, ..stream::Config::default() };
        context.create_stream(config).await.unwrap();
    });
    hub.register(10, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    await_that("the checkpoint is there", || hub.published().checkpoint_unix_ms > 0);
    let mut headers = HeaderMap::new();
    let next = hub.registry().sequence() + 1;
    headers.insert("Nats-Msg-Id", format!("{:?}:{next}", hub.registry().stream()));
    put(&servers, &frames_of(&hub), headers, Bytes::from_static(b"no frame"), true);
    let last = hub.register(3, 5);
    let troubles = || hub.registry().troubles().list();
    await_that("the hub says that it gets nowhere", || {
        troubles().iter().any(|(_, words)| words.contains("does not stand where"))
    });
    // What was under way behind it may have been taken before it.
    await_that("everything is there", || {
        let mut found = sequences(&servers, &hub);
        found.sort_unstable();
        found.dedup();
        found == (1..=last).collect::<Vec<u64>>()
    });
    await_that("the trouble is over", || troubles().is_empty());
    let test = "a_message_that_somebody_else_put_under_a_frames_id_keeps_no_frame_out";
    proof("a frame counts as published where the broker has it at its place", "another message under its id", test, 1);
}

#[test]
fn an_old_frame_that_somebody_put_behind_the_hubs_is_not_published_on_from() {
    let servers = or_skip!(Servers::one());
    let mut hub = published(&servers, 20);
    let stood = hub.registry().sequence();
    let old = message(&servers, &frames_of(&hub), 3);
    put(&servers, &frames_of(&hub), old.headers, old.payload, false);
    let last = hub.register(5, 5);
    await_that("everything is there", || sequences(&servers, &hub).last() == Some(&last));
    let expected: Vec<u64> = (1..=stood).chain([3]).chain(stood + 1..=last).collect();
    assert_eq!(sequences(&servers, &hub), expected);
}

/// A line that takes its time each way, and carries less than a hub registers that does not pause. It ends with the process.
fn slow_line_to(url: &str) -> String {
    let to = url.trim_start_matches("nats://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let carry = |mut from: TcpStream, mut to: TcpStream| {
        std::thread::spawn(move || {
            let mut piece = [0; 64 << 10];
            while let Ok(length @ 1..) = from.read(&mut piece) {
                std::thread::sleep(Duration::from_millis(10));
                if to.write_all(&piece[..length]).is_err() {
                    return;
                }
            }
        });
    };
    std::thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let Ok(far) = TcpStream::connect(&to) else { return };
            carry(near.try_clone().unwrap(), far.try_clone().unwrap());
            carry(far, near);
        }
    });
    format!("nats://{address}")
}

#[test]
fn checkpoints_come_while_registering_does_not_pause() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(5, 5);
    // What is published takes longer on its way than the next takes to be registered.
    hub.publish(publish_to(&slow_line_to(&servers.urls()), 1));
    await_that("the checkpoint is there", || hub.published().checkpoint_unix_ms > 0);
    let mut signed = vec![hub.published().checkpoint_unix_ms];
    let began = Instant::now();
    while signed.len() < 4 && began.elapsed() < Duration::from_secs(240) {
        hub.register(1, 1);
        let newest = hub.published().checkpoint_unix_ms;
        if signed.last() != Some(&newest) {
            signed.push(newest);
        }
    }
    // However far the broker is behind. The clock on the wall may jump meanwhile, and is only told.
    let apart: Vec<u64> = signed.windows(2).map(|pair| pair[1].abs_diff(pair[0])).collect();
    let (sequence, took) = (hub.registry().sequence(), began.elapsed());
    assert_eq!(signed.len(), 4, "{apart:?} ms apart in {took:?}, {sequence} frames");
    let test = "checkpoints_come_while_registering_does_not_pause";
    proof(
        "a broker has a checkpoint every few seconds, however much is registered",
        "registering without a pause",
        test,
        apart.len(),
    );
}
