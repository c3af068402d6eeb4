//! The thread's work: ask, judge, pull, and decide what to do about what went wrong.

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use hyper::{StatusCode, header};
use tokio::sync::watch;

use super::line::Line;
use super::patience::Patience;
use super::{FollowError, FollowOptions, LineError, stopped};
use crate::limits::{FOLLOW_REST_MS, FOLLOW_SILENCE_MS_MAX, FOLLOW_STRIKES_MAX, FOLLOW_WAIT_S};
use crate::log::SEGMENT_HEAD;
use crate::registry::Trouble;
use crate::serve::clock::now_unix_ms;
use crate::sync::checkpoint::CHECKPOINT_BYTES_MAX;
use crate::sync::intake::{Intake, IntakeDeeds, Wanted};
use crate::sync::publish::Published;
use crate::sync::quarantine::{self, Look};
use crate::sync::refusal::Refusal;
use crate::sync::standing::Standings;

/// Between two looks at whether an operator ended a quarantine.
const QUARANTINE_LOOK: Duration = Duration::from_millis(500);

/// What may be left of an answer that is no longer needed before it is quicker to make a new connection.
const LEFT_OVER_BYTES_MAX: u64 = 1 << 20;

/// A byte of the hub's log.
#[derive(Clone, Debug)]
struct Cursor {
    /// The segment's name, as the hub gave it.
    segment: String,
    offset: u64,
    /// The last sequence before it.
    after: u64,
    /// The hub has just said so.
    is_fresh: bool,
}

/// Pulls until it is told to stop.
pub(super) struct Puller<I> {
    intake: I,
    options: FollowOptions,
    standings: Standings,
    passing: watch::Sender<Option<Published>>,
    stop: Arc<AtomicBool>,
    /// The entity tag of the checkpoint that was accepted last.
    known: Option<String>,
    cursor: Option<Cursor>,
    patience: Patience,
    /// How often in a row the bytes led elsewhere than to the signed chain.
    strikes: u32,
    /// Since when the hub said nothing, ms since 1970.
    silent_since_unix_ms: u64,
    /// What the source withheld when it answered last.
    withheld: Option<String>,
}

impl<I: DerefMut<Target = Intake>> Puller<I> {
    pub(super) fn new(
        intake: I,
        options: FollowOptions,
        standings: Standings,
        passing: watch::Sender<Option<Published>>,
        stop: Arc<AtomicBool>,
    ) -> Puller<I> {
        let (known, cursor, patience) = (None, None, Patience::default());
        let silent_since_unix_ms = now_unix_ms();
        let puller = Puller {
            intake,
            options,
            standings,
            passing,
            stop,
            known,
            cursor,
            patience,
            strikes: 0,
            silent_since_unix_ms,
            withheld: None,
        };
        puller.pass_on();
        puller
    }

