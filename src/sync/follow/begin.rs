//! The beginning: an empty directory becomes one that follows, from where the hub's stream begins, or from a snapshot of the hub's where
//! the log does not reach back or is much more to fetch.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use hyper::StatusCode;

use super::fetching::Fetching;
use super::line::Line;
use super::patience::Patience;
use super::{FollowError, FollowOptions, stopped};
use crate::disk::{Disk, RealDisk};
use crate::registry::{Following, Registry};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::sync::refusal::Refusal;

/// How often a snapshot must fit into the log before it, so that it is worth beginning with.
const SNAPSHOT_WORTH: u64 = 2;

/// Makes an empty directory one that follows; tries again, with patience, until it does or `stop`. A directory that follows already is
/// left as it is.
pub fn begin(directory: &Path, options: &FollowOptions, stop: &Arc<AtomicBool>) -> Result<(), FollowError> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    if Following::of(&*disk, directory)?.is_some() {
        return Ok(());
    }
    disk.create_directory(directory).map_err(FollowError::file(directory))?;
    let fetching = Fetching::into(disk.clone(), directory, options.hub_key)?;
    let beginning = Beginning { disk, directory, options, fetching };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FollowError::Thread)?;
    runtime.block_on(async {
        let mut line = Line::to(options.hub.clone(), options.tls.clone())?;
        let mut patience = Patience::default();
        loop {
            let begun = tokio::select! {
                () = stopped(stop) => return Err(FollowError::Stopping),
                begun = beginning.begin(&mut line) => begun,
            };
            match begun {
                Ok(()) => return Ok(()),
                Err(error @ (FollowError::Line(_) | FollowError::Refused(_))) => {
                    tracing::warn!(%error, hub = %options.hub, "the hub cannot be followed yet");
                    line.hang_up();
                }
                Err(error) => return Err(error),
            }
            tokio::select! {
                () = stopped(stop) => return Err(FollowError::Stopping),
                () = tokio::time::sleep(patience.pause()) => {}
            }
        }
    })
}

struct Beginning<'b> {
    disk: Arc<dyn Disk>,
    directory: &'b Path,
    options: &'b FollowOptions,
    fetching: Fetching,
}

/// What the hub's log holds.
struct Reach {
    first_sequence: u64,
    /// Bytes of the segments that begin before the snapshot ends.
    bytes_before: u64,
}

impl Beginning<'_> {
    async fn begin(&self, line: &mut Line) -> Result<(), FollowError> {
        let checkpoint = self.checkpoint(line).await?;
        let offered = self.fetching.manifest(line).await?;
        let offered =
            offered.filter(|(manifest, _)| manifest.stream == checkpoint.stream && manifest.sequence <= checkpoint.sequence);
        let reach = self.reach(line, offered.as_ref().map_or(0, |(manifest, _)| manifest.sequence)).await?;
        let following = Following {
            stream: checkpoint.stream,
            hub_key: *self.options.hub_key.as_bytes(),
            prefectures: self.options.prefectures,
        };
        let reaches_back = reach.first_sequence == 1;
        match offered {
            Some((manifest, signed)) if !reaches_back || SNAPSHOT_WORTH * manifest.bytes < reach.bytes_before => {
                tracing::info!(sequence = manifest.sequence, bytes = manifest.bytes, "beginning with the hub's snapshot");
                let part = self.fetching.fetch(line, &manifest, &signed).await?;
                Registry::begin_following(&self.disk, self.directory, &following, Some(&part), now_unix_ms())?;
                self.fetching.is_begun_with(&part, &signed)
            }
            Some(_) | None if reaches_back => {
                tracing::info!(stream = ?checkpoint.stream, "beginning where the hub's stream begins");
                Registry::begin_following(&self.disk, self.directory, &following, None, now_unix_ms())?;
                Ok(())
            }
            Some(_) | None => Err(Refusal::TooFarBehind { needed: 1, oldest: reach.first_sequence }.into()),
        }
    }

    async fn checkpoint(&self, line: &mut Line) -> Result<Checkpoint, FollowError> {
        let target = "/v1/log/checkpoint";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        if answer.status() != StatusCode::OK {
            return Err(line.answered(target, answer).await.into());
        }
        let signed = line.whole(answer.into_body(), CHECKPOINT_BYTES_MAX).await?;
        Ok(Checkpoint::verify(&signed, &self.options.hub_key).map_err(Refusal::from)?)
    }

    async fn reach(&self, line: &mut Line, sequence: u64) -> Result<Reach, FollowError> {
        let target = "/v1/log/segments";
        let answer = line.get(target, &[], Duration::ZERO).await?;
        if answer.status() != StatusCode::OK {
            return Err(line.answered(target, answer).await.into());
        }
        let list = line.object(answer.into_body()).await?;
        let segments = list.get("segments").and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
        let named = segments.iter().filter_map(|segment| {
            let name = segment.get("name")?.as_str()?.strip_suffix(".seg")?;
            Some((name.parse::<u64>().ok()?, segment.get("bytes")?.as_u64()?))
        });
        let named: Vec<(u64, u64)> = named.collect();
        let before = named.iter().filter(|(first_sequence, _)| *first_sequence <= sequence);
        Ok(Reach {
            first_sequence: named.first().map_or(0, |(first_sequence, _)| *first_sequence),
            bytes_before: before.map(|(_, bytes)| bytes).sum(),
        })
    }
}
