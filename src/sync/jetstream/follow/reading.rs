//! The thread's work: read what the broker gives until something fails, and decide what to do about that.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use async_nats::jetstream::stream::Stream;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_stream::StreamExt;

use super::gaps::Missing;
use super::{OtherWay, consumer};
use crate::limits::{BROKER_CHECKPOINT_S, BROKER_GAP_MS, BROKER_RETRY_MS_MAX, BROKER_RETRY_MS_MIN, BROKER_RUN_BYTES};
use crate::registry::{Registry, Trouble};
use crate::serve::clock::now_unix_ms;
use crate::sync::follow::stopped;
use crate::sync::intake::{Intake, IntakeDeeds, IntakeError};
use crate::sync::jetstream::broker::{Broker, BrokerError};
use crate::sync::jetstream::config::BrokerConfig;
use crate::sync::jetstream::finding::Finding;
use crate::sync::jetstream::message::Subjects;
use crate::sync::jetstream::standing::BrokerStanding;
use crate::sync::jetstream::waiting::Waiting;
use crate::sync::key::HubKey;
use crate::sync::publish::Published;
use crate::sync::quarantine::{self, Look};
use crate::sync::refusal::Refusal;
use crate::sync::standing::Standings;

/// Why reading was broken off. It is begun again.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
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
pub(super) enum Begin {
    /// Where the next frame is found.
    Found,
    /// At the first message that is kept.
    First,
}

/// What the thread works with.
pub(super) struct Reading {
    pub(super) intake: Intake,
    pub(super) registry: Arc<Registry>,
    pub(super) key: HubKey,
    pub(super) config: BrokerConfig,
    pub(super) consumer: String,
    pub(super) standing: Arc<BrokerStanding>,
    pub(super) standings: Standings,
    pub(super) passing: watch::Sender<Option<Published>>,
    pub(super) other_way: Option<OtherWay>,
    /// The first sequence that is missing, and how often it was tried to heal that.
    pub(super) gap: Option<(u64, u32)>,
}

impl Reading {
    pub(super) async fn run(mut self, mut deeds: IntakeDeeds, stop: &AtomicBool) {
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
                    quarantine::begin(&mut self.intake, &self.standings, refusal.trouble(), words);
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

    /// Says how far the hub is, and what of it can be passed on; whether anything of it came lately, too: a broker is there without it.
    fn note_progress(&self, came: bool) {
        self.standings.note_progress(&self.intake);
        self.standings.note_answer(self.registry.troubles(), self.standings.withheld());
        if came {
            self.standings.change(|standing| standing.last_contact_unix_ms = now_unix_ms());
        }
        Published::pass_on(&self.intake, &self.passing);
    }

    /// Reads until something fails.
    async fn read(&mut self, begin: Begin) -> Result<(), ReadError> {
        if quarantine::look(&mut self.intake, &self.standings)? == Look::Held {
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
        let mut messages = consumer::messages(&stream, &self.consumer, self.registry.stream(), from).await?;
        self.standing.connected(true);
        self.registry.troubles().lower(Trouble::HubTooFar);
        self.note_progress(false);
        tracing::info!(behind = self.registry.standing().0.sequence, "following the broker");
        let mut waiting = Waiting::new();
        let (mut missing, mut looked) = (Missing::default(), Instant::now());
        loop {
            let came = match timeout(Duration::from_millis(BROKER_GAP_MS), messages.next()).await {
                Ok(Some(message)) => {
                    self.take(message.map_err(BrokerError::deed("give a message"))?, &subjects, &mut waiting).await?;
                    // What has come meanwhile shares a sync.
                    while waiting.bytes() < BROKER_RUN_BYTES
                        && let Ok(Some(message)) = timeout(Duration::ZERO, messages.next()).await
                    {
                        self.take(message.map_err(BrokerError::deed("give a message"))?, &subjects, &mut waiting).await?;
                    }
                    true
                }
                Ok(None) => return Err(BrokerError::Deed { deed: "go on", what: "its messages ended".to_owned() }.into()),
                Err(_) => false,
            };
            self.apply(&mut waiting).await?;
            self.note_progress(came);
            self.judge_gap(&waiting, &mut missing)?;
            if looked.elapsed() > Duration::from_secs(2 * BROKER_CHECKPOINT_S) {
                self.look_at_newest_checkpoint(&stream, &subjects).await?;
                looked = Instant::now();
            }
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
}
