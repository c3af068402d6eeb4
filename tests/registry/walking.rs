//! A random walk of the whole registry beside a plain model: registering, withdrawing, pruning, restarts, crashes, lost stores, logs
//! that are trimmed behind snapshots.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use shikaku::domain::day::Day;
use shikaku::domain::identifier::BranchNumber;
use shikaku::domain::registration::{Operation, Registration};
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku::registry::{Counts, Keeping, Registry, RegistryError, horizon_on};

use crate::fixture::*;

/// Few enough of everything that it meets again and again.
const CERTIFICATES: u32 = 12;
const PERIODS: u32 = 3;
const PEOPLE: u32 = 4;

#[derive(Clone)]
enum Step {
    Apply(Vec<(Operation, Registration)>),
    Prune { months: u32 },
    Close,
    Crash,
    LoseTheStore,
    SpoilTheStore { at: u64 },
    Snapshot,
    Keep,
    Mark,
}

impl std::fmt::Debug for Step {
    /// As short as a failing walk needs it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Apply(rows) => {
                for (operation, row) in rows {
                    let sign = if *operation == Operation::Upsert { '+' } else { '-' };
                    let (who, branch) = (&row.number, row.branch.map(BranchNumber::value));
                    write!(
                        f,
                        "{sign}{who}{branch:?}/{}/{}/{}/{} ",
                        row.recipient_number, row.history_key, row.valid_to, row.segment
                    )?;
                }
                Ok(())
            }
            Step::Prune { months } => write!(f, "prune {months}"),
            Step::Close => f.write_str("close"),
            Step::Crash => f.write_str("crash"),
            Step::LoseTheStore => f.write_str("lose"),
            Step::SpoilTheStore { at } => write!(f, "spoil {at}"),
            Step::Snapshot => f.write_str("snapshot"),
            Step::Keep => f.write_str("keep"),
            Step::Mark => f.write_str("mark"),
        }
    }
}

/// What identifies a row: recipient number, or the person where there is none, and history key.
type Identity = (String, String);

/// Everything there is to know of it.
#[derive(Default)]
struct Model {
    current: BTreeMap<Identity, Registration>,
    /// The last that happened to an identity that is not current: whether it was withdrawn.
    past: HashMap<Identity, bool>,
    horizon: Option<Day>,
    counts: Counts,
}

fn identity(registration: &Registration) -> Identity {
    let by_person = || format!("of {} {:?}", registration.number, registration.branch.map(BranchNumber::value));
    let who = if registration.recipient_number.is_empty() { by_person() } else { registration.recipient_number.clone() };
    (who, registration.history_key.clone())
}

impl Model {
    fn apply(&mut self, changes: &[(Operation, Registration)]) {
        for (operation, registration) in changes {
            let key = identity(registration);
            let known = self.current.get(&key);
            let counts = &mut self.counts;
            match operation {
                Operation::Upsert if known == Some(registration) => counts.unchanged += 1,
                Operation::Upsert if Some(registration.valid_to) < self.horizon => {
                    counts.history_only += 1;
                    self.current.remove(&key);
                    self.past.insert(key, false);
                }
                Operation::Upsert => {
                    if self.current.insert(key, registration.clone()).is_some() {
                        counts.superseded += 1;
                    } else {
                        counts.registered += 1;
                    }
                }
                Operation::Withdraw if known.is_some() => {
                    counts.withdrawn += 1;
                    self.current.remove(&key);
                    self.past.insert(key, true);
                }
                Operation::Withdraw => match self.past.get(&key) {
                    Some(false) => {
                        counts.withdrawn += 1;
                        self.past.insert(key, true);
                    }
                    Some(true) => counts.already_withdrawn += 1,
                    None => counts.rejected += 1,
                },
            }
        }
    }

    fn prune(&mut self, today: Day) {
        let horizon = horizon_on(today);
        self.horizon = self.horizon.max(Some(horizon));
        let ended: Vec<Identity> =
            self.current.iter().filter(|(_, row)| Some(row.valid_to) < self.horizon).map(|(key, _)| key.clone()).collect();
        for key in ended {
            self.current.remove(&key);
            self.past.insert(key, false);
        }
    }
}

