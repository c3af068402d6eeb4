//! Where in a broker's stream a sequence of the log stands.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Stream;

use super::broker::{BrokerError, found};
use super::message::{ProvedFrame, Subjects};
use crate::log::StreamId;
use crate::sync::key::HubKey;

/// Messages in a row that are passed over because the hub did not sign them, before reading begins there anyway.
const PASSED_OVER_MAX: usize = 32;

/// How many messages before the one that was found reading begins: what stands out of order stands near.
const MARGIN: u64 = 64;

/// A broker's stream in which frames are looked for.
pub(super) struct Finding<'f> {
    pub(super) stream: &'f Stream,
    pub(super) subjects: &'f Subjects,
    pub(super) log: StreamId,
    pub(super) key: &'f HubKey,
}

/// Where reading is to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The broker's sequence of a message at or before the frame.
    pub(super) begin: u64,
    /// The oldest frame that the broker still holds, where that is behind the one that was looked for.
    pub(super) oldest: Option<u64>,
}

impl Finding<'_> {
    /// Looks for the frame of a sequence, halving: frames stand in order, but for what somebody else put among them.
    pub(super) async fn frame(&self, sequence: u64) -> Result<Found, BrokerError> {
        let info = self.stream.get_info().await.map_err(BrokerError::deed("tell of its stream"))?;
        let (first, last) = (info.state.first_sequence, info.state.last_sequence);
        let (mut low, mut high) = (first, last.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            match self.proved_from(middle).await? {
                Some((at, frame)) if frame.sequence < sequence => low = at + 1,
                Some(_) | None => high = middle,
            }
        }
        let oldest = match self.proved_from(first).await? {
            Some((_, frame)) if frame.sequence > sequence => Some(frame.sequence),
            Some(_) | None => None,
        };
        Ok(Found { begin: low.saturating_sub(MARGIN).max(first).max(1), oldest })
    }

    /// The first frame of the hub's at or behind a message.
    async fn proved_from(&self, from: u64) -> Result<Option<(u64, ProvedFrame)>, BrokerError> {
        let mut from = from;
        for _ in 0..PASSED_OVER_MAX {
            let Some(message) = self.next(from).await? else { return Ok(None) };
            let at = message.sequence;
            if let Ok(frame) = ProvedFrame::read(self.log, Some(&message.headers), &message.payload, self.key) {
                return Ok(Some((at, frame)));
            }
            from = at + 1;
        }
        Ok(None)
    }

    async fn next(&self, from: u64) -> Result<Option<StreamMessage>, BrokerError> {
        let asked = self.stream.raw_message_builder().sequence(from).next_by_subject(self.subjects.frames.clone());
        found(asked.send().await, "give a message")
    }
}
