//! The hub's side: every frame of the log becomes one message of a broker, and each run of them is followed by a signed checkpoint.
//!
//! A thread of its own reads the log behind what is acknowledged; registering never waits for it. The broker's stream itself says how far
//! publishing came: after a start, a broken line or a broker that lost messages, the last frame there is looked at, and what follows it
//! is published.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;
use tokio::sync::watch;

use super::broker::{Broker, BrokerError, found};
use super::config::PublishConfig;
use super::message::{ProvedFrame, Subjects, checkpoint_message, frame_message};
use super::standing::PublishStanding;
use super::window::{Placed, Window, WindowError};
use crate::background;
use crate::limits::{
    BROKER_CHECKPOINT_BUSY_MS, BROKER_CHECKPOINT_S, BROKER_CHECKPOINTS_DUE_MAX, BROKER_RETRY_MS_MAX, BROKER_RETRY_MS_MIN,
};
use crate::registry::{Registry, RegistryError, Trouble};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::Checkpoint;
use crate::sync::key::HubSigner;
use crate::sync::tail::{LogTail, TailError};

/// Messages that are looked through, from the newest back, for the last that is the hub's own.
const LOOK_BACK_MESSAGES: u64 = 256;

/// What the broker is asked for then.
const LAST: &str = "give its last messages";

/// How often in a row the broker's stream may stand elsewhere than it was left, with nothing published between, until that is a trouble.
const OUT_OF_STEP_MAX: u32 = 5;

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
    #[error("the broker's stream does not stand where it was left, again and again: somebody else writes to it")]
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
        let publishing = Publishing {
            registry,
            signer,
            config,
            standing: standing.clone(),
            published: None,
            doubled: None,
            is_out_of_step: false,
        };
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
    /// The last frame that was found in the broker's stream or acknowledged since this program began. What is found at the next look
    /// counts for more, unless this one still stands where it did: then what was found was put behind it by somebody.
    published: Option<Placed>,
    /// The frame of whose id the broker said that it has a message, and where. The next look shows whether that is the frame.
    doubled: Option<Placed>,
    /// Whether a frame was refused at its place: frames that were under way behind it may have been taken, so that the last one found is not
    /// what to go on from.
    is_out_of_step: bool,
}

