//! What a server does with the log besides answering from it: hands it on, follows somebody, or both.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

use super::follow::kept::KeptSnapshot;
use super::follow::{self, FollowError, FollowOptions, Follower, keep_a_snapshot};
use super::intake::{Intake, IntakeDeeds, IntakeDoor, IntakeError, Share};
use super::jetstream::{
    self, BrokerFollowOptions, BrokerFollower, BrokerStanding, FollowedBroker, OtherWay, PublishConfig, PublishStanding,
    PublishedToBroker,
};
use super::key::{HubKey, HubSigner, KeyError};
use super::publish::{self, Offered, Published};
use super::standing::{FollowStanding, Standings};
use crate::background;
use crate::disk::{Disk, RealDisk};
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
    /// What a follower remembers.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// A follower has no key to sign with.
    #[error("{} follows a hub, and only the hub publishes to a broker: what it signs cannot be signed here", path.display())]
    OnlyTheHubPublishes {
        /// The directory.
        path: std::path::PathBuf,
    },
    /// A thread.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
}

/// The ways on which a log is to travel.
#[derive(Clone, Debug, Default)]
pub struct Ways {
    /// The hub that is followed over HTTPS; beside a broker, what the broker lost is fetched there.
    pub follow: Option<FollowOptions>,
    /// The broker through which a hub is followed.
    pub broker: Option<BrokerFollowOptions>,
    /// The broker that is published to.
    pub publish: Option<PublishConfig>,
    /// Whether the log is handed on over HTTPS.
    pub hands_on: bool,
}

/// The threads, while they run.
#[derive(Debug, Default)]
pub struct Station {
    signing: Option<JoinHandle<()>>,
    follower: Option<Follower>,
    broker: Option<BrokerFollower>,
    keeping: Option<JoinHandle<()>>,
    keeper: Option<JoinHandle<()>>,
    publisher: Option<jetstream::Publisher>,
    door: Option<IntakeDoor>,
}

/// Where checkpoints come from that are handed on, and what snapshot.
type HandedOn = (watch::Receiver<Option<Published>>, Offered);

impl Station {
    /// Begins what is asked for. A directory that does not follow is a hub, which signs; its key is made when it first hands its log on.
    pub fn start(registry: &Arc<Registry>, ways: &Ways, stop: &Arc<AtomicBool>) -> Result<(Station, Router), StationError> {
        if ways.publish.is_some() && registry.following().is_some() {
            return Err(StationError::OnlyTheHubPublishes { path: registry.directory().to_owned() });
        }
        let mut station = Station::default();
        if let Some(options) = ways.follow.as_ref().filter(|_| ways.hands_on) {
            station.keeping = Some(keep_a_snapshot(registry, options, stop)?);
        }
        let handed_on = match (&ways.broker, &ways.follow, registry.following()) {
            (Some(broker), _, _) => Some(station.follow_broker(registry, broker, ways.follow.clone(), stop)?),
            (None, Some(options), _) => Some(station.follow(registry, options.clone(), stop)?),
            (None, None, Some(_)) => station.keep(registry, stop)?,
            (None, None, None) => station.sign(registry, ways, stop)?,
        };
        let router = match handed_on {
            Some((newest, offered)) if ways.hands_on => publish::router(registry.clone(), newest, offered),
            Some(_) | None => Router::new(),
        };
        Ok((station, router))
    }

    fn follow(
        &mut self,
        registry: &Arc<Registry>,
        options: FollowOptions,
        stop: &Arc<AtomicBool>,
    ) -> Result<HandedOn, StationError> {
        let key = options.hub_key;
        let (follower, passed) = Follower::start(registry, options, stop)?;
        self.door = Some(follower.door());
        self.follower = Some(follower);
        Ok((passed, kept(registry, key)))
    }

    fn follow_broker(
        &mut self,
        registry: &Arc<Registry>,
        options: &BrokerFollowOptions,
        hub: Option<FollowOptions>,
        stop: &Arc<AtomicBool>,
    ) -> Result<HandedOn, StationError> {
        follow::agrees(registry, &options.hub_key, options.prefectures)?;
        let intake = Intake::open(registry.clone(), disk(), options.share, stop.clone())?;
        let (door, deeds) = IntakeDoor::new();
        let other_way = hub.map(|hub| by_the_hub(hub, stop.clone()));
        let started = BrokerFollower::start(intake, deeds, options.broker.clone(), other_way, stop.clone());
        let (follower, passed) = started.map_err(StationError::Thread)?;
        (self.door, self.broker) = (Some(door), Some(follower));
        Ok((passed, kept(registry, options.hub_key)))
    }

