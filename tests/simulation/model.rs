//! Everything there is to know of the small world, written down plainly: what is registered, what was, and what a clerk must be told.

use std::collections::{BTreeMap, BTreeSet};

use shikaku::domain::day::Day;
use shikaku::domain::decision::Verdict;
use shikaku::domain::registration::Operation;
use shikaku::registry::Counts;

use crate::rows::{Row, RowChange, today};

/// A certificate's period: what identifies a row.
type Identity = (u8, u8);

/// What became of a row that is no longer current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Past {
    /// It stands, but ended before the horizon.
    Ended,
    Withdrawn,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    current: BTreeMap<Identity, Row>,
    past: BTreeMap<Identity, Past>,
    pub(crate) horizon: Day,
    /// The payer master's text; `None` while it is the built-in one.
    pub(crate) payers: Option<String>,
    /// Whether each file that began was applied to its end.
    pub(crate) files: BTreeMap<String, bool>,
}

/// What a clerk sees: the verdict, and of each certificate an entry.
pub(crate) type Seen = (Verdict, Vec<Entry>);

/// Its number, its period, the period's last day, and its segment.
pub(crate) type Entry = (u8, u8, Day, u8);

impl Model {
    pub(crate) fn new() -> Model {
        let horizon = today().first_of_month().plus_months(-24);
        Model { current: BTreeMap::new(), past: BTreeMap::new(), horizon, payers: None, files: BTreeMap::new() }
    }

    pub(crate) fn apply(&mut self, changes: &[RowChange]) -> Counts {
        let mut counts = Counts::default();
        for (operation, row) in changes {
            let identity = (row.certificate, row.period);
            let counter = match operation {
                Operation::Upsert => self.register(identity, *row, &mut counts),
                Operation::Withdraw => self.withdraw(identity, &mut counts),
            };
            *counter += 1;
        }
        counts
    }

    fn register<'c>(&mut self, identity: Identity, row: Row, counts: &'c mut Counts) -> &'c mut u64 {
        if self.current.get(&identity) == Some(&row) {
            return &mut counts.unchanged;
        }
        if row.last_day() < self.horizon {
            self.current.remove(&identity);
            self.past.insert(identity, Past::Ended);
            return &mut counts.history_only;
        }
        match self.current.insert(identity, row) {
            Some(_) => &mut counts.superseded,
            None => &mut counts.registered,
        }
    }

    fn withdraw<'c>(&mut self, identity: Identity, counts: &'c mut Counts) -> &'c mut u64 {
        if self.current.remove(&identity).is_some() {
            self.past.insert(identity, Past::Withdrawn);
            return &mut counts.withdrawn;
        }
        match self.past.get_mut(&identity) {
            None => &mut counts.rejected,
            Some(Past::Withdrawn) => &mut counts.already_withdrawn,
            Some(past) => {
                *past = Past::Withdrawn;
                &mut counts.withdrawn
            }
        }
    }

    /// What there is after each frame that a batch takes: none names an identity twice.
    pub(crate) fn stages(&self, changes: &[RowChange]) -> Vec<Model> {
        let mut stages = vec![self.clone()];
        let mut named = BTreeSet::new();
        for change in changes {
            let identity = (change.1.certificate, change.1.period);
            let mut model = stages.last().unwrap().clone();
            if named.contains(&identity) {
                named.clear();
                stages.push(model.clone());
            }
            let Counts { unchanged, already_withdrawn, rejected, .. } = model.apply(std::slice::from_ref(change));
            if unchanged + already_withdrawn + rejected == 0 {
                named.insert(identity);
            }
            *stages.last_mut().unwrap() = model;
        }
        stages
    }

    /// Moves the horizon on, as on a day so many months ahead; returns how many rows left.
    pub(crate) fn prune(&mut self, today: Day) -> u64 {
        let horizon = self.horizon.max(today.first_of_month().plus_months(-24));
        self.horizon = horizon;
        let ended: Vec<Identity> =
            self.current.iter().filter(|(_, row)| row.last_day() < horizon).map(|(identity, _)| *identity).collect();
        for identity in &ended {
            self.current.remove(identity);
            self.past.insert(*identity, Past::Ended);
        }
        ended.len() as u64
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.current.values()
    }

    pub(crate) fn dossiers(&self) -> u64 {
        let mut people: Vec<u8> = self.rows().map(|row| row.person).collect();
        people.sort_unstable();
        people.dedup();
        people.len() as u64
    }

    /// What is said of a person, asked for by insured number or by card.
    pub(crate) fn of_person(&self, person: u8) -> Seen {
        told(self.rows().filter(|row| row.person == person))
    }

    /// What is said of a certificate. Who registers nothing does not take part, where the payer master says whose number it is.
    pub(crate) fn of_certificate(&self, certificate: u8) -> Seen {
        let seen = told(self.rows().filter(|row| row.certificate == certificate));
        if self.current.is_empty() && self.payers.is_some() { (Verdict::AuthorityNotParticipating, seen.1) } else { seen }
    }
}

/// Each certificate speaks by one row: of those that cover the day the one that began last, else the one that ended last, else the next.
fn told<'r>(rows: impl Iterator<Item = &'r Row>) -> Seen {
    let mut by_certificate: BTreeMap<u8, Vec<Row>> = BTreeMap::new();
    for row in rows {
        by_certificate.entry(row.certificate).or_default().push(*row);
    }
    let mut entries = Vec::new();
    let mut verdict = Verdict::NotRegistered;
    for rows in by_certificate.values() {
        let covering = rows.iter().filter(|row| row.first_day() <= today() && today() <= row.last_day());
        let ended = rows.iter().filter(|row| row.last_day() < today());
        let to_come = rows.iter().filter(|row| today() < row.first_day());
        let (says, row) = None
            .or(covering.max_by_key(|row| (row.first_day(), row.last_day(), row.period)).map(|row| (Verdict::Eligible, row)))
            .or(ended.max_by_key(|row| (row.last_day(), row.first_day(), row.period)).map(|row| (Verdict::Expired, row)))
            .or(to_come.min_by_key(|row| row.first_day()).map(|row| (Verdict::Future, row)))
            .unwrap();
        verdict = verdict.min(says);
        entries.push((row.certificate, row.period, row.last_day(), row.segment));
    }
    (verdict, entries)
}
