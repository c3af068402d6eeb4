//! A follower's side: messages of a broker, in whatever order and however often they come, become frames of the own log.
//!
//! The own log says where to go on. Each start makes the durable consumer anew behind it, so that nothing waits for messages that an earlier
//! process had taken and not acknowledged; while the process lives, the broker keeps its place over broken lines. A message is acknowledged
//! once its frame is applied and synced, and not before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::message::Acker;
use async_nats::jetstream::stream::Stream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::broker::{Broker, BrokerError, found};
use super::config::BrokerConfig;
use super::finding::Finding;
use super::message::{ProvedFrame, Subjects};
use super::standing::BrokerStanding;
use super::waiting::{Put, Waiting};
use crate::background;
use crate::limits::{
    BROKER_ACK_WAIT_S, BROKER_BATCH_MESSAGES, BROKER_CHECKPOINT_S, BROKER_GAP_MS, BROKER_RETRY_MS_MAX, BROKER_RETRY_MS_MIN,
    BROKER_RUN_BYTES,
};
use crate::registry::{Registry, Trouble};
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::{Checkpoint, SignedPlace};
use crate::sync::follow::Standings;
use crate::sync::intake::{Intake, IntakeDeeds, IntakeError, Wanted};
use crate::sync::key::HubKey;
use crate::sync::publish::Published;
use crate::sync::refusal::Refusal;
use crate::sync::remembered::Quarantine;

/// Another way to the hub's frames, for what a broker lost: brings the own log as far as the hub's, or says why not.
pub type OtherWay = Box<dyn FnMut(&mut Intake) -> Result<(), String> + Send>;

/// How long a pull of messages may stay open, and how often the broker shows meanwhile that it is there.
const PULL: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Without any message for so long, frames that a checkpoint speaks of are held to be lost.
const SILENCE: Duration = Duration::from_secs(15);

/// Why reading was broken off. It is begun again.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Broker(#[from] BrokerError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the broker gave sequence {found}, and {expected} did not come")]
    Gap { expected: u64, found: u64 },
}

/// Where reading begins in the broker's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begin {
    /// Where the next frame is found.
    Found,
    /// At the first message that is kept.
    First,
}

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
        let consumer = config.consumer.clone().unwrap_or_else(|| consumer_name(&registry));
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
            is_in_quarantine: false,
        };
        // The connection is served beside this thread, which applies.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let thread = background::spawn("broker", move || runtime.block_on(reading.run(deeds, &stop)))?;
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

struct Reading {
    intake: Intake,
    registry: Arc<Registry>,
    key: HubKey,
    config: BrokerConfig,
    consumer: String,
    standing: Arc<BrokerStanding>,
    standings: Standings,
    passing: watch::Sender<Option<Published>>,
    other_way: Option<OtherWay>,
    /// The first sequence that is missing, and how often it was tried to heal that.
    gap: Option<(u64, u32)>,
    is_in_quarantine: bool,
}

