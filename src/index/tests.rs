//! The index against a plain model, while readers look on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use proptest::prelude::*;

use super::Found;
use super::{Frozen, IndexOptions, IndexReader, IndexWriter, Place, Position, create};
use crate::domain::decision::Row as _;
use crate::domain::registration::Registration;
use crate::record::DossierRef;
use crate::record::fixture::{self, dossier, person};
use crate::record::identity::{KeyBytes, KeyHash, KeyKind};

/// Segments of 4 KiB and eight slots: everything happens in a short test.
const SMALL: IndexOptions = IndexOptions { segment_words_log2: 9, slots: 8 };
/// People who are always there.
const PEOPLE: u32 = 5;
/// Certificates that wander between them.
const CERTIFICATES: u32 = 8;
/// People who come and go.
const VISITORS: u32 = 24;

#[derive(Clone, Debug)]
enum Step {
    Update { who: u32 },
    Move { certificate: u32, to: u32 },
    Visit { who: u32 },
    Tidy,
    Reserve { keys: usize },
    Freeze,
    Thaw,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..PEOPLE).prop_map(|who| Step::Update { who }),
        6 => (0..CERTIFICATES, 0..PEOPLE).prop_map(|(certificate, to)| Step::Move { certificate, to }),
        6 => (0..VISITORS).prop_map(|who| Step::Visit { who }),
        4 => Just(Step::Tidy),
        1 => (0..200usize).prop_map(|keys| Step::Reserve { keys }),
        1 => Just(Step::Freeze),
        1 => Just(Step::Thaw),
    ]
}

/// Number, and rows with their versions, of one dossier.
type Content = (u64, BTreeMap<String, u64>);

fn content(dossier: DossierRef<'_>) -> Content {
    let rows = dossier.held_rows().map(|held| (held.row.recipient_number().to_owned(), held.sequence));
    (dossier.number(), rows.collect())
}

/// The row of a certificate as a person holds it. Each person's own certificate is the one of their number.
fn held_by(who: u32, certificate: u32) -> Registration {
    let mut registration = person(who);
    registration.recipient_number = format!("{certificate:07}");
    registration.card_link = format!("card{certificate}");
    registration
}

fn wandering(certificate: u32) -> u32 {
    1000 + certificate
}

fn member_key(who: u32) -> KeyBytes {
    let person = person(who);
    fixture::member_key(&person.insurer, person.birth_date, &person.symbol, &person.number)
}

fn certificate_key(certificate: u32) -> KeyBytes {
    fixture::certificate_key(&person(0).payer.unwrap(), &format!("{certificate:07}"))
}

fn by_member(reader: &IndexReader, who: u32) -> Vec<Content> {
    let guard = crossbeam_epoch::pin();
    let key = member_key(who);
    let mut found = Found::default();
    // Members are looked for in a run, beside others that are and are not there; certificates in both ways.
    let hash = |who| KeyHash::of(KeyKind::Member, member_key(who).as_bytes());
    let mut places = [Place::default(); 3];
    reader.locate(&guard, [hash(who + 1), hash(who), hash(9999)].into_iter(), &mut places);
    reader.find_at(&guard, hash(who), places[1], &mut found, |dossier| dossier.has_member_key(&key));
    assert!(found.complete);
    found.dossiers.iter().map(|dossier| content(whole(*dossier))).collect()
}

fn by_certificate(reader: &IndexReader, certificate: u32) -> Vec<Content> {
    let guard = crossbeam_epoch::pin();
    let key = certificate_key(certificate);
    let hash = KeyHash::of(KeyKind::Certificate, key.as_bytes());
    let mut found = Found::default();
    let mut place = [Place::ToBeFound];
    if certificate.is_multiple_of(2) {
        reader.locate(&guard, std::iter::once(hash), &mut place);
    }
    reader.find_at(&guard, hash, place[0], &mut found, |dossier| dossier.has_certificate_key(&key));
    found.dossiers.iter().map(|dossier| content(whole(*dossier))).collect()
}

