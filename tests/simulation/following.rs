//! A directory that follows, with a crash after every operation of the disk, with operations that fail, with a full disk: it always
//! stands at a prefix of the hub's frames with the hub's state, and goes on from there to the hub's end.

use shikaku::disk::simulated::{Aftermath, Faults};
use shikaku::domain::prefectures::Prefectures;
use shikaku::registry::{Following, FollowingError, Keeping, Registry, RegistryError};
use xxhash_rust::xxh3::xxh3_64;

use crate::hub::{Hub, frames_of};
use crate::machine::{Machine, NOW, difference};
use crate::proof::proved;

const PROMISE: &str =
    "a follower stands at a prefix of its hub's frames, with the hub's state there, and goes on to the hub's end";

/// How many sizes of a disk that is too small are tried, for each way to take frames.
const FULL_DISKS: u64 = 150;

/// How a follower takes what its hub has.
struct Course<'h> {
    hub: &'h Hub,
    machine: Machine,
    from_snapshot: bool,
    /// Which prefectures are held; every row of the small world is of one of them.
    held: Option<Prefectures>,
    /// How many frames come at once.
    frames_at_once: u64,
    /// A frame that comes damaged in what it says of the state, and is only then sent as it is.
    diverges_at: Option<u64>,
}

/// How far a follower got before the power failed.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    begun: bool,
    acknowledged: u64,
}

