//! A hub that registers and publishes, and replicas that follow, each in this process with a directory of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shikaku::disk::{Disk, RealDisk};
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::identifier::{AuthorityCode, BranchNumber, InsurerNumber, PayerNumber, Sex};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::ingest::blank_registration;
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku::registry::{Following, OpenOptions, Registry, RegistryError};
use shikaku::sync::intake::{Intake, IntakeDoor, Share};
use shikaku::sync::jetstream::{
    BrokerConfig, BrokerFollower, FollowedBroker, OtherWay, PublishConfig, PublishedToBroker, Publisher,
};
use shikaku::sync::key::HubSigner;
use shikaku::sync::standing::FollowStanding;
use tempfile::TempDir;

use crate::servers::{PATIENCE, await_that};

/// 2026-11-22, midnight in Japan.
const NOW: u64 = 1_795_273_200_000;

pub(crate) fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// Opens a directory that another registry may just have let go of.
pub(crate) fn open(directory: &std::path::Path) -> Arc<Registry> {
    // Small segments, so that the log has several.
    let options = OpenOptions { segment_bytes_max: 256 << 10, ..OpenOptions::at(NOW) };
    let mut opened = Registry::open(directory, &options);
    await_that("the directory is free", || match &opened {
        Err(RegistryError::InUse { .. }) => {
            opened = Registry::open(directory, &options);
            false
        }
        _ => true,
    });
    Arc::new(opened.unwrap())
}

/// The house that registers.
pub(crate) struct Hub {
    directory: TempDir,
    registry: Option<Arc<Registry>>,
    pub(crate) signer: Arc<HubSigner>,
    publisher: Option<Publisher>,
    people: u32,
}

impl Hub {
    pub(crate) fn new() -> Hub {
        let directory = TempDir::new().unwrap();
        let registry = Some(open(directory.path()));
        let signer = Arc::new(HubSigner::read_or_make(&RealDisk, directory.path()).unwrap());
        Hub { directory, registry, signer, publisher: None, people: 0 }
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        self.registry.as_ref().unwrap()
    }

    pub(crate) fn publish(&mut self, config: PublishConfig) {
        self.publisher = Some(Publisher::start(self.registry().clone(), self.signer.clone(), config).unwrap());
    }

    pub(crate) fn published(&self) -> PublishedToBroker {
        self.publisher.as_ref().unwrap().standing().read()
    }

    /// Ends publishing and closes the directory, as the program does.
    pub(crate) fn stop(&mut self) {
        if let Some(publisher) = self.publisher.take() {
            publisher.stop();
        }
        let registry = self.registry.take().unwrap();
        registry.finish(NOW).unwrap();
    }

    pub(crate) fn restart(&mut self) {
        self.registry = Some(open(self.directory.path()));
    }

    /// Registers so many frames of so many people each.
    pub(crate) fn register(&mut self, frames: u32, people: u32) -> u64 {
        let mut sequence = 0;
        for _ in 0..frames {
            let mut changes = Changes::new();
            for number in self.people..self.people + people {
                changes.push(Operation::Upsert, &Row::of(&person(number))).unwrap();
            }
            self.people += people;
            sequence = self.registry().apply(&changes, NOW).unwrap().sequence;
        }
        sequence
    }

    /// Waits until the broker has acknowledged everything.
    #[track_caller]
    pub(crate) fn await_published(&self) {
        await_that("the broker has everything", || self.published().sequence >= self.registry().sequence());
    }
}

/// A house that answers.
pub(crate) struct Replica {
    directory: TempDir,
    pub(crate) registry: Option<Arc<Registry>>,
    follower: Option<BrokerFollower>,
    stop: Arc<AtomicBool>,
}

impl Replica {
    /// An empty directory that follows a hub.
    pub(crate) fn of(hub: &Hub) -> Replica {
        let directory = TempDir::new().unwrap();
        let following =
            Following { stream: hub.registry().stream(), hub_key: *hub.signer.public().as_bytes(), prefectures: None };
        Registry::begin_following(&disk(), directory.path(), &following, None, NOW).unwrap();
        let registry = Some(open(directory.path()));
        Replica { directory, registry, follower: None, stop: Arc::new(AtomicBool::new(false)) }
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        self.registry.as_ref().unwrap()
    }

