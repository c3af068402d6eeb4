//! The hub's checkpoints among a broker's messages.

use async_nats::jetstream::stream::Stream;

use super::reading::{ReadError, Reading};
use crate::sync::checkpoint::Checkpoint;
use crate::sync::intake::IntakeError;
use crate::sync::jetstream::broker::found;
use crate::sync::jetstream::message::Subjects;
use crate::sync::refusal::Refusal;

impl Reading {
    /// The newest checkpoint in the broker's stream, whichever stream of the hub's it is of: one that was restored is another.
    pub(super) async fn look_at_newest_checkpoint(&mut self, stream: &Stream, subjects: &Subjects) -> Result<(), ReadError> {
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
    pub(super) fn consider(&mut self, signed: &[u8]) -> Result<(), ReadError> {
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
}