fn whole(dossier: DossierRef<'_>) -> DossierRef<'_> {
    DossierRef::validated(dossier.as_bytes()).unwrap()
}

/// The writer with what it should hold.
struct World {
    writer: IndexWriter,
    reader: IndexReader,
    positions: BTreeMap<u32, Position>,
    /// Who holds which certificates, with versions.
    people: BTreeMap<u32, BTreeMap<u32, u64>>,
    version: u64,
    frozen: Option<(Frozen, Vec<Content>)>,
}

impl World {
    fn new() -> World {
        let (writer, reader) = create(SMALL).unwrap();
        let mut world = World { writer, reader, positions: BTreeMap::new(), people: BTreeMap::new(), version: 1, frozen: None };
        for who in 0..PEOPLE {
            world.people.insert(who, BTreeMap::from([(who, 1)]));
        }
        for certificate in 0..CERTIFICATES {
            world.people.entry(certificate % PEOPLE).or_default().insert(wandering(certificate), 1);
        }
        for who in 0..PEOPLE {
            world.publish(who);
        }
        world
    }

    fn publish(&mut self, who: u32) {
        let rows = self.people.get(&who).cloned().unwrap_or_default();
        if rows.is_empty() {
            if let Some(old) = self.positions.remove(&who) {
                self.writer.remove(old);
            }
            return;
        }
        let rows: Vec<(Registration, u64)> = rows.iter().map(|(row, version)| (held_by(who, *row), *version)).collect();
        let batch = dossier(u64::from(who), &rows);
        let dossier = batch.dossier(0).unwrap();
        let position = match self.positions.get(&who) {
            Some(old) => self.writer.replace(*old, dossier),
            None => self.writer.insert(dossier),
        };
        self.positions.insert(who, position.unwrap());
    }

    fn take(&mut self, step: &Step) {
        self.version += 1;
        let version = self.version;
        match *step {
            Step::Update { who } => {
                for known in self.people.get_mut(&who).unwrap().values_mut() {
                    *known = version;
                }
                self.publish(who);
            }
            Step::Move { certificate, to } => {
                let row = wandering(certificate);
                let from = *self.people.iter().find(|(_, rows)| rows.contains_key(&row)).unwrap().0;
                if from == to {
                    return;
                }
                self.people.get_mut(&to).unwrap().insert(row, version);
                self.publish(to);
                self.writer.begin_taking_away();
                self.people.get_mut(&from).unwrap().remove(&row);
                self.publish(from);
            }
            Step::Visit { who } => {
                let who = 100 + who;
                if self.people.remove(&who).is_none() {
                    self.people.insert(who, BTreeMap::from([(who, version)]));
                }
                self.publish(who);
            }
            Step::Tidy => self.after_tidy(),
            Step::Reserve { keys } => self.writer.reserve(keys).unwrap(),
            Step::Freeze => {
                self.check_frozen();
                self.frozen = Some((self.writer.freeze(), self.contents()));
            }
            Step::Thaw => {
                self.check_frozen();
                self.frozen = None;
            }
        }
    }

    fn after_tidy(&mut self) {
        self.writer.tidy().unwrap();
        // What was compacted lies elsewhere now.
        for position in self.writer.positions() {
            let who = u32::try_from(self.writer.dossier(position).number()).unwrap();
            self.positions.insert(who, position);
        }
    }

    fn contents(&self) -> Vec<Content> {
        let named = |rows: &BTreeMap<u32, u64>| rows.iter().map(|(row, version)| (format!("{row:07}"), *version)).collect();
        self.people.iter().map(|(who, rows)| (u64::from(*who), named(rows))).collect()
    }

    fn check_frozen(&self) {
        if let Some((frozen, expected)) = &self.frozen {
            let mut seen: Vec<Content> = frozen.dossiers().map(|dossier| content(whole(dossier))).collect();
            seen.sort();
            assert_eq!(&seen, expected, "what was frozen stays as it was");
        }
    }

    fn check(&self) {
        self.check_frozen();
        let expected = self.contents();
        let mut seen: Vec<Content> = self.writer.positions().map(|at| content(self.writer.dossier(at))).collect();
        seen.sort();
        assert_eq!(seen, expected);
        let mut live = 0;
        for (number, rows) in &expected {
            assert_eq!(by_member(&self.reader, u32::try_from(*number).unwrap()), [(*number, rows.clone())]);
            for row in rows.keys() {
                assert_eq!(by_certificate(&self.reader, row.parse().unwrap()), [(*number, rows.clone())]);
            }
            // A member key, and for each row a certificate, a card and an identity.
            live += 1 + 3 * rows.len() as u64;
        }
        assert_eq!(self.writer.key_count(), live);
        let bytes: u64 = self.writer.positions().map(|at| self.writer.dossier(at).as_bytes().len() as u64).sum();
        assert_eq!(self.writer.live_bytes(), bytes);
        for who in (100..100 + VISITORS).filter(|who| !self.people.contains_key(who)) {
            assert_eq!(by_member(&self.reader, who), []);
        }
    }
}

/// Looks at everything that is always there, until it is told to stop.
fn look_on(reader: &IndexReader, stop: &AtomicBool, looks: &AtomicU64) {
    let mut of_person = [0; PEOPLE as usize];
    let mut of_certificate = [0; CERTIFICATES as usize];
    while !stop.load(Ordering::Relaxed) {
        for who in 0..PEOPLE {
            let found = by_member(reader, who);
            assert_eq!(found.len(), 1, "person {who} is always there, once: {found:?}");
            let version = found[0].1[&format!("{who:07}")];
            assert!(version >= of_person[who as usize], "person {who} went back");
            of_person[who as usize] = version;
        }
        for certificate in 0..CERTIFICATES {
            let found = by_certificate(reader, wandering(certificate));
            let name = format!("{:07}", wandering(certificate));
            let version = found.iter().map(|(_, rows)| rows[&name]).max();
            let version = version.unwrap_or_else(|| panic!("certificate {certificate} was missed"));
            assert!(version >= of_certificate[certificate as usize], "certificate {certificate} went back");
            of_certificate[certificate as usize] = version;
        }
        looks.fetch_add(1, Ordering::Relaxed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_one_whole_state_after_another_while_everything_moves(
        steps in prop::collection::vec(step(), 1..250),
    ) {
        let mut world = World::new();
        let stop = AtomicBool::new(false);
        let looks = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let readers: Vec<_> = (0..2)
                .map(|_| {
                    let reader = world.reader.clone();
                    let (stop, looks) = (&stop, &looks);
                    scope.spawn(move || look_on(&reader, stop, looks))
                })
                .collect();
            let walked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                for (place, step) in steps.iter().enumerate() {
                    world.take(step);
                    if place % 16 == 0 {
                        world.check();
                    }
                }
                world.check();
                // The readers have seen something of it, or have failed.
                while looks.load(Ordering::Relaxed) < 4 && !readers.iter().any(std::thread::ScopedJoinHandle::is_finished) {
                    std::thread::yield_now();
                }
            }));
            stop.store(true, Ordering::Relaxed);
            for reader in readers {
                reader.join().unwrap();
            }
            walked.unwrap();
        });
    }
}