    pub(crate) fn intake(&self) -> Intake {
        Intake::open(self.registry().clone(), disk(), Share::WHOLE, self.stop.clone()).unwrap()
    }

    pub(crate) fn follow(&mut self, broker: BrokerConfig, other_way: Option<OtherWay>) {
        let (_, deeds) = IntakeDoor::new();
        let (follower, _) = BrokerFollower::start(self.intake(), deeds, broker, other_way, self.stop.clone()).unwrap();
        self.follower = Some(follower);
    }

    pub(crate) fn followed(&self) -> FollowedBroker {
        self.follower.as_ref().unwrap().standing().read()
    }

    pub(crate) fn standing(&self) -> FollowStanding {
        self.follower.as_ref().unwrap().standings().read()
    }

    /// Waits until every frame of the hub's was taken from the broker, and fails where one was taken twice.
    #[track_caller]
    pub(crate) fn await_each_taken_once(&self, hub: &Hub) {
        let frames = hub.registry().sequence();
        await_that("every frame was taken", || self.followed().taken >= frames);
        assert_eq!(self.followed().taken, frames);
    }

    /// Ends following and opens the directory again, as a restart of the program does.
    pub(crate) fn restart(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take() {
            follower.join();
        }
        self.registry.take().unwrap().finish(NOW).unwrap();
        self.stop = Arc::new(AtomicBool::new(false));
        self.registry = Some(open(self.directory.path()));
    }

    pub(crate) fn troubles(&self) -> Vec<&'static str> {
        self.registry().troubles().list().iter().map(|(trouble, _)| trouble.word()).collect()
    }

    /// Waits until it stands where the hub does, and compares everything that a sequence stands for.
    #[track_caller]
    pub(crate) fn await_equal(&self, hub: &Hub) {
        let (place, state) = hub.registry().standing();
        let reached = self.registry().wait_beyond(place.sequence - 1, PATIENCE);
        assert!(reached >= place.sequence, "at {reached} of {}: {:?}", place.sequence, self.registry().troubles().list());
        let own = self.registry().standing();
        assert_eq!((own.0, own.1.total()), (place, state.total()));
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(follower) = self.follower.take() {
            follower.join();
        }
    }
}

pub(crate) fn broker(urls: &str) -> BrokerConfig {
    BrokerConfig::default().at(urls)
}

pub(crate) fn publish_to(urls: &str, replicas: usize) -> PublishConfig {
    PublishConfig { broker: broker(urls), replicas, ..PublishConfig::default() }
}

/// A person's one certificate, covering 2026-11-22.
fn person(number: u32) -> Registration {
    let day = |text: &[u8]| Day::parse(text).unwrap();
    Registration {
        authority: AuthorityCode::parse(b"131016").unwrap(),
        certificate_type: "CH01".to_owned(),
        certificate_name: "子ども医療費受給者証".to_owned(),
        insurer: InsurerNumber::parse_padded(b"138057").unwrap(),
        symbol: "品１".to_owned(),
        number: format!("{number:07}"),
        branch: Some(BranchNumber::parse(b"01").unwrap()),
        birth_date: BirthDate::parse(b"2019-05-04").unwrap(),
        sex: Sex::parse(b"1").ok(),
        payer: Some(PayerNumber::parse(b"88131016").unwrap()),
        recipient_number: format!("{number:07}"),
        history_key: "1".to_owned(),
        valid_from: day(b"2026-04-01"),
        valid_to: day(b"2027-03-31"),
        card_link: format!("card{number:09}"),
        ..blank_registration()
    }
}

fn copy_tree(from: &std::path::Path, to: &std::path::Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

impl Hub {
    /// A hub on a copy of a directory that was closed: an old backup that somebody starts.
    pub(crate) fn copied(&self) -> Hub {
        let directory = TempDir::new().unwrap();
        copy_tree(self.directory.path(), directory.path());
        let registry = Some(open(directory.path()));
        Hub { directory, registry, signer: self.signer.clone(), publisher: None, people: 1_000_000 }
    }
}
