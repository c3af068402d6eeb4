//! What was wrong, by kind.

use std::collections::BTreeMap;

use crate::plan::Plan;

/// More kinds than anybody reads.
const KINDS_MAX: usize = 40;

/// Counts by the shape of the question and what was wrong with the answer.
#[derive(Debug, Default)]
pub(super) struct Tally {
    kinds: BTreeMap<String, (u64, u64)>,
    total: u64,
}

impl Tally {
    /// Counts `count` wrong answers; the first question of each kind is remembered by its number in the workload.
    pub(super) fn add(&mut self, plan: &Plan, lookup: usize, what: &str, count: u64) {
        self.total += count;
        let kind = format!("{}: {what}", plan.describe(lookup));
        if self.kinds.len() < KINDS_MAX || self.kinds.contains_key(&kind) {
            let number = plan.numbers.get(lookup).copied().unwrap_or(0);
            self.kinds.entry(kind).or_insert((0, number)).0 += count;
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let line = |(kind, (count, first)): (&String, &(u64, u64))| format!("{count} × {kind} (first: question {first})");
        self.kinds.iter().map(line).collect()
    }
}
