//! What the benches share: a register of synthetic recipients, and questions whose right answers are known. The same on every run.
//!
//! Every bench takes what it needs, so what one of them leaves unused is no fault.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use crossbeam_epoch::Guard;
use shikaku::domain::day::Day;
use shikaku::domain::identifier::{InsurerNumber, PayerNumber};
use shikaku::domain::masters::{MasterKind, Masters, built_in};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::index::{Found, IndexReader, Place};
use shikaku::ingest::{Columns, Encoding, ParseOptions, Records, RowParser};
use shikaku::population::question::Asked;
use shikaku::population::workload::{Asker, Question, Workload};
use shikaku::population::{HEADER, Population};
use shikaku::record::identity::{KeyBytes, KeyHash, KeyKind};
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku::registry::{OpenOptions, Registry};
use tempfile::TempDir;

/// 2026-11-22, noon in Japan.
pub const NOW_UNIX_MS: u64 = 1_795_316_400_000;

/// Recipients registered at a time.
const STEP: u64 = 1_000;

/// Long enough for a difference of a few percent to show, short enough for all benches to be run while somebody waits.
pub fn criterion() -> Criterion {
    Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2))
}

/// The day of every question and of the population.
pub fn today() -> Day {
    Day::parse(b"2026-11-22").unwrap()
}

/// A population of that many recipients.
pub fn population(recipients: u64) -> Population {
    Population::new(1, recipients, today()).unwrap()
}

/// A directory on the disk that the build is on: in many a machine's `/tmp` a sync costs nothing.
pub fn directory() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The rows of some recipients as an import parses them.
pub fn registrations(population: &Population, recipients: Range<u64>) -> Vec<Registration> {
    let mut lines = Vec::new();
    population.write_registrations(recipients, &mut lines);
    let (columns, masters) = (Columns::of(HEADER.as_bytes(), Encoding::Utf8).unwrap(), masters());
    let mut parser = RowParser::new(&columns, &masters, ParseOptions::default());
    Records::of(&lines, 1).map(|record| parser.parse(&record).unwrap().1).collect()
}

/// The payload that registers rows.
pub fn changes(registrations: impl IntoIterator<Item = Registration>) -> Changes {
    let mut changes = Changes::new();
    for registration in registrations {
        changes.push(Operation::Upsert, &Row::of(&registration)).unwrap();
    }
    changes
}

fn masters() -> Masters {
    let mut masters = Masters::default();
    for kind in MasterKind::ALL {
        masters.replace(kind, &built_in(kind)).unwrap();
    }
    masters
}

/// Opens a directory at the benches' time.
pub fn open(directory: &Path) -> Registry {
    Registry::open(directory, &OpenOptions::at(NOW_UNIX_MS)).unwrap()
}

/// A registry in which a population is registered, gone with its directory.
pub struct Register {
    pub registry: Registry,
    pub population: Population,
    _directory: TempDir,
}

impl Register {
    pub fn of(recipients: u64) -> Register {
        let directory = directory();
        let registry = open(directory.path());
        let population = population(recipients);
        for first in (0..recipients).step_by(usize::try_from(STEP).unwrap()) {
            let rows = registrations(&population, first..(first + STEP).min(recipients));
            registry.apply(&changes(rows), NOW_UNIX_MS).unwrap();
        }
        let population = population.with_horizon(registry.reader().view().horizon);
        Register { registry, population, _directory: directory }
    }

    /// Questions in the proportions of a reception's day, consent given; nobody names an institution.
    pub fn questions(&self, count: usize) -> Vec<Asking> {
        let workload = Workload::new(self.population.clone(), 7, Asker::Nobody);
        workload.questions().filter(|question| question.consent).take(count).map(Asking::of).collect()
    }
}

/// A question with the key it is found by.
pub struct Asking {
    pub question: Question,
    pub key: KeyBytes,
    pub hash: KeyHash,
}

impl Asking {
    fn of(question: Question) -> Asking {
        let mut key = KeyBytes::empty();
        let kind = match &question.asked {
            Asked::Member { insured, .. } => {
                let insurer = InsurerNumber::parse_padded(insured.insurer_number().as_bytes()).unwrap();
                let (symbol, number) = (insured.symbol().as_bytes(), insured.number().as_bytes());
                key.set_member(&insurer, insured.birth_date(), symbol, number).unwrap();
                KeyKind::Member
            }
            Asked::Certificate { payer, recipient, .. } => {
                let payer = PayerNumber::parse(payer.as_bytes()).unwrap();
                key.set_certificate(&payer, recipient.as_bytes()).unwrap();
                KeyKind::Certificate
            }
            Asked::Card { link } => {
                key.set_card(link.as_bytes()).unwrap();
                KeyKind::Card
            }
        };
        let hash = KeyHash::of(kind, key.as_bytes());
        Asking { question, key, hash }
    }

    /// Finds the dossiers under the key, where it was looked for before or not.
    #[inline]
    pub fn find_at<'g>(&self, index: &IndexReader, guard: &'g Guard, place: Place, found: &mut Found<'g>) {
        let (key, hash) = (&self.key, self.hash);
        match hash.kind {
            KeyKind::Member => index.find_at(guard, hash, place, found, |dossier| dossier.has_member_key(key)),
            KeyKind::Certificate => index.find_at(guard, hash, place, found, |dossier| dossier.has_certificate_key(key)),
            _ => index.find_at(guard, hash, place, found, |dossier| dossier.has_card_link(key)),
        }
    }

    /// The right answer's compact line, with its line end.
    pub fn expected(&self) -> String {
        format!("{}\n", self.question.expected.compact_line())
    }
}
