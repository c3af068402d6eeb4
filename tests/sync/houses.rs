//! A hub and those who follow it, in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use shikaku::disk::{Disk, RealDisk};
use shikaku::log::SEGMENT_HEAD;
use shikaku::registry::{Following, OpenOptions, Registry};
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::intake::{Intake, IntakeError, Share, Wanted};
use shikaku::sync::key::HubSigner;
use shikaku::sync::refusal::Refusal;
use tempfile::TempDir;

use crate::registry::{Home, NOW, once_free, person, real_disk, register};

/// Small enough that a few frames fill one.
pub(crate) const SEGMENT_BYTES: u64 = 8 << 10;

/// A register that others follow.
pub(crate) struct Hub {
    pub(crate) home: Home,
    pub(crate) registry: Registry,
    pub(crate) signer: HubSigner,
    clock: AtomicU64,
}

impl Hub {
    /// With so many frames, a person in each.
    pub(crate) fn with(frames: u32) -> Hub {
        let mut home = Home::new();
        home.options.segment_bytes_max = SEGMENT_BYTES;
        Hub::of(home, frames)
    }

    /// The same with all of them in one segment: no place before the last is signed.
    pub(crate) fn in_one_segment(frames: u32) -> Hub {
        let mut home = Home::new();
        home.options.segment_bytes_max = 256 << 20;
        Hub::of(home, frames)
    }

    pub(crate) fn of(home: Home, frames: u32) -> Hub {
        let registry = home.open();
        let signer = HubSigner::read_or_make(&RealDisk, home.path()).unwrap();
        let hub = Hub { home, registry, signer, clock: AtomicU64::new(NOW) };
        hub.register(0..frames);
        hub
    }

    pub(crate) fn register(&self, people: std::ops::Range<u32>) {
        for number in people {
            register(&self.registry, [person(number)]);
        }
    }

    /// How the log stands. Each is signed a second after the one before.
    pub(crate) fn checkpoint(&self) -> Checkpoint {
        let time = self.clock.fetch_add(1000, Ordering::Relaxed);
        Checkpoint::of(&self.registry, &self.registry.segments().unwrap(), time)
    }

    pub(crate) fn signed(&self) -> Vec<u8> {
        self.sign(&self.checkpoint())
    }

    pub(crate) fn sign(&self, checkpoint: &Checkpoint) -> Vec<u8> {
        checkpoint.sign(&self.signer)
    }

    /// The bytes of every frame behind a sequence.
    pub(crate) fn frames_behind(&self, sequence: u64) -> Vec<u8> {
        self.frames().into_iter().filter(|(number, _)| *number > sequence).flat_map(|(_, bytes)| bytes).collect()
    }

    /// Every frame of the log with its sequence.
    pub(crate) fn frames(&self) -> Vec<(u64, Vec<u8>)> {
        let mut frames = Vec::new();
        for segment in self.registry.segments().unwrap() {
            let (reader, mut bytes) = (self.registry.segment(segment.first_sequence).unwrap(), Vec::new());
            while (bytes.len() as u64) < reader.bytes() {
                bytes.extend_from_slice(&reader.read(bytes.len() as u64..reader.bytes()).unwrap());
            }
            let mut rest = &bytes[SEGMENT_HEAD..];
            while !rest.is_empty() {
                let frame = shikaku::log::Frame::first_of(rest).unwrap();
                frames.push((frame.sequence, frame.bytes.to_vec()));
                rest = &rest[frame.bytes.len()..];
            }
        }
        frames
    }

    /// The directory as it is now, elsewhere, as an old copy of the machine would hold it; opened as a hub with the same key.
    pub(crate) fn copied(&self, clock: u64) -> Hub {
        let home = self.home.crashed();
        let registry = home.open();
        let signer = HubSigner::read_or_make(&RealDisk, home.path()).unwrap();
        Hub { home, registry, signer, clock: AtomicU64::new(clock) }
    }
}

/// A directory that follows, open, with its intake.
pub(crate) struct House {
    pub(crate) directory: TempDir,
    pub(crate) registry: Arc<Registry>,
    pub(crate) intake: Intake,
}

impl House {
    /// One that has nothing yet.
    pub(crate) fn following(hub: &Hub) -> House {
        House::following_on(hub, &real_disk())
    }

    /// The same on a disk of the test's.
    pub(crate) fn following_on(hub: &Hub, disk: &Arc<dyn Disk>) -> House {
        let directory = TempDir::new().unwrap();
        let following = Following { stream: hub.registry.stream(), hub_key: *hub.signer.public().as_bytes(), prefectures: None };
        Registry::begin_following(&real_disk(), directory.path(), &following, None, NOW).unwrap();
        House::open_on(directory, disk)
    }

    pub(crate) fn open(directory: TempDir) -> House {
        House::open_on(directory, &real_disk())
    }

    fn open_on(directory: TempDir, disk: &Arc<dyn Disk>) -> House {
        let options = OpenOptions { segment_bytes_max: SEGMENT_BYTES, disk: disk.clone(), ..OpenOptions::at(NOW) };
        let registry = Arc::new(once_free(|| Registry::open(directory.path(), &options)).unwrap());
        let intake = Intake::open(registry.clone(), disk.clone(), Share::WHOLE, Arc::new(AtomicBool::new(false))).unwrap();
        House { directory, registry, intake }
    }

    /// Ends and begins again, as a restart does.
    pub(crate) fn restarted(self) -> House {
        let House { directory, registry, intake } = self;
        drop(intake);
        registry.finish(NOW).unwrap();
        drop(registry);
        House::open(directory)
    }

    /// Takes everything the hub has.
    pub(crate) fn catch_up(&mut self, hub: &Hub) {
        self.intake.consider(&hub.signed()).unwrap();
        let Wanted::Frames { after, .. } = self.intake.wanted() else { return };
        self.intake.take(&hub.frames_behind(after)).unwrap();
        assert_eq!(self.intake.wanted(), Wanted::Nothing);
        assert_eq!(self.registry.position(), hub.registry.position());
    }

    /// The refusal of a checkpoint.
    #[track_caller]
    pub(crate) fn refuses(&mut self, signed: &[u8]) -> Refusal {
        refusal(self.intake.consider(signed).map(|_| ()))
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.registry.sequence()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, IntakeError>) -> Refusal {
    match outcome {
        Err(IntakeError::Refused(refusal)) => refusal,
        other => panic!("it was to be refused: {other:?}"),
    }
}
