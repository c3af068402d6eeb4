//! What to do at the start, from what the log and the store say of themselves: the tables of `docs/format.md`.

/// What is known of the log before any frame is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFacts {
    /// There is none.
    None,
    /// There is one; by the name of its first segment it begins with this sequence. What is damaged in it shows when it is read.
    Readable {
        /// The first sequence.
        first_sequence: u64,
    },
    /// A later version of the program wrote it.
    Newer,
}

/// What is known of the snapshots in `snapshots/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BaseFacts {
    /// There are none.
    None,
    /// The newest that can be read, and that the log goes on from, was taken at this sequence.
    At {
        /// The sequence.
        sequence: u64,
    },
    /// There are some, but none that can be read and that the log goes on from.
    Useless,
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
    /// The same, from a snapshot and the log behind it.
    FromBase,
    /// Answer from the store; take no writes, destroy nothing: the log was lost.
    StoreOnlyLogLost,
    /// There is no verified state.
    Refuse,
    /// A later version of the program must be used.
    RefuseNewer,
}

/// Decides.
pub fn decide(log: LogFacts, store: StoreFacts, base: BaseFacts) -> Start {
    match (log, store) {
        (LogFacts::Newer, _) => Start::RefuseNewer,
        (LogFacts::None, StoreFacts::None) if base == BaseFacts::None => Start::NewStream,
        (LogFacts::None, StoreFacts::Good { .. }) => Start::StoreOnlyLogLost,
        (LogFacts::None, _) => Start::Refuse,
        (LogFacts::Readable { first_sequence }, StoreFacts::Good { sequence }) if first_sequence <= sequence + 1 => {
            Start::FromStore
        }
        (LogFacts::Readable { first_sequence }, _) if matches!(base, BaseFacts::At { sequence } if first_sequence <= sequence + 1) => {
            Start::FromBase
        }
        (LogFacts::Readable { first_sequence: 1 }, _) => Start::FromLog,
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
        let at = |sequence| BaseFacts::At { sequence };
        let none = BaseFacts::None;
        for (log, store, base, start) in [
            (LogFacts::None, StoreFacts::None, none, Start::NewStream),
            (LogFacts::None, StoreFacts::None, at(9), Start::Refuse),
            (LogFacts::None, StoreFacts::None, BaseFacts::Useless, Start::Refuse),
            (LATE, StoreFacts::None, BaseFacts::Useless, Start::Refuse),
            (LATE, StoreFacts::Good { sequence: 99 }, BaseFacts::Useless, Start::FromStore),
            (WHOLE, GOOD, none, Start::FromStore),
            (LATE, AHEAD, none, Start::FromStore),
            (LATE, StoreFacts::Good { sequence: 99 }, none, Start::FromStore),
            (WHOLE, StoreFacts::None, none, Start::FromLog),
            (WHOLE, StoreFacts::Damaged, none, Start::FromLog),
            (WHOLE, StoreFacts::Damaged, BaseFacts::Useless, Start::FromLog),
            (WHOLE, StoreFacts::Damaged, at(40), Start::FromBase),
            (WHOLE, GOOD, at(60), Start::FromStore),
            (LATE, StoreFacts::None, at(99), Start::FromBase),
            (LATE, StoreFacts::Damaged, at(99), Start::FromBase),
            (LATE, StoreFacts::Good { sequence: 98 }, at(99), Start::FromBase),
            (LATE, StoreFacts::Damaged, at(98), Start::Refuse),
            (LATE, StoreFacts::None, none, Start::Refuse),
            (LATE, GOOD, none, Start::StoreOnlyLogLost),
            (LogFacts::None, GOOD, none, Start::StoreOnlyLogLost),
            (LogFacts::None, StoreFacts::Damaged, none, Start::Refuse),
            (LogFacts::Newer, GOOD, none, Start::RefuseNewer),
            (LogFacts::Newer, StoreFacts::None, none, Start::RefuseNewer),
        ] {
            assert_eq!(decide(log, store, base), start, "{log:?} {store:?} {base:?}");
        }
    }
}
