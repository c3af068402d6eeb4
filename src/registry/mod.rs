//! The heart: log, store and index behind *open*, *append*, *look up*, *recover*.
//!
//! One writer behind a lock; any number of readers that never take it. A registration is worked out against the index, appended
//! to the log and synced, and only then published and handed to the store. A start judges what is there by the tables in
//! `recovery`, and says what it found.

mod acknowledged;
mod base;
mod counts;
mod files;
mod following;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod image;
pub mod ledger;
mod load;
mod lock;
pub mod lookup;
mod open;
mod part;
mod plan;
mod publishing;
pub mod recovery;
mod shelf;
pub mod snapshot;
pub mod tally;
pub mod troubles;
pub mod verify;
pub mod view;
mod write_behind;
mod writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::disk::Disk;
use crate::domain::day::Day;
use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::{MasterError, MasterKind};
use crate::index::{IndexError, IndexReader};
use crate::log::{Fault, LogError, Position, StreamId};
use crate::record::payload::{Changes, FeedRecord};
use crate::store::StoreError;

pub use crate::domain::prefectures::{NotPrefectures, Prefectures};
pub use counts::{Applied, Counts};
pub use files::{FileHistory, Files, KnownFile};
pub use following::{Following, FollowingError};
pub use image::{ImageOptions, Pace};
pub use lock::DirectoryLock;
pub use open::OpenOptions;
pub use plan::Outcome;
pub use publishing::{SegmentEntry, SegmentReader};
pub use shelf::{Keeping, NewestSnapshot, Round, ShelfStanding};
pub use tally::{Fill, fill_key};
pub use troubles::{Trouble, Troubles};
pub use view::View;
pub use writer::Figures;

/// How far back an answer reaches, months, counted to the first of a month.
pub const RETENTION_MONTHS: i64 = 24;

/// The horizon on a day: the first of the month, 24 months back.
pub fn horizon_on(day: Day) -> Day {
    day.first_of_month().plus_months(-RETENTION_MONTHS)
}

/// What the registry could not do.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A master table.
    #[error(transparent)]
    Master(#[from] MasterError),
    /// A master table, on its way out of the log.
    #[error(transparent)]
    Ledger(#[from] ledger::LedgerError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] snapshot::SnapshotError),
    /// Following a stream.
    #[error(transparent)]
    Following(#[from] FollowingError),
    /// The directory follows a stream, and nothing is registered there but what comes from its hub.
    #[error("{} follows stream {stream:?}; register at its hub", path.display())]
    Follows {
        /// The directory.
        path: PathBuf,
        /// The stream.
        stream: StreamId,
    },
    /// Frames of a hub are taken by a directory that follows it only.
    #[error("{} follows no stream", path.display())]
    FollowsNothing {
        /// The directory.
        path: PathBuf,
    },
    /// A frame of the hub that cannot be read, or is not the next one.
    #[error("frame {sequence} cannot be taken: {what}")]
    Untaken {
        /// The sequence that was to come next.
        sequence: u64,
        /// What is wrong with the bytes.
        what: Fault,
    },
    /// A frame of the hub after which the state here would not be the one it carries. Nothing of it was published.
    #[error("diverged at sequence {sequence}: the state after this frame is not the one it carries")]
    Diverged {
        /// The frame's sequence.
        sequence: u64,
    },
    /// The log is not handed on to others now.
    #[error("the log is not handed on while there is {trouble}: {detail}")]
    NotHandedOn {
        /// The trouble's word.
        trouble: &'static str,
        /// What is known of it.
        detail: String,
    },
    /// The log has no segment of this name, or none any more.
    #[error("the log has no segment that begins with sequence {first_sequence}")]
    NoSegment {
        /// The sequence asked for.
        first_sequence: u64,
    },
    /// A file or directory.
    #[error("{}: {source}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another process owns the directory.
    #[error("{} is in use by process {owner}", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process id in its lock file.
        owner: String,
    },
    /// There is nothing that could be answered from.
    #[error("no verified state in {}: {detail}", path.display())]
    NoVerifiedState {
        /// The directory.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Nothing can be registered now.
    #[error("nothing is registered while there is {trouble}: {detail}")]
    NotWritable {
        /// The trouble's word.
        trouble: &'static str,
        /// What is known of it.
        detail: String,
    },
    /// Memory ended within a frame.
    #[error("memory ran out within a frame (memory_behind), and a snapshot of it would not add up; restart first")]
    MemoryBehind,
    /// Whether a row was ever registered cannot be known without the store.
    #[error("the store is detached: whether a withdrawn row was ever registered cannot be known; restart first")]
    StoreDetached,
    /// The disk is too full for a snapshot.
    #[error("{}: {needed_bytes} bytes must be free for a snapshot, so that the log keeps its room; {free_bytes} are", path.display())]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What must be free, bytes.
        needed_bytes: u64,
        /// What is free, bytes.
        free_bytes: u64,
    },
    /// A row that no frame or dossier can hold.
    #[error("a row larger than a frame or a dossier can hold")]
    RowTooLarge,
}

impl RegistryError {
    fn directory(path: &Path) -> impl FnOnce(std::io::Error) -> RegistryError + '_ {
        move |source| RegistryError::Directory { path: path.to_owned(), source }
    }
}

