//! The newest signed checkpoint, for all who wait for it; and the hub's thread, which signs it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use bytes::Bytes;
use tokio::sync::watch;

use crate::limits::CHECKPOINT_RENEW_MS;
use crate::registry::{Registry, RegistryError, SegmentEntry};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::intake::Intake;
use crate::sync::key::HubSigner;

/// Between two looks at whether to stop.
const STEP: Duration = Duration::from_millis(200);

/// How long a list of segments is believed. One that is a little old only lacks the newest place, or names one that was trimmed.
const SEGMENTS_FRESH: Duration = Duration::from_secs(1);

/// A signed checkpoint as it is passed on.
#[derive(Clone, Debug)]
pub struct Published {
    /// Its sequence.
    pub sequence: u64,
    /// Its bytes.
    pub signed: Bytes,
    /// A hash of them, as an entity tag.
    pub etag: HeaderValue,
}

impl Published {
    /// A checkpoint that the hub signed.
    pub fn of(sequence: u64, signed: Bytes) -> Published {
        let hash = blake3::hash(&signed).to_hex();
        let tag = format!("\"{}\"", hash.get(..32).unwrap_or_default());
        let etag = HeaderValue::from_str(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        Published { sequence, signed, etag }
    }

    /// Passes on the newest checkpoint that an intake has applied, where it is another than the last.
    pub fn pass_on(intake: &Intake, passing: &watch::Sender<Option<Published>>) {
        let Some((sequence, signed)) = intake.passable() else { return };
        passing.send_if_modified(|known| {
            let is_new = known.as_ref().is_none_or(|known| known.signed != signed);
            if is_new {
                *known = Some(Published::of(sequence, signed));
            }
            is_new
        });
    }
}

/// Starts the hub's thread: it signs a checkpoint whenever the sequence moved, and now and then when it did not.
pub fn sign_what_comes(
    registry: Arc<Registry>,
    signer: HubSigner,
    stop: Arc<AtomicBool>,
) -> std::io::Result<(watch::Receiver<Option<Published>>, JoinHandle<()>)> {
    let (newest, watching) = watch::channel(None);
    let thread = std::thread::Builder::new().name("checkpoints".to_owned());
    let signing = Signing { registry, signer, stop, segments: Vec::new(), listed: None };
    Ok((watching, thread.spawn(move || signing.run(&newest))?))
}

struct Signing {
    registry: Arc<Registry>,
    signer: HubSigner,
    stop: Arc<AtomicBool>,
    segments: Vec<SegmentEntry>,
    listed: Option<Instant>,
}

impl Signing {
    fn run(mut self, newest: &watch::Sender<Option<Published>>) {
        let mut has_failed = false;
        while !self.stop.load(Ordering::Relaxed) {
            let signed = match self.sign() {
                Ok(signed) => signed,
                Err(error) => {
                    // Said once; while it lasts the routes say it to everybody who asks.
                    if !std::mem::replace(&mut has_failed, true) {
                        tracing::error!(%error, "no checkpoint can be signed");
                    }
                    std::thread::sleep(STEP);
                    continue;
                }
            };
            has_failed = false;
            let sequence = signed.sequence;
            newest.send_replace(Some(signed));
            self.wait_beyond(sequence);
        }
    }

    fn sign(&mut self) -> Result<Published, RegistryError> {
        if self.listed.is_none_or(|listed| listed.elapsed() > SEGMENTS_FRESH) {
            self.segments = self.registry.segments()?;
            self.listed = Some(Instant::now());
        }
        let checkpoint = Checkpoint::of(&self.registry, &self.segments, now_unix_ms());
        Ok(Published::of(checkpoint.sequence, checkpoint.sign(&self.signer).into()))
    }

    /// Waits for the next sequence, or until the signature is to be renewed.
    fn wait_beyond(&self, sequence: u64) {
        let until = Instant::now() + Duration::from_millis(CHECKPOINT_RENEW_MS);
        while !self.stop.load(Ordering::Relaxed) && Instant::now() < until {
            if self.registry.wait_beyond(sequence, STEP) > sequence {
                return;
            }
        }
    }
}
