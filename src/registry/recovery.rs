//! What to do at the start, from what the log and the store say of themselves: the tables of `docs/format.md`.

/// What is known of the log before any frame is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFacts {
    /// There is none.
    None,
    /// Its segments' headers are good; it begins with this sequence.
    Readable {
        /// The first sequence.
        first_sequence: u64,
    },
    /// A header is damaged, or a segment is missing.
    Damaged,
    /// A later version of the program wrote it.
    Newer,
}

/// What is known of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreFacts {
    /// There is none, or nothing was ever applied to it.
    None,
    /// It is readable and of the log's stream; it stands at this sequence.
    Good {
        /// The applied sequence.
        sequence: u64,
    },
    /// It cannot be opened or read, is of another stream or another history of it, or its checksum fails.
    Damaged,
}

/// How a start begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A new stream in an empty directory.
    NewStream,
    /// Load the store, replay the log behind it.
    FromStore,
    /// Move the store aside, if there is one, and rebuild everything from the log.
    FromLog,
    /// The same, from the snapshot that the directory was restored from, and the log.
    FromBase,
    /// Answer from the store; take no writes, destroy nothing: the log was lost.
    StoreOnlyLogLost,
    /// Answer from the store; take no writes: the log is damaged.
    StoreOnlyLogCorrupt,
    /// There is no verified state.
    Refuse,
    /// A later version of the program must be used.
    RefuseNewer,
}

/// Decides. `base_sequence` is the sequence of `snapshots/base.snap`, where there is one.
pub fn decide(log: LogFacts, store: StoreFacts, base_sequence: Option<u64>) -> Start {
    match (log, store) {
        (LogFacts::Newer, _) => Start::RefuseNewer,
        (LogFacts::None, StoreFacts::None) if base_sequence.is_none() => Start::NewStream,
        (LogFacts::None, StoreFacts::Good { .. }) => Start::StoreOnlyLogLost,
        (LogFacts::None, _) => Start::Refuse,
        (LogFacts::Damaged, StoreFacts::Good { .. }) => Start::StoreOnlyLogCorrupt,
        (LogFacts::Damaged, _) => Start::Refuse,
        (LogFacts::Readable { first_sequence }, StoreFacts::Good { sequence }) if first_sequence <= sequence + 1 => {
            Start::FromStore
        }
        (LogFacts::Readable { first_sequence: 1 }, _) => Start::FromLog,
        (LogFacts::Readable { first_sequence }, _) if base_sequence.is_some_and(|base| first_sequence <= base + 1) => {
            Start::FromBase
        }
        // The log begins behind what the store has: frames between the two are missing.
        (LogFacts::Readable { .. }, StoreFacts::Good { .. }) => Start::StoreOnlyLogLost,
        (LogFacts::Readable { .. }, _) => Start::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: LogFacts = LogFacts::Readable { first_sequence: 1 };
    const LATE: LogFacts = LogFacts::Readable { first_sequence: 100 };
    const GOOD: StoreFacts = StoreFacts::Good { sequence: 50 };
    const AHEAD: StoreFacts = StoreFacts::Good { sequence: 120 };

    #[test]
    fn every_line_of_the_table_decides_as_it_says() {
        for (log, store, base, start) in [
            (LogFacts::None, StoreFacts::None, None, Start::NewStream),
            (LogFacts::None, StoreFacts::None, Some(9), Start::Refuse),
            (WHOLE, GOOD, None, Start::FromStore),
            (LATE, AHEAD, None, Start::FromStore),
            (LATE, StoreFacts::Good { sequence: 99 }, None, Start::FromStore),
            (WHOLE, StoreFacts::None, None, Start::FromLog),
            (WHOLE, StoreFacts::Damaged, None, Start::FromLog),
            (LATE, StoreFacts::None, Some(99), Start::FromBase),
            (LATE, StoreFacts::Damaged, Some(99), Start::FromBase),
            (LATE, StoreFacts::Good { sequence: 98 }, Some(99), Start::FromBase),
            (LATE, StoreFacts::Damaged, Some(98), Start::Refuse),
            (LATE, StoreFacts::None, None, Start::Refuse),
            (LATE, GOOD, None, Start::StoreOnlyLogLost),
            (LogFacts::None, GOOD, None, Start::StoreOnlyLogLost),
            (LogFacts::None, StoreFacts::Damaged, None, Start::Refuse),
            (LogFacts::Damaged, GOOD, None, Start::StoreOnlyLogCorrupt),
            (LogFacts::Damaged, StoreFacts::None, None, Start::Refuse),
            (LogFacts::Damaged, StoreFacts::Damaged, Some(99), Start::Refuse),
            (LogFacts::Newer, GOOD, None, Start::RefuseNewer),
            (LogFacts::Newer, StoreFacts::None, None, Start::RefuseNewer),
        ] {
            assert_eq!(decide(log, store, base), start, "{log:?} {store:?} {base:?}");
        }
    }
}