/// What a look-up holds: index and view, without a lock. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    index: IndexReader,
    view: Arc<ArcSwap<View>>,
    data_age_max_s: Option<u64>,
}

impl Reader {
    /// The view of this moment.
    #[inline]
    pub fn view(&self) -> arc_swap::Guard<Arc<View>> {
        self.view.load()
    }

    /// The index alone, for measuring it without the decision.
    pub fn index(&self) -> &IndexReader {
        &self.index
    }

    /// The age from which data are too old, seconds.
    pub fn data_age_max_s(&self) -> Option<u64> {
        self.data_age_max_s
    }
}

/// A registry that is open.
pub struct Registry {
    directory: PathBuf,
    disk: Arc<dyn Disk>,
    stream: StreamId,
    reader: Reader,
    figures: Arc<Figures>,
    troubles: Arc<Troubles>,
    following: Option<Arc<Following>>,
    acknowledged: Arc<acknowledged::Acknowledged>,
    /// What is known of sealed segments, which never change.
    sealed: Mutex<BTreeMap<u64, SegmentEntry>>,
    writer: Mutex<writer::Writer>,
    notes: Vec<String>,
    image: image::Images,
    standing: shelf::StandingCell,
    /// Held while the log's sealed segments are read, or old ones removed.
    log_files: Mutex<()>,
    _lock: DirectoryLock,
}

impl Registry {
    /// Whether nothing was ever registered in a directory: no log, no store, nothing restored. Opening it would begin a new stream.
    pub fn is_blank(directory: &Path) -> bool {
        [directory.join("log"), directory.join("store"), base::path(directory)].iter().all(|path| !path.exists())
    }

    /// Opens a directory, or makes a new stream in an empty one. Takes as long as loading takes; `notes` say what was found.
    pub fn open(directory: &Path, options: &OpenOptions) -> Result<Registry, RegistryError> {
        open::open(directory, options)
    }

    /// Makes an empty directory one that follows a stream, from where the stream begins or from a snapshot of it; gives the place behind
    /// which frames are to come. It is opened afterwards as any other. Cut off at any point it leaves a directory that follows, or one with
    /// which the same can be done again.
    ///
    /// A stream that was itself restored does not begin empty, and is followed from a snapshot of its own only.
    pub fn begin_following(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        following: &Following,
        snapshot: Option<&Path>,
        now_unix_ms: u64,
    ) -> Result<Position, RegistryError> {
        following::begin(disk, directory, following, snapshot, now_unix_ms)
    }

    /// What the directory follows; `None` where it has a stream of its own.
    pub fn following(&self) -> Option<&Following> {
        self.following.as_deref()
    }

    /// Takes frames of the followed stream, whole and one behind the other, from `sequence() + 1` on; they were verified by a chain to a
    /// place that the hub has signed. Each is checked again, appended to the own log byte for byte and synced, and only then published.
    /// Returns the sequence of the last one.
    ///
    /// A frame after which the state would not be the one it carries is refused ([`RegistryError::Diverged`]), as is one that cannot be
    /// read ([`RegistryError::Untaken`]): the frames before it stand, and nothing of it is left.
    pub fn take_frames(&self, bytes: &[u8]) -> Result<u64, RegistryError> {
        if self.following.is_none() {
            return Err(RegistryError::FollowsNothing { path: self.directory.clone() });
        }
        self.writer().take_frames(bytes)
    }

    /// Whether frames of the followed stream could be taken now. For those who bring them: what is under way takes room as well.
    pub fn can_take_frames(&self) -> Result<(), RegistryError> {
        self.writer().can_take()
    }

    /// A handle for look-ups.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// What the start found, for a person.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What is wrong though look-ups go on.
    pub fn troubles(&self) -> &Arc<Troubles> {
        &self.troubles
    }

    /// Figures for `status` and `metrics`.
    pub fn figures(&self) -> &Arc<Figures> {
        &self.figures
    }

