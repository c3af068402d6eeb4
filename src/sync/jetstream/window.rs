//! Messages that were published and not yet acknowledged: a bounded number, in order.

use std::collections::VecDeque;

use async_nats::jetstream::Context;
use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;

use super::broker::BrokerError;
use crate::limits::{BROKER_WINDOW_BYTES_MAX, BROKER_WINDOW_FRAMES_MAX};

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
/// are refused, and the stream never has a gap, a double or another order by the hub's doing.
pub(super) struct Window<'c> {
    context: &'c Context,
    /// The broker's sequence of the last message, once all that is under way has come.
    last_sequence: u64,
    under_way: VecDeque<UnderWay>,
    bytes: usize,
    acknowledged: Option<u64>,
}

struct UnderWay {
    sequence: u64,
    bytes: usize,
    acknowledgement: PublishAckFuture,
}

impl<'c> Window<'c> {
    /// Nothing under way to a stream whose last message has this sequence at the broker.
    pub(super) fn new(context: &'c Context, last_sequence: u64) -> Window<'c> {
        Window { context, last_sequence, under_way: VecDeque::new(), bytes: 0, acknowledged: None }
    }

    /// Publishes a message of a sequence of the log; waits first while the window is full.
    pub(super) async fn send(
        &mut self,
        subject: &str,
        message: PublishMessage,
        sequence: u64,
        bytes: usize,
    ) -> Result<(), WindowError> {
        while self.under_way.len() >= BROKER_WINDOW_FRAMES_MAX || self.bytes + bytes > BROKER_WINDOW_BYTES_MAX {
            if !self.settle_oldest().await? {
                break;
            }
        }
        let message = message.expected_last_sequence(self.last_sequence);
        let sent = self.context.send_publish(subject.to_owned(), message).await;
        let acknowledgement = sent.map_err(|error| WindowError::Broker(BrokerError::deed("take a message")(error)))?;
        self.last_sequence += 1;
        self.bytes += bytes;
        self.under_way.push_back(UnderWay { sequence, bytes, acknowledgement });
        Ok(())
    }

    /// Waits until nothing is under way.
    pub(super) async fn settle(&mut self) -> Result<(), WindowError> {
        while self.settle_oldest().await? {}
        Ok(())
    }

    /// The last sequence of the log up to which everything was acknowledged; `None` before the first.
    pub(super) fn acknowledged(&self) -> Option<u64> {
        self.acknowledged
    }

    /// Waits for the oldest; false where nothing is under way.
    async fn settle_oldest(&mut self) -> Result<bool, WindowError> {
        let Some(oldest) = self.under_way.pop_front() else { return Ok(false) };
        self.bytes -= oldest.bytes;
        match oldest.acknowledgement.await {
            // One that had come before is there as well. What follows it expects another sequence then, and is refused as out of step.
            Ok(_) => {
                self.acknowledged = Some(oldest.sequence);
                Ok(true)
            }
            Err(error) => match error.kind() {
                PublishErrorKind::WrongLastSequence => Err(WindowError::OutOfStep),
                _ => Err(WindowError::Broker(BrokerError::deed("acknowledge a message")(error))),
            },
        }
    }
}
