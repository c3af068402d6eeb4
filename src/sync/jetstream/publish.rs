//! The hub's side: every frame of the log becomes one message of a broker, and each run of them is followed by a signed checkpoint.
//!
//! A thread of its own reads the log behind what is acknowledged; registering never waits for it. The broker's stream itself says how far
//! publishing came: after a start, a broken line or a broker that lost messages, the last frame there is looked at, and what follows it
//! is published.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use tokio::sync::watch;

use super::broker::{Broker, BrokerError, found};
use super::config::PublishConfig;
use super::message::{ProvedFrame, Subjects, checkpoint_message, frame_message};
use super::standing::PublishStanding;
use super::window::{Window, WindowError};
use crate::background;
use crate::limits::{BROKER_CHECKPOINT_S, BROKER_RETRY_MS_MAX, BROKER_RETRY_MS_MIN};
use crate::registry::{Registry, RegistryError, Trouble};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::key::HubSigner;
use crate::sync::tail::{LogTail, TailError};

/// Messages that are looked through, from the newest back, for the last that is the hub's own.
const LOOK_BACK_MESSAGES: u64 = 256;

/// Why publishing was broken off. It is begun again.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Log(#[from] TailError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The broker's stream holds frames of this stream that the log does not: the hub was set back, or published from a copy.
    #[error(
        "the broker's stream holds sequence {sequence} with another history than the log's: the hub was rolled back, or it is a copy's"
    )]
    OtherHistory { sequence: u64 },
    /// Somebody else put a message into the stream, or one that was thought lost had come: publishing looks again where it stands.
    #[error("the broker's stream does not stand where it was left")]
    OutOfStep,
}

/// Publishing to a broker, for as long as this is held.
#[derive(Debug)]
pub struct Publisher {
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
    standing: Arc<PublishStanding>,
}

impl Publisher {
    /// Starts the thread. The configuration must have been checked.
    pub fn start(registry: Arc<Registry>, signer: Arc<HubSigner>, config: PublishConfig) -> std::io::Result<Publisher> {
        let (stop, stopped) = watch::channel(());
        let standing = Arc::new(PublishStanding::default());
        let publishing = Publishing { registry, signer, config, standing: standing.clone(), published: 0 };
        // The connection is served beside this thread, which reads the disk.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let thread = background::spawn("publish", move || runtime.block_on(publishing.run(stopped)))?;
        Ok(Publisher { stop, thread, standing })
    }

    /// How far publishing is.
    pub fn standing(&self) -> Arc<PublishStanding> {
        self.standing.clone()
    }

    /// Ends it. What was not acknowledged is published after the next start.
    pub fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::error!("the thread of the publisher panicked");
        }
    }
}

struct Publishing {
    registry: Arc<Registry>,
    signer: Arc<HubSigner>,
    config: PublishConfig,
    standing: Arc<PublishStanding>,
    /// The last sequence that the broker acknowledged since this program began. The broker's word at the next look counts for more, but
    /// for messages that somebody put behind the hub's.
    published: u64,
}