/// Completes when the program is to end.
pub(super) async fn stopped(stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

impl Reading {
    async fn run(mut self, mut deeds: IntakeDeeds, stop: &AtomicBool) {
        let mut pause_ms = BROKER_RETRY_MS_MIN;
        let mut begin = Begin::Found;
        loop {
            let stood = self.registry.sequence();
            let ended = tokio::select! {
                () = stopped(stop) => break,
                deed = deeds.next() => {
                    deed(&mut self.intake);
                    continue;
                }
                ended = self.read(begin) => ended,
            };
            self.standing.connected(false);
            if self.registry.sequence() > stood {
                pause_ms = BROKER_RETRY_MS_MIN;
            }
            begin = Begin::Found;
            match ended {
                Ok(()) => {}
                Err(ReadError::Intake(IntakeError::Stopped)) => break,
                Err(ReadError::Gap { expected, found }) => {
                    if let Some(again) = self.heal(expected, found) {
                        begin = again;
                        continue;
                    }
                }
                Err(error) => self.note(error),
            }
            tokio::select! {
                () = stopped(stop) => break,
                deed = deeds.next() => deed(&mut self.intake),
                () = tokio::time::sleep(Duration::from_millis(pause_ms)) => {}
            }
            pause_ms = (2 * pause_ms).min(BROKER_RETRY_MS_MAX);
        }
        if let Err(error) = self.intake.remember(Duration::ZERO) {
            tracing::warn!(%error, "the newest checkpoint is not written down");
        }
    }

    /// Says what went wrong; what speaks against the hub itself begins a quarantine, which lasts over a restart.
    fn note(&mut self, error: ReadError) {
        let words = error.to_string();
        self.standings.change(|standing| standing.failure = Some(words.clone()));
        let troubles = self.registry.troubles();
        match error {
            ReadError::Refused(refusal) | ReadError::Intake(IntakeError::Refused(refusal)) => {
                tracing::error!(trouble = refusal.trouble().word(), detail = words, "what came from the broker is refused");
                self.standings.change(|standing| standing.refused += 1);
                // A broker that lacks old messages says nothing against the hub.
                if refusal.quarantines() && refusal.trouble() != Trouble::HubTooFar {
                    self.begin_quarantine(refusal.trouble(), words);
                } else {
                    troubles.lower(refusal.trouble());
                    troubles.raise(refusal.trouble(), words);
                }
            }
            _ => {
                tracing::warn!(detail = words, "following the broker is interrupted");
                troubles.lower(Trouble::HubUnreachable);
                troubles.raise(Trouble::HubUnreachable, words);
            }
        }
    }

    fn begin_quarantine(&mut self, trouble: Trouble, detail: String) {
        let quarantine = Quarantine { trouble: trouble.word().to_owned(), detail, since_unix_ms: now_unix_ms() };
        if let Err(error) = self.intake.remembered().begin_quarantine(&quarantine) {
            tracing::error!(%error, "the quarantine could not be written down; the next start asks the broker again");
        }
        tracing::error!(trouble = quarantine.trouble, "nothing more is taken from the broker until an operator says so");
        self.show_quarantine(Some(quarantine));
    }

    /// Whether there is a quarantine, as its file says: it outlives a restart, and a command ends it.
    fn look_at_quarantine(&mut self) -> Result<bool, ReadError> {
        let failed = |source| IntakeError::File { path: self.registry.directory().to_owned(), source };
        let found = self.intake.remembered().quarantine().map_err(failed)?;
        let is_there = found.is_some();
        if !is_there && self.is_in_quarantine {
            tracing::info!("an operator ended the quarantine");
            self.intake.forget_seen();
        }
        if is_there != self.is_in_quarantine {
            self.show_quarantine(found);
        }
        Ok(is_there)
    }

    fn show_quarantine(&mut self, quarantine: Option<Quarantine>) {
        let troubles = self.registry.troubles();
        for trouble in Trouble::OF_THE_HUB {
            troubles.lower(trouble);
        }
        if let Some(quarantine) = &quarantine {
            let trouble = Trouble::of_the_hub(&quarantine.trouble).unwrap_or(Trouble::HubRefused);
            troubles.raise(trouble, quarantine.detail.clone());
        }
        self.is_in_quarantine = quarantine.is_some();
        self.standings.change(|standing| standing.quarantine = quarantine);
    }

    /// Says that the broker was heard, how far the hub is, and what of it can be passed on.
    fn note_progress(&self) {
        self.standings.note_progress(&self.intake);
        self.standings.change(|standing| {
            standing.last_contact_unix_ms = now_unix_ms();
            standing.failure = None;
        });
        Published::pass_on(&self.intake, &self.passing);
    }

    /// What is done about frames that do not come: they are fetched from the hub where that can be reached, else looked for in the
    /// broker's stream again, at last from its beginning. `None` where nothing helped: later, perhaps.
    fn heal(&mut self, expected: u64, found: u64) -> Option<Begin> {
        self.standing.gap();
        let tries = match self.gap {
            Some((known, tries)) if known == expected => tries + 1,
            Some(_) | None => 1,
        };
        self.gap = Some((expected, tries));
        tracing::warn!(expected, found, tries, "frames are missing among the broker's messages");
        if let Some(other_way) = &mut self.other_way {
            match other_way(&mut self.intake) {
                Ok(()) if self.registry.sequence() >= expected => return Some(Begin::Found),
                Ok(()) => {}
                Err(error) => tracing::warn!(%error, "what is missing could not be fetched from the hub"),
            }
        }
        match tries {
            1 => return Some(Begin::Found),
            2 => return Some(Begin::First),
            _ => {}
        }
        let refusal = Refusal::Gap { expected, found };
        let detail = format!("{refusal}; the broker no longer holds them: name the hub's own address too, or bring a bundle");
        self.registry.troubles().raise(Trouble::HubRefused, detail);
        None
    }

    /// Reads until something fails.
    async fn read(&mut self, begin: Begin) -> Result<(), ReadError> {
        if self.look_at_quarantine()? {
            return Ok(());
        }
        let broker = Broker::connect(&self.config, "shikaku follower").await?;
        let stream = broker.stream(&self.config.stream).await?;
        let subjects = Subjects::of(self.registry.stream());
        self.look_at_newest_checkpoint(&stream, &subjects).await?;
        let from = match begin {
            Begin::First => stream.cached_info().state.first_sequence.max(1),
            Begin::Found => self.find(&stream, &subjects).await?,
        };
        let mut messages = self.consume(&stream, from).await?;
        self.standing.connected(true);
        self.registry.troubles().lower(Trouble::HubUnreachable);
        self.registry.troubles().lower(Trouble::HubTooFar);
        tracing::info!(behind = self.registry.standing().0.sequence, "following the broker");
        let mut waiting = Waiting::new();
        let (mut moved, mut looked) = (Instant::now(), Instant::now());
        loop {
            match timeout(Duration::from_millis(BROKER_GAP_MS), messages.next()).await {
                Ok(Some(message)) => {
                    self.take(message.map_err(BrokerError::deed("give a message"))?, &subjects, &mut waiting).await?;
                    moved = Instant::now();
                    // What has come meanwhile shares a sync.
                    while waiting.bytes() < BROKER_RUN_BYTES
                        && let Ok(Some(message)) = timeout(Duration::ZERO, messages.next()).await
                    {
                        self.take(message.map_err(BrokerError::deed("give a message"))?, &subjects, &mut waiting).await?;
                    }
                }
                Ok(None) => return Err(BrokerError::Deed { deed: "go on", what: "its messages ended".to_owned() }.into()),
                Err(_) => {}
            }
            self.apply(&mut waiting).await?;
            self.note_progress();
            self.judge_gap(&waiting, moved.elapsed())?;
            if looked.elapsed() > Duration::from_secs(2 * BROKER_CHECKPOINT_S) {
                self.look_at_newest_checkpoint(&stream, &subjects).await?;
                looked = Instant::now();
            }
        }
    }

    /// Whether what is missing will not come any more.
    fn judge_gap(&mut self, waiting: &Waiting<Acker>, silent_for: Duration) -> Result<(), ReadError> {
        let applied = self.registry.standing().0.sequence;
        if self.gap.is_some_and(|(expected, _)| applied >= expected) {
            self.gap = None;
            self.registry.troubles().lower(Trouble::HubRefused);
        }
        if let Some(missing) = waiting.missing(applied) {
            let is_over = silent_for >= Duration::from_millis(BROKER_GAP_MS) || waiting.is_crowded();
            return if is_over { Err(ReadError::Gap { expected: *missing.start(), found: missing.end() + 1 }) } else { Ok(()) };
        }
        match self.intake.wanted() {
            Wanted::Frames { through, .. } if silent_for >= SILENCE && through > applied => {
                Err(ReadError::Gap { expected: applied + 1, found: through })
            }
            Wanted::Frames { .. } | Wanted::Nothing => Ok(()),
        }
    }

    /// The newest checkpoint in the broker's stream, whichever stream of the hub's it is of: one that was restored is another.
    async fn look_at_newest_checkpoint(&mut self, stream: &Stream, subjects: &Subjects) -> Result<(), ReadError> {
        let deed = "give its newest checkpoint";
        let ours = found(stream.get_last_raw_message_by_subject(&subjects.checkpoint).await, deed)?;
        if let Some(message) = &ours {
            self.consider(&message.payload)?;
        }
        let Some(newest) = found(stream.get_last_raw_message_by_subject(Subjects::ANY_CHECKPOINT).await, deed)? else {
            return Ok(());
        };
        let Ok(other) = Checkpoint::verify(&newest.payload, &self.key) else { return Ok(()) };
        let own = self.registry.stream();
        let is_newer = self.intake.newest().is_none_or(|seen| other.time_unix_ms > seen.time_unix_ms);
        if other.stream != own && is_newer {
            return Err(Refusal::OtherStream { ours: own, offered: other.stream }.into());
        }
        Ok(())
    }

    /// Judges a checkpoint. Older ones lie in the stream and are no fault; one that the hub did not sign is somebody's who may write there.
    fn consider(&mut self, signed: &[u8]) -> Result<(), ReadError> {
        match self.intake.consider(signed) {
            Ok(_) | Err(IntakeError::Refused(Refusal::Replayed { .. } | Refusal::EndsBeforeOurs { .. })) => Ok(()),
            Err(IntakeError::Refused(
                refusal @ (Refusal::Signature | Refusal::NoCheckpoint(_) | Refusal::OtherStream { .. }),
            )) => {
                self.standing.forged();
                tracing::warn!(%refusal, "a checkpoint among the broker's messages is not the hub's");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn find(&self, stream: &Stream, subjects: &Subjects) -> Result<u64, ReadError> {
        let needed = self.registry.standing().0.sequence + 1;
        let finding = Finding { stream, subjects, log: self.registry.stream(), key: &self.key };
        let found = finding.frame(needed).await?;
        match found.oldest {
            Some(oldest) if self.other_way.is_none() => Err(Refusal::TooFarBehind { needed, oldest }.into()),
            Some(_) | None => Ok(found.begin),
        }
    }

    /// Makes the durable consumer, and asks for its messages.
    async fn consume(&self, stream: &Stream, from: u64) -> Result<pull::Stream, BrokerError> {
        // One that is not there is none to be removed.
        let _ = stream.delete_consumer(&self.consumer).await;
        let config = pull::Config {
            durable_name: Some(self.consumer.clone()),
            description: Some("a follower's log".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
            ack_policy: AckPolicy::Explicit,
            ack_wait: Duration::from_secs(BROKER_ACK_WAIT_S),
            max_ack_pending: i64::try_from(4 * BROKER_BATCH_MESSAGES).unwrap_or(i64::MAX),
            filter_subject: Subjects::all_of(self.registry.stream()),
            ..pull::Config::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(BrokerError::deed("make a consumer"))?;
        let messages = consumer.stream().max_messages_per_batch(BROKER_BATCH_MESSAGES).expires(PULL).heartbeat(HEARTBEAT);
        messages.messages().await.map_err(BrokerError::deed("give messages"))
    }

    /// Takes one message in.
    async fn take(
        &mut self,
        message: jetstream::Message,
        subjects: &Subjects,
        waiting: &mut Waiting<Acker>,
    ) -> Result<(), ReadError> {
        let (message, acknowledge) = message.split();
        if message.subject.as_str() == subjects.checkpoint {
            self.consider(&message.payload)?;
            return self.acknowledge(&acknowledge).await;
        }
        match ProvedFrame::read(self.registry.stream(), message.headers.as_ref(), &message.payload, &self.key) {
            Ok(frame) => match waiting.put(self.registry.standing().0.sequence, frame, acknowledge) {
                Put::Kept | Put::NoRoom => Ok(()),
                Put::Doubled(acknowledge) => {
                    self.standing.doubled();
                    self.acknowledge(&acknowledge).await
                }
            },
            Err(error) => {
                self.standing.forged();
                tracing::warn!(%error, "a message of the broker's is no frame of the hub's");
                self.acknowledge(&acknowledge).await
            }
        }
    }

    async fn acknowledge(&self, acknowledge: &Acker) -> Result<(), ReadError> {
        acknowledge.ack().await.map_err(|error| BrokerError::deed("take an acknowledgement")(error).into())
    }

    /// Applies what follows without a gap, and acknowledges it then.
    async fn apply(&mut self, waiting: &mut Waiting<Acker>) -> Result<(), ReadError> {
        loop {
            let (own, _) = self.registry.standing();
            for acknowledge in waiting.take_applied(own.sequence) {
                self.acknowledge(&acknowledge).await?;
            }
            let run = waiting.take_run(own.sequence, BROKER_RUN_BYTES);
            let mut chain = own.chain;
            let mut bytes = Vec::with_capacity(run.iter().map(|(frame, _)| frame.bytes.len()).sum());
            for (frame, _) in &run {
                // The hub signed it, and it does not follow from what the hub signed before.
                if frame.before != chain {
                    return Err(Refusal::Forked { sequence: frame.sequence - 1 }.into());
                }
                chain = frame.after;
                bytes.extend_from_slice(&frame.bytes);
            }
            let Some((last, _)) = run.last() else { return Ok(()) };
            let length = bytes.len() as u64;
            let place = SignedPlace { sequence: last.sequence, chain: last.after };
            self.intake.take_to(place, &bytes)?;
            self.standing.taken(run.len() as u64);
            self.standings.change(|standing| standing.pulled_bytes += length);
            for (_, acknowledge) in &run {
                self.acknowledge(acknowledge).await?;
            }
        }
    }
}

/// A name that stays the same for a directory of a machine, and that another does not have.
fn consumer_name(registry: &Registry) -> String {
    let machine = ["/etc/machine-id", "/proc/sys/kernel/hostname"].map(|path| std::fs::read(path).unwrap_or_default());
    let directory = registry.directory();
    let directory = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let mut hasher = blake3::Hasher::new();
    hasher.update(&machine.concat()).update(directory.as_os_str().as_encoded_bytes());
    let hash = hasher.finalize().to_hex();
    format!("shikaku-{}", hash.get(..16).unwrap_or_default())
}
