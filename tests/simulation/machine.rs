//! A simulated machine with a registry's directory on it, and what is asked of the registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shikaku::disk::Disk;
use shikaku::disk::simulated::{Aftermath, SimulatedDisk};
use shikaku::domain::identifier::BranchNumber;
use shikaku::domain::masters::{MasterKind, built_in};
use shikaku::index::IndexOptions;
use shikaku::index::Place;
use shikaku::registry::lookup::Inquiry;
use shikaku::registry::verify::{VerifyReport, verify_on};
use shikaku::registry::{ImageOptions, OpenOptions, Registry, RegistryError};
use shikaku::store::{Engine, ModelOptions};

use crate::model::{Entry, Model, Seen};
use crate::rows::{self, CERTIFICATES, PEOPLE};

/// 2026-11-22, midnight in Japan.
pub(crate) const NOW: u64 = 1_795_273_200_000;

/// One process on a simulated machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    pub(crate) disk: SimulatedDisk,
    pub(crate) directory: PathBuf,
    pub(crate) segment_bytes_max: u64,
    pub(crate) flush_every_frames: u64,
    /// Whether an image is written whenever one is asked for.
    pub(crate) keeps_images: bool,
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Machine {
        let directory = PathBuf::from("/var/data");
        let disk = SimulatedDisk::new(seed);
        Machine { disk, directory, segment_bytes_max: 256 << 20, flush_every_frames: 3, keeps_images: false }
    }

    pub(crate) fn with_disk(&self, disk: SimulatedDisk) -> Machine {
        Machine { disk, ..self.clone() }
    }

    /// Another machine with the same disk.
    pub(crate) fn fork(&self, seed: u64) -> Machine {
        self.with_disk(self.disk.fork(seed))
    }

    /// The same machine after a power failure.
    pub(crate) fn after_power_failure(&self, aftermath: Aftermath) -> Machine {
        self.with_disk(self.disk.after_power_failure(aftermath))
    }

    /// The same machine with another process, the old one killed.
    pub(crate) fn after_kill(&self) -> Machine {
        self.with_disk(self.disk.after_kill())
    }

    pub(crate) fn door(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    pub(crate) fn engine(&self) -> Engine {
        Engine::Model(ModelOptions { disk: self.door(), flush_every_frames: self.flush_every_frames })
    }

    pub(crate) fn open(&self) -> Result<Registry, RegistryError> {
        let mut options = OpenOptions::at(NOW);
        options.index = IndexOptions { segment_words_log2: 14, slots: 64 };
        options.segment_bytes_max = self.segment_bytes_max;
        options.mark_idle = Duration::ZERO;
        if self.keeps_images {
            options.image = ImageOptions { from_bytes: 0, idle: Duration::ZERO, frames_behind: 1 };
        }
        options.disk = self.door();
        options.engine = self.engine();
        Registry::open(&self.directory, &options)
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        verify_on(&self.door(), &self.engine(), &self.directory).unwrap()
    }
}

/// How a registry differs from a model; `None` when it answers exactly as the model does.
pub(crate) fn difference(registry: &Registry, model: &Model) -> Option<String> {
    let figures = registry.figures();
    let counted = (figures.rows.load(Ordering::Relaxed), figures.dossiers.load(Ordering::Relaxed));
    let expected = (model.rows().count() as u64, model.dossiers());
    if counted != expected {
        return Some(format!("rows and dossiers are {counted:?} and should be {expected:?}"));
    }
    for person in 0..PEOPLE {
        for (key, seen) in [("number", ask(registry, &member(person))), ("card", ask(registry, &card(person)))] {
            if seen != model.of_person(person) {
                return Some(format!("of person {person}, by {key}: {seen:?}, not {:?}", model.of_person(person)));
            }
        }
    }
    for certificate in 0..CERTIFICATES {
        let seen = ask(registry, &by_certificate(certificate));
        if seen != model.of_certificate(certificate) {
            return Some(format!("of certificate {certificate}: {seen:?}, not {:?}", model.of_certificate(certificate)));
        }
    }
    let horizon = registry.reader().view().horizon;
    if horizon != model.horizon {
        return Some(format!("the horizon is {horizon} and should be {}", model.horizon));
    }
    let payers = model.payers.clone().unwrap_or_else(|| built_in(MasterKind::Payers));
    if registry.master_text(MasterKind::Payers) != Some(payers) {
        return Some("the payer master is another".to_owned());
    }
    let baseline = registry.baseline();
    let known = |hash: &str| baseline.ledger.files().of(hash).map(|file| file.ended);
    let differing = (0..9).map(file_name).find(|name| known(name) != model.files.get(name).copied());
    differing.map(|name| format!("{name} is known as {:?} and should be {:?}", known(&name), model.files.get(&name)))
}

pub(crate) fn file_name(number: u8) -> String {
    format!("file{number}")
}

fn ask(registry: &Registry, inquiry: &Inquiry) -> Seen {
    let reader = registry.reader();
    let guard = crossbeam_epoch::pin();
    let view = reader.view();
    let answer = reader.answer(&guard, &view, (inquiry, Place::ToBeFound), None, NOW / 1000);
    let entries = answer.entitlements.iter().map(|entitlement| {
        use shikaku::domain::decision::Row as _;
        let row = entitlement.row;
        let number = |text: &str| text.parse().unwrap();
        (number(row.recipient_number()), number(row.history_key()), row.valid_to(), number(row.segment()))
    });
    let mut entries: Vec<Entry> = entries.collect();
    entries.sort_unstable();
    (answer.verdict, entries)
}

fn member(person: u8) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    let number = rows::number_of(person);
    let branch: Option<BranchNumber> = rows::branch();
    let key = (rows::SYMBOL.as_bytes(), number.as_bytes());
    inquiry.ask_member(&rows::insurer(), key, branch, rows::birth_date(), rows::today()).unwrap();
    inquiry
}

fn card(person: u8) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    inquiry.ask_card(rows::card_of(person).as_bytes(), rows::today()).unwrap();
    inquiry
}

/// Whether a certificate of this number is known.
pub(crate) fn knows(registry: &Registry, recipient_number: &str) -> bool {
    let reader = registry.reader();
    let guard = crossbeam_epoch::pin();
    let view = reader.view();
    let answer = reader.answer(&guard, &view, (&by_recipient(recipient_number), Place::ToBeFound), None, NOW / 1000);
    !answer.entitlements.is_empty()
}

fn by_certificate(certificate: u8) -> Inquiry {
    by_recipient(&rows::recipient_of(certificate))
}

fn by_recipient(number: &str) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    inquiry.ask_certificate(&rows::payer(), number.as_bytes(), None, rows::today()).unwrap();
    inquiry
}

/// Where a snapshot is written to and restored from.
pub(crate) fn backup() -> &'static Path {
    Path::new("/backup.snap")
}
