//! What the log says besides rows: masters, feeds, and the horizon.

use std::collections::HashMap;
use std::sync::Arc;

use super::files::{FileHistory, Files, KnownFile};
use super::tally::CountMap;
use crate::domain::day::Day;
use crate::domain::decision::{Source, Sources};
use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::{MasterError, MasterKind, Masters};
use crate::record::StateChecksum;
use crate::record::checksum::master_content;
use crate::record::payload::{FeedPhase, FeedRecord, MasterPiece};

/// The horizon of a stream that has none yet: before every day.
pub(super) const NO_HORIZON: Day = Day::from_packed_trusted(18_680_101);

/// Masters and feeds at one point of the log.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The masters.
    pub masters: Arc<Masters>,
    /// Their share of the state checksum.
    pub checksum: StateChecksum,
    /// The horizon.
    pub horizon: Day,
    texts: HashMap<MasterKind, String>,
    /// The sequences of each table's pieces, so that a newer table takes the older one's place in the store.
    pieces: HashMap<MasterKind, Vec<u64>>,
    /// Pieces of a table that is not whole yet.
    incoming: Vec<u8>,
    incoming_sequences: Vec<u64>,
    files: Files,
    feeds: HashMap<AuthorityCode, AuthorityFeed>,
}

#[derive(Clone, Debug)]
struct AuthorityFeed {
    last_sequence: u64,
    file_hash: String,
    last_ended_unix_s: Option<u64>,
}

impl Ledger {
    /// Before the first frame of a stream.
    pub fn empty(horizon: Day) -> Ledger {
        Ledger {
            masters: Arc::new(Masters::default()),
            checksum: StateChecksum::EMPTY,
            horizon,
            texts: HashMap::new(),
            pieces: HashMap::new(),
            incoming: Vec::new(),
            incoming_sequences: Vec::new(),
            files: Files::default(),
            feeds: HashMap::new(),
        }
    }

    /// Works in a master piece; gives the sequences of the pieces it makes obsolete when it completes a table.
    pub fn take_master(&mut self, sequence: u64, piece: &MasterPiece) -> Result<Vec<u64>, LedgerError> {
        if piece.piece == 0 {
            self.incoming.clear();
            self.incoming_sequences.clear();
        }
        self.incoming.extend_from_slice(&piece.text);
        self.incoming_sequences.push(sequence);
        if piece.piece + 1 < piece.pieces {
            return Ok(Vec::new());
        }
        let bytes = std::mem::take(&mut self.incoming);
        let text = String::from_utf8(bytes).map_err(|_| LedgerError::Text)?;
        self.replace(piece.kind, text)?;
        let now = std::mem::take(&mut self.incoming_sequences);
        Ok(self.pieces.insert(piece.kind, now).unwrap_or_default())
    }

    /// The whole state checksum's master share, were a table replaced by `text`; checks the text on the way.
    pub fn checksum_with(&self, kind: MasterKind, text: &str) -> Result<StateChecksum, MasterError> {
        let mut masters = (*self.masters).clone();
        masters.replace(kind, text)?;
        let mut checksum = self.checksum;
        if let Some(old) = self.texts.get(&kind) {
            checksum.take(0, master_content(kind, old));
        }
        checksum.add(0, master_content(kind, text));
        Ok(checksum)
    }

    /// Works in a feed record.
    pub fn take_feed(&mut self, sequence: u64, time_unix_ms: u64, feed: &FeedRecord) {
        for code in &feed.authorities {
            let Ok(authority) = AuthorityCode::parse(code.as_bytes()) else { continue };
            let entry = self.feeds.entry(authority).or_insert_with(|| AuthorityFeed {
                last_sequence: sequence,
                file_hash: String::new(),
                last_ended_unix_s: None,
            });
            entry.last_sequence = sequence;
            entry.file_hash.clone_from(&feed.file_hash);
            if feed.phase == FeedPhase::Ended {
                entry.last_ended_unix_s = Some(time_unix_ms / 1000);
            }
        }
        self.files.take(sequence, feed);
    }

    /// What is remembered of files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// What a file's own history says beside that of its authorities: something newer from any of them makes it an older file.
    pub fn judge(&self, hash: &str, history: &FileHistory, authorities: &[AuthorityCode]) -> KnownFile {
        let is_older = authorities.iter().any(|authority| {
            let feed = self.feeds.get(authority);
            feed.is_some_and(|feed| feed.file_hash != hash && feed.last_sequence > history.last_sequence)
        });
        match history {
            _ if is_older => KnownFile::Older,
            FileHistory { ended: true, rejects: 0, .. } => KnownFile::Completed,
            _ => KnownFile::Begun,
        }
    }

    /// The authorities as sources, given which have current rows.
    pub fn sources(&self, rows: &CountMap<AuthorityCode, u64>) -> Sources {
        let mut sources = Sources::default();
        for (authority, feed) in &self.feeds {
            let source = Source { last_feed_unix_s: feed.last_ended_unix_s, has_current_rows: false };
            sources.set(*authority, source);
        }
        for (authority, _) in rows.iter().filter(|(_, rows)| **rows > 0) {
            sources.set(*authority, Source { has_current_rows: true, ..sources.of(authority) });
        }
        sources
    }

    /// The text of a table, for `masters show` and snapshots.
    pub fn text(&self, kind: MasterKind) -> Option<&str> {
        self.texts.get(&kind).map(String::as_str)
    }

    fn replace(&mut self, kind: MasterKind, text: String) -> Result<(), MasterError> {
        let checksum = self.checksum_with(kind, &text)?;
        Arc::make_mut(&mut self.masters).replace(kind, &text)?;
        self.checksum = checksum;
        self.texts.insert(kind, text);
        Ok(())
    }
}

/// Why a frame of the ledger cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A table is not UTF-8.
    #[error("a master table that is not UTF-8")]
    Text,
    /// A table is faulty.
    #[error(transparent)]
    Master(#[from] MasterError),
}
