//! The audit on real files: whole, damaged, changed, interrupted, on disks that fail.

mod crashing;
mod failing;
mod noting;
mod starting;
mod tampering;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tempfile::TempDir;

use super::auditor::{AuditOptions, Auditor, Opened, open_writer};
use super::contents::{LookedUp, Noted, Period, read};
use super::encoder::{Content, Encoder};
use super::entry::{Context, Taken, answer_word, key_word};
use super::note::Note;
use super::pseudonym::PseudonymKey;
use super::reader::{Passed, list, walk};
use super::verify::{AuditReport, verify};
use super::writer::Writer;
use super::{AuditError, Fault};
use crate::disk::faulty::{Faults, FaultyDisk};
use crate::disk::{Disk, RealDisk};
use crate::domain::day::Day;
use crate::record::identity::{KeyHash, KeyKind};

/// 2026-11-22, midnight in Japan.
const NOW: u64 = 1_795_273_200_000;
const DAY: u64 = 86_400_000;

fn now() -> u64 {
    NOW
}

/// A data directory's audit, gone when the test is.
struct Home {
    directory: TempDir,
    options: AuditOptions,
}

impl Home {
    fn new() -> Home {
        let options = AuditOptions { segment_bytes_max: 2_048, now_unix_ms: now, ..AuditOptions::default() };
        Home { directory: TempDir::new().unwrap(), options }
    }

    /// One whose disk does what `faults` say.
    fn on_a_faulty_disk() -> (Home, Arc<Faults>) {
        let faults = Arc::new(Faults::default());
        let mut home = Home::new();
        home.options.disk = Arc::new(FaultyDisk(faults.clone()));
        (home, faults)
    }

    /// Several sealed segments of 30 look-ups a block.
    fn filled() -> Home {
        let home = Home::new();
        let mut writer = home.writer();
        (0..9).for_each(|block| writer.append(&content(block * 30..block * 30 + 30, NOW), NOW).unwrap());
        writer.close(NOW).unwrap();
        assert!(home.segments().len() > 2);
        home
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("audit")
    }

    fn opened(&self, now_unix_ms: u64) -> Opened {
        open_writer(&self.path(), &self.options, now_unix_ms).unwrap()
    }

    fn writer(&self) -> Writer {
        self.opened(NOW).writer
    }

    fn auditor(&self) -> Auditor {
        Auditor::open(&self.path(), &self.options).unwrap()
    }

    /// The directory as a crash of this moment would leave it, elsewhere.
    fn crashed(&self) -> Home {
        let copy = Home::new();
        fs::create_dir(copy.path()).unwrap();
        for name in self.names() {
            fs::copy(self.path().join(&name), copy.path().join(&name)).unwrap();
        }
        copy
    }

    fn names(&self) -> Vec<String> {
        RealDisk.list(&self.path()).unwrap()
    }

    fn segments(&self) -> Vec<PathBuf> {
        list(&RealDisk, &self.path()).unwrap().into_iter().map(|found| found.path).collect()
    }

    fn newest(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }

    fn report(&self) -> AuditReport {
        verify(&self.path(), None).unwrap()
    }

    /// What is wrong: file, offset, what.
    fn faults(&self) -> Vec<(String, u64, Fault)> {
        let faults = self.report().faults.into_iter();
        faults.map(|fault| (name_of(&fault.path), fault.offset, fault.what)).collect()
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.faults(), []);
    }

    fn everything(&self) -> Vec<Noted> {
        let mut everything = Vec::new();
        read(&self.path(), &Period::ALL, &mut |noted| everything.push(*noted)).unwrap();
        everything
    }

    fn look_ups(&self) -> Vec<LookedUp> {
        let look_up = |noted| if let Noted::LookUp(look_up) = noted { Some(look_up) } else { None };
        self.everything().into_iter().filter_map(look_up).collect()
    }

    fn notes(&self) -> Vec<Note> {
        let note = |noted| if let Noted::Note { note, .. } = noted { Some(note) } else { None };
        self.everything().into_iter().filter_map(note).collect()
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A block's worth of look-ups, one for each number.
fn content(numbers: std::ops::Range<u64>, unix_ms: u64) -> Content {
    let mut encoder = Encoder::new(PseudonymKey::of([1; 16]));
    for number in numbers {
        let context = Context { sequence: 7, institution: 110_113_720, token: 5, via: 1, has_token: true };
        let answer_word = answer_word(Day::parse(b"2026-11-22").unwrap(), 1, true);
        encoder.add(&Taken::Single { unix_ms, context, key_word: key_word(person(number)), answer_word });
    }
    encoder.finish()
}

fn person(number: u64) -> KeyHash {
    KeyHash::of(KeyKind::Member, &number.to_le_bytes())
}

/// Where the blocks of a segment begin, and its end.
fn offsets(segment: &Path) -> Vec<u64> {
    let mut offsets = Vec::new();
    let end = walk(&RealDisk, segment, &mut |passed| {
        if let Passed::Block { offset, .. } = passed {
            offsets.push(offset);
        }
    });
    offsets.push(end.unwrap().unwrap().offset);
    offsets
}

fn cut(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn is_want_of_space(outcome: &Result<(), AuditError>) -> bool {
    outcome.as_ref().is_err_and(AuditError::is_want_of_space)
}