    /// The stream.
    pub fn stream(&self) -> StreamId {
        self.stream
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Registers and withdraws rows; each is durable and visible when this returns.
    pub fn apply(&self, changes: &Changes, time_unix_ms: u64) -> Result<Applied, RegistryError> {
        self.check_registers_here()?;
        self.writer().apply(changes, time_unix_ms)
    }

    /// Makes room for this many more rows before a large import.
    pub fn reserve_rows(&self, rows: usize) -> Result<(), RegistryError> {
        // A row brings its dossier's member key, a certificate and a card link at most once each, and its certificate's identity;
        // successive periods share all of them. 2.3 keys a row is what registers with two years of history come to.
        Ok(self.writer().index.reserve(rows.saturating_mul(23) / 10)?)
    }

    /// Replaces a master table.
    pub fn set_master(&self, kind: MasterKind, text: &str, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_registers_here()?;
        self.writer().set_master(kind, text, time_unix_ms)
    }

    /// The text of a master table.
    pub fn master_text(&self, kind: MasterKind) -> Option<String> {
        self.writer().ledger.text(kind).map(str::to_owned)
    }

    /// Records that a file began or ended.
    pub fn record_feed(&self, feed: &FeedRecord, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_registers_here()?;
        self.writer().record_feed(feed, time_unix_ms)
    }

    /// What is known of a file with this hash and these authorities. Asks the store where memory has forgotten older files.
    pub fn known_file(&self, hash: &str, authorities: &[AuthorityCode]) -> KnownFile {
        self.writer().known_file(hash, authorities)
    }

    /// Moves the horizon on, if `today` asks for it; returns how many rows left the current state. Where a stream is followed the horizon
    /// is its hub's, and this does nothing.
    pub fn prune_to(&self, today: Day, time_unix_ms: u64) -> Result<u64, RegistryError> {
        if self.following.is_some() {
            return Ok(0);
        }
        self.writer().prune(horizon_on(today), time_unix_ms)
    }

    /// The state checksum, whole.
    pub fn state_checksum(&self) -> u128 {
        self.writer().total()
    }

    /// Sequence and whole state checksum of one moment.
    pub fn position(&self) -> (u64, u128) {
        let writer = self.writer();
        (writer.position.sequence, writer.total())
    }

    /// What an examination compares a file with.
    pub fn baseline(&self) -> Baseline {
        let writer = self.writer();
        Baseline { ledger: writer.ledger.clone(), fill: writer.tally.fill.clone(), rows: writer.tally.by_authority.clone() }
    }

    /// Whether each row of a run of withdrawals is current: what the withdrawal gate counts.
    pub fn are_current(&self, changes: &Changes) -> Vec<bool> {
        self.writer().are_current(changes)
    }

    /// Work between frames: vouches for the last frame when nothing follows, and refreshes the figures.
    pub fn maintain(&self, time_unix_ms: u64) -> Result<(), RegistryError> {
        let Ok(mut writer) = self.writer.try_lock() else { return Ok(()) };
        writer.look_for_room();
        if writer.wants_mark() {
            writer.mark(time_unix_ms)?;
        }
        writer.index.tidy()?;
        writer.publish_figures();
        Ok(())
    }

    /// Lets the store catch up, marks the log, and ends.
    pub fn close(self, time_unix_ms: u64) -> Result<(), RegistryError> {
        self.finish(time_unix_ms)
    }

    /// What [`Registry::close`] does, where others still hold the registry: the directory stays taken until they let go.
    pub fn finish(&self, time_unix_ms: u64) -> Result<(), RegistryError> {
        self.writer().close(time_unix_ms)
    }

    /// Waits until the store is judged and stands where the log does; false when it is detached.
    pub fn drain_store(&self) -> bool {
        let writer = self.writer();
        writer.behind.as_ref().is_some_and(write_behind::WriteBehind::drain_judged)
    }

    /// The last durable sequence.
    pub fn sequence(&self) -> u64 {
        self.figures.sequence.load(Ordering::Acquire)
    }

    /// The prefectures whose rows are held, besides the national issuers'; `None` where all are.
    pub fn held(&self) -> Option<Prefectures> {
        self.following.as_ref().and_then(|following| following.prefectures)
    }

    fn check_registers_here(&self) -> Result<(), RegistryError> {
        match &self.following {
            Some(following) => Err(RegistryError::Follows { path: self.directory.clone(), stream: following.stream }),
            None => Ok(()),
        }
    }

    fn log_files(&self) -> MutexGuard<'_, ()> {
        self.log_files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn writer(&self) -> MutexGuard<'_, writer::Writer> {
        // A panic while writing poisons the lock; what was published stands, and the log decides at the next start.
        self.writer.lock().unwrap_or_else(|poisoned| {
            self.troubles.raise(Trouble::MemoryBehind, "registering was interrupted by a fault of the program".to_owned());
            PoisonError::into_inner(poisoned)
        })
    }
}

/// The registry at one moment, as far as the examination of a file compares with it.
pub struct Baseline {
    /// Masters and feeds.
    pub ledger: ledger::Ledger,
    /// How full the columns are, by authority and certificate type.
    pub fill: tally::CountMap<u64, Fill>,
    /// Current rows by authority.
    pub rows: tally::CountMap<AuthorityCode, u64>,
}
