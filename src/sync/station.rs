//! What a server does with the log besides answering from it: hands it on, follows somebody, or both.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use axum::Router;
use tokio::sync::watch;

use super::follow::kept::KeptSnapshot;
use super::follow::{FollowError, FollowOptions, Follower, Standings, keep_a_snapshot};
use super::key::{HubSigner, KeyError};
use super::publish::{self, Offered, Published};
use crate::disk::RealDisk;
use crate::registry::Registry;

/// Why the log does not travel.
#[derive(Debug, thiserror::Error)]
pub enum StationError {
    /// The hub's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Following.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// A thread.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
}

/// The threads, while they run.
#[derive(Debug, Default)]
pub struct Station {
    signing: Option<JoinHandle<()>>,
    follower: Option<Follower>,
    keeping: Option<JoinHandle<()>>,
}

impl Station {
    /// Begins what is asked for: following where there are options, and, where `hands_on`, the routes for others. A directory that does
    /// not follow is a hub, which signs; its key is made when it first hands its log on.
    pub fn start(
        registry: &Arc<Registry>,
        follow: Option<FollowOptions>,
        hands_on: bool,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Station, Router), StationError> {
        let mut station = Station::default();
        let from: Option<(watch::Receiver<Option<Published>>, Offered)> = match follow {
            Some(options) => {
                let key = options.hub_key;
                if hands_on {
                    station.keeping = Some(keep_a_snapshot(registry, &options, stop)?);
                }
                let (follower, passed) = Follower::start(registry, options, stop)?;
                station.follower = Some(follower);
                Some((passed, Offered::Kept(KeptSnapshot::of(registry.directory(), key))))
            }
            // It is fed by hand, and has nobody's word to pass on.
            None if registry.following().is_some() => None,
            None if hands_on => {
                let signer = || HubSigner::read_or_make(&RealDisk, registry.directory());
                let (newest, thread) =
                    publish::sign_what_comes(registry.clone(), signer()?, stop.clone()).map_err(StationError::Thread)?;
                station.signing = Some(thread);
                Some((newest, Offered::own(signer()?)))
            }
            None => None,
        };
        let router = match from {
            Some((newest, offered)) if hands_on => publish::router(registry.clone(), newest, offered),
            Some(_) | None => Router::new(),
        };
        Ok((station, router))
    }

    /// What `status` says of following.
    pub fn standings(&self) -> Option<Standings> {
        self.follower.as_ref().map(Follower::standings)
    }

    /// Waits for the threads, after `stop`.
    pub fn join(self) {
        let threads = [("checkpoints", self.signing), ("hub-snapshot", self.keeping)];
        for (name, thread) in threads {
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(name, "a thread panicked");
            }
        }
        if let Some(follower) = self.follower {
            follower.join();
        }
    }
}
