//! What is wrong though look-ups go on: `health` lists it, `status` says more.

use std::sync::{Mutex, PoisonError};

/// A trouble that does not stop look-ups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// The store failed and is no longer written.
    StoreDetached,
    /// The store was damaged and is rebuilt from the log.
    StoreRebuilt,
    /// A sync of the log failed: nothing more is acknowledged until a restart.
    LogPoisoned,
    /// A segment of the log is damaged: nothing more is acknowledged.
    LogCorrupt,
    /// The disk would not give a sealed segment to the scrubber, which tries again.
    LogUnreadable,
    /// The log ends before the store: it was lost, nothing is written.
    LogLost,
    /// A durable change came into memory in part: nothing more is acknowledged until a restart replays it.
    MemoryBehind,
    /// The disk is full or nearly so: nothing is registered until there is room again, which needs no restart.
    DiskFull,
    /// The disk had no room for what a start writes: nothing is registered until a restart.
    NoRoomAtStart,
    /// The store's engine did not open it in time: nothing is registered until a restart.
    StoreNotOpened,
    /// A torn tail was cut off at the start.
    TornTailCut,
    /// No snapshot could be taken when one was due; it is tried again.
    SnapshotFailed,
    /// A snapshot could no longer be read as it was written.
    SnapshotDamaged,
    /// Some source's data are older than the operator allows.
    OldData,
    /// What the hub sends is not signed by the key that is followed; nothing more is taken from there.
    HubSignature,
    /// The hub has another stream than the one that is followed; nothing more is taken from there.
    HubOtherStream,
    /// The hub lost what it had signed; nothing more is taken from there.
    HubRolledBack,
    /// The hub's history is another one than the one that is held; nothing more is taken from there.
    HubForked,
    /// The state here is not the one that the hub signed; nothing more is taken from there.
    HubDiverged,
    /// The hub no longer holds the frames that follow: a snapshot is needed.
    HubTooFar,
    /// Something that came from the hub was refused; it is asked for again.
    HubRefused,
    /// There was no word from the hub for a while; it is tried again.
    HubUnreachable,
    /// The broker that is published to cannot be reached, or does not take messages; it is tried again.
    BrokerAway,
}

impl Trouble {
    /// The word in `health` and `status`.
    pub const fn word(self) -> &'static str {
        match self {
            Trouble::StoreDetached => "store_detached",
            Trouble::StoreRebuilt => "store_rebuilt",
            Trouble::LogPoisoned => "log_poisoned",
            Trouble::LogCorrupt => "log_corrupt",
            Trouble::LogUnreadable => "log_unreadable",
            Trouble::LogLost => "log_lost",
            Trouble::MemoryBehind => "memory_behind",
            Trouble::DiskFull => "disk_full",
            Trouble::NoRoomAtStart => "no_room_at_start",
            Trouble::StoreNotOpened => "store_not_opened",
            Trouble::TornTailCut => "torn_tail_cut",
            Trouble::SnapshotFailed => "snapshot_failed",
            Trouble::SnapshotDamaged => "snapshot_damaged",
            Trouble::OldData => "old_data",
            Trouble::HubSignature => "hub_signature",
            Trouble::HubOtherStream => "hub_other_stream",
            Trouble::HubRolledBack => "hub_rolled_back",
            Trouble::HubForked => "hub_forked",
            Trouble::HubDiverged => "hub_diverged",
            Trouble::HubTooFar => "hub_too_far",
            Trouble::HubRefused => "hub_refused",
            Trouble::HubUnreachable => "hub_unreachable",
            Trouble::BrokerAway => "broker_away",
        }
    }

    /// Whether it is about the snapshots alone, and not about the state or where it lies.
    pub const fn is_of_snapshots(self) -> bool {
        matches!(self, Trouble::SnapshotFailed | Trouble::SnapshotDamaged)
    }

    /// Whether nothing is taken from the hub until an operator says so.
    pub const fn is_of_quarantine(self) -> bool {
        matches!(
            self,
            Trouble::HubSignature
                | Trouble::HubOtherStream
                | Trouble::HubRolledBack
                | Trouble::HubForked
                | Trouble::HubDiverged
                | Trouble::HubTooFar
        )
    }

    /// The trouble of the hub's that has this word.
    pub fn of_the_hub(word: &str) -> Option<Trouble> {
        Trouble::OF_THE_HUB.into_iter().find(|trouble| trouble.word() == word)
    }

    /// What may be wrong with what a hub sends, in the order of the list.
    pub const OF_THE_HUB: [Trouble; 8] = [
        Trouble::HubSignature,
        Trouble::HubOtherStream,
        Trouble::HubRolledBack,
        Trouble::HubForked,
        Trouble::HubDiverged,
        Trouble::HubTooFar,
        Trouble::HubRefused,
        Trouble::HubUnreachable,
    ];

    /// What keeps a start from writing, with nothing wrong in what lies there.
    pub const OF_A_START: [Trouble; 2] = [Trouble::NoRoomAtStart, Trouble::StoreNotOpened];

    /// Whether writing stops until a restart.
    pub const fn stops_writing(self) -> bool {
        matches!(
            self,
            Trouble::LogPoisoned
                | Trouble::LogCorrupt
                | Trouble::LogLost
                | Trouble::MemoryBehind
                | Trouble::NoRoomAtStart
                | Trouble::StoreNotOpened
        )
    }
}

/// The troubles of a registry, each with what is known about it.
#[derive(Debug, Default)]
pub struct Troubles {
    list: Mutex<Vec<(Trouble, String)>>,
}

impl Troubles {
    /// Adds a trouble; the first word about each counts.
    pub fn raise(&self, trouble: Trouble, detail: String) {
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        if !list.iter().any(|(known, _)| *known == trouble) {
            list.push((trouble, detail));
            list.sort_by_key(|(trouble, _)| *trouble);
        }
    }

    /// Takes a trouble back that is over.
    pub fn lower(&self, trouble: Trouble) {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _)| *known != trouble);
    }

    /// All troubles with their details.
    pub fn list(&self) -> Vec<(Trouble, String)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether there is this trouble.
    pub fn has(&self, trouble: Trouble) -> bool {
        self.list.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|(known, _)| *known == trouble)
    }

    /// The first trouble that stops writing until a restart.
    pub fn stops_writing(&self) -> Option<(Trouble, String)> {
        self.list().into_iter().find(|(trouble, _)| trouble.stops_writing())
    }
}