    pub(super) async fn run(mut self, mut deeds: IntakeDeeds) {
        let mut line = match Line::to(self.options.hub.clone(), self.options.tls.clone()) {
            Ok(line) => line,
            Err(error) => return tracing::error!(%error, "nobody is followed"),
        };
        let stop = self.stop.clone();
        loop {
            let done = tokio::select! {
                () = stopped(&stop) => break,
                deed = deeds.next() => {
                    // What was under way is asked for again.
                    line.hang_up();
                    self.intake.line_broke();
                    (self.cursor, self.known) = (None, None);
                    deed(&mut self.intake);
                    self.pass_on();
                    continue;
                }
                done = self.turn(&mut line) => done,
            };
            let Err(error) = done else { continue };
            line.hang_up();
            self.intake.line_broke();
            (self.cursor, self.known) = (None, None);
            if matches!(error, FollowError::Stopping) {
                break;
            }
            self.judge(&error);
            let pause = self.patience.pause();
            tokio::select! {
                () = stopped(&stop) => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        if let Err(error) = self.intake.remember(Duration::ZERO) {
            tracing::warn!(%error, "the newest checkpoint is not written down");
        }
    }

    /// One question and what follows from the answer; in quarantine, one look at whether it has ended.
    async fn turn(&mut self, line: &mut Line) -> Result<(), FollowError> {
        match quarantine::look(&mut self.intake, &self.standings)? {
            Look::Held => {
                line.hang_up();
                tokio::time::sleep(QUARANTINE_LOOK).await;
                return Ok(());
            }
            Look::Released => self.strikes = 0,
            Look::Free => {}
        }
        let (began, stood) = (Instant::now(), self.stands());
        self.round(line).await?;
        self.patience.restore();
        self.strikes = 0;
        let troubles = self.intake.registry().troubles();
        troubles.lower(Trouble::HubRefused);
        self.standings.note_answer(troubles, self.withheld.take());
        if self.stands() == stood {
            // It was asked to wait for something newer. One that does not is not asked as often as it likes to answer.
            tokio::time::sleep(Duration::from_millis(FOLLOW_REST_MS).saturating_sub(began.elapsed())).await;
        }
        Ok(())
    }

    /// What a round that brings something changes: what is applied, and what the hub signed.
    fn stands(&self) -> (u64, Option<(u64, u64)>) {
        let newest = self.intake.newest().map(|newest| (newest.sequence, newest.time_unix_ms));
        (self.intake.registry().sequence(), newest)
    }

    pub(super) async fn round(&mut self, line: &mut Line) -> Result<(), FollowError> {
        let signed = self.ask_for_checkpoint(line).await?;
        self.note_contact();
        if let Some((signed, tag)) = signed {
            self.intake.consider(&signed)?;
            self.known = tag;
        }
        self.pass_on();
        // Pulling may take long, and the answer is as new as it was.
        self.withheld = self.standings.withheld();
        while let Wanted::Frames { after, .. } = self.intake.wanted() {
            self.intake.can_take()?;
            self.pull(line, after).await?;
            self.pass_on();
        }
        Ok(())
    }

    /// The newest checkpoint with its tag; `None` where it is the one that is known.
    async fn ask_for_checkpoint(&self, line: &mut Line) -> Result<Option<(Vec<u8>, Option<String>)>, FollowError> {
        let is_behind = self.intake.wanted() != Wanted::Nothing;
        let wait_s = if is_behind || self.known.is_none() { 0 } else { FOLLOW_WAIT_S };
        let target = format!("/v1/log/checkpoint?wait={wait_s}");
        let known: Vec<_> = self.known.iter().map(|tag| (header::IF_NONE_MATCH, tag.clone())).collect();
        let answer = line.get(&target, &known, Duration::from_secs(wait_s)).await?;
        match answer.status() {
            StatusCode::NOT_MODIFIED => Ok(None),
            StatusCode::OK => {
                let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
                Ok(Some((line.whole(answer.into_body(), CHECKPOINT_BYTES_MAX).await?, tag)))
            }
            _ => Err(line.answered(&target, answer).await.into()),
        }
    }

    /// Pulls a part of a segment, from behind a sequence to its end or to the newest signed place.
    async fn pull(&mut self, line: &mut Line, after: u64) -> Result<(), FollowError> {
        let mut cursor = match self.cursor.take().filter(|cursor| cursor.after == after) {
            Some(cursor) => cursor,
            None => {
                // A place is where a frame begins: of one that was cut nothing is of use.
                self.intake.line_broke();
                self.ask_for_place(line, after).await?
            }
        };
        let target = format!("/v1/log/segments/{}", cursor.segment);
        let range = [(header::RANGE, format!("bytes={}-", cursor.offset))];
        let answer = line.get(&target, &range, Duration::ZERO).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => {
                // The segment ends here. Where the hub has just said that it goes on here, it does not.
                line.answered(&target, answer).await;
                return if cursor.is_fresh { Ok(self.intake.source_ended()?) } else { Ok(()) };
            }
            StatusCode::GONE => return Err(too_far_behind(line, after, answer).await),
            _ => return Err(line.answered(&target, answer).await.into()),
        }
        let mut body = answer.into_body();
        let mut left = body_length(&body);
        while let Some(piece) = line.piece(&mut body).await? {
            left = left.saturating_sub(piece.len() as u64);
            let taken = self.intake.take(&piece)?;
            cursor.offset += taken as u64;
            self.standings.change(|standing| standing.pulled_bytes += taken as u64);
            self.note_progress();
            if self.intake.wanted() == Wanted::Nothing && left > LEFT_OVER_BYTES_MAX {
                line.hang_up();
                break;
            }
            // The other tasks of this thread, the connection's among them, have their turn.
            tokio::task::yield_now().await;
        }
        match self.intake.wanted() {
            Wanted::Nothing => {
                let after = self.intake.newest().map_or(after, |newest| newest.sequence);
                self.cursor = Some(Cursor { after, is_fresh: false, ..cursor });
                Ok(())
            }
            // The segment ended: the next one is asked for.
            Wanted::Frames { after: now, .. } if now > after => Ok(()),
            Wanted::Frames { .. } => Ok(self.intake.source_ended()?),
        }
    }

    async fn ask_for_place(&self, line: &mut Line, after: u64) -> Result<Cursor, FollowError> {
        let target = format!("/v1/log/place?after={after}");
        let answer = line.get(&target, &[], Duration::ZERO).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Err(too_far_behind(line, after, answer).await),
            _ => return Err(line.answered(&target, answer).await.into()),
        }
        let place = line.object(answer.into_body()).await?;
        let segment = place.get("segment").and_then(serde_json::Value::as_str).filter(|name| is_segment_name(name));
        let offset = place.get("offset").and_then(serde_json::Value::as_u64).filter(|offset| *offset >= SEGMENT_HEAD as u64);
        match (segment, offset) {
            (Some(segment), Some(offset)) => Ok(Cursor { segment: segment.to_owned(), offset, after, is_fresh: true }),
            _ => {
                Err(LineError::Broken { to: self.options.hub.to_string(), what: "what it calls a place is none".to_owned() }
                    .into())
            }
        }
    }