impl Publishing {
    async fn run(mut self, mut stop: watch::Receiver<()>) {
        let mut pause_ms = BROKER_RETRY_MS_MIN;
        let mut in_vain = 0;
        loop {
            let (began, stood) = (Instant::now(), self.published);
            let ended = tokio::select! {
                ended = self.publish() => ended,
                // Nothing is ever sent: the publisher let go of it.
                _ = stop.changed() => return,
            };
            let Err(error) = ended else { continue };
            if began.elapsed() > Duration::from_millis(BROKER_RETRY_MS_MAX) {
                pause_ms = BROKER_RETRY_MS_MIN;
            }
            let has_risen = self.published.map(|placed| placed.sequence) > stood.map(|placed| placed.sequence);
            self.is_out_of_step = matches!(error, PublishError::OutOfStep);
            in_vain = if self.is_out_of_step && !has_risen { in_vain + 1 } else { 0 };
            if self.is_out_of_step {
                tracing::warn!("somebody else wrote to the broker's stream, or a message that was given up had come");
                self.standing.out_of_step();
                if in_vain < OUT_OF_STEP_MAX {
                    pause_ms = BROKER_RETRY_MS_MIN;
                    tokio::select! {
                        () = tokio::time::sleep(Duration::from_millis(pause_ms)) => continue,
                        _ = stop.changed() => return,
                    }
                }
            }
            tracing::warn!(%error, again_in_ms = pause_ms, "publishing to the broker was broken off");
            self.registry.troubles().raise(Trouble::BrokerAway, error.to_string());
            self.standing.broken_off();
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
                _ = stop.changed() => return,
            }
            pause_ms = (2 * pause_ms).min(BROKER_RETRY_MS_MAX);
        }
    }

    /// Publishes until something fails.
    async fn publish(&mut self) -> Result<(), PublishError> {
        let subjects = Subjects::of(self.registry.stream());
        let broker = Broker::connect(&self.config.broker, "shikaku hub").await?;
        let stream = broker.stream_for(&subjects, &self.config).await?;
        // Asked for before the last frame is, so that one that arrives between the two is refused to be followed.
        let info = stream.get_info().await.map_err(BrokerError::deed("tell of its stream"))?;
        let mut window = Window::new(&broker.context, self.registry.stream(), info.state.last_sequence);
        let mut tail = self.resume(&stream, &subjects).await?;
        let behind = tail.place().sequence;
        self.standing.published(behind);
        self.standing.connected();
        self.registry.troubles().lower(Trouble::BrokerAway);
        tracing::info!(behind, "publishing to the broker");
        let mut arrivals = self.registry.arrivals();
        let mut signed = None;
        loop {
            arrivals.borrow_and_update();
            let published = self.publish_all(&mut tail, &mut window, &broker, &subjects, &mut signed).await;
            // What was acknowledged before something failed is there, too.
            self.note(&window);
            self.doubled = window.doubled();
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

    /// The frames of the log as it stands now, and a checkpoint behind them; while registering goes on, one is left out where another was
    /// signed a moment ago. Where frames take their time, further states are signed on the way: at a broker that takes less than is
    /// registered, the end of the log is farther away each time.
    async fn publish_all(
        &mut self,
        tail: &mut LogTail,
        window: &mut Window<'_>,
        broker: &Broker,
        subjects: &Subjects,
        signed: &mut Option<Instant>,
    ) -> Result<(), PublishError> {
        const APART: Duration = Duration::from_millis(BROKER_CHECKPOINT_BUSY_MS);
        // Each is taken before its frames go: behind them the log may stand further already, again and again.
        let (mut due, mut taken) = (VecDeque::from([self.checkpoint()?]), Instant::now());
        while let Some(checkpoint) = due.pop_front() {
            while let Some(frame) = tail.next(&self.registry, checkpoint.sequence)? {
                broker.unbroken()?;
                let (sequence, bytes) = (frame.sequence, frame.bytes.len());
                let message = frame_message(self.registry.stream(), frame, &self.signer);
                window.send(&subjects.frames, message, Some(sequence), bytes).await?;
                self.note(window);
                if taken.elapsed() >= APART && due.len() < BROKER_CHECKPOINTS_DUE_MAX {
                    due.push_back(self.checkpoint()?);
                    taken = Instant::now();
                }
            }
            window.settle().await?;
            let is_soon = signed.is_some_and(|at| at.elapsed() < APART);
            if is_soon && self.registry.sequence() > checkpoint.sequence {
                continue;
            }
            let (stream, sequence, time_unix_ms) = (checkpoint.stream, checkpoint.sequence, checkpoint.time_unix_ms);
            let content = checkpoint.sign(&self.signer);
            let bytes = content.len();
            let message = checkpoint_message(stream, sequence, time_unix_ms, content);
            window.send(&subjects.checkpoint, message, None, bytes).await?;
            window.settle().await?;
            self.standing.checkpoint(time_unix_ms);
            *signed = Some(Instant::now());
        }
        Ok(())
    }

    /// The state as it is now.
    fn checkpoint(&self) -> Result<Checkpoint, RegistryError> {
        Ok(Checkpoint::of(&self.registry, &self.registry.segments()?, now_unix_ms()))
    }

    fn note(&mut self, window: &Window<'_>) {
        if let Some(placed) = window.acknowledged() {
            self.published = Some(placed);
            self.standing.published(placed.sequence);
        }
    }

    /// The place in the log behind the last frame that the broker's stream holds; the log's beginning where it holds none.
    async fn resume(&mut self, stream: &Stream, subjects: &Subjects) -> Result<LogTail, PublishError> {
        let acknowledged = match self.published.filter(|_| self.is_out_of_step) {
            Some(known) => self.still_there(stream, subjects, known).await?,
            None => None,
        };
        let mut last = match acknowledged {
            Some(_) => acknowledged,
            None => self.last_own(stream, subjects).await?,
        };
        // Somebody may have put an older one behind it, or so much that the hub's own was not found.
        for known in [self.published, self.doubled.take()].into_iter().flatten() {
            if last.as_ref().is_none_or(|(_, placed)| placed.sequence < known.sequence) {
                last = self.still_there(stream, subjects, known).await?.or(last);
            }
        }
        self.published = last.as_ref().map(|(_, placed)| *placed);
        match last {
            Some((frame, _)) => self.tail_behind(&frame),
            None => Ok(LogTail::behind(&self.registry, self.registry.oldest_sequence()?.saturating_sub(1))?),
        }
    }

    /// The last frame of the hub's own in the broker's stream.
    async fn last_own(&self, stream: &Stream, subjects: &Subjects) -> Result<Option<(ProvedFrame, Placed)>, PublishError> {
        let Some(mut message) = found(stream.get_last_raw_message_by_subject(&subjects.frames).await, LAST)? else {
            return Ok(None);
        };
        let first = message.sequence.saturating_sub(LOOK_BACK_MESSAGES);
        loop {
            if let Some(own) = self.own(&message, subjects) {
                return Ok(Some(own));
            }
            // Not the hub's own: the one before it is looked at.
            let mut earlier = message.sequence;
            message = loop {
                earlier = earlier.saturating_sub(1);
                if earlier <= first {
                    tracing::warn!(messages = LOOK_BACK_MESSAGES, "the broker's newest messages are not the hub's own");
                    return Ok(None);
                }
                if let Some(found) = found(stream.get_raw_message(earlier).await, LAST)? {
                    break found;
                }
            };
        }
    }

    /// The frame that stood at a place in the broker's stream, where it still does.
    async fn still_there(
        &self,
        stream: &Stream,
        subjects: &Subjects,
        placed: Placed,
    ) -> Result<Option<(ProvedFrame, Placed)>, PublishError> {
        let message = found(stream.get_raw_message(placed.at).await, LAST)?;
        let own = message.and_then(|message| self.own(&message, subjects));
        Ok(own.filter(|(_, found)| *found == placed))
    }

    /// The frame of a message, if the hub signed it.
    fn own(&self, message: &StreamMessage, subjects: &Subjects) -> Option<(ProvedFrame, Placed)> {
        if message.subject.as_str() != subjects.frames {
            return None;
        }
        let key = self.signer.public();
        let frame = ProvedFrame::read(self.registry.stream(), Some(&message.headers), &message.payload, &key).ok()?;
        let placed = Placed { sequence: frame.sequence, at: message.sequence };
        Some((frame, placed))
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
