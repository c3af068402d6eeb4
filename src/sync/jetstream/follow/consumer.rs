//! The durable consumer: the place that the broker keeps for a follower.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::Stream;

use crate::limits::{BROKER_ACK_WAIT_S, BROKER_BATCH_MESSAGES};
use crate::log::StreamId;
use crate::registry::Registry;
use crate::sync::jetstream::broker::BrokerError;
use crate::sync::jetstream::message::Subjects;

/// How long a pull of messages may stay open, and how often the broker shows meanwhile that it is there.
const PULL: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// A name that stays the same for a directory of a machine, and that another does not have.
pub(super) fn name(registry: &Registry) -> String {
    let machine = ["/etc/machine-id", "/proc/sys/kernel/hostname"].map(|path| std::fs::read(path).unwrap_or_default());
    let directory = registry.directory();
    let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&machine.concat()).update(directory.as_os_str().as_encoded_bytes());
    let hash = hasher.finalize().to_hex();
    format!("shikaku-{}", hash.get(..16).unwrap_or_default())
}

/// Makes it anew, and asks for its messages from one of the stream's on.
pub(super) async fn messages(stream: &Stream, name: &str, log: StreamId, from: u64) -> Result<pull::Stream, BrokerError> {
    // One that is not there is none to be removed.
    let _ = stream.delete_consumer(name).await;
    let config = pull::Config {
        durable_name: Some(name.to_owned()),
        description: Some("a follower's log".to_owned()),
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ack_policy: AckPolicy::Explicit,
        ack_wait: Duration::from_secs(BROKER_ACK_WAIT_S),
        max_ack_pending: i64::try_from(4 * BROKER_BATCH_MESSAGES).unwrap_or(i64::MAX),
        filter_subject: Subjects::all_of(log),
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(BrokerError::deed("make a consumer"))?;
    let messages = consumer.stream().max_messages_per_batch(BROKER_BATCH_MESSAGES).expires(PULL).heartbeat(HEARTBEAT);
    messages.messages().await.map_err(BrokerError::deed("give messages"))
}
