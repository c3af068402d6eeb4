//! Messages that were published and not yet acknowledged: a bounded number, in order.

use std::collections::VecDeque;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;

use super::broker::BrokerError;
use super::message::frame_id;
use crate::limits::{BROKER_WINDOW_BYTES_MAX, BROKER_WINDOW_FRAMES_MAX};
use crate::log::StreamId;

/// Why a message is not in the broker's stream, or not where it was expected to be.
#[derive(Debug)]
pub(super) enum WindowError {
    /// Another message stands where this one was to go.
    OutOfStep,
    /// The broker failed.
    Broker(BrokerError),
}

/// What is under way to a broker's stream.
///
/// Every message says which one it expects to follow, so that the broker takes it there or not at all: where one is lost, those behind it
/// are refused, and the stream never has a gap, a double or another order by the hub's doing. A frame behind another says by its id, too,
/// which one it expects: where somebody else's message took the place of the one, the sequence alone would let the other in.
pub(super) struct Window<'c> {
    context: &'c Context,
    log: StreamId,
    /// The broker's sequence of the last message, once all that is under way has come.
    last_sequence: u64,
    /// The frame that was sent last, unless a checkpoint was.
    last_frame: Option<u64>,
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    acknowledged: Option<Placed>,
    doubled: Option<Placed>,
}

/// A frame in the broker's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    /// Its sequence in the log.
    pub(super) sequence: u64,
    /// The broker's sequence of its message.
    pub(super) at: u64,
}

struct UnderWay {
    /// The frame's sequence in the log; `None` for a checkpoint.
    frame: Option<u64>,
    /// Where in the broker's stream it belongs.
    at: u64,
    bytes: usize,
    acknowledgement: PublishAckFuture,
}

impl<'c> Window<'c> {
    /// Nothing under way to a stream whose last message has this sequence at the broker.
    pub(super) fn new(context: &'c Context, log: StreamId, last_sequence: u64) -> Window<'c> {
        Window {
            context,
            log,
            last_sequence,
            last_frame: None,
            under_way: VecDeque::new(),
            bytes: 0,
            acknowledged: None,
            doubled: None,
        }
    }

    /// Publishes a message, a frame's where its sequence is given; waits first while the window is full.
    pub(super) async fn send(
        &mut self,
        subject: &str,
        message: PublishMessage,
        frame: Option<u64>,
        bytes: usize,
    ) -> Result<(), WindowError> {
        while self.under_way.len() >= BROKER_WINDOW_FRAMES_MAX || self.bytes + bytes > BROKER_WINDOW_BYTES_MAX {
            if !self.settle_oldest().await? {
                break;
            }
        }
        let mut message = message.expected_last_sequence(self.last_sequence);
        if let Some(before) = self.last_frame {
            message = message.expected_last_message_id(frame_id(self.log, before));
        }
        let sent = self.context.send_publish(subject.to_owned(), message).await;
        let acknowledgement = sent.map_err(|error| WindowError::Broker(BrokerError::deed("take a message")(error)))?;
        self.last_sequence += 1;
        self.last_frame = frame;
        self.bytes += bytes;
        self.under_way.push_back(UnderWay { frame, at: self.last_sequence, bytes, acknowledgement });
        Ok(())
    }

    /// Waits until nothing is under way.
    pub(super) async fn settle(&mut self) -> Result<(), WindowError> {
        while self.settle_oldest().await? {}
        Ok(())
    }

    /// The last frame up to which everything was acknowledged; `None` before the first.
    pub(super) fn acknowledged(&self) -> Option<Placed> {
        self.acknowledged
    }

    /// The frame that was out of step because the broker has a message of its id, and where: its own, or somebody else's.
    pub(super) fn doubled(&self) -> Option<Placed> {
        self.doubled
    }

    /// Waits for the oldest; false where nothing is under way.
    async fn settle_oldest(&mut self) -> Result<bool, WindowError> {
        let Some(oldest) = self.under_way.pop_front() else { return Ok(false) };
        self.bytes -= oldest.bytes;
        match oldest.acknowledgement.await {
            Ok(answer) if answer.sequence == oldest.at && !answer.duplicate => {
                self.acknowledged = oldest.frame.map_or(self.acknowledged, |sequence| Some(Placed { sequence, at: oldest.at }));
                Ok(true)
            }
            // What has its id may be somebody else's, and what stands elsewhere does not follow the frame before it.
            Ok(answer) => {
                let doubled = oldest.frame.filter(|_| answer.duplicate);
                self.doubled = doubled.map(|sequence| Placed { sequence, at: answer.sequence });
                Err(WindowError::OutOfStep)
            }
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => Err(WindowError::OutOfStep),
                _ => Err(WindowError::Broker(BrokerError::deed("acknowledge a message")(error))),
            },
        }
    }
}
