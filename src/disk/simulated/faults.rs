//! What goes wrong with a disk.

/// What goes wrong; nothing, unless something is said.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// After this many changes the power fails: the last of them is still done, and nothing after it. An operation that could change the
    /// disk counts as a change.
    pub power_fails_after: Option<u64>,
    /// The operation with this number fails, reading ones counted too; the first is 1.
    pub fails_at: Option<u64>,
    /// Of a million operations so many fail.
    pub failures_per_million: u32,
    /// Of a million readings so many have a flipped bit.
    pub flips_per_million: u32,
    /// The disk is full at this many bytes.
    pub capacity_bytes: Option<u64>,
}