fn registration() -> impl Strategy<Value = Registration> {
    let ends = prop_oneof![Just("2024-10-31"), Just("2024-12-15"), Just("2025-03-31"), Just("2027-03-31"), Just("9999-12-31")];
    (0..CERTIFICATES, 0..PERIODS, 0..PEOPLE, ends, 0..3u8, prop::bool::weighted(0.2)).prop_map(
        |(certificate, period, who, ends, segment, bare)| Registration {
            // Two people of a card, by their branch numbers.
            number: format!("{}", who / 2),
            branch: branch(if who % 2 == 0 { "00" } else { "01" }),
            recipient_number: if bare { String::new() } else { format!("{certificate:07}") },
            history_key: period.to_string(),
            card_link: format!("card{who}"),
            segment: segment.to_string(),
            valid_from: day("2024-01-01"),
            valid_to: day(ends),
            ..person(1)
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let operation = prop_oneof![4 => Just(Operation::Upsert), 1 => Just(Operation::Withdraw)];
    prop_oneof![
        30 => prop::collection::vec((operation, registration()), 1..12).prop_map(Step::Apply),
        2 => (0..6u32).prop_map(|months| Step::Prune { months }),
        2 => Just(Step::Close),
        3 => Just(Step::Crash),
        1 => Just(Step::LoseTheStore),
        1 => any::<u64>().prop_map(|at| Step::SpoilTheStore { at }),
        1 => Just(Step::Snapshot),
        4 => Just(Step::Keep),
        2 => Just(Step::Mark),
    ]
}

struct Walk {
    home: Home,
    registry: Option<Registry>,
    model: Model,
    counts: Counts,
}

impl Walk {
    fn new() -> Walk {
        let mut home = Home::new();
        home.options.segment_bytes_max = 16 << 10;
        let registry = Some(home.open());
        let mut model = Model::default();
        model.prune(today());
        Walk { home, registry, model, counts: Counts::default() }
    }

    fn registry(&self) -> &Registry {
        self.registry.as_ref().unwrap()
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Apply(rows) => {
                let mut changes = Changes::new();
                for (operation, row) in rows {
                    changes.push(*operation, &Row::of(row)).unwrap();
                }
                self.model.apply(rows);
                match self.registry().apply(&changes, NOW) {
                    Ok(applied) => {
                        self.counts.add(&applied.counts);
                        assert_eq!(self.counts, self.model.counts);
                    }
                    // A store spoilt in its history shows it when the history is asked; the next start mends it.
                    Err(RegistryError::StoreDetached) => {
                        self.registry = None;
                        self.reopen();
                        self.registry().apply(&changes, NOW).unwrap();
                        self.counts = self.model.counts;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Prune { months } => {
                let today = today().plus_months(i64::from(*months));
                self.registry().prune_to(today, NOW).unwrap();
                self.model.prune(today);
            }
            Step::Close => {
                self.registry.take().unwrap().close(NOW).unwrap();
                self.reopen();
            }
            Step::Crash => {
                let crashed = self.home.crashed();
                self.registry = None;
                self.home = crashed;
                self.reopen();
            }
            Step::LoseTheStore => {
                self.registry = None;
                fs::remove_dir_all(self.home.store()).unwrap();
                self.reopen();
            }
            Step::SpoilTheStore { at } => {
                self.registry = None;
                let slabs = self.home.store().join("slabs");
                let mut files: Vec<_> = fs::read_dir(slabs).unwrap().map(|entry| entry.unwrap().path()).collect();
                files.retain(|path| fs::metadata(path).unwrap().len() > 0);
                files.sort();
                if let Some(path) = files.get((*at as usize) % files.len().max(1)) {
                    flip(path, at % fs::metadata(path).unwrap().len());
                }
                self.reopen();
            }
            Step::Snapshot => {
                let file = self.home.path().join("walk.snap");
                if let Err(error) = self.registry().create_snapshot(&file) {
                    assert!(matches!(error, RegistryError::Store(_) | RegistryError::StoreDetached), "{error}");
                    self.registry = None;
                    self.reopen();
                    self.registry().create_snapshot(&file).unwrap();
                }
                let mut restored = Home::new();
                restored.options = self.home.options.clone();
                once_free(|| shikaku::registry::snapshot::restore(&real_disk(), restored.path(), &file, NOW)).unwrap();
                let before = self.registry().position();
                self.registry = None;
                self.home = restored;
                self.reopen();
                assert_eq!(self.registry().position(), before);
            }
            Step::Keep => {
                let keeping = Keeping { snapshots: 2, log_retention_ms: 0 };
                if let Err(error) = self.registry().keep_snapshots(&keeping, NOW + 1) {
                    assert!(matches!(error, RegistryError::Store(_) | RegistryError::StoreDetached), "{error}");
                    self.registry = None;
                    self.reopen();
                    self.registry().keep_snapshots(&keeping, NOW + 1).unwrap();
                }
                let covered = self.registry().shelf_standing();
                assert!(covered.kept >= 1 && covered.newest.unwrap().sequence == self.registry().sequence());
            }
            Step::Mark => self.registry().maintain(NOW).unwrap(),
        }
        self.check();
    }

    fn reopen(&mut self) {
        self.registry = Some(self.home.open());
        let stopped = self.registry().troubles().stops_writing();
        assert!(stopped.is_none(), "{stopped:?}");
    }

    /// Every row is found where it should be, and nowhere else.
    fn check(&self) {
        let registry = self.registry();
        let figures = registry.figures();
        let rows = figures.rows.load(std::sync::atomic::Ordering::Relaxed);
        assert_eq!(rows, self.model.current.len() as u64);
        let mut expected: BTreeMap<(String, Option<u8>), Vec<Identity>> = BTreeMap::new();
        for row in self.model.current.values() {
            let who = (row.number.clone(), row.branch.map(BranchNumber::value));
            expected.entry(who).or_default().push((row.recipient_number.clone(), row.history_key.clone()));
        }
        assert_eq!(figures.dossiers.load(std::sync::atomic::Ordering::Relaxed), expected.len() as u64);
        for row in self.model.current.values() {
            let (_, seen) = ask(registry, &as_member(row));
            assert!(!seen.is_empty(), "{row:?} is not found");
            let known = |recipient: &str| {
                let who = (row.number.clone(), row.branch.map(BranchNumber::value));
                expected[&who].iter().any(|(number, _)| number == recipient)
            };
            assert!(seen.iter().all(|(recipient, ..)| known(recipient)), "{seen:?}");
        }
    }

    /// The same rows in one batch, in an empty directory, have the same checksum.
    fn check_from_scratch(&self) {
        let other = Home::new();
        let registry = other.open();
        let months = self.model.horizon.unwrap().plus_months(24);
        registry.prune_to(months, NOW).unwrap();
        register(&registry, self.model.current.values().cloned());
        assert_eq!(registry.state_checksum(), self.registry().state_checksum());
        assert_eq!(self.registry().verify_running().unwrap().fault, None);
    }
}

#[test]
fn whatever_happens_the_registry_holds_what_a_plain_model_holds() {
    let cases = std::env::var("WALKS").ok().and_then(|walks| walks.parse().ok()).unwrap_or(4);
    let mut runner = TestRunner::new(Config { cases, max_shrink_iters: 200, failure_persistence: None, ..Config::default() });
    let walked = runner.run(&prop::collection::vec(step(), 60..90), |steps| {
        let mut walk = Walk::new();
        for step in &steps {
            walk.take(step);
        }
        walk.check_from_scratch();
        let Walk { home, registry, .. } = walk;
        registry.unwrap().close(NOW).unwrap();
        prop_assert_eq!(home.verify().fault, None);
        Ok(())
    });
    walked.unwrap();
}