#[test]
fn memory_is_given_back_when_what_filled_it_is_gone() {
    let (mut writer, reader) = create(SMALL).unwrap();
    let mut positions = BTreeMap::new();
    for n in 0..300 {
        let batch = dossier(u64::from(n), &[(person(n), 1)]);
        positions.insert(n, writer.insert(batch.dossier(0).unwrap()).unwrap());
    }
    let full = writer.memory_bytes();
    for n in (0..300).filter(|n| n % 10 != 0) {
        writer.remove(positions[&n]);
    }
    let live = writer.live_bytes();
    // Tidying takes one segment at a time, and memory goes back once the epoch has moved on.
    for _ in 0..10_000 {
        writer.tidy().unwrap();
        if writer.memory_bytes() < full / 2 {
            break;
        }
        std::thread::yield_now();
    }
    assert!(writer.memory_bytes() < full / 2, "{} of {full}", writer.memory_bytes());
    assert_eq!(writer.live_bytes(), live);
    for n in 0..300 {
        assert_eq!(by_member(&reader, n).len(), usize::from(n % 10 == 0), "{n}");
    }
}

#[test]
fn a_freeze_holds_memory_and_letting_go_of_it_gives_it_back() {
    let (mut writer, _reader) = create(SMALL).unwrap();
    let batch = |n: u32, version| dossier(u64::from(n), &[(person(n), version)]);
    let mut positions: Vec<Position> = (0..100).map(|n| writer.insert(batch(n, 1).dossier(0).unwrap()).unwrap()).collect();
    let frozen = writer.freeze();
    for round in 2..12 {
        for n in 0..100 {
            positions[n as usize] = writer.replace(positions[n as usize], batch(n, round).dossier(0).unwrap()).unwrap();
        }
    }
    for _ in 0..200 {
        writer.tidy().unwrap();
    }
    let held = writer.memory_bytes();
    assert_eq!(frozen.dossiers().len(), 100);
    assert!(frozen.dossiers().all(|dossier| whole(dossier).held_rows().all(|held| held.sequence == 1)));
    drop(frozen);
    for _ in 0..10_000 {
        writer.tidy().unwrap();
        if writer.memory_bytes() < held / 2 {
            return;
        }
        std::thread::yield_now();
    }
    panic!("{} of {held} are still held", writer.memory_bytes());
}

