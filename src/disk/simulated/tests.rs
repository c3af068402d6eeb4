//! The simulated disk keeps what disks promise, and nothing more.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;

use super::{Aftermath, Faults, SECTOR_BYTES, SimulatedDisk};
use crate::disk::{Disk, OpenMode, RealDisk};

fn file() -> &'static Path {
    Path::new("/d/file")
}

fn with_directory(seed: u64) -> SimulatedDisk {
    let disk = SimulatedDisk::new(seed);
    disk.create_directory(Path::new("/d")).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

/// A disk with a durable file of these bytes.
fn holding(seed: u64, bytes: &[u8]) -> SimulatedDisk {
    let disk = with_directory(seed);
    let mut file = disk.open(file(), OpenMode::Replace).unwrap();
    file.append(bytes).unwrap();
    file.sync().unwrap();
    disk.sync_directory(Path::new("/d")).unwrap();
    disk
}

#[test]
fn what_was_synced_survives_every_power_failure_and_what_was_not_may_be_there_or_not() {
    let mut lengths = BTreeSet::new();
    for seed in 0..400 {
        let disk = holding(seed, b"synced");
        let mut open = disk.open(file(), OpenMode::Append).unwrap();
        open.append(b" not synced").unwrap();
        let disk = disk.after_power_failure(Aftermath::Torn);
        let left = disk.bytes_of(file()).unwrap();
        assert!(left.starts_with(b"synced"), "seed {seed}: {left:?}");
        lengths.insert((left.len(), left.ends_with(b"synced")));
        assert!(open.append(b"from before").is_err(), "a dead process writes");
    }
    assert!(lengths.contains(&(6, true)) && lengths.contains(&(17, true)), "{lengths:?}");
    // As long as it was said to be, but without its bytes.
    assert!(lengths.contains(&(17, false)), "{lengths:?}");
}

#[test]
fn a_write_is_torn_between_sectors_and_never_inside_one() {
    let (mut torn, mut reordered) = (0, 0);
    for seed in 0..400 {
        let disk = holding(seed, &[1; 100]);
        let mut open = disk.open(file(), OpenMode::Append).unwrap();
        open.append(&[2; 3 * SECTOR_BYTES]).unwrap();
        let left = disk.after_power_failure(Aftermath::Torn).bytes_of(file()).unwrap();
        let sectors: Vec<bool> = left.chunks(SECTOR_BYTES).map(|sector| sector.ends_with(&[2])).collect();
        for sector in left.chunks(SECTOR_BYTES) {
            let written = sector.iter().filter(|byte| **byte == 2).count();
            let old = sector.iter().filter(|byte| **byte == 1).count();
            assert!(written == 0 || written + old == sector.len(), "seed {seed}");
        }
        let first_lost = sectors.iter().position(|written| !written).unwrap_or(4);
        torn += u32::from(sectors.contains(&true) && first_lost < 4);
        reordered += u32::from(sectors.iter().skip(first_lost).any(|written| *written));
    }
    assert!(torn > 50 && reordered > 30, "{torn} {reordered}");
}

#[test]
fn a_name_is_durable_with_its_directory_and_not_with_its_file() {
    for aftermath in [Aftermath::Lost, Aftermath::Kept] {
        let disk = with_directory(1);
        let mut new = disk.open(file(), OpenMode::Replace).unwrap();
        new.append(b"bytes").and_then(|()| new.sync()).unwrap();
        let left = disk.after_power_failure(aftermath).bytes_of(file());
        assert_eq!(left.is_some(), aftermath == Aftermath::Kept);
    }
    let disk = holding(1, b"bytes");
    disk.rename(file(), Path::new("/d/other")).unwrap();
    assert_eq!(disk.list(Path::new("/d")).unwrap(), ["other"]);
    let disk = disk.after_power_failure(Aftermath::Lost);
    assert_eq!(disk.list(Path::new("/d")).unwrap(), ["file"]);
    disk.remove(file()).unwrap();
    let disk = disk.after_power_failure(Aftermath::Lost);
    assert_eq!(disk.bytes_of(file()).unwrap(), b"bytes", "a removal was not synced");
    disk.remove(file()).unwrap();
    disk.sync_directory(Path::new("/d")).unwrap();
    assert_eq!(disk.after_power_failure(Aftermath::Lost).bytes_of(file()), None);
}

#[test]
fn a_sync_that_fails_forgets_what_it_should_have_written() {
    let mut reads_as_written = BTreeSet::new();
    for seed in 0..50 {
        let disk = holding(seed, b"old");
        let mut open = disk.open(file(), OpenMode::Append).unwrap();
        open.append(&[7; 4 * SECTOR_BYTES]).unwrap();
        disk.set_faults(Faults { fails_at: Some(1), ..Faults::default() });
        assert!(open.sync().is_err());
        reads_as_written.insert(disk.bytes_of(file()).unwrap().len() == 3 + 4 * SECTOR_BYTES);
        // The next one says that all is well, and writes nothing.
        open.sync().unwrap();
        let lost_some = disk.after_power_failure(Aftermath::Kept).bytes_of(file()).unwrap() != [b"old", &[7; 2048][..]].concat();
        reads_as_written.insert(!lost_some);
    }
    assert_eq!(reads_as_written.len(), 2, "it never loses, or never hides it");
}

#[test]
fn a_killed_process_leaves_everything_it_wrote_and_its_handles_are_dead() {
    let disk = holding(1, b"old");
    let held = disk.hold(Path::new("/d/LOCK")).unwrap().unwrap();
    assert!(disk.hold(Path::new("/d/LOCK")).unwrap().is_err(), "held twice");
    let mut open = disk.open(file(), OpenMode::Append).unwrap();
    open.append(b" new").unwrap();
    let next = disk.after_kill();
    assert_eq!(next.bytes_of(file()).unwrap(), b"old new");
    assert!(open.append(b"!").is_err() && disk.list(Path::new("/d")).is_err());
    let again = next.hold(Path::new("/d/LOCK")).unwrap().unwrap();
    drop(held);
    assert!(next.hold(Path::new("/d/LOCK")).unwrap().is_err(), "a dead process let go of it");
    drop(again);
    assert!(next.hold(Path::new("/d/LOCK")).unwrap().is_ok());
}

#[test]
fn a_full_disk_takes_what_fits_and_says_so() {
    let disk = holding(1, b"12345");
    disk.set_faults(Faults { capacity_bytes: Some(8), ..Faults::default() });
    let mut open = disk.open(file(), OpenMode::Append).unwrap();
    assert_eq!(open.append(b"67890").unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert_eq!(disk.bytes_of(file()).unwrap(), b"12345678");
    open.cut(5).unwrap();
    assert_eq!(disk.free_bytes(Path::new("/d")).unwrap(), 3);
    open.append(b"6").unwrap();
}

#[test]
fn the_power_fails_after_the_operation_it_is_to_fail_after() {
    let disk = holding(1, b"");
    disk.set_faults(Faults { power_fails_after: Some(2), ..Faults::default() });
    let mut open = disk.open(file(), OpenMode::Append).unwrap();
    open.append(b"one").unwrap();
    open.sync().unwrap();
    assert!(disk.is_off() && open.append(b"two").is_err());
    assert_eq!(disk.after_power_failure(Aftermath::Lost).bytes_of(file()).unwrap(), b"one");
}

#[derive(Clone, Debug)]
enum Step {
    Write(u8, Vec<u8>),
    Append(u8, Vec<u8>),
    Cut(u8, u64),
    Rename(u8, u8),
    Remove(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        (0..4u8, bytes()).prop_map(|(name, bytes)| Step::Write(name, bytes)),
        (0..4u8, bytes()).prop_map(|(name, bytes)| Step::Append(name, bytes)),
        (0..4u8, 0..30u64).prop_map(|(name, length)| Step::Cut(name, length)),
        (0..4u8, 0..4u8).prop_map(|(from, to)| Step::Rename(from, to)),
        (0..4u8).prop_map(Step::Remove),
    ]
}

fn take(disk: &dyn Disk, directory: &Path, step: &Step) -> bool {
    let path = |name: &u8| directory.join(format!("f{name}"));
    let done = match step {
        Step::Write(name, bytes) => disk.open(&path(name), OpenMode::Replace).and_then(|mut file| file.append(bytes)),
        Step::Append(name, bytes) => disk.open(&path(name), OpenMode::Append).and_then(|mut file| file.append(bytes)),
        Step::Cut(name, length) => disk.open(&path(name), OpenMode::Append).and_then(|mut file| match file.length()? {
            long if long >= *length => file.cut(*length),
            _ => Ok(()),
        }),
        Step::Rename(from, to) => disk.rename(&path(from), &path(to)),
        Step::Remove(name) => disk.remove(&path(name)),
    };
    done.is_ok()
}

fn seen(disk: &dyn Disk, directory: &Path) -> Vec<(String, Vec<u8>)> {
    let names = disk.list(directory).unwrap();
    let read = names.into_iter().map(|name| {
        let file = disk.open(&directory.join(&name), OpenMode::Read).unwrap();
        let mut bytes = vec![0; file.length().unwrap() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        (name, bytes)
    });
    read.collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn without_faults_it_is_a_disk_like_the_real_one(steps in prop::collection::vec(step(), 0..40)) {
        let place = tempfile::tempdir().unwrap();
        let simulated = with_directory(0);
        for step in &steps {
            prop_assert_eq!(take(&RealDisk, place.path(), step), take(&simulated, Path::new("/d"), step), "{:?}", step);
            prop_assert_eq!(seen(&RealDisk, place.path()), seen(&simulated, Path::new("/d")), "{:?}", step);
        }
    }
}
