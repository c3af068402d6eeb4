//! A file of which nobody can say whether it came before is held, like one that did.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::num::NonZeroUsize;

use common::{Place, Row};
use shikaku::domain::day::DateForm;
use shikaku::domain::identifier::AuthorityCode;
use shikaku::ingest::register::{LocalRegister, Register, RegisterError, Standing};
use shikaku::ingest::{Encoding, Ending, ImportOptions, ImportReport, ParseOptions, import};
use shikaku::record::payload::{Changes, FeedRecord};
use shikaku::registry::{Applied, KnownFile, OpenOptions, Registry};

/// A register that has forgotten older files and whose store is detached.
struct Forgetful<'r>(LocalRegister<'r>);

impl Register for Forgetful<'_> {
    fn standing(&self) -> Result<Standing, RegisterError> {
        self.0.standing()
    }

    fn known_file(&self, _: &str, _: &[AuthorityCode]) -> Result<KnownFile, RegisterError> {
        Ok(KnownFile::CannotBeKnown)
    }

    fn are_current(&self, changes: &Changes) -> Result<Vec<bool>, RegisterError> {
        self.0.are_current(changes)
    }

    fn reserve_rows(&self, rows: u64) -> Result<(), RegisterError> {
        self.0.reserve_rows(rows)
    }

    fn record_feed(&self, feed: &FeedRecord) -> Result<u64, RegisterError> {
        self.0.record_feed(feed)
    }

    fn apply(&self, changes: &Changes) -> Result<Applied, RegisterError> {
        self.0.apply(changes)
    }
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap()
}

#[test]
fn it_is_held_until_a_person_accepts_it() {
    let place = Place::new();
    let registry = Registry::open(&place.data(), &OpenOptions::at(now())).unwrap();
    let file = place.file("rows.csv", [&Row::of(1)]);
    let take = |accept: bool| -> ImportReport {
        let parse = ParseOptions { encoding: Encoding::Utf8, dates: DateForm::Iso };
        let accepted_by = accept.then(|| "a person".to_owned());
        let options = ImportOptions { parse, rejects: None, dry_run: false, accept, accepted_by, workers: NonZeroUsize::MIN };
        import(&file, &options, &Forgetful(LocalRegister::new(&registry, now)), &mut |_| {}).unwrap()
    };
    let before = registry.position();
    let held = take(false);
    assert_eq!(held.ending, Ending::Held);
    let [gate] = held.examination.gates.as_slice() else { panic!("{:?}", held.examination.gates) };
    assert_eq!(gate.word(), "older_file");
    assert!(gate.to_string().contains("cannot be known"), "{gate}");
    assert_eq!(registry.position(), before, "nothing was applied");

    let accepted = take(true);
    assert_eq!((accepted.ending, accepted.counts.registered), (Ending::Applied, 1));
    assert_eq!(accepted.overridden, held.examination.gates);
}
