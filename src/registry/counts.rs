//! What became of changes: what a registration or a withdrawal came to, and how often.

use super::plan::Outcome;

/// What applying a run of changes did.
#[derive(Debug, Default)]
pub struct Applied {
    /// How many had which outcome.
    pub counts: Counts,
    /// Places of the changes that were rejected, with why.
    pub rejected: Vec<(usize, Outcome)>,
    /// The sequence of the last frame.
    pub sequence: u64,
}

/// How many changes had which outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Counts {
    /// New rows.
    pub registered: u64,
    /// Rows that took the place of an older registration.
    pub superseded: u64,
    /// Rows that were as they are.
    pub unchanged: u64,
    /// Rows that ended before the horizon.
    pub history_only: u64,
    /// Rows withdrawn.
    pub withdrawn: u64,
    /// Withdrawals of rows withdrawn before.
    pub already_withdrawn: u64,
    /// Rejected.
    pub rejected: u64,
}

impl Counts {
    pub(super) fn count(&mut self, outcome: Outcome) {
        let counter = match outcome {
            Outcome::Registered => &mut self.registered,
            Outcome::Superseded => &mut self.superseded,
            Outcome::Unchanged => &mut self.unchanged,
            Outcome::HistoryOnly => &mut self.history_only,
            Outcome::Withdrawn => &mut self.withdrawn,
            Outcome::AlreadyWithdrawn => &mut self.already_withdrawn,
            Outcome::Unknown | Outcome::DossierFull => &mut self.rejected,
        };
        *counter += 1;
    }

    /// Adds another count.
    pub fn add(&mut self, other: &Counts) {
        self.registered += other.registered;
        self.superseded += other.superseded;
        self.unchanged += other.unchanged;
        self.history_only += other.history_only;
        self.withdrawn += other.withdrawn;
        self.already_withdrawn += other.already_withdrawn;
        self.rejected += other.rejected;
    }
}