#[test]
fn readers_and_freezes_outlive_the_writer() {
    let world = {
        let mut world = World::new();
        for certificate in 0..CERTIFICATES {
            world.take(&Step::Move { certificate, to: 0 });
        }
        world
    };
    let expected = world.contents();
    let World { writer, reader, .. } = world;
    let frozen = writer.freeze();
    let guard = crossbeam_epoch::pin();
    let key = member_key(0);
    let mut found = Found::default();
    reader.find(&guard, KeyHash::of(KeyKind::Member, key.as_bytes()), &mut found, |dossier| dossier.has_member_key(&key));
    drop(writer);
    assert_eq!(content(whole(found.dossiers[0])), expected[0]);
    assert_eq!(by_member(&reader, 0), [expected[0].clone()]);
    let mut seen: Vec<Content> = frozen.dossiers().map(|dossier| content(whole(dossier))).collect();
    seen.sort();
    assert_eq!(seen, expected);
    drop((found, reader));
    assert_eq!(frozen.dossiers().len(), expected.len());
}

#[test]
fn several_loaders_fill_one_index_and_readers_outlive_a_loader_that_was_dropped() {
    let (mut writer, reader) = create(SMALL).unwrap();
    writer.reserve(200 * 4).unwrap();
    let loaders: Vec<_> = std::thread::scope(|scope| {
        let start = |part: u32| {
            let mut loader = writer.loader();
            scope.spawn(move || {
                for n in (0..100).map(|n| n * 2 + part) {
                    let batch = dossier(u64::from(n), &[(person(n), 1)]);
                    let loaded = loader.copy(batch.dossier(0).unwrap().as_bytes()).unwrap().unwrap();
                    assert_eq!(loaded.number(), u64::from(n));
                }
                loader
            })
        };
        let threads = [start(0), start(1)];
        threads.map(|thread| thread.join().unwrap()).into()
    });
    let [one, other] = <[_; 2]>::try_from(loaders).ok().unwrap();
    drop(other);
    writer.adopt(one).unwrap();
    for n in 0..200 {
        assert_eq!(by_member(&reader, n).len(), 1, "{n}");
    }
}

#[test]
fn a_loader_refuses_what_is_no_dossier_and_more_keys_than_there_is_room_for() {
    let (mut writer, _reader) = create(SMALL).unwrap();
    let mut loader = writer.loader();
    let batch = dossier(1, &[(person(1), 1)]);
    let bytes = batch.dossier(0).unwrap().as_bytes().to_vec();
    for length in [0, 7, 8, bytes.len() - 8] {
        assert!(loader.copy(&bytes[..length]).unwrap().is_err(), "{length}");
    }
    let mut flipped = bytes.clone();
    flipped[4] = 9;
    assert!(loader.copy(&flipped).unwrap().is_err());
    let full = (0..10).find_map(|n| {
        let batch = dossier(u64::from(n), &[(person(n), 1)]);
        loader.copy(batch.dossier(0).unwrap().as_bytes()).err()
    });
    let full = full.or_else(|| writer.adopt(loader).err());
    assert!(matches!(full, Some(super::IndexError::Full)), "{full:?}");
}

