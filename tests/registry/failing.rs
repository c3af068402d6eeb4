//! A disk that fails while the registry is written: nothing is acknowledged that is not durable, and look-ups go on.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shikaku::disk::{Disk, DiskFile, Held, OpenMode, RealDisk};
use shikaku::domain::decision::Verdict;
use shikaku::log::LogError;
use shikaku::registry::RegistryError;

use crate::fixture::*;

#[derive(Debug, Default)]
pub(crate) struct Faults {
    syncs: AtomicBool,
    full: AtomicBool,
    /// Syncing is left out: for a test that writes thousands of frames and survives no power failure.
    pub(crate) lazy: AtomicBool,
}

#[derive(Debug)]
struct FailingDisk(Arc<Faults>);

#[derive(Debug)]
struct FailingFile(Box<dyn DiskFile>, Arc<Faults>);

impl Disk for FailingDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(FailingFile(RealDisk.open(path, mode)?, self.0.clone())))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        RealDisk.list(directory)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        RealDisk.sync_directory(directory)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        RealDisk.create_directory(directory)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        RealDisk.exists(path)
    }

    fn hold(&self, path: &Path) -> io::Result<Result<Held, String>> {
        RealDisk.hold(path)
    }

    fn free_bytes(&self, directory: &Path) -> io::Result<u64> {
        RealDisk.free_bytes(directory)
    }
}

impl DiskFile for FailingFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.1.full.load(Ordering::SeqCst) {
            self.0.append(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0.append(bytes)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.cut(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        match (self.1.syncs.load(Ordering::SeqCst), self.1.lazy.load(Ordering::SeqCst)) {
            (true, _) => Err(io::Error::other("the test's disk fails")),
            (false, true) => Ok(()),
            (false, false) => self.0.sync(),
        }
    }
}

pub(crate) fn on_a_failing_disk() -> (Home, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    let mut home = Home::new();
    home.options.disk = Arc::new(FailingDisk(faults.clone()));
    (home, faults)
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_stops_writing_until_a_restart() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    let position = registry.position();
    faults.syncs.store(true, Ordering::SeqCst);
    assert!(matches!(registry.apply(&upserts([person(2)]), NOW), Err(RegistryError::Log(LogError::Disk { .. }))));
    faults.syncs.store(false, Ordering::SeqCst);
    assert!(matches!(
        registry.apply(&upserts([person(3)]), NOW),
        Err(RegistryError::NotWritable { trouble: "log_poisoned", .. })
    ));
    assert_eq!((registry.position(), troubles(&registry)), (position, vec!["log_poisoned"]));
    assert!(is_eligible(&registry, &person(1)));
    assert_eq!(seen(&registry, &person(2)).0, Verdict::NotRegistered);
    registry.close(NOW).unwrap();

    // The frame was written whole. It was not acknowledged, and may stand.
    let registry = home.open();
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    assert!(is_eligible(&registry, &person(1)) && is_eligible(&registry, &person(2)));
    register(&registry, [person(3)]);
    assert_eq!(registry.verify_running().unwrap().fault, None);
}

#[test]
fn a_full_disk_refuses_a_registration_and_takes_it_when_there_is_room_again() {
    let (home, faults) = on_a_failing_disk();
    let registry = home.open();
    register(&registry, [person(1)]);
    let position = registry.position();
    faults.full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(registry.apply(&upserts([person(2)]), NOW).is_err());
    }
    assert_eq!((registry.position(), troubles(&registry)), (position, vec!["disk_full"]));
    faults.full.store(false, Ordering::SeqCst);
    register(&registry, [person(2)]);
    assert_eq!(troubles(&registry), Vec::<&str>::new());
    drop(registry);
    let registry = home.open();
    assert!(is_eligible(&registry, &person(1)) && is_eligible(&registry, &person(2)));
    assert_eq!(troubles(&registry), Vec::<&str>::new());
}
