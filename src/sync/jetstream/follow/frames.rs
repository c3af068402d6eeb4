//! The hub's frames among a broker's messages: taken, applied in order, and acknowledged once they are synced.

use async_nats::jetstream;
use async_nats::jetstream::message::Acker;

use super::reading::{ReadError, Reading};
use crate::limits::BROKER_RUN_BYTES;
use crate::sabotage::{Sabotage, sabotaged};
use crate::sync::checkpoint::SignedPlace;
use crate::sync::jetstream::broker::BrokerError;
use crate::sync::jetstream::message::{ProvedFrame, Subjects};
use crate::sync::jetstream::waiting::{Put, Waiting};
use crate::sync::refusal::Refusal;

impl Reading {
    /// Takes one message in.
    pub(super) async fn take(
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
        if sabotaged(Sabotage::AcknowledgeBeforeApplying) {
            self.acknowledge(&acknowledge).await?;
        }
        match ProvedFrame::read(self.registry.stream(), message.headers.as_ref(), &message.payload, &self.key) {
            Ok(frame) => match waiting.put(self.registry.standing().0.sequence, frame, acknowledge) {
                Put::Kept | Put::NoRoom => Ok(()),
                Put::Waits => {
                    self.standing.doubled();
                    Ok(())
                }
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
    pub(super) async fn apply(&mut self, waiting: &mut Waiting<Acker>) -> Result<(), ReadError> {
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