#[test]
fn more_dossiers_than_can_be_gathered_are_said_to_be_incomplete() {
    let (mut writer, reader) = create(SMALL).unwrap();
    for n in 0..140 {
        let mut registration = person(n);
        registration.card_link = "shared".to_owned();
        let batch = dossier(u64::from(n), &[(registration, 1)]);
        writer.insert(batch.dossier(0).unwrap()).unwrap();
    }
    let guard = crossbeam_epoch::pin();
    let key = fixture::card_key("shared");
    let mut found = Found::default();
    reader.find(&guard, KeyHash::of(KeyKind::Card, key.as_bytes()), &mut found, |dossier| dossier.has_card_link(&key));
    assert_eq!((found.dossiers.len(), found.complete), (super::FOUND_MAX, false));
}

#[test]
fn a_row_that_moves_while_it_is_looked_for_is_found() {
    // The look-up itself makes the row move, whenever it has seen the first or the second dossier: no interleaving is worse.
    for moves_at in 1..=2 {
        for (from, to) in [(0, 1), (1, 0)] {
            // Two dossiers share a certificate's key, by another period each.
            let key = certificate_key(wandering(0));
            let shared = |who: u32, rows: &[&str]| {
                let rows: Vec<(Registration, u64)> = rows
                    .iter()
                    .map(|history| (Registration { history_key: (*history).to_owned(), ..held_by(who, wandering(0)) }, 1))
                    .collect();
                dossier(u64::from(who), &rows)
            };
            let (mut writer, reader) = create(SMALL).unwrap();
            let positions = [0, 1].map(|who| {
                let own: &[&str] = if who == from { &["own", "moving"] } else { &["own"] };
                writer.insert(shared(who, own).dossier(0).unwrap()).unwrap()
            });
            let writer = std::cell::RefCell::new(writer);
            let calls = std::cell::Cell::new(0);
            let guard = crossbeam_epoch::pin();
            let mut found = Found::default();
            reader.find(&guard, KeyHash::of(KeyKind::Certificate, key.as_bytes()), &mut found, |dossier| {
                calls.set(calls.get() + 1);
                if calls.get() == moves_at {
                    let mut writer = writer.borrow_mut();
                    let gain = shared(to, &["own", "moving"]);
                    writer.replace(positions[to as usize], gain.dossier(0).unwrap()).unwrap();
                    writer.begin_taking_away();
                    let loss = shared(from, &["own"]);
                    writer.replace(positions[from as usize], loss.dossier(0).unwrap()).unwrap();
                }
                dossier.has_certificate_key(&key)
            });
            let histories = found.dossiers.iter().flat_map(|dossier| dossier.held_rows().map(|held| held.row.history_key()));
            let moving = histories.filter(|history| *history == "moving").count();
            assert!(moving >= 1, "moving at {moves_at} from {from}");
        }
    }
}

#[test]
fn a_key_is_found_while_the_table_grows_under_it() {
    let key = certificate_key(wandering(1));
    let hash = KeyHash::of(KeyKind::Certificate, key.as_bytes());
    for _ in 0..60 {
        let (mut writer, reader) = create(SMALL).unwrap();
        let mut position = writer.insert(dossier(0, &[(held_by(0, wandering(1)), 1)]).dossier(0).unwrap()).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let guard = crossbeam_epoch::pin();
                    let mut found = Found::default();
                    reader.find(&guard, hash, &mut found, |_| true);
                    assert_eq!(found.dossiers.len(), 1);
                }
            });
            for n in 0..40 {
                // Every version has new keys before the one that is looked for, so that some make the table grow.
                let rows = [(held_by(0, 5000 + n), 1), (held_by(0, wandering(1)), 1)];
                position = writer.replace(position, dossier(0, &rows).dossier(0).unwrap()).unwrap();
                let visitor = dossier(u64::from(n) + 1, &[(person(100 + n), 1)]);
                writer.insert(visitor.dossier(0).unwrap()).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            looking.join().unwrap();
        });
    }
}