impl<'h> Course<'h> {
    fn of(hub: &'h Hub, segment_bytes_max: u64, frames_at_once: u64) -> Course<'h> {
        let machine = Machine { segment_bytes_max, ..hub.machine.clone() };
        Course { hub, machine, from_snapshot: false, held: None, frames_at_once, diverges_at: None }
    }

    fn begin(&self, machine: &Machine) -> Result<(), RegistryError> {
        let snapshot = self.from_snapshot.then(|| self.hub.backup());
        let begun = Registry::begin_following(&machine.door(), &machine.directory, &self.following(), snapshot, NOW)?;
        assert_eq!(begun.sequence, if self.from_snapshot { self.hub.backup_sequence } else { 0 });
        Ok(())
    }

    fn following(&self) -> Following {
        Following { prefectures: self.held, ..self.hub.following() }
    }

    /// Takes frames up to the hub's end, or to what keeps it from going on.
    fn take_all(&self, registry: &Registry, reached: &mut Reached) -> Result<(), RegistryError> {
        while registry.sequence() < self.hub.last() {
            let sequence = registry.sequence();
            if let Some(diverging) = self.diverges_at
                && sequence < diverging
            {
                self.refuse_what_diverges(registry, diverging)?;
            }
            let taken = registry.take_frames(&self.hub.behind(registry.sequence(), self.frames_at_once));
            reached.acknowledged = registry.sequence();
            self.judge(registry);
            taken?;
        }
        Ok(())
    }

    /// Sends everything up to a frame that says another state than there will be: what comes before it is taken, and of it nothing.
    fn refuse_what_diverges(&self, registry: &Registry, diverging: u64) -> Result<(), RegistryError> {
        let sequence = registry.sequence();
        let mut bytes = self.hub.behind(sequence, diverging - 1 - sequence);
        bytes.extend(with_another_state(&self.hub.frames[diverging as usize - 1].bytes));
        bytes.extend(self.hub.behind(diverging, 2));
        let refused = registry.take_frames(&bytes).unwrap_err();
        self.judge(registry);
        match refused {
            RegistryError::Diverged { sequence } => {
                assert_eq!((sequence, registry.sequence()), (diverging, diverging - 1));
                assert_eq!(registry.standing().0.sequence, diverging - 1);
                assert_eq!(frames_of(registry).len() as u64, diverging - 1, "something of it is handed on");
                Ok(())
            }
            other => Err(other),
        }
    }

    /// It must stand at a prefix, with the hub's state and answers there.
    fn judge(&self, registry: &Registry) {
        let sequence = registry.sequence();
        assert_eq!(registry.state_checksum(), self.hub.checksum_at(sequence), "the state at {sequence}");
        if let Some(model) = self.hub.models.get(&sequence) {
            assert_eq!(difference(registry, model), None, "at {sequence}");
        }
    }

    /// Begins, opens and takes everything; gives how far it got, and what ended it.
    fn run(&self, machine: &Machine) -> (Reached, Result<(), RegistryError>) {
        let mut reached = Reached::default();
        let mut all = || {
            self.begin(machine)?;
            reached.begun = true;
            let registry = machine.open()?;
            self.take_all(&registry, &mut reached)?;
            registry.close(NOW)
        };
        let ended = all();
        (reached, ended)
    }

    /// What is left after a crash or a failure must be a prefix that holds all that was acknowledged, and lead to the hub's end.
    fn recover(&self, machine: &Machine, reached: Reached) {
        let registry = match machine.open() {
            Ok(registry) if registry.following().is_some() => registry,
            // Nothing of it is there yet, and the directory is as good as new.
            Ok(_) if !reached.begun => return self.recover_elsewhere(machine),
            Ok(_) => panic!("it no longer follows"),
            Err(RegistryError::Following(FollowingError::Unfinished { .. })) if !reached.begun => {
                self.begin(machine).unwrap();
                machine.open().unwrap()
            }
            Err(error) => panic!("{error} after {reached:?}"),
        };
        let stopped = registry.troubles().stops_writing();
        assert!(stopped.is_none(), "{stopped:?} {:?}", registry.notes());
        assert_eq!(registry.following(), Some(&self.following()));
        assert!(registry.sequence() >= reached.acknowledged, "{} of {reached:?}", registry.sequence());
        self.judge(&registry);
        let plain = Course { diverges_at: None, machine: self.machine.clone(), ..*self };
        plain.take_all(&registry, &mut Reached::default()).unwrap();
        self.judge_end(&registry);
        registry.close(NOW).unwrap();
        let report = machine.verify();
        assert_eq!(report.fault, None, "{:?}", report.notes);
        // It ends as it was: no frame of its own.
        let registry = machine.open().unwrap();
        assert_eq!(registry.sequence(), self.hub.last());
        self.judge_log(&registry);
    }

    /// An open of a directory that was not begun begins a stream of its own there; the follower begins in another.
    fn recover_elsewhere(&self, machine: &Machine) {
        let machine = Machine { directory: "/var/elsewhere".into(), ..machine.clone() };
        let (_, ended) = Course { diverges_at: None, machine: self.machine.clone(), ..*self }.run(&machine);
        ended.unwrap();
        self.judge_end(&machine.open().unwrap());
    }

    fn judge_end(&self, registry: &Registry) {
        assert_eq!(registry.sequence(), self.hub.last());
        self.judge(registry);
        let held = registry.create_snapshot(std::path::Path::new("/follower.snap")).unwrap();
        let (mine, hubs) =
            ((held.recipients, held.rows, held.history), (self.hub.end.recipients, self.hub.end.rows, self.hub.end.history));
        assert_eq!(mine, hubs, "something was applied twice, or not at all");
        self.judge_log(registry);
    }

    /// The log holds the hub's frames byte for byte.
    fn judge_log(&self, registry: &Registry) {
        let own: Vec<u8> = frames_of(registry).into_iter().flat_map(|frame| frame.bytes).collect();
        let begins = if self.from_snapshot { self.hub.backup_sequence } else { 0 };
        assert_eq!(own, self.hub.behind(begins, u64::MAX), "its log is not the hub's");
    }

    /// Tries it with a crash after every change; returns how many recoveries were judged.
    fn crash_everywhere(&self) -> u64 {
        let whole = self.machine.fork(0);
        let (_, ended) = self.run(&whole);
        ended.unwrap();
        let changes = whole.disk.changes();
        let mut judged = 0;
        for change in 1..=changes {
            let crashed = self.machine.fork(change);
            crashed.disk.set_faults(Faults { power_fails_after: Some(change), ..Faults::default() });
            let (reached, _) = self.run(&crashed);
            assert!(crashed.disk.is_off() || change == changes);
            let aftermaths = [Some(Aftermath::Lost), Some(Aftermath::Kept), None, Some(Aftermath::Torn), Some(Aftermath::Torn)];
            for (seed, aftermath) in aftermaths.into_iter().enumerate() {
                let after = crashed.fork(change * 1_000 + seed as u64);
                let after = match aftermath {
                    Some(aftermath) => after.after_power_failure(aftermath),
                    None => after.after_kill(),
                };
                self.told(&after, &format!("crash {change}, {aftermath:?}"), || self.recover(&after, reached));
                judged += 1;
            }
        }
        judged
    }

    fn told(&self, machine: &Machine, what: &str, judge: impl FnOnce()) {
        if let Err(panic) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(judge)) {
            eprintln!("{what}, after:\n{}", machine.disk.last_operations().join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}

/// The frame with another state checksum in it, and its own checksum made to match.
pub(crate) fn with_another_state(frame: &[u8]) -> Vec<u8> {
    let mut bytes = frame.to_vec();
    bytes[32] ^= 1;
    let covered = bytes.len() - 8;
    let checksum = xxh3_64(&bytes[..covered]);
    bytes[covered..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[test]
fn following_frame_by_frame_may_be_cut_off_after_any_operation() {
    let hub = Hub::new(21);
    let mut judged = Course::of(&hub, 900, 1).crash_everywhere();
    judged += Course::of(&hub, 900, 3).crash_everywhere();
    let test = "following_frame_by_frame_may_be_cut_off_after_any_operation";
    proved(PROMISE, "crash after every operation of beginning to follow and of taking frame by frame, with rolls", test, judged);
}

#[test]
fn following_in_long_runs_may_be_cut_off_after_any_operation() {
    let hub = Hub::new(22);
    let mut judged = 0;
    for segment_bytes_max in [4_000, 12_000] {
        judged += Course::of(&hub, segment_bytes_max, u64::MAX).crash_everywhere();
    }
    let test = "following_in_long_runs_may_be_cut_off_after_any_operation";
    proved(PROMISE, "crash after every operation of taking long runs, segments of their own among them", test, judged);
}

#[test]
fn following_from_a_snapshot_may_be_cut_off_after_any_operation() {
    let hub = Hub::new(23);
    let judged = Course { from_snapshot: true, ..Course::of(&hub, 900, 3) }.crash_everywhere();
    let test = "following_from_a_snapshot_may_be_cut_off_after_any_operation";
    proved(PROMISE, "crash after every operation of beginning from a snapshot and going on", test, judged);
}

#[test]
fn following_a_part_may_be_cut_off_after_any_operation() {
    let hub = Hub::new(28);
    let held = Some(Prefectures::of([13, 27]).unwrap());
    let judged = Course { from_snapshot: true, held, ..Course::of(&hub, 4_000, 4) }.crash_everywhere();
    let test = "following_a_part_may_be_cut_off_after_any_operation";
    proved(PROMISE, "crash after every operation of beginning from a part of a snapshot and going on", test, judged);
}

#[test]
fn a_frame_that_diverges_changes_nothing_wherever_the_power_fails() {
    let hub = Hub::new(24);
    let mut judged = 0;
    let last = hub.last();
    for (diverging, frames_at_once, segment_bytes_max) in [(last, 3, 900), (last - 4, u64::MAX, 12_000), (last - 7, 1, 2_000)] {
        let course = Course { diverges_at: Some(diverging), ..Course::of(&hub, segment_bytes_max, frames_at_once) };
        let whole = course.machine.fork(0);
        let (_, ended) = course.run(&whole);
        ended.unwrap();
        course.recover(&whole.after_kill(), Reached { begun: true, acknowledged: last });
        judged += 1;
        for change in 1..=whole.disk.changes() {
            let crashed = course.machine.fork(change);
            crashed.disk.set_faults(Faults { power_fails_after: Some(change), ..Faults::default() });
            let (reached, _) = course.run(&crashed);
            for (seed, aftermath) in [Aftermath::Lost, Aftermath::Kept, Aftermath::Torn].into_iter().enumerate() {
                let after = crashed.fork(change * 1_000 + seed as u64).after_power_failure(aftermath);
                course.told(&after, &format!("crash {change}, {aftermath:?}"), || {
                    course.recover_or_stop(&after, reached, diverging);
                });
                judged += 1;
            }
        }
    }
    let promise = "a frame after which the state would not be its hub's changes nothing, and a start never answers from it";
    let test = "a_frame_that_diverges_changes_nothing_wherever_the_power_fails";
    proved(promise, "crash after every operation while diverging frames come", test, judged);
}

impl Course<'_> {
    /// Where the frame that diverges was durable and not yet taken back, the start stands before it, says so, and takes nothing more.
    fn recover_or_stop(&self, machine: &Machine, reached: Reached, diverging: u64) {
        let copy = machine.fork(1).after_kill();
        match copy.open() {
            Ok(registry) if registry.following().is_some() && registry.troubles().stops_writing().is_some() => {
                let (trouble, detail) = registry.troubles().stops_writing().unwrap();
                assert_eq!(trouble.word(), "log_corrupt", "{detail}");
                assert!(detail.contains("the state after this frame"), "{detail}");
                assert_eq!(registry.sequence(), diverging - 1);
                assert!(registry.sequence() >= reached.acknowledged);
                self.judge(&registry);
                assert!(registry.take_frames(&self.hub.behind(diverging - 1, 1)).is_err());
            }
            _ => self.recover(machine, reached),
        }
    }
}

#[test]
fn any_operation_may_fail_while_a_stream_is_followed() {
    let hub = Hub::new(25);
    let mut judged = 0;
    for (segment_bytes_max, frames_at_once, from_snapshot) in [(900, 2, false), (4_000, u64::MAX, false), (2_000, 3, true)] {
        let course = Course { from_snapshot, ..Course::of(&hub, segment_bytes_max, frames_at_once) };
        let whole = course.machine.fork(0);
        course.run(&whole).1.unwrap();
        for operation in 1..=whole.disk.operations() {
            let failing = course.machine.fork(operation);
            failing.disk.set_faults(Faults { fails_at: Some(operation), ..Faults::default() });
            let (reached, _) = course.run(&failing);
            for (seed, aftermath) in [Aftermath::Lost, Aftermath::Torn].into_iter().enumerate() {
                let after = failing.fork(operation * 1_000 + seed as u64).after_power_failure(aftermath);
                course.told(&after, &format!("operation {operation}, {aftermath:?}"), || course.recover(&after, reached));
                judged += 1;
            }
        }
    }
    let test = "any_operation_may_fail_while_a_stream_is_followed";
    proved(PROMISE, "EIO on the n-th operation of following, a failing fsync that forgets among them", test, judged);
}

#[test]
fn a_disk_may_be_full_at_any_byte_while_a_stream_is_followed() {
    let hub = Hub::new(26);
    let mut judged = 0;
    for (segment_bytes_max, frames_at_once) in [(900, 2), (4_000, u64::MAX)] {
        let course = Course::of(&hub, segment_bytes_max, frames_at_once);
        let before = course.machine.disk.used_bytes();
        let whole = course.machine.fork(0);
        course.run(&whole).1.unwrap();
        let after = whole.disk.used_bytes();
        // Prime to the frames' lengths, which are multiples of eight.
        let step = ((after - before) / FULL_DISKS) as usize | 1;
        for capacity_bytes in (before..after).step_by(step) {
            let full = course.machine.fork(capacity_bytes);
            full.disk.set_faults(Faults { capacity_bytes: Some(capacity_bytes), ..Faults::default() });
            let (reached, ended) = course.run(&full);
            assert!(ended.is_err());
            let roomy = full.fork(1).after_power_failure(Aftermath::Torn);
            course.told(&roomy, &format!("{capacity_bytes} bytes"), || course.recover(&roomy, reached));
            judged += 1;
        }
    }
    let test = "a_disk_may_be_full_at_any_byte_while_a_stream_is_followed";
    proved(PROMISE, "a disk full at any of so many bytes of following", test, judged);
}

#[test]
fn followers_with_other_segments_and_other_runs_end_equal() {
    let hub = Hub::new(27);
    let mut judged = 0;
    for segment_bytes_max in [900, 4_000, 256 << 20] {
        for frames_at_once in [1, 2, 7, u64::MAX] {
            for from_snapshot in [false, true] {
                let course = Course { from_snapshot, ..Course::of(&hub, segment_bytes_max, frames_at_once) };
                let machine = course.machine.fork(judged);
                course.run(&machine).1.unwrap();
                course.judge_end(&machine.open().unwrap());
                judged += 1;
            }
        }
    }
    let test = "followers_with_other_segments_and_other_runs_end_equal";
    proved(PROMISE, "segments and runs of other sizes, with and without a snapshot", test, judged);
}

#[test]
fn a_snapshot_that_is_the_only_one_outlasts_a_look_that_fails() {
    let hub = Hub::new(29);
    let course = Course { from_snapshot: true, ..Course::of(&hub, 900, 3) };
    let keep = |registry: &Registry| registry.keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, NOW + 1_000);
    let begun = course.machine.fork(0);
    course.begin(&begun).unwrap();
    let whole = begun.fork(0).after_kill();
    let registry = whole.open().unwrap();
    whole.disk.set_faults(Faults::default());
    assert_eq!(keep(&registry).unwrap().sound, 1);
    let operations = whole.disk.operations();
    for operation in 1..=operations {
        let machine = begun.fork(operation).after_kill();
        let registry = machine.open().unwrap();
        machine.disk.set_faults(Faults { fails_at: Some(operation), ..Faults::default() });
        let _ = keep(&registry);
        drop(registry);
        let machine = machine.after_kill();
        machine.disk.lose(&machine.directory.join("store").join("model"));
        course.told(&machine, &format!("operation {operation}"), || {
            course.recover(&machine, Reached { begun: true, acknowledged: hub.backup_sequence });
        });
    }
    let promise = "a follower is rebuilt from the snapshot that it began with";
    let test = "a_snapshot_that_is_the_only_one_outlasts_a_look_that_fails";
    proved(promise, "EIO on the n-th operation of a round of keeping, and the store lost", test, operations);
}
