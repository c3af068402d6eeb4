//! The append-only delta log: the truth of which everything else is a view. `docs/format.md` gives its bytes.

mod frame;
mod mending;
mod position;
mod reader;
pub mod recovery;
mod segment;
#[cfg(test)]
mod surviving;
mod taking;
#[cfg(test)]
mod tests;
mod trimming;
mod writer;

use std::path::PathBuf;

pub use frame::{FRAME_BYTES_MAX, Frame, FrameKind, PAYLOAD_BYTES_MAX};
pub use position::{Chain, Position, StreamId};
pub use reader::{LogReader, ReplayEnd, TornTail};
pub use segment::{SEGMENT_HEAD, SegmentHeader};
pub use taking::FrameRun;
pub use trimming::Trimmed;
pub use writer::{LogWriter, SegmentEnd};

/// A segment is sealed when the next frame would make it larger than this.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;

/// What can be wrong with the log, with file and offset where there is one.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// Bytes that are not what they should be, and not a torn tail.
    #[error("{} is corrupt at offset {offset}: {what}", path.display())]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where in it, bytes.
        offset: u64,
        /// What is wrong.
        what: Fault,
    },
    /// A later version of the program wrote this.
    #[error("{} has log format {found}; this program knows up to {known}", path.display())]
    NewerFormat {
        /// The segment.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// A later version of the program wrote this, with features that this one does not have.
    #[error("{} uses features of the log format that this program does not know (flags {flags:#x}); a later version wrote it", path.display())]
    UnknownFeatures {
        /// The segment.
        path: PathBuf,
        /// The flags in its header; 0 where other reserved bytes are in use.
        flags: u32,
    },
    /// The log does not reach back as far as is needed.
    #[error("the log begins at sequence {first}, but {needed} is needed")]
    BeginsTooLate {
        /// Its first sequence.
        first: u64,
        /// The sequence needed.
        needed: u64,
    },
    /// The log has another history than the state that was to go on with it.
    #[error("the log has another history at sequence {sequence}")]
    OtherHistory {
        /// Where the two were compared.
        sequence: u64,
    },
    /// A sync failed earlier; nothing more is acknowledged until a restart.
    #[error("the log is poisoned: a sync failed; restart to rewrite its tail")]
    Poisoned,
    /// A payload larger than a frame may carry.
    #[error("a payload of {0} bytes is larger than a frame may carry")]
    PayloadTooLarge(usize),
}

/// What is wrong with bytes of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within a header or frame.
    #[error("it ends too early")]
    Short,
    /// No magic number where one must be.
    #[error("no header where one must be")]
    Magic,
    /// A length that cannot be.
    #[error("an impossible length")]
    Length,
    /// The checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// A kind that this version does not have.
    #[error("a frame of an unknown kind")]
    Kind,
    /// Not the sequence that follows.
    #[error("a sequence that does not follow")]
    Sequence,
    /// The segment does not continue the chain of the one before.
    #[error("it does not continue the chain of the segment before")]
    Chain,
    /// The stream's first segment does not begin where a stream begins.
    #[error("it does not begin where a stream begins")]
    Beginning,
    /// The segment belongs to another stream.
    #[error("it belongs to another stream")]
    Stream,
    /// Frames or a segment that should follow are not there.
    #[error("what should follow is missing")]
    Missing,
    /// Two reads of the same place differ.
    #[error("it reads differently each time")]
    Unsteady,
    /// The payload is not what its kind says.
    #[error("its payload is not what its kind says")]
    Payload,
    /// The state after the frame is not the one it carries.
    #[error("the state after this frame is not the one it carries")]
    State,
}

impl LogError {
    /// Whether the disk had no room for what was to be written.
    pub fn is_out_of_room(&self) -> bool {
        use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        matches!(self, LogError::Disk { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge))
    }

    pub(crate) fn disk(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> LogError + '_ {
        move |source| LogError::Disk { path: path.to_owned(), source }
    }
}
