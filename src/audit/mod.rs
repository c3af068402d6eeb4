#![forbid(unsafe_code)]
//! Who asked about whom, when, and what was said: every look-up leaves an entry.
//!
//! A look-up writes a few words into a ring (`ring`) and goes on. One thread takes them out, turns the hash of who was asked about into a
//! pseudonym (`pseudonym`) and packs blocks (`encoder`); another puts the blocks into chained segments and syncs them (`writer`).
//! Memory between them is bounded: when the disk cannot follow, blocks fill, then the rings, and then a look-up is told so. What was
//! taken is never dropped without a word.
//!
//! `docs/audit-format.md` gives the bytes, `docs/decisions/audit.md` the reasons.

mod auditor;
mod batch;
mod block;
mod chain;
mod contents;
mod encoder;
mod entry;
mod files;
mod note;
mod pseudonym;
mod reader;
mod recovery;
mod retention;
pub mod review;
mod ring;
mod segment;
mod state;
mod status;
mod sync;
#[cfg(test)]
mod tests;
mod threads;
pub mod verify;
mod writer;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub use auditor::{AuditFull, AuditOptions, Auditor};
pub use batch::BatchEntry;
pub use chain::{AuditChain, AuditStream};
pub use contents::{LineOfBatch, LookedUp, Noted, Period, Reading, read};
pub use entry::{BatchHead, Entry, TokenId, Via, is_miss};
pub use note::Note;
pub use pseudonym::{Pseudonym, PseudonymKey};
pub use reader::AuditFault;
pub use status::{AuditCondition, AuditStatus};

use crate::head::HeadError;

pub(crate) const FORMAT_VERSION: u32 = 1;

/// The audit's directory in a data directory.
pub const AUDIT_DIRECTORY: &str = "audit";

/// What keeps the audit from working.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The disk said no.
    #[error("{}: {source}", path.display())]
    Disk {
        /// The file or directory.
        path: PathBuf,
        /// In which step.
        step: Step,
        /// What it said.
        source: std::io::Error,
    },
    /// The key of the pseudonyms is not what was written.
    #[error("{} is damaged: put a copy of it back; without it nobody can tell who was asked about", path.display())]
    KeyDamaged {
        /// The file.
        path: PathBuf,
    },
    /// There are segments, but no key.
    #[error(
        "{} is missing beside older entries: put a copy of it back, or move the whole directory away to begin anew with other pseudonyms",
        path.display()
    )]
    KeyMissing {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote this.
    #[error("{} has audit format {found}; this program knows up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The version in it.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    Random(String),
    /// The system gave no thread.
    #[error("no thread for the audit: {0}")]
    Thread(std::io::Error),
    /// A write or a sync failed earlier: nothing more is written until a restart.
    #[error("the audit is poisoned: a write or a sync failed; mend the disk and restart")]
    Poisoned,
    /// Entries that were taken could not be written.
    #[error("{entries} entries of the audit could not be written: {why}")]
    Lost {
        /// How many.
        entries: u64,
        /// Why.
        why: String,
    },
    /// Everything was written, but the last segment could not be sealed.
    #[error("the audit ends without a seal; the next start sets one: {why}")]
    Unsealed {
        /// Why.
        why: String,
    },
}

/// What was being done when the disk said no. A failed sync is never tried again: what the system dropped cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Reading.
    Read,
    /// Writing, renaming or removing.
    Write,
    /// Making durable.
    Sync,
}

/// What is wrong with bytes of the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The file ends within something.
    #[error("it ends too early")]
    Short,
    /// No magic number where one must be.
    #[error("nothing of the audit's where a header or block must be")]
    Magic,
    /// A length that cannot be.
    #[error("an impossible length")]
    Length,
    /// The checksum does not match.
    #[error("its checksum does not match")]
    Checksum,
    /// A kind that this version does not have.
    #[error("a block of an unknown kind")]
    Kind,
    /// Entries are missing or repeated.
    #[error("an entry number that does not follow")]
    Number,
    /// What comes before is not what was written.
    #[error("it does not continue the chain: what stands before it was changed, removed or exchanged")]
    Chain,
    /// The inside is not what the kind says.
    #[error("its content is not what its kind says")]
    Content,
    /// Bytes after the seal.
    #[error("bytes behind the seal")]
    BehindSeal,
    /// A segment follows, but this one has no seal.
    #[error("it has no seal, though it was sealed")]
    NotSealed,
    /// The file's name is not that of its first entry.
    #[error("its name is not the number of its first entry")]
    Name,
    /// It belongs to another stream.
    #[error("it belongs to another stream")]
    Stream,
    /// Its pseudonyms were made with another key than the one that is there.
    #[error("its pseudonyms were made with another key")]
    Key,
    /// Segments before this one are missing.
    #[error("segments before it are missing")]
    Missing,
    /// Segments or entries at the end are missing.
    #[error("what was durable at its end is missing")]
    EndMissing,
    /// What was durable was changed.
    #[error("it does not have the chain that it had when it was durable")]
    EndChanged,
    /// The state or the key is not there, but there are segments.
    #[error("it is missing beside segments")]
    FileMissing,
    /// A start found what no crash explains, and went on behind it.
    #[error("a start found the audit damaged and went on behind it")]
    FoundDamaged,
    /// The chain is not the one that was kept elsewhere.
    #[error("the chain kept elsewhere is not in it")]
    NotAsKept,
    /// A later version of the program wrote this.
    #[error("format {0}, which this program does not know")]
    Newer(u32),
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Fault {
        match error {
            HeadError::Magic => Fault::Magic,
            HeadError::Checksum => Fault::Checksum,
            HeadError::Newer(version) => Fault::Newer(version),
        }
    }
}

impl AuditError {
    pub(crate) fn disk(path: &Path, step: Step) -> impl FnOnce(std::io::Error) -> AuditError + '_ {
        move |source| AuditError::Disk { path: path.to_owned(), step, source }
    }

    /// Whether it is worth trying again later: only room was missing, and nothing that was to be durable is in doubt.
    pub(crate) fn is_want_of_space(&self) -> bool {
        let AuditError::Disk { step: Step::Write, source, .. } = self else { return false };
        matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }
}
