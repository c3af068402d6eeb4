//! What the broker is told that a house has.
//!
//! An acknowledgement is not what keeps a frame from being lost: the own log says where to go on, and the consumer is made anew behind it.
//! It is what the broker shows of each house, and what it holds back new messages by. So the promise is one about the broker's number: its
//! acknowledgement floor never passes what the house has applied.

use shikaku::sync::jetstream::BrokerConfig;

use crate::hostile::{delete, frames_of, message, put};
use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

/// The house's name at the broker.
const HOUSE: &str = "house";

/// Up to where the broker has given messages to the house, and up to where it has them acknowledged without a gap, by the broker's
/// sequences; `None` while the house's consumer is made anew.
fn given_and_acknowledged(servers: &Servers) -> Option<(u64, u64)> {
    servers.ask(|context| async move {
        let info = context.get_stream("shikaku").await.unwrap().consumer_info(HOUSE).await.ok()?;
        Some((info.delivered.stream_sequence, info.ack_floor.stream_sequence))
    })
}

#[test]
fn the_broker_is_told_of_no_frame_that_the_house_has_not_applied() {
    let servers = or_skip!(Servers::one());
    let mut hub = Hub::new();
    hub.register(60, 5);
    hub.publish(publish_to(&servers.urls(), 1));
    hub.await_published();
    let missing = message(&servers, &frames_of(&hub), 8);
    let last = message(&servers, &frames_of(&hub), 60).sequence;
    delete(&servers, missing.sequence);
    let mut replica = Replica::of(&hub);
    replica.follow(BrokerConfig { consumer: Some(HOUSE.to_owned()), ..broker(&servers.urls()) }, None);

    // The house gives a gap up a moment after everything behind it was given: until then the broker's numbers stand still.
    let (mut looks, mut given_max, mut acknowledged_max) = (0, 0, 0);
    await_that("the gap is given up three times", || {
        if let Some((given, acknowledged)) = given_and_acknowledged(&servers) {
            looks += 1;
            given_max = given_max.max(given);
            acknowledged_max = acknowledged_max.max(acknowledged);
        }
        replica.followed().gaps >= 3
    });
    assert!(given_max >= last, "what is behind the gap was given: {given_max} of {last}");
    // A message that is no longer there leaves nothing to acknowledge at its place.
    assert!(acknowledged_max <= missing.sequence, "{acknowledged_max} is acknowledged, and {} is missing", missing.sequence);
    assert_eq!(replica.registry().sequence(), 7, "nothing passes a gap");

    put(&servers, &frames_of(&hub), missing.headers, missing.payload, false);
    replica.await_equal(&hub);
    await_that("everything is acknowledged", || {
        given_and_acknowledged(&servers).is_some_and(|(given, acknowledged)| given > last && acknowledged == given)
    });
    let test = "the_broker_is_told_of_no_frame_that_the_house_has_not_applied";
    proof("a broker is told of no frame that a house has not applied", "a frame missing before fifty-two others", test, looks);
}