    /// Keeps the intake of a directory that is fed by hand, and passes on what came. Where it cannot be opened, look-ups are answered all
    /// the same.
    fn keep(&mut self, registry: &Arc<Registry>, stop: &Arc<AtomicBool>) -> Result<Option<HandedOn>, StationError> {
        let intake = match Intake::open(registry.clone(), disk(), Share::WHOLE, stop.clone()) {
            Ok(intake) => intake,
            Err(error) => {
                tracing::error!(%error, "no bundle can be taken in");
                return Ok(None);
            }
        };
        let key = *intake.key();
        let (door, deeds) = IntakeDoor::new();
        let (passing, passed) = watch::channel(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StationError::Thread)?;
        let stop = stop.clone();
        let kept_until = move || runtime.block_on(keep_until(intake, deeds, &passing, &stop));
        self.keeper = Some(background::spawn("intake", kept_until).map_err(StationError::Thread)?);
        self.door = Some(door);
        Ok(Some((passed, kept(registry, key))))
    }

    /// A hub signs what others follow, over HTTPS and through a broker.
    fn sign(&mut self, registry: &Arc<Registry>, ways: &Ways, stop: &Arc<AtomicBool>) -> Result<Option<HandedOn>, StationError> {
        let signer = || HubSigner::read_or_make(&RealDisk, registry.directory());
        if let Some(config) = &ways.publish {
            let publisher = jetstream::Publisher::start(registry.clone(), Arc::new(signer()?), config.clone());
            self.publisher = Some(publisher.map_err(StationError::Thread)?);
        }
        if !ways.hands_on {
            return Ok(None);
        }
        let started = publish::sign_what_comes(registry.clone(), signer()?, stop.clone());
        let (newest, thread) = started.map_err(StationError::Thread)?;
        self.signing = Some(thread);
        Ok(Some((newest, Offered::own(signer()?))))
    }

    /// What `status` says of all this.
    pub fn standings(&self) -> TravelStandings {
        let by_hub = self.follower.as_ref().map(Follower::standings);
        TravelStandings {
            following: by_hub.or_else(|| self.broker.as_ref().map(BrokerFollower::standings)),
            broker: self.broker.as_ref().map(BrokerFollower::standing),
            publishing: self.publisher.as_ref().map(jetstream::Publisher::standing),
        }
    }

    /// The way to the intake, for what comes by hand; `None` where nobody is followed.
    pub fn door(&self) -> Option<IntakeDoor> {
        self.door.clone()
    }

    /// Waits for the threads, after `stop`.
    pub fn join(self) {
        if let Some(publisher) = self.publisher {
            publisher.stop();
        }
        let threads = [("checkpoints", self.signing), ("hub-snapshot", self.keeping), ("intake", self.keeper)];
        for (name, thread) in threads {
            if thread.is_some_and(|thread| thread.join().is_err()) {
                tracing::error!(name, "a thread panicked");
            }
        }
        if let Some(follower) = self.follower {
            follower.join();
        }
        if let Some(follower) = self.broker {
            follower.join();
        }
    }
}

/// The standings of everything, for the one who writes the pages.
#[derive(Clone, Debug, Default)]
pub struct TravelStandings {
    following: Option<Standings>,
    broker: Option<Arc<BrokerStanding>>,
    publishing: Option<Arc<PublishStanding>>,
}

/// The same at one moment.
#[derive(Clone, Debug, Default)]
pub struct Travels {
    /// Of whoever follows.
    pub following: Option<FollowStanding>,
    /// Of whoever follows through a broker, besides.
    pub broker: Option<FollowedBroker>,
    /// Of a hub that publishes to one.
    pub publishing: Option<PublishedToBroker>,
}

impl TravelStandings {
    /// This moment's.
    pub fn read(&self) -> Travels {
        Travels {
            following: self.following.as_ref().map(Standings::read),
            broker: self.broker.as_ref().map(|standing| standing.read()),
            publishing: self.publishing.as_ref().map(|standing| standing.read()),
        }
    }
}

/// Does with an intake what others ask, until the program ends.
async fn keep_until(mut intake: Intake, mut deeds: IntakeDeeds, passing: &watch::Sender<Option<Published>>, stop: &AtomicBool) {
    loop {
        Published::pass_on(&intake, passing);
        tokio::select! {
            () = ended(stop) => return,
            deed = deeds.next() => deed(&mut intake),
        }
    }
}

async fn ended(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// What a broker lost is fetched from the hub, in a thread of its own: the one that asks is driving a broker's connection.
fn by_the_hub(hub: FollowOptions, stop: Arc<AtomicBool>) -> OtherWay {
    Box::new(move |intake| {
        std::thread::scope(|scope| {
            let fetching = scope.spawn(|| follow::catch_up(intake, &hub, &stop));
            let fetched = fetching.join().map_err(|_| "fetching panicked".to_owned())?;
            fetched.map_err(|error| error.to_string())
        })
    })
}

fn kept(registry: &Registry, key: HubKey) -> Offered {
    Offered::Kept(KeptSnapshot::of(registry.directory(), key))
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}