impl Publishing {
    async fn run(mut self, mut stop: watch::Receiver<()>) {
        let mut pause_ms = BROKER_RETRY_MS_MIN;
        let mut in_step = true;
        loop {
            let began = Instant::now();
            let ended = tokio::select! {
                ended = self.publish(in_step) => ended,
                // Nothing is ever sent: the publisher let go of it.
                _ = stop.changed() => return,
            };
            let Err(error) = ended else { continue };
            if began.elapsed() > Duration::from_millis(BROKER_RETRY_MS_MAX) {
                pause_ms = BROKER_RETRY_MS_MIN;
            }
            in_step = !matches!(error, PublishError::OutOfStep);
            if in_step {
                tracing::warn!(%error, again_in_ms = pause_ms, "publishing to the broker was broken off");
                self.registry.troubles().raise(Trouble::BrokerAway, error.to_string());
                self.standing.broken_off();
            } else {
                tracing::warn!("somebody else wrote to the broker's stream, or a message that was given up had come");
                self.standing.out_of_step();
            }
            let pause = Duration::from_millis(if in_step { pause_ms } else { BROKER_RETRY_MS_MIN });
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.changed() => return,
            }
            pause_ms = if in_step { (2 * pause_ms).min(BROKER_RETRY_MS_MAX) } else { BROKER_RETRY_MS_MIN };
        }
    }

    /// Publishes until something fails.
    async fn publish(&mut self, in_step: bool) -> Result<(), PublishError> {
        let subjects = Subjects::of(self.registry.stream());
        let broker = Broker::connect(&self.config.broker, "shikaku hub").await?;
        let stream = broker.stream_for(&subjects, &self.config).await?;
        let mut tail = self.resume(&stream, &subjects).await?;
        if !in_step && tail.place().sequence < self.published {
            // What stands last there is older than what was acknowledged: it was put behind it.
            tail = LogTail::behind(&self.registry, self.published)?;
        }
        let info = stream.get_info().await.map_err(BrokerError::deed("tell of its stream"))?;
        let mut window = Window::new(&broker.context, info.state.last_sequence);
        self.published = tail.place().sequence;
        self.standing.published(self.published);
        self.standing.connected();
        self.registry.troubles().lower(Trouble::BrokerAway);
        tracing::info!(behind = self.published, "publishing to the broker");
        let mut arrivals = self.registry.arrivals();
        loop {
            arrivals.borrow_and_update();
            let through = self.registry.standing().0.sequence;
            let published = self.publish_through(through, &mut tail, &mut window, &broker, &subjects).await;
            // What was acknowledged before something failed is there, too.
            self.note(&window);
            published?;
            tokio::select! {
                // Ended only with the registry, which this holds.
                _ = arrivals.changed() => {}
                () = tokio::time::sleep(Duration::from_secs(BROKER_CHECKPOINT_S)) => {}
                () = broker.broken() => {}
            }
            broker.unbroken()?;
        }
    }

    /// The frames up to a sequence, and a checkpoint behind them.
    async fn publish_through(
        &mut self,
        through: u64,
        tail: &mut LogTail,
        window: &mut Window<'_>,
        broker: &Broker,
        subjects: &Subjects,
    ) -> Result<(), PublishError> {
        while let Some(frame) = tail.next(&self.registry, through)? {
            broker.unbroken()?;
            let (sequence, bytes) = (frame.sequence, frame.bytes.len());
            let message = frame_message(self.registry.stream(), frame, &self.signer);
            window.send(&subjects.frames, message, sequence, bytes).await?;
            self.note(window);
        }
        window.settle().await?;
        let checkpoint = Checkpoint::of(&self.registry, &self.registry.segments()?, now_unix_ms());
        if checkpoint.sequence > through {
            // Something was registered meanwhile: its frames come first.
            return Ok(());
        }
        let (stream, sequence, time_unix_ms) = (checkpoint.stream, checkpoint.sequence, checkpoint.time_unix_ms);
        let signed = checkpoint.sign(&self.signer);
        let bytes = signed.len();
        let message = checkpoint_message(stream, sequence, time_unix_ms, signed);
        window.send(&subjects.checkpoint, message, sequence, bytes).await?;
        window.settle().await?;
        self.standing.checkpoint(time_unix_ms);
        Ok(())
    }

    fn note(&mut self, window: &Window<'_>) {
        if let Some(sequence) = window.acknowledged() {
            self.published = sequence;
            self.standing.published(sequence);
        }
    }

    /// The place in the log behind the last frame that the broker's stream holds; the log's beginning where it holds none.
    async fn resume(&self, stream: &Stream, subjects: &Subjects) -> Result<LogTail, PublishError> {
        let deed = "give its last message";
        let Some(mut message) = found(stream.get_last_raw_message_by_subject(&subjects.frames).await, deed)? else {
            return Ok(LogTail::behind(&self.registry, self.registry.oldest_sequence()?.saturating_sub(1))?);
        };
        let key = self.signer.public();
        let first = message.sequence.saturating_sub(LOOK_BACK_MESSAGES);
        loop {
            let proved = ProvedFrame::read(self.registry.stream(), Some(&message.headers), &message.payload, &key);
            match proved {
                Ok(frame) if message.subject.as_str() == subjects.frames => return self.tail_behind(&frame),
                Ok(_) | Err(_) => {}
            }
            // Not the hub's own: the one before it is looked at.
            let mut earlier = message.sequence;
            message = loop {
                earlier = earlier.saturating_sub(1);
                if earlier <= first {
                    tracing::warn!(messages = LOOK_BACK_MESSAGES, "the broker's newest messages are not the hub's own");
                    return Ok(LogTail::behind(
                        &self.registry,
                        self.published.max(self.registry.oldest_sequence()?.saturating_sub(1)),
                    )?);
                }
                if let Some(found) = found(stream.get_raw_message(earlier).await, deed)? {
                    break found;
                }
            };
        }
    }

    /// The place behind a frame of the hub's own, if it is one of this log.
    fn tail_behind(&self, frame: &ProvedFrame) -> Result<LogTail, PublishError> {
        let sequence = frame.sequence;
        let tail = match LogTail::behind(&self.registry, sequence) {
            Ok(tail) => tail,
            Err(TailError::Beyond { .. }) => return Err(PublishError::OtherHistory { sequence }),
            // The broker was away for longer than the log is kept: what is between is lost to it, and followers heal it from the hub.
            Err(TailError::Gone { oldest, .. }) => {
                tracing::warn!(behind = sequence, oldest, "the log no longer holds what the broker lacks");
                return Ok(LogTail::behind(&self.registry, oldest.saturating_sub(1))?);
            }
            Err(error) => return Err(error.into()),
        };
        if tail.place().chain == frame.after { Ok(tail) } else { Err(PublishError::OtherHistory { sequence }) }
    }
}

impl From<WindowError> for PublishError {
    fn from(error: WindowError) -> PublishError {
        match error {
            WindowError::OutOfStep => PublishError::OutOfStep,
            WindowError::Broker(error) => PublishError::Broker(error),
        }
    }
}
