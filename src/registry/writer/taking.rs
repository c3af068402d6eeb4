//! Frames of a followed stream: into the own log as they came, and then worked in as at a start.

use std::time::Instant;

use rkyv::util::AlignedVec;

use super::Writer;
use super::replay::ReplayError;
use crate::log::{Fault, Frame, FrameRun, LogError};
use crate::registry::RegistryError;
use crate::registry::troubles::Trouble;
use crate::sabotage::{Sabotage, sabotaged};

impl Writer {
    /// Takes frames that follow; returns the sequence of the last. Those before one that is refused stand.
    pub(in crate::registry) fn take_frames(&mut self, bytes: &[u8]) -> Result<u64, RegistryError> {
        let mut rest = bytes;
        while !rest.is_empty() {
            self.can_take()?;
            let (run, offset) = self.take_run(rest)?;
            self.work_in(&run, offset)?;
            rest = rest.get(run.bytes().len()..).unwrap_or_default();
        }
        Ok(self.position.sequence)
    }

    /// Whether frames could be taken now.
    pub(in crate::registry) fn can_take(&self) -> Result<(), RegistryError> {
        self.check_writable()?;
        self.check_room()
    }

    /// Appends and syncs the frames that can be made durable together; gives them and the offset at which they begin.
    fn take_run<'b>(&mut self, bytes: &'b [u8]) -> Result<(FrameRun<'b>, u64), RegistryError> {
        let sequence = self.position.sequence + 1;
        let log = self.log.as_mut().ok_or(LogError::Poisoned)?;
        let run = log.next_run(bytes).map_err(|what| RegistryError::Untaken { sequence, what })?;
        let taken = log.take_run(&run);
        self.note_poison(taken.as_ref().err());
        let offset = taken.inspect_err(|error| self.note_full_disk(error))?;
        self.last_write = Instant::now();
        Ok((run, offset))
    }

    /// Works in a run that is durable, and publishes it.
    fn work_in(&mut self, run: &FrameRun<'_>, offset: u64) -> Result<(), RegistryError> {
        // A payload is read in place, and must begin on a word.
        let mut aligned = AlignedVec::<16>::with_capacity(run.bytes().len());
        aligned.extend_from_slice(run.bytes());
        let mut at = 0;
        while let Some(rest) = aligned.get(at..).filter(|rest| !rest.is_empty()) {
            let sequence = self.position.sequence + 1;
            let frame = Frame::first_of(rest).map_err(|what| RegistryError::Untaken { sequence, what })?;
            if let Err(error) = self.replay(&frame) {
                return Err(self.refuse(error, sequence, offset + at as u64));
            }
            at += frame.bytes.len();
        }
        Ok(())
    }

    /// Takes a frame back that cannot be worked in, and those behind it: nothing of them is published.
    fn refuse(&mut self, error: ReplayError, sequence: u64, offset: u64) -> RegistryError {
        tracing::error!(%error, sequence, "a frame of the followed stream cannot be worked in");
        let refused = match error {
            ReplayError::State => RegistryError::Diverged { sequence },
            ReplayError::Record(_) | ReplayError::Ledger(_) => RegistryError::Untaken { sequence, what: Fault::Payload },
            // Memory has no room, which says nothing of the frame: it stays in the log, for the next start.
            ReplayError::Registry(error) => {
                self.troubles.raise(Trouble::MemoryBehind, error.to_string());
                return error;
            }
        };
        if self.position.sequence >= sequence {
            let detail = format!("sequence {sequence} came into memory and is not what it was worked out to be");
            self.troubles.raise(Trouble::MemoryBehind, detail);
            return refused;
        }
        let position = self.position;
        if sabotaged(Sabotage::LeaveWhatDiverged) {
            return refused;
        }
        let taken_back = self.log.as_mut().map_or(Ok(()), |log| log.take_back(offset, position));
        self.note_poison(taken_back.as_ref().err());
        self.publish_figures();
        refused
    }
}
