//! A cluster of three that replicates, and loses a server in mid-stream.
//!
//! `SHIKAKU_BROKER_ROUNDS` says how often; twice where it is not set.

use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

/// The leader is killed while frames stream through, and whoever leads then in the next round.
#[test]
fn a_cluster_of_three_that_loses_a_server_in_mid_stream_loses_nothing() {
    let mut servers = or_skip!(Servers::three());
    servers.await_quorum();
    let mut hub = Hub::new();
    hub.publish(publish_to(&servers.urls(), 3));
    hub.register(20, 5);
    hub.await_published();
    let mut replicas = [Replica::of(&hub), Replica::of(&hub)];
    for replica in &mut replicas {
        replica.follow(broker(&servers.urls()), None);
    }
    let rounds = std::env::var("SHIKAKU_BROKER_ROUNDS").map_or(2, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        let victim = servers.leader();
        let stood = replicas[0].registry().sequence();
        hub.register(40, 40);
        await_that("some of it is under way", || replicas[0].registry().sequence() > stood);
        servers.kill(victim);
        hub.register(40, 40);
        for replica in &replicas {
            replica.await_equal(&hub);
        }
        servers.restart(victim);
        servers.await_quorum();
    }
    for replica in &replicas {
        replica.await_each_taken_once(&hub);
        assert_eq!(replica.followed().forged, 0);
    }
    let late = {
        let mut late = Replica::of(&hub);
        late.follow(broker(&servers.urls()), None);
        late.await_equal(&hub);
        late.followed()
    };
    assert_eq!((late.gaps, late.forged), (0, 0), "the cluster's own stream is whole");
    let test = "a_cluster_of_three_that_loses_a_server_in_mid_stream_loses_nothing";
    let promise = "a cluster of three brings every frame once to every replica";
    proof(promise, "the leader killed in mid-stream", test, rounds);
}
