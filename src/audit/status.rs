//! What the audit says of its own health.

use super::chain::AuditChain;

/// Whether entries reach the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuditCondition {
    /// They do.
    #[default]
    Recording,
    /// The disk is full: entries wait in memory, and writing is tried every second.
    OutOfSpace,
    /// A write or a sync failed: nothing is taken any more until a restart.
    Poisoned,
    /// It was closed.
    Closed,
}

impl AuditCondition {
    /// The word in status.
    pub const fn word(self) -> &'static str {
        match self {
            AuditCondition::Recording => "recording",
            AuditCondition::OutOfSpace => "out_of_space",
            AuditCondition::Poisoned => "poisoned",
            AuditCondition::Closed => "closed",
        }
    }
}

/// The audit at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditStatus {
    /// Whether entries reach the disk.
    pub condition: AuditCondition,
    /// What the disk said, where they do not.
    pub why: Option<String>,
    /// The newest segment.
    pub segment: u64,
    /// The last entry written.
    pub written_entry: u64,
    /// The last entry that survives a power failure.
    pub durable_entry: u64,
    /// The chain after it: worth keeping on another machine.
    pub durable_chain: AuditChain,
    /// Words of the rings that wait for the audit's thread.
    pub waiting_words: u64,
    /// Look-ups that were refused because there was no room.
    pub refused: u64,
    /// Entries that were taken and could not be written.
    pub lost: u64,
}
