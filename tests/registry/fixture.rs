//! Registrations, directories and questions in few lines.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use shikaku::disk::{Disk, RealDisk};
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::decision::{Row as _, Verdict};
use shikaku::domain::identifier::{AuthorityCode, BranchNumber, InsurerNumber, PayerNumber, Sex};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::index::IndexOptions;
use shikaku::index::Place;
use shikaku::ingest::blank_registration;
use shikaku::record::payload::{Changes, FeedPhase, FeedRecord};
use shikaku::record::row::Row;
use shikaku::registry::lookup::Inquiry;
use shikaku::registry::verify::{VerifyReport, verify};
use shikaku::registry::{Applied, Counts, OpenOptions, Outcome, Registry, RegistryError};
use tempfile::TempDir;

/// 2026-11-22, midnight in Japan; the horizon is 2024-11-01.
pub(crate) const NOW: u64 = 1_795_273_200_000;
pub(crate) const CHIYODA: &str = "131016";
pub(crate) const SAPPORO: &str = "011002";

/// A data directory of a test, gone when the test is.
pub(crate) struct Home {
    directory: TempDir,
    pub(crate) options: OpenOptions,
}

impl Home {
    pub(crate) fn new() -> Home {
        let mut options = OpenOptions::at(NOW);
        // Small segments and a small table, so that the index grows and tidies in a test too.
        options.index = IndexOptions { segment_words_log2: 14, slots: 64 };
        Home { directory: TempDir::new().unwrap(), options }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn open(&self) -> Registry {
        self.try_open().unwrap()
    }

    pub(crate) fn try_open(&self) -> Result<Registry, RegistryError> {
        once_free(|| Registry::open(self.path(), &self.options))
    }

    /// The directory as a crash of this moment would leave it, elsewhere.
    pub(crate) fn crashed(&self) -> Home {
        let copy = Home { directory: TempDir::new().unwrap(), options: self.options.clone() };
        copy_tree(self.path(), copy.path());
        copy
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.path().join("store")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("log")
    }

    /// The segments, oldest first.
    pub(crate) fn segments(&self) -> Vec<PathBuf> {
        let names = self.names("log");
        names.iter().filter(|name| name.ends_with(".seg")).map(|name| self.log().join(name)).collect()
    }

    /// The names in a folder of the directory, sorted.
    pub(crate) fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path().join(folder)).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub(crate) fn verify(&self) -> VerifyReport {
        once_free(|| verify(self.path())).unwrap()
    }

    /// Every file with its bytes, but for the lock: what "destroys nothing" is judged by.
    pub(crate) fn log_bytes(&self) -> Vec<(String, Vec<u8>)> {
        self.names("log").into_iter().map(|name| (name.clone(), fs::read(self.log().join(&name)).unwrap())).collect()
    }
}

/// Waits for a directory that was given up a moment ago. sled runs `sync` when it opens, and between fork and exec the child of
/// another test holds every file of this process open, locks included.
pub(crate) fn once_free<T>(mut attempt: impl FnMut() -> Result<T, RegistryError>) -> Result<T, RegistryError> {
    let began = std::time::Instant::now();
    loop {
        match attempt() {
            Err(RegistryError::InUse { .. }) if began.elapsed().as_secs() < 10 => std::thread::yield_now(),
            outcome => return outcome,
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            // The store may take a file away while it is copied, as a crash may come between any two of its steps.
            let _ = fs::copy(entry.path(), &target);
        }
    }
}

pub(crate) fn real_disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

pub(crate) fn authority(code: &str) -> AuthorityCode {
    AuthorityCode::parse(code.as_bytes()).unwrap()
}

pub(crate) fn branch(number: &str) -> Option<BranchNumber> {
    Some(BranchNumber::parse(number.as_bytes()).unwrap())
}

pub(crate) fn insurer(number: &str) -> InsurerNumber {
    InsurerNumber::parse_padded(number.as_bytes()).unwrap()
}

/// A person's one certificate, covering 2026-11-22.
pub(crate) fn person(n: u32) -> Registration {
    Registration {
        authority: authority(CHIYODA),
        certificate_type: "CH01".to_owned(),
        certificate_name: "子ども医療費受給者証".to_owned(),
        insurer: insurer("138057"),
        symbol: "品１".to_owned(),
        number: format!("{n:07}"),
        branch: branch("01"),
        birth_date: BirthDate::parse(b"2019-05-04").unwrap(),
        sex: Sex::parse(b"1").ok(),
        payer: Some(PayerNumber::parse(b"88131016").unwrap()),
        recipient_number: format!("{n:07}"),
        history_key: "1".to_owned(),
        valid_from: day("2026-04-01"),
        valid_to: day("2027-03-31"),
        card_link: format!("card{n:09}"),
        ..blank_registration()
    }
}

