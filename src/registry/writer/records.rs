//! What the log says besides rows: masters, feeds, and the mark that vouches for what came before it.

use super::Writer;
use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::MasterKind;
use crate::log::{FrameKind, LogWriter, PAYLOAD_BYTES_MAX};
use crate::record::payload::{FeedRecord, MasterPiece};
use crate::registry::{KnownFile, RegistryError, load};

impl Writer {
    /// Replaces a master table.
    pub(in crate::registry) fn set_master(
        &mut self,
        kind: MasterKind,
        text: &str,
        time_unix_ms: u64,
    ) -> Result<u64, RegistryError> {
        self.check_writable()?;
        let with = self.ledger.checksum_with(kind, text)?;
        let pieces = MasterPiece::split(kind, text, PAYLOAD_BYTES_MAX - 8);
        for piece in &pieces {
            let payload = piece.to_bytes();
            let is_last = piece.piece + 1 == piece.pieces;
            let after = if is_last { self.total_with(&with) } else { self.total() };
            let sequence = self.append(FrameKind::Master, &payload, after, time_unix_ms)?;
            let obsolete = self.ledger.take_master(sequence, piece)?;
            self.finish_ledger_frame(FrameKind::Master, payload, obsolete, time_unix_ms);
        }
        Ok(self.position.sequence)
    }

    /// Records that a file began or ended.
    pub(in crate::registry) fn record_feed(&mut self, feed: &FeedRecord, time_unix_ms: u64) -> Result<u64, RegistryError> {
        self.check_writable()?;
        let payload = feed.to_bytes();
        let sequence = self.append(FrameKind::Feed, &payload, self.total(), time_unix_ms)?;
        self.ledger.take_feed(sequence, time_unix_ms, feed);
        self.finish_ledger_frame(FrameKind::Feed, payload, Vec::new(), time_unix_ms);
        Ok(sequence)
    }

    /// What is known of a file; the store is asked about one that memory may have forgotten.
    pub(in crate::registry) fn known_file(&self, hash: &str, authorities: &[AuthorityCode]) -> KnownFile {
        let files = self.ledger.files();
        let history = match files.of(hash) {
            Some(history) => Ok(Some(*history)),
            None if files.forgot_some() => self.ask_store(|store| load::file_in_ledger(store, hash)),
            None => Ok(None),
        };
        match history {
            Ok(Some(history)) => self.ledger.judge(hash, &history, authorities),
            Ok(None) => KnownFile::New,
            Err(_) => KnownFile::CannotBeKnown,
        }
    }

    /// Appends a mark if the last frame is not yet vouched for, so that it does not stay the last.
    pub(in crate::registry) fn mark(&mut self, time_unix_ms: u64) -> Result<(), RegistryError> {
        let total = self.total();
        if self.is_marked() || self.check_writable().is_err() {
            return Ok(());
        }
        match self.append(FrameKind::Mark, &[], total, time_unix_ms) {
            // What it would vouch for is durable all the same; it is appended once there is room.
            Err(RegistryError::Log(error)) if error.is_out_of_room() => return Ok(()),
            appended => appended?,
        };
        self.hand_over_position(time_unix_ms);
        self.publish_view(false);
        Ok(())
    }

    /// Whether nothing was written for a while and the last frame is not vouched for.
    pub(in crate::registry) fn wants_mark(&self) -> bool {
        self.last_write.elapsed() >= self.mark_idle && !self.is_marked()
    }

    /// A log whose frames are made elsewhere gets no marks but those that come.
    fn is_marked(&self) -> bool {
        self.follows.is_some() || self.log.as_ref().is_none_or(LogWriter::ends_with_a_mark)
    }
}
