//! An empty directory becomes one that follows, through a broker that holds everything from the stream's beginning.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::broker::{Broker, BrokerError, found};
use super::finding::Finding;
use super::message::Subjects;
use super::options::BrokerFollowOptions;
use crate::disk::{Disk, RealDisk};
use crate::limits::{BROKER_RETRY_MS_MAX, BROKER_RETRY_MS_MIN};
use crate::registry::{Following, Registry, RegistryError};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::follow::stopped;
use crate::sync::refusal::Refusal;

/// Why a directory cannot be begun through a broker.
#[derive(Debug, thiserror::Error)]
pub enum BrokerBeginError {
    /// The broker. It may be there later.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// What it holds is not believed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Nothing was published yet.
    #[error("the broker holds no checkpoint yet")]
    NothingYet,
    /// It does not reach back to the beginning.
    #[error(
        "the broker holds sequence {oldest} and what follows: an empty directory is begun by a bundle with a snapshot, or from the hub \
         itself, where `url` under [follow] names it"
    )]
    BeginsTooLate {
        /// The oldest sequence it holds.
        oldest: u64,
    },
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A thread.
    #[error("a thread: {0}")]
    Thread(std::io::Error),
    /// The program is ending.
    #[error("the program is ending")]
    Stopping,
}

/// Makes an empty directory one that follows; tries again until it does or `stop`. One that follows already is left as it is.
pub fn begin(directory: &Path, options: &BrokerFollowOptions, stop: &Arc<AtomicBool>) -> Result<(), BrokerBeginError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if Following::of(&*disk, directory)?.is_some() {
        return Ok(());
    }
    let made = disk.create_directory(directory);
    made.map_err(|source| RegistryError::Directory { path: directory.to_owned(), source })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(BrokerBeginError::Thread)?;
    runtime.block_on(async {
        let mut pause_ms = BROKER_RETRY_MS_MIN;
        loop {
            let begun = tokio::select! {
                () = stopped(stop) => return Err(BrokerBeginError::Stopping),
                begun = try_to_begin(&disk, directory, options) => begun,
            };
            match begun {
                Err(error @ (BrokerBeginError::Broker(_) | BrokerBeginError::Refused(_) | BrokerBeginError::NothingYet)) => {
                    tracing::warn!(%error, "the broker cannot be followed yet");
                }
                begun => return begun,
            }
            tokio::select! {
                () = stopped(stop) => return Err(BrokerBeginError::Stopping),
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            }
            pause_ms = (2 * pause_ms).min(BROKER_RETRY_MS_MAX);
        }
    })
}

async fn try_to_begin(disk: &Arc<dyn Disk>, directory: &Path, options: &BrokerFollowOptions) -> Result<(), BrokerBeginError> {
    let broker = Broker::connect(&options.broker, "shikaku follower").await?;
    let stream = broker.stream(&options.broker.stream).await?;
    let newest = stream.get_last_raw_message_by_subject(Subjects::ANY_CHECKPOINT).await;
    let newest = found(newest, "give its newest checkpoint")?.ok_or(BrokerBeginError::NothingYet)?;
    let checkpoint = Checkpoint::verify(&newest.payload, &options.hub_key).map_err(Refusal::from)?;
    let subjects = Subjects::of(checkpoint.stream);
    let finding = Finding { stream: &stream, subjects: &subjects, log: checkpoint.stream, key: &options.hub_key };
    if let Some(oldest) = finding.frame(1).await?.oldest {
        return Err(BrokerBeginError::BeginsTooLate { oldest });
    }
    let following =
        Following { stream: checkpoint.stream, hub_key: *options.hub_key.as_bytes(), prefectures: options.prefectures };
    tracing::info!(stream = ?checkpoint.stream, "beginning where the hub's stream begins");
    Registry::begin_following(disk, directory, &following, None, now_unix_ms())?;
    Ok(())
}