    /// What is to be done about a failure.
    fn judge(&mut self, error: &FollowError) {
        let words = error.to_string();
        self.standings.change(|standing| standing.failure = Some(words.clone()));
        let registry = self.intake.registry().clone();
        let troubles = registry.troubles();
        match error {
            FollowError::Refused(refusal) => {
                self.note_contact();
                self.standings.change(|standing| standing.refused += 1);
                tracing::error!(trouble = refusal.trouble().word(), detail = words, "what came from the hub is refused");
                let parted = matches!(refusal, Refusal::NotTheSignedChain { .. });
                self.strikes = if parted { self.strikes + 1 } else { 0 };
                if refusal.quarantines() {
                    quarantine::begin(&mut self.intake, &self.standings, refusal.trouble(), words);
                } else if self.strikes >= FOLLOW_STRIKES_MAX {
                    let detail = format!("{words}; so it was {FOLLOW_STRIKES_MAX} times");
                    quarantine::begin(&mut self.intake, &self.standings, Trouble::HubForked, detail);
                } else {
                    troubles.lower(Trouble::HubRefused);
                    troubles.raise(Trouble::HubRefused, words);
                }
            }
            _ => {
                tracing::warn!(detail = words, "following is interrupted");
                if now_unix_ms().saturating_sub(self.silent_since_unix_ms) > FOLLOW_SILENCE_MS_MAX {
                    troubles.lower(Trouble::HubUnreachable);
                    troubles.raise(Trouble::HubUnreachable, words);
                }
            }
        }
    }

    fn note_contact(&mut self) {
        let now = now_unix_ms();
        self.silent_since_unix_ms = now;
        self.standings.change(|standing| standing.last_contact_unix_ms = now);
    }

    fn note_progress(&self) {
        self.standings.note_progress(&self.intake);
    }

    /// Passes on what the hub signed and is applied.
    fn pass_on(&self) {
        self.note_progress();
        Published::pass_on(&self.intake, &self.passing);
    }
}

async fn too_far_behind(line: &mut Line, after: u64, answer: hyper::Response<hyper::body::Incoming>) -> FollowError {
    let said = match line.object(answer.into_body()).await {
        Ok(said) => said,
        Err(error) => return error.into(),
    };
    let oldest = said.get("oldest_sequence").and_then(serde_json::Value::as_u64).unwrap_or(0);
    Refusal::TooFarBehind { needed: after + 1, oldest }.into()
}

fn body_length(body: &hyper::body::Incoming) -> u64 {
    use hyper::body::Body as _;
    body.size_hint().exact().unwrap_or(u64::MAX)
}

fn is_segment_name(name: &str) -> bool {
    name.strip_suffix(".seg").is_some_and(|digits| digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit()))
}
