//! A follower's side: messages of a broker, in whatever order and however often they come, become frames of the own log.
//!
//! The own log says where to go on. Each start makes the durable consumer anew behind it, so that nothing waits for messages that an earlier
//! process had taken and not acknowledged; while the process lives, the broker keeps its place over broken lines. A message is acknowledged
//! once its frame is applied and synced, and not before.

mod checkpoints;
mod consumer;
mod frames;
mod gaps;
mod reading;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use tokio::sync::watch;

use self::reading::Reading;
use super::config::BrokerConfig;
use super::standing::BrokerStanding;
use crate::background;
use crate::sync::intake::{Intake, IntakeDeeds};
use crate::sync::publish::Published;
use crate::sync::standing::Standings;

/// Another way to the hub's frames, for what a broker lost: brings the own log as far as the hub's, or says why not.
pub type OtherWay = Box<dyn FnMut(&mut Intake) -> Result<(), String> + Send>;

/// Following a hub through a broker, for as long as this is held.
#[derive(Debug)]
pub struct BrokerFollower {
    thread: JoinHandle<()>,
    standing: Arc<BrokerStanding>,
    standings: Standings,
}

impl BrokerFollower {
    /// Starts the thread, which owns the intake until `stop`. The configuration must have been checked. What is applied is passed on
    /// through the receiver.
    pub fn start(
        intake: Intake,
        deeds: IntakeDeeds,
        config: BrokerConfig,
        other_way: Option<OtherWay>,
        stop: Arc<AtomicBool>,
    ) -> std::io::Result<(BrokerFollower, watch::Receiver<Option<Published>>)> {
        let standing = Arc::new(BrokerStanding::default());
        let standings = Standings::of(config.urls.join(","));
        let (passing, passed) = watch::channel(None);
        let (registry, key) = (intake.registry().clone(), *intake.key());
        let consumer = config.consumer.clone().unwrap_or_else(|| consumer::name(&registry));
        let reading = Reading {
            intake,
            registry,
            key,
            config,
            consumer,
            standing: standing.clone(),
            standings: standings.clone(),
            passing,
            other_way,
            gap: None,
        };
        // The connection is served beside this thread, which applies.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let thread = background::spawn_behind("broker", move || runtime.block_on(reading.run(deeds, &stop)))?;
        Ok((BrokerFollower { thread, standing, standings }, passed))
    }

    /// How far it is.
    pub fn standing(&self) -> Arc<BrokerStanding> {
        self.standing.clone()
    }

    /// What `status` says of it, as of whoever follows.
    pub fn standings(&self) -> Standings {
        self.standings.clone()
    }

    /// Waits for the end of the thread, after `stop`.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows the broker panicked");
        }
    }
}
