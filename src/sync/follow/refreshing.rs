//! A relay's own followers begin with a snapshot that the hub signed. The one that the relay began with serves until the relay's log no
//! longer goes on from it; then the hub's newest is fetched and kept instead, on a line of its own, so that following does not wait.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use super::fetching::Fetching;
use super::kept::KeptSnapshot;
use super::line::Line;
use super::{FollowError, FollowOptions, stopped};
use crate::background;
use crate::disk::RealDisk;
use crate::limits::RELAY_SNAPSHOT_LOOK_MS;
use crate::registry::Registry;

/// Starts the thread that keeps a snapshot for those who follow this house, until `stop`.
pub fn keep_a_snapshot(
    registry: &Arc<Registry>,
    options: &FollowOptions,
    stop: &Arc<AtomicBool>,
) -> Result<JoinHandle<()>, FollowError> {
    let fetching = Fetching::into(Arc::new(RealDisk), registry.directory(), options.hub_key)?;
    let kept = KeptSnapshot::of(registry.directory(), options.hub_key);
    let line = Line::to(options.hub.clone(), options.tls.clone())?;
    let mut refreshing = Refreshing { registry: registry.clone(), fetching, kept, line };
    let stop = stop.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(FollowError::Thread)?;
    let work = move || {
        runtime.block_on(async {
            tokio::select! {
                () = stopped(&stop) => {}
                () = refreshing.run() => {}
            }
        });
    };
    background::spawn("hub-snapshot", work).map_err(FollowError::Thread)
}

struct Refreshing {
    registry: Arc<Registry>,
    fetching: Fetching,
    kept: KeptSnapshot,
    line: Line,
}

impl Refreshing {
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.refresh().await {
                tracing::warn!(%error, "no snapshot of the hub could be kept for those who follow this house; it is tried again");
            }
            self.line.hang_up();
            tokio::time::sleep(Duration::from_millis(RELAY_SNAPSHOT_LOOK_MS)).await;
        }
    }

    async fn refresh(&mut self) -> Result<(), FollowError> {
        if self.has_one()? {
            return Ok(());
        }
        let Some((manifest, signed)) = self.fetching.manifest(&mut self.line).await? else { return Ok(()) };
        let part = self.fetching.fetch(&mut self.line, &manifest, &signed).await?;
        self.fetching.keep(&part, &signed)?;
        tracing::info!(
            sequence = manifest.sequence,
            bytes = manifest.bytes,
            "keeping the hub's snapshot for those who follow this house"
        );
        Ok(())
    }

    /// Whether those who would follow can begin here: where the stream begins, or with a snapshot from which the own log goes on.
    fn has_one(&self) -> Result<bool, FollowError> {
        let oldest_sequence = self.registry.oldest_sequence()?;
        let goes_on = self.kept.read().is_some_and(|(_, manifest, _)| oldest_sequence <= manifest.sequence + 1);
        Ok(oldest_sequence == 1 || goes_on)
    }
}
