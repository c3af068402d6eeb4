//! The one writer of a registry: works changes in, makes them durable, and only then publishes them.
//!
//! `rows` and `records` are what can be asked of it, `publish` and `view` what others see of it afterwards, and `replay` the same
//! again from the log.

mod publish;
mod records;
mod replay;
mod room;
mod rows;
mod taking;
mod view;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::RegistryError;
use super::acknowledged::{Acknowledged, Standing};
use super::following::Following;
use super::ledger::Ledger;
use super::tally::Tally;
use super::troubles::{Trouble, Troubles};
use super::view::View;
use super::write_behind::WriteBehind;
use crate::domain::decision::Sources;
use crate::domain::prefectures::Prefectures;
use crate::index::{IndexReader, IndexWriter};
use crate::log::{FrameKind, LogError, LogWriter, Position};
use crate::record::StateChecksum;
use crate::record::payload::Changes;
use crate::store::{Store, StoreError, StoreMeta};

pub use view::Figures;

/// The writer.
pub(super) struct Writer {
    pub(super) index: IndexWriter,
    pub(super) reader: IndexReader,
    pub(super) ledger: Ledger,
    pub(super) tally: Tally,
    pub(super) dossiers: u64,
    pub(super) next_number: u64,
    pub(super) history_checksum: u128,
    pub(super) history_entries: u64,
    pub(super) data_unix_ms: u64,
    pub(super) position: Position,
    /// `None` while replaying, and where the log was lost.
    pub(super) log: Option<LogWriter>,
    /// `None` where there is no store to write.
    pub(super) behind: Option<WriteBehind>,
    pub(super) view: Arc<ArcSwap<View>>,
    pub(super) figures: Arc<Figures>,
    pub(super) acknowledged: Arc<Acknowledged>,
    /// Where the log's frames come from, when they are not made here.
    pub(super) follows: Option<Arc<Following>>,
    pub(super) troubles: Arc<Troubles>,
    /// Views that a reader may still hold; kept so that no look-up ever frees one.
    pub(super) old_views: Vec<Arc<View>>,
    pub(super) last_write: Instant,
    /// After this long without a frame, the last one is vouched for by a mark.
    pub(super) mark_idle: Duration,
    pub(super) scratch: Vec<u8>,
    /// The memory of the last frame's payload, empty, for the next.
    pub(super) payload: Changes,
}

impl Writer {
    /// A writer of an empty state at a place; it writes nothing yet.
    pub(super) fn new(
        index: IndexWriter,
        reader: IndexReader,
        ledger: Ledger,
        position: Position,
        troubles: Arc<Troubles>,
    ) -> Writer {
        let sources = Arc::new(Sources::default());
        let view = View::new(ledger.masters.clone(), sources, (position.sequence, 0), ledger.horizon, 0, None);
        Writer {
            index,
            reader,
            ledger,
            tally: Tally::default(),
            dossiers: 0,
            next_number: 1,
            history_checksum: 0,
            history_entries: 0,
            data_unix_ms: 0,
            position,
            log: None,
            behind: None,
            view: Arc::new(ArcSwap::from_pointee(view)),
            figures: Arc::new(Figures::default()),
            acknowledged: Arc::new(Acknowledged::at(position)),
            follows: None,
            troubles,
            old_views: Vec::new(),
            last_write: Instant::now(),
            mark_idle: Duration::ZERO,
            scratch: Vec::new(),
            payload: Changes::new(),
        }
    }

    /// The prefectures whose rows are held; `None` where all are.
    pub(super) fn held(&self) -> Option<Prefectures> {
        self.follows.as_ref().and_then(|following| following.prefectures)
    }

    /// The whole state checksum.
    pub(super) fn total(&self) -> u128 {
        self.total_with(&self.ledger.checksum)
    }

    /// The state checksum by prefecture.
    pub(super) fn checksum(&self) -> StateChecksum {
        let mut checksum = self.tally.checksum;
        checksum.merge(&self.ledger.checksum);
        checksum
    }

    /// What the store would say of itself at this place.
    pub(super) fn meta(&self) -> StoreMeta {
        StoreMeta {
            position: self.position,
            checksum: self.checksum(),
            horizon: self.ledger.horizon,
            next_number: self.next_number,
            dossiers: self.dossiers,
            rows: self.tally.rows,
            history_checksum: self.history_checksum,
            history_entries: self.history_entries,
            keys: self.index.key_count(),
            data_unix_ms: self.data_unix_ms,
        }
    }

    /// Lets the store catch up and ends its thread; marks the log.
    pub(super) fn close(&mut self, time_unix_ms: u64) -> Result<(), RegistryError> {
        let marked = self.mark(time_unix_ms);
        if let Some(behind) = &mut self.behind {
            behind.close();
        }
        marked
    }

    /// Asks the store, once it is as far as the log. A store that cannot answer is given up.
    fn ask_store<T>(&self, ask: impl FnOnce(&Store) -> Result<T, StoreError>) -> Result<T, RegistryError> {
        let behind = self.behind.as_ref().filter(|behind| behind.drain()).ok_or(RegistryError::StoreDetached)?;
        let store = behind.store().ok_or(RegistryError::StoreDetached)?;
        ask(&store).map_err(|error| {
            behind.detach(&error);
            RegistryError::StoreDetached
        })
    }

    fn total_with(&self, masters: &StateChecksum) -> u128 {
        self.tally.checksum.total().wrapping_add(masters.total())
    }

    fn check_writable(&self) -> Result<(), RegistryError> {
        match self.troubles.stops_writing() {
            Some((trouble, detail)) => Err(RegistryError::NotWritable { trouble: trouble.word(), detail }),
            None if self.log.is_none() => {
                Err(RegistryError::NotWritable { trouble: "read_only", detail: "opened for reading only".to_owned() })
            }
            None => Ok(()),
        }
    }

    /// Appends and syncs a frame; nothing is believed before that.
    fn append(&mut self, kind: FrameKind, payload: &[u8], after: u128, time_unix_ms: u64) -> Result<u64, RegistryError> {
        if kind != FrameKind::Mark {
            self.check_room()?;
        }
        let log = self.log.as_mut().ok_or(LogError::Poisoned)?;
        let appended = log.append(kind, payload, after, time_unix_ms).and_then(|_| log.sync());
        let position = log.position();
        self.note_poison(appended.as_ref().err());
        appended.inspect_err(|error| self.note_full_disk(error))?;
        self.position = position;
        self.last_write = Instant::now();
        Ok(self.position.sequence)
    }

    /// Says that the log takes nothing more, where that is so.
    fn note_poison(&self, error: Option<&LogError>) {
        if self.log.as_ref().is_some_and(LogWriter::is_poisoned) {
            self.troubles.raise(Trouble::LogPoisoned, error.map(ToString::to_string).unwrap_or_default());
        }
    }

    /// What is acknowledged; `None` while the log has more than was published.
    fn standing(&self) -> Option<Standing> {
        let end = match &self.log {
            Some(log) if log.position().sequence != self.position.sequence => return None,
            log => log.as_ref().map(LogWriter::end),
        };
        Some(Standing { position: self.position, checksum: self.checksum(), end })
    }
}

fn unix_s(unix_ms: u64) -> u32 {
    u32::try_from(unix_ms / 1000).unwrap_or(u32::MAX)
}
