//! The log through an existing distributed engine: NATS JetStream carries one message a frame from the hub to any number of followers.
//!
//! The engine fans out and keeps for a while; it is not what is believed. Every message proves itself by the hub's signature, the
//! registry's own log is the only place that counts, and what the engine lost or mixed up is fetched again, from it or from the hub.
//! `docs/replication.md` says why this engine, and what it carries.

mod begin;
mod broker;
mod config;
mod finding;
mod follow;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod message;
mod options;
mod publish;
mod standing;
mod waiting;
mod window;

pub use begin::{BrokerBeginError, begin};
pub use broker::BrokerError;
pub use config::{BrokerConfig, BrokerConfigError, PublishConfig};
pub use follow::{BrokerFollower, OtherWay};
pub use options::BrokerFollowOptions;
pub use publish::Publisher;
pub use standing::{BrokerStanding, FollowedBroker, PublishStanding, PublishedToBroker};
