//! A bundle: a part of the log in one file, for houses without a line. `docs/bundle-format.md` gives its bytes.
//!
//! It holds a checkpoint that the hub signed and the frames that lead to it; with a snapshot of the hub as well it begins a directory.
//! Whoever carries it is believed nothing: what a file says of itself only tells how to read it, and each part is held against the hub's
//! signatures and the own log before anything is applied.

mod export;
mod header;
mod import;
mod parts;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use export::{ExportOptions, export};
pub use import::{begin_from, import};
pub use parts::Bundle;

use super::refusal::Refusal;
use super::tail::TailError;
use crate::log::StreamId;
use crate::registry::RegistryError;
use crate::sync::key::KeyError;

/// Why a bundle is not made, or not taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is a pipe, a directory or a device.
    #[error("{} is not a regular file; a bundle is read more than once, so save it to a disk first", path.display())]
    NotARegularFile {
        /// What it is called.
        path: PathBuf,
    },
    /// It was not written as it was meant.
    #[error("{} was not written as it was meant: what is read back is something else; take another medium", path.display())]
    WrittenWrongly {
        /// The file.
        path: PathBuf,
    },
    /// It does not begin as a bundle does.
    #[error("{} is no bundle", path.display())]
    NoBundle {
        /// The file.
        path: PathBuf,
    },
    /// A later version of the program wrote it.
    #[error("{} has bundle format {found}; this program knows up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The newest that can be read.
        known: u32,
    },
    /// The file ends early.
    #[error("{} is truncated: {found} of its {expected} bytes are there; copy it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// How long it should be, bytes.
        expected: u64,
        /// How long it is.
        found: u64,
    },
    /// The file is not as it was written.
    #[error("{} is damaged: its content does not match its checksum; copy it again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// What it holds is not believed.
    #[error("{}: {refusal}", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// It says of itself what its parts do not.
    #[error("{} is forged: {what}", path.display())]
    Forged {
        /// The file.
        path: PathBuf,
        /// What does not agree.
        what: &'static str,
    },
    /// It begins behind where the directory stands.
    #[error("this bundle begins at {begins}, this directory stands at {stands}: {} sequences are missing between them; {}",
        begins - stands - 1,
        if *holds_snapshot { "begin an empty directory from its snapshot" } else { "export one with --since at most as large" })]
    Gap {
        /// The first sequence in it.
        begins: u64,
        /// The last sequence of the directory.
        stands: u64,
        /// Whether a directory could be begun from it.
        holds_snapshot: bool,
    },
    /// A directory cannot be begun from it.
    #[error(
        "this bundle begins at {begins} and holds no snapshot: an empty directory is begun from one that begins at 1, or holds one"
    )]
    NothingToBeginFrom {
        /// The first sequence in it.
        begins: u64,
    },
    /// The key is not known.
    #[error("{} follows nothing yet: say with --hub-key whose bundles it takes", path.display())]
    NoKey {
        /// The directory.
        path: PathBuf,
    },
    /// Another key than the one that is followed.
    #[error("{} follows another key than the one given with --hub-key", path.display())]
    OtherKey {
        /// The directory.
        path: PathBuf,
    },
    /// A directory of its own stream.
    #[error("{} registers on its own, stream {stream:?}: a bundle is taken by a directory that follows the hub, or by an empty one", path.display())]
    RegistersItself {
        /// The directory.
        path: PathBuf,
        /// Its stream.
        stream: StreamId,
    },
    /// Nothing is taken at the moment.
    #[error("{} is in quarantine ({trouble}: {detail}); an operator ends it first", path.display())]
    Quarantined {
        /// The directory.
        path: PathBuf,
        /// The trouble's word.
        trouble: String,
        /// What was found.
        detail: String,
    },
    /// The frames that were asked for are not there.
    #[error("nothing behind {since}: this directory ends at {last}")]
    NothingBehind {
        /// Behind which sequence frames were asked for.
        since: u64,
        /// The last one.
        last: u64,
    },
    /// The log was trimmed.
    #[error("the log begins at {oldest}, so that a bundle cannot begin behind {since}: export one --with-snapshot, or --since {}", oldest - 1)]
    Trimmed {
        /// Behind which sequence frames were asked for.
        since: u64,
        /// The oldest that is kept.
        oldest: u64,
    },
    /// A follower that has no checkpoint to pass on.
    #[error("{} has not yet reached a place that the hub signed: let it catch up first", path.display())]
    NothingSigned {
        /// The directory.
        path: PathBuf,
    },
    /// The program is ending.
    #[error("the program is ending; what was taken stands, and the bundle can be imported again")]
    Stopped,
    /// A follower cannot sign.
    #[error("a snapshot is signed by the hub: export --with-snapshot there")]
    OnlyTheHubSigns,
    /// The log.
    #[error(transparent)]
    Log(#[from] TailError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The hub's key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What a bundle holds, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleSummary {
    /// The stream, 32 hex digits.
    pub stream: String,
    /// Its first sequence.
    pub begins: u64,
    /// Its last sequence.
    pub through: u64,
    /// When its checkpoint was signed, ms since 1970.
    pub signed_unix_ms: u64,
    /// The sequence of its snapshot, where it holds one.
    pub snapshot: Option<u64>,
    /// The file's length, bytes.
    pub bytes: u64,
}

/// What came of taking one in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// What it holds.
    pub bundle: BundleSummary,
    /// Where the directory stood before.
    pub stood: u64,
    /// Where it stands now.
    pub stands: u64,
}
