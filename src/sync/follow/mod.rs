//! The taking end of HTTPS: a thread that asks a hub, or a relay, for its newest checkpoint, pulls the frames, and shows both to the
//! intake. It gives way to look-ups: a low priority, and a share of one processor.
//!
//! What a line does wrong is tried again. What a hub does wrong ends in *quarantine*: nothing more is taken from there, look-ups go on
//! from the last verified state, and only an operator's word ends it.

mod begin;
mod fetching;
pub mod kept;
mod line;
pub(in crate::sync) mod options;
mod patience;
mod pulling;
mod refreshing;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

pub use begin::begin;
use line::Line;
pub use line::{HubAddress, LineError};
pub use options::FollowOptionsError;
pub use refreshing::keep_a_snapshot;

use super::intake::{Intake, IntakeDoor, IntakeError, Share};
use super::key::HubKey;
use super::publish::Published;
use super::refusal::Refusal;
use super::standing::Standings;
use crate::background;
use crate::disk::{Disk, RealDisk};
use crate::registry::{Prefectures, Registry, RegistryError};
use crate::tls::{ClientTls, TlsError};

/// Whom to follow, and how.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// Where the hub is, or a relay of it.
    pub hub: HubAddress,
    /// The hub's key, whoever passes on what it signed.
    pub hub_key: HubKey,
    /// By which certificates the line is secured.
    pub tls: ClientTls,
    /// The prefectures whose rows are held; all where nothing is said.
    pub prefectures: Option<Prefectures>,
    /// How much of a processor applying may take.
    pub share: Share,
}

/// Why following did not go on.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// What came is not believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It cannot be taken in.
    #[error(transparent)]
    Intake(IntakeError),
    /// The registry, while a directory is begun.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A file of the data directory.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The directory follows something else than it is told to.
    #[error("{} follows {what} than the configuration says; `shikaku follow resnapshot` begins it anew", path.display())]
    OtherThanBegun {
        /// The directory.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// It has a stream of its own.
    #[error("{} holds a register of its own, and can follow nobody; give another directory", path.display())]
    OwnRegister {
        /// The directory.
        path: PathBuf,
    },
    /// The system gave no thread.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
    /// The program is ending.
    #[error("the program is ending")]
    Stopping,
}

impl FollowError {
    fn file(path: &Path) -> impl FnOnce(std::io::Error) -> FollowError + '_ {
        move |source| FollowError::File { path: path.to_owned(), source }
    }
}

impl From<IntakeError> for FollowError {
    fn from(error: IntakeError) -> FollowError {
        match error {
            IntakeError::Refused(refusal) => FollowError::Refused(refusal),
            IntakeError::Stopped => FollowError::Stopping,
            error => FollowError::Intake(error),
        }
    }
}

impl From<TlsError> for FollowError {
    fn from(error: TlsError) -> FollowError {
        FollowError::Line(LineError::Tls(error))
    }
}

/// The follower while it runs.
#[derive(Debug)]
pub struct Follower {
    thread: JoinHandle<()>,
    standings: Standings,
    door: IntakeDoor,
}

impl Follower {
    /// Follows with an open registry, until `stop`. What is applied is passed on through the receiver.
    pub fn start(
        registry: &Arc<Registry>,
        options: FollowOptions,
        stop: &Arc<AtomicBool>,
    ) -> Result<(Follower, watch::Receiver<Option<Published>>), FollowError> {
        agrees(registry, &options.hub_key, options.prefectures)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let intake = Intake::open(registry.clone(), disk, options.share, stop.clone())?;
        let standings = Standings::of(options.hub.to_string());
        let (passing, passed) = watch::channel(None);
        let (door, deeds) = IntakeDoor::new();
        let puller = pulling::Puller::new(Box::new(intake), options, standings.clone(), passing, stop.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FollowError::Thread)?;
        let thread =
            background::spawn_behind("follow", move || runtime.block_on(puller.run(deeds))).map_err(FollowError::Thread)?;
        Ok((Follower { thread, standings, door }, passed))
    }

    /// What `status` says of it.
    pub fn standings(&self) -> Standings {
        self.standings.clone()
    }

    /// The way to the intake, for what comes by hand.
    pub fn door(&self) -> IntakeDoor {
        self.door.clone()
    }

    /// Waits for the end of the thread, after `stop`.
    pub fn join(self) {
        if self.thread.join().is_err() {
            tracing::error!("the thread that follows panicked");
        }
    }
}

/// Refuses to follow with a directory that was begun for another hub, or for other prefectures.
pub(super) fn agrees(registry: &Registry, hub_key: &HubKey, prefectures: Option<Prefectures>) -> Result<(), FollowError> {
    let path = registry.directory().to_owned();
    let following = registry.following().ok_or_else(|| FollowError::OwnRegister { path: path.clone() })?;
    let differs = |what| Err(FollowError::OtherThanBegun { path, what });
    if following.hub_key != *hub_key.as_bytes() {
        return differs("the hub of another key");
    }
    // What nobody says anything of stays as it was settled.
    if prefectures.is_some() && following.prefectures != prefectures {
        return differs("other prefectures");
    }
    Ok(())
}

/// Brings an intake as far as the hub is, once: for what another way did not bring.
pub(super) fn catch_up(intake: &mut Intake, options: &FollowOptions, stop: &Arc<AtomicBool>) -> Result<(), FollowError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FollowError::Thread)?;
    runtime.block_on(async {
        let mut line = Line::to(options.hub.clone(), options.tls.clone())?;
        let (standings, (passing, _)) = (Standings::of(options.hub.to_string()), watch::channel(None));
        let mut puller = pulling::Puller::new(intake, options.clone(), standings, passing, stop.clone());
        tokio::select! {
            () = stopped(stop) => Err(FollowError::Stopping),
            done = puller.round(&mut line) => done,
        }
    })
}

/// Completes when the program is to end.
pub(in crate::sync) async fn stopped(stop: &AtomicBool) {
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