pub(crate) fn changes(operation: Operation, registrations: impl IntoIterator<Item = Registration>) -> Changes {
    let mut changes = Changes::new();
    for registration in registrations {
        changes.push(operation, &Row::of(&registration)).unwrap();
    }
    changes
}

pub(crate) fn upserts(registrations: impl IntoIterator<Item = Registration>) -> Changes {
    changes(Operation::Upsert, registrations)
}

pub(crate) fn register(registry: &Registry, registrations: impl IntoIterator<Item = Registration>) -> Applied {
    registry.apply(&upserts(registrations), NOW).unwrap()
}

pub(crate) fn withdraw(registry: &Registry, registrations: impl IntoIterator<Item = Registration>) -> Applied {
    registry.apply(&changes(Operation::Withdraw, registrations), NOW).unwrap()
}

/// Registers or withdraws one row, and gives what became of it.
pub(crate) fn counts(applied: &Applied) -> Counts {
    applied.counts
}

pub(crate) fn rejected(applied: &Applied) -> Vec<Outcome> {
    applied.rejected.iter().map(|(_, outcome)| *outcome).collect()
}

/// What a clerk sees of an answer: the verdict, and of each entitlement recipient number, history key and last day.
pub(crate) type Seen = (Verdict, Vec<(String, String, String)>);

pub(crate) fn ask(registry: &Registry, inquiry: &Inquiry) -> Seen {
    let reader = registry.reader();
    let guard = crossbeam_epoch::pin();
    let view = reader.view();
    let answer = reader.answer(&guard, &view, (inquiry, Place::ToBeFound), None, NOW / 1000);
    let rows = answer.entitlements.iter().map(|entitlement| {
        let row = entitlement.row;
        (row.recipient_number().to_owned(), row.history_key().to_owned(), row.valid_to().to_string())
    });
    (answer.verdict, rows.collect())
}

pub(crate) fn today() -> Day {
    day("2026-11-22")
}

pub(crate) fn as_member(who: &Registration) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    let (symbol, number) = (who.symbol.as_bytes(), who.number.as_bytes());
    inquiry.ask_member(&who.insurer, (symbol, number), who.branch, who.birth_date, today()).unwrap();
    inquiry
}

pub(crate) fn as_certificate(who: &Registration) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    inquiry.ask_certificate(&who.payer.unwrap(), who.recipient_number.as_bytes(), None, today()).unwrap();
    inquiry
}

pub(crate) fn as_card(who: &Registration) -> Inquiry {
    let mut inquiry = Inquiry::blank();
    inquiry.ask_card(who.card_link.as_bytes(), today()).unwrap();
    inquiry
}

/// The answers under all three keys; a test that expects them equal says so by [`seen`].
pub(crate) fn seen_each(registry: &Registry, who: &Registration) -> [Seen; 3] {
    [as_member(who), as_certificate(who), as_card(who)].map(|inquiry| ask(registry, &inquiry))
}

/// The answer, which must be the same under all three keys.
pub(crate) fn seen(registry: &Registry, who: &Registration) -> Seen {
    let [member, certificate, card] = seen_each(registry, who);
    assert_eq!(member, certificate);
    assert_eq!(member, card);
    member
}

pub(crate) fn is_eligible(registry: &Registry, who: &Registration) -> bool {
    seen(registry, who).0 == Verdict::Eligible
}

pub(crate) fn feed(phase: FeedPhase, hash: &str, authorities: &[&str]) -> FeedRecord {
    FeedRecord {
        phase,
        file_name: format!("{hash}.csv"),
        file_hash: hash.to_owned(),
        authorities: authorities.iter().map(|code| (*code).to_owned()).collect(),
        rows: 3,
        rejects: 0,
        gates_overridden: Vec::new(),
        accepted_by: None,
    }
}

/// The troubles of a registry, by their words.
pub(crate) fn troubles(registry: &Registry) -> Vec<&'static str> {
    registry.troubles().list().iter().map(|(trouble, _)| trouble.word()).collect()
}

/// Flips one bit of a byte of a file.
pub(crate) fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[usize::try_from(offset).unwrap()] ^= 0x20;
    fs::write(path, bytes).unwrap();
}

/// Every file below a directory that is not empty, by its name there, sorted.
pub(crate) fn files_below(directory: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(files_below(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else if entry.metadata().unwrap().len() > 0 {
            names.push(name);
        }
    }
    names.sort();
    names
}
