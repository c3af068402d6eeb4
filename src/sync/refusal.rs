//! Why something that came was not taken: each reason its own, with its own words.

use super::checkpoint::CheckpointError;
use crate::log::{Fault, StreamId};
use crate::registry::Trouble;

/// A refusal. Look-ups go on from the last state that was verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Bytes that are no checkpoint this program can read.
    #[error("what came is no checkpoint: {0}")]
    NoCheckpoint(CheckpointError),
    /// A checkpoint or manifest that the pinned key did not sign.
    #[error("its signature is not by the hub_key that this directory follows: another hub, or forged")]
    Signature,
    /// Another stream than the one that is followed: a new one after a restore.
    #[error("the hub's stream is {offered:?}, and {ours:?} is followed: the hub was restored, or is another one")]
    OtherStream {
        /// The stream that is followed.
        ours: StreamId,
        /// The one that came.
        offered: StreamId,
    },
    /// Signed later than what was seen before, and yet it ends earlier: the hub lost what it had.
    #[error(
        "the hub signed sequence {offered} after it had signed {seen}: it was rolled back, by an old copy of its directory perhaps"
    )]
    RolledBack {
        /// The highest sequence that was seen signed.
        seen: u64,
        /// What came.
        offered: u64,
    },
    /// An older checkpoint than what was seen: one that is shown again, or by a source that is behind.
    #[error(
        "a checkpoint of sequence {offered} came that is older than the one of {seen} seen before: shown again, or its source is behind"
    )]
    Replayed {
        /// The highest sequence that was seen signed.
        seen: u64,
        /// What came.
        offered: u64,
    },
    /// It ends before the own log does.
    #[error("the hub's log ends at sequence {offered}, before the own log at {ours}: the hub was rolled back")]
    EndsBeforeOurs {
        /// Where the own log stands.
        ours: u64,
        /// What came.
        offered: u64,
    },
    /// The hub signed another history than it had signed, or than the own log holds.
    #[error("the hub signed another history at sequence {sequence} than the one that is held: forked")]
    Forked {
        /// Where the two differ.
        sequence: u64,
    },
    /// The frames do not arrive at the chain that was signed.
    #[error(
        "the frames behind sequence {after} do not lead to the chain that the hub signed for {signed}: a swapped or altered segment, or the logs have parted"
    )]
    NotTheSignedChain {
        /// Where the frames began.
        after: u64,
        /// The signed place.
        signed: u64,
    },
    /// Frames are left out.
    #[error("sequence {expected} was to follow, and {found} came: frames are missing")]
    Gap {
        /// What was to follow.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// Bytes that are no frame.
    #[error("behind sequence {after} came what is no frame: {fault}")]
    NoFrame {
        /// The last good frame.
        after: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// The bytes ended, and the place that was signed was not reached.
    #[error("the segment ends behind sequence {after}, and the hub signed {signed}: it was truncated")]
    Truncated {
        /// The last frame that came.
        after: u64,
        /// The place that was to be reached.
        signed: u64,
    },
    /// A snapshot's file is not what the hub signed.
    #[error("the snapshot of sequence {sequence} is not the file that the hub signed")]
    NotTheSignedSnapshot {
        /// Where it was taken.
        sequence: u64,
    },
    /// After the same frames the state is another one.
    #[error("the state at sequence {sequence} is not the one that the hub signed: diverged")]
    Diverged {
        /// Where.
        sequence: u64,
    },
    /// The source no longer holds the frames that follow the own log.
    #[error("sequence {needed} is needed, and the source's log begins at {oldest}: too far behind, a snapshot is needed")]
    TooFarBehind {
        /// The next sequence.
        needed: u64,
        /// The oldest the source holds.
        oldest: u64,
    },
    /// More frames than the spool may hold without a signed place among them.
    #[error("no signed place lies within {bytes_max} bytes behind sequence {after}: a snapshot is needed")]
    NoPlaceInReach {
        /// Where the frames began.
        after: u64,
        /// What the spool may hold, bytes.
        bytes_max: u64,
    },
}

impl Refusal {
    /// The trouble that it is.
    pub const fn trouble(&self) -> Trouble {
        match self {
            Refusal::Signature => Trouble::HubSignature,
            Refusal::OtherStream { .. } => Trouble::HubOtherStream,
            Refusal::RolledBack { .. } | Refusal::EndsBeforeOurs { .. } => Trouble::HubRolledBack,
            Refusal::Forked { .. } => Trouble::HubForked,
            Refusal::Diverged { .. } => Trouble::HubDiverged,
            Refusal::TooFarBehind { .. } | Refusal::NoPlaceInReach { .. } => Trouble::HubTooFar,
            Refusal::NoCheckpoint(_)
            | Refusal::Replayed { .. }
            | Refusal::NotTheSignedChain { .. }
            | Refusal::NotTheSignedSnapshot { .. }
            | Refusal::Gap { .. }
            | Refusal::NoFrame { .. }
            | Refusal::Truncated { .. } => Trouble::HubRefused,
        }
    }

    /// Whether nothing more is taken from there until an operator says so. The others are what a line or a relay may bring about, and
    /// are asked for again.
    pub const fn quarantines(&self) -> bool {
        self.trouble().is_of_quarantine()
    }
}

impl From<CheckpointError> for Refusal {
    fn from(error: CheckpointError) -> Refusal {
        match error {
            CheckpointError::Signature => Refusal::Signature,
            CheckpointError::Form | CheckpointError::Newer(_) => Refusal::NoCheckpoint(error),
        }
    }
}
