//! What is taken, in whatever pieces it comes, and where it goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, atomic::AtomicBool};

use shikaku::disk::Disk;
use shikaku::record::payload::FeedPhase;
use shikaku::registry::{RegistryError, Trouble};
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::intake::{Intake, IntakeError, Share, Wanted};
use shikaku::sync::refusal::Refusal;

use crate::faulty::{Faults, FaultyDisk};
use crate::houses::{House, Hub};
use crate::registry::{NOW, feed, is_eligible, person, real_disk};

/// Lengths of pieces, the next at random.
struct Pieces<'b> {
    rest: &'b [u8],
    random: u64,
    largest: usize,
}

impl<'b> Iterator for Pieces<'b> {
    type Item = &'b [u8];

    fn next(&mut self) -> Option<&'b [u8]> {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let length = (1 + (self.random >> 33) as usize % self.largest).min(self.rest.len());
        let (piece, rest) = self.rest.split_at(length);
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

#[test]
fn a_house_stands_where_its_hub_does_however_the_bytes_were_cut() {
    let hub = Hub::with(60);
    hub.registry.record_feed(&feed(FeedPhase::Ended, "aa", &["131016"]), NOW).unwrap();
    for (seed, largest) in [(1, 1), (2, 7), (3, 200), (4, 5000), (5, 100_000)] {
        let mut house = House::following(&hub);
        let wanted = house.intake.consider(&hub.signed()).unwrap();
        assert_eq!(wanted, Wanted::Frames { after: 0, through: hub.registry.sequence() });
        let bytes = hub.frames_behind(0);
        let mut reached = vec![0];
        for piece in (Pieces { rest: &bytes, random: seed, largest }) {
            assert_eq!(house.intake.take(piece).unwrap(), piece.len());
            if *reached.last().unwrap() != house.sequence() {
                reached.push(house.sequence());
            }
        }
        let newest = hub.checkpoint();
        assert!(reached.iter().skip(1).all(|sequence| newest.chain_at(*sequence).is_some()), "applied at signed places only");
        assert_eq!(house.registry.position(), hub.registry.position());
        assert!(is_eligible(&house.registry, &person(59)));
        assert!(!house.path("intake/spool").exists());
    }
}

#[test]
fn nothing_is_applied_before_a_signed_place_is_reached() {
    let hub = Hub::in_one_segment(3);
    let mut house = House::following(&hub);
    house.intake.consider(&hub.signed()).unwrap();
    let bytes = hub.frames_behind(0);
    house.intake.take(&bytes[..bytes.len() - 1]).unwrap();
    assert_eq!(house.sequence(), 0);
    house.intake.take(&bytes[bytes.len() - 1..]).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
}

#[test]
fn what_lies_behind_the_signed_place_is_left_and_comes_with_the_next() {
    let hub = Hub::with(3);
    let mut house = House::following(&hub);
    let early = hub.signed();
    let through = hub.registry.sequence();
    hub.register(3..6);
    house.intake.consider(&early).unwrap();
    let bytes = hub.frames_behind(0);
    let taken = house.intake.take(&bytes).unwrap();
    assert_eq!(taken, bytes.len() - hub.frames_behind(through).len());
    assert_eq!(house.sequence(), through);
    assert_eq!(
        house.intake.consider(&hub.signed()).unwrap(),
        Wanted::Frames { after: through, through: hub.registry.sequence() }
    );
    house.intake.take(&bytes[taken..]).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
}

#[test]
fn frames_that_come_again_are_passed_over() {
    let hub = Hub::with(5);
    let mut house = House::following(&hub);
    house.catch_up(&hub);
    hub.register(5..9);
    house.intake.consider(&hub.signed()).unwrap();
    house.intake.take(&hub.frames_behind(0)).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
    let frames = house.registry.segments().unwrap().iter().map(|segment| segment.bytes - 128).sum::<u64>();
    assert_eq!(frames, hub.frames_behind(0).len() as u64, "each frame lies in the log once");
}

#[test]
fn a_line_that_breaks_costs_only_the_frame_that_was_under_way() {
    let hub = Hub::in_one_segment(5);
    let mut house = House::following(&hub);
    house.intake.consider(&hub.signed()).unwrap();
    let bytes = hub.frames_behind(0);
    house.intake.take(&bytes[..bytes.len() - 9]).unwrap();
    house.intake.line_broke();
    let Wanted::Frames { after, .. } = house.intake.wanted() else { panic!("more is wanted") };
    assert!(after > 0 && house.sequence() == 0, "what came whole is spooled");
    house.intake.take(&hub.frames_behind(after)).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
}

#[test]
fn a_restart_goes_on_exactly_where_the_own_log_stands() {
    let hub = Hub::with(4);
    let mut house = House::following(&hub);
    for round in 1..6 {
        house.catch_up(&hub);
        hub.register(4 * round..4 * round + 4);
        house.intake.consider(&hub.signed()).unwrap();
        // Some of it is spooled when the program ends.
        let bytes = hub.frames_behind(house.sequence());
        house.intake.take(&bytes[..bytes.len() / 2]).unwrap();
        let stood = house.sequence();
        house.intake.remember(std::time::Duration::ZERO).unwrap();
        house = house.restarted();
        assert_eq!(house.sequence(), stood);
        assert_eq!(
            house.intake.newest().map(|newest| newest.sequence),
            Some(hub.registry.sequence()),
            "what was seen is remembered"
        );
    }
    house.catch_up(&hub);
}

#[test]
fn a_restart_in_the_middle_takes_what_the_same_checkpoint_still_asks_for() {
    let hub = Hub::with(4);
    let mut house = House::following(&hub);
    house.catch_up(&hub);
    let stood = house.sequence();
    hub.register(4..40);
    let signed = hub.signed();
    let wanted = Wanted::Frames { after: stood, through: hub.registry.sequence() };
    assert_eq!(house.intake.consider(&signed).unwrap(), wanted);
    house.intake.remember(std::time::Duration::ZERO).unwrap();
    house = house.restarted();
    // Nothing new is signed: the hub shows what was accepted before.
    assert_eq!(house.intake.consider(&signed).unwrap(), wanted);
    let bytes = hub.frames_behind(stood);
    house.intake.take(&bytes[..bytes.len() / 4 * 3]).unwrap();
    assert!(house.sequence() > stood, "it goes on as far as the first signed place");
    let ended = house.intake.source_ended();
    assert!(matches!(ended, Err(Refusal::Truncated { .. })), "what is wanted and does not come is no end: {ended:?}");
    house.intake.take(&hub.frames_behind(house.sequence())).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
    assert_eq!((house.intake.wanted(), house.intake.source_ended()), (Wanted::Nothing, Ok(())));
}

#[test]
fn what_a_relay_passes_on_is_the_hubs_own_word_for_what_is_applied() {
    let hub = Hub::with(4);
    let mut house = House::following(&hub);
    assert!(house.intake.passable().is_none());
    let signed = hub.signed();
    house.intake.consider(&signed).unwrap();
    assert!(house.intake.passable().is_none(), "nothing of it is applied");
    house.intake.take(&hub.frames_behind(0)).unwrap();
    let (sequence, passed) = house.intake.passable().unwrap();
    assert_eq!((sequence, &passed[..]), (hub.registry.sequence(), &signed[..]));
    assert!(Checkpoint::verify(&passed, &hub.signer.public()).is_ok());
    let renewed = hub.signed();
    house.intake.consider(&renewed).unwrap();
    assert_eq!(house.intake.passable().unwrap().1, renewed, "a newer word for the same place");
    house.intake.remember(std::time::Duration::ZERO).unwrap();
    let house = house.restarted();
    assert_eq!(house.intake.passable().unwrap().1, renewed);
}

#[test]
fn a_house_follows_a_house_by_its_own_segments_and_the_hubs_word() {
    let hub = Hub::with(40);
    let mut relay = House::following(&hub);
    relay.catch_up(&hub);
    let mut last = House::following(&hub);
    last.intake.consider(&relay.intake.passable().unwrap().1).unwrap();
    for segment in relay.registry.segments().unwrap() {
        let bytes = relay.registry.read_segment(segment.first_sequence, 128..segment.bytes).unwrap();
        last.intake.take(&bytes).unwrap();
    }
    assert_eq!(last.registry.position(), hub.registry.position());
}

#[test]
fn a_program_that_ends_stops_between_two_runs_and_leaves_what_it_applied() {
    let hub = Hub::with(30);
    let house = House::following(&hub);
    let registry = &house.registry;
    let stop = Arc::new(AtomicBool::new(false));
    let mut intake = Intake::open(registry.clone(), real_disk(), Share::WHOLE, stop.clone()).unwrap();
    intake.consider(&hub.signed()).unwrap();
    stop.store(true, Ordering::Relaxed);
    assert!(matches!(intake.take(&hub.frames_behind(0)), Err(IntakeError::Stopped)));
    assert_eq!(registry.sequence(), 0);
    stop.store(false, Ordering::Relaxed);
    intake.take(&hub.frames_behind(0)).unwrap();
    assert_eq!(registry.position(), hub.registry.position());
}

/// One segment of about 20 MiB: more than is held in memory, with no signed place before its end.
fn hub_of_a_large_segment() -> Hub {
    let hub = Hub::in_one_segment(0);
    let mut next = 0;
    while hub.registry.segments().unwrap()[0].bytes < 20 << 20 {
        let people = (next..next + 2000).map(person).collect::<Vec<_>>();
        crate::registry::register(&hub.registry, people);
        next += 2000;
    }
    hub
}

#[test]
fn what_waits_does_not_take_the_room_that_is_the_store_s_and_the_audit_s() {
    let hub = hub_of_a_large_segment();
    let faults = Arc::new(Faults::default());
    let mut house = House::following_on(&hub, &(Arc::new(FaultyDisk(faults.clone())) as Arc<dyn Disk>));
    house.intake.consider(&hub.signed()).unwrap();
    assert!(house.intake.can_take().is_ok());
    *faults.free_bytes.lock().unwrap() = Some((128 << 20) - 1);
    let full = |outcome| matches!(outcome, Err(IntakeError::Registry(RegistryError::NotWritable { trouble: "disk_full", .. })));
    assert!(full(house.intake.can_take()), "nothing is asked for");
    // What was under way when the disk filled.
    let bytes = hub.frames_behind(0);
    let refused = bytes.chunks(300_000).map(|piece| house.intake.take(piece)).find(Result::is_err).unwrap();
    assert!(full(refused.map(|_| ())));
    assert!(!house.path("intake/spool").exists() && house.registry.troubles().has(Trouble::DiskFull));
    *faults.free_bytes.lock().unwrap() = None;
    house.intake.can_take().unwrap();
    house.intake.take(&bytes).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position());
    assert!(house.registry.troubles().list().is_empty());
}

#[test]
fn large_runs_go_through_the_spools_file_and_nothing_of_it_is_left() {
    let hub = hub_of_a_large_segment();
    let mut house = House::following(&hub);
    house.intake.consider(&hub.signed()).unwrap();
    let bytes = hub.frames_behind(0);
    let mut was_spooled = false;
    for piece in bytes.chunks(300_000) {
        house.intake.take(piece).unwrap();
        was_spooled |= house.path("intake/spool").exists();
    }
    assert!(was_spooled && !house.path("intake/spool").exists());
    assert_eq!(house.registry.position(), hub.registry.position());
}
