//! Which files began to be applied: what tells one that comes again, and last week's, from a new one.
//!
//! Memory holds the newest files only. The store's ledger has them all, and is asked about a hash that memory does not know once memory
//! has forgotten anything; so what is forgotten here is slower to find, never taken for new.

use std::collections::HashMap;

use crate::limits::FILES_REMEMBERED_MAX;
use crate::record::payload::{FeedPhase, FeedRecord};

/// What is known of a file, by its content's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KnownFile {
    /// It never began.
    New,
    /// It began, but was not applied to its end without rejects; nothing newer came since.
    Begun,
    /// It was applied to its end without rejects, and nothing newer came since.
    Completed,
    /// It began, and something newer came from one of its authorities since.
    Older,
    /// Whether it began cannot be known: memory has forgotten older files, and the store that has them is detached.
    CannotBeKnown,
}

/// What is remembered of a file that was applied, or begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHistory {
    /// The sequence of the newest record of it.
    pub last_sequence: u64,
    /// Whether it was applied to its end.
    pub ended: bool,
    /// Rows rejected, when it ended.
    pub rejects: u64,
}

impl FileHistory {
    /// What a record says of its file.
    pub fn of(sequence: u64, feed: &FeedRecord) -> FileHistory {
        FileHistory { last_sequence: sequence, ended: feed.phase == FeedPhase::Ended, rejects: feed.rejects }
    }
}

/// The newest files, by their hashes.
#[derive(Clone, Debug, Default)]
pub struct Files {
    remembered: HashMap<String, FileHistory>,
    forgot_some: bool,
}

impl Files {
    /// Works in a record.
    pub(super) fn take(&mut self, sequence: u64, feed: &FeedRecord) {
        self.remembered.insert(feed.file_hash.clone(), FileHistory::of(sequence, feed));
        if self.remembered.len() > FILES_REMEMBERED_MAX {
            self.forget_the_older_half();
        }
    }

    /// What is remembered of a file.
    pub fn of(&self, hash: &str) -> Option<&FileHistory> {
        self.remembered.get(hash)
    }

    /// Whether there are files that only the store knows.
    pub fn forgot_some(&self) -> bool {
        self.forgot_some
    }

    /// Half at once, so that forgetting costs next to nothing a record.
    fn forget_the_older_half(&mut self) {
        let mut sequences: Vec<u64> = self.remembered.values().map(|history| history.last_sequence).collect();
        let middle = sequences.len() / 2;
        let (_, oldest_kept, _) = sequences.select_nth_unstable(middle);
        let oldest_kept = *oldest_kept;
        self.remembered.retain(|_, history| history.last_sequence >= oldest_kept);
        self.forgot_some = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(phase: FeedPhase, hash: &str) -> FeedRecord {
        FeedRecord {
            phase,
            file_name: String::new(),
            file_hash: hash.to_owned(),
            authorities: Vec::new(),
            rows: 1,
            rejects: 2,
            gates_overridden: Vec::new(),
            accepted_by: None,
        }
    }

    #[test]
    fn the_newest_files_are_remembered_and_that_others_were_forgotten() {
        let mut files = Files::default();
        let count = FILES_REMEMBERED_MAX as u64;
        for sequence in 1..=count {
            files.take(sequence, &record(FeedPhase::Began, &format!("file {sequence}")));
        }
        assert!(!files.forgot_some() && files.of("file 1").is_some());
        // The first comes again, which makes it one of the newest.
        files.take(count + 1, &record(FeedPhase::Ended, "file 1"));
        assert!(!files.forgot_some());
        files.take(count + 2, &record(FeedPhase::Began, "one more"));
        assert!(files.forgot_some());
        assert_eq!(files.of("file 1"), Some(&FileHistory { last_sequence: count + 1, ended: true, rejects: 2 }));
        assert!(files.of("one more").is_some() && files.of(&format!("file {count}")).is_some());
        assert!(files.of("file 2").is_none() && files.of("file 3").is_none());
    }

    #[test]
    fn memory_stays_bounded_however_many_files_come() {
        let mut files = Files::default();
        for sequence in 1..=5 * FILES_REMEMBERED_MAX as u64 {
            files.take(sequence, &record(FeedPhase::Ended, &format!("file {sequence}")));
            assert!(files.remembered.len() <= FILES_REMEMBERED_MAX);
        }
        assert!(files.remembered.len() >= FILES_REMEMBERED_MAX / 2);
    }
}
