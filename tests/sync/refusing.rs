//! Every reason for which something is not taken, with its own words; and after each, look-ups answered as before.

use shikaku::domain::identifier::PayerNumber;
use shikaku::domain::registration::Registration;
use shikaku::log::{Chain, Fault};
use shikaku::registry::{Trouble, snapshot};
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::intake::Wanted;
use shikaku::sync::key::HubSigner;
use shikaku::sync::refusal::Refusal;

use crate::houses::{House, Hub, refusal};
use crate::registry::{Home, NOW, is_eligible, person, real_disk, register};

/// A house that stands where its hub does, and what must not change whatever is refused.
struct Standing {
    house: House,
    position: (u64, u128),
}

impl Standing {
    fn of(hub: &Hub) -> Standing {
        let mut house = House::following(hub);
        house.catch_up(hub);
        let position = house.registry.position();
        Standing { house, position }
    }

    /// Look-ups go on from the state that was verified, and everything the hub really says is still taken.
    #[track_caller]
    fn stands(mut self, hub: &Hub, words: &[(&Refusal, &str)]) {
        assert_eq!(self.house.registry.position(), self.position);
        assert!(is_eligible(&self.house.registry, &person(0)));
        for (refusal, words) in words {
            assert!(refusal.to_string().contains(words), "{refusal}");
        }
        hub.register(900..903);
        self.house.catch_up(hub);
        assert!(is_eligible(&self.house.registry, &person(902)));
    }
}

fn proof(fault: &str, test: &str, count: usize) {
    println!("proof: nothing unverified is applied, and look-ups go on | {fault} | {test} | {count}");
}

#[test]
fn a_forged_checkpoint_is_refused_by_its_signature() {
    let hub = Hub::with(5);
    let mut standing = Standing::of(&hub);
    hub.register(5..8);
    let (true_one, stranger) = (hub.signed(), tempfile::tempdir().unwrap());
    let stranger = HubSigner::read_or_make(&shikaku::disk::RealDisk, stranger.path()).unwrap();
    let forged = standing.house.refuses(&hub.checkpoint().sign(&stranger));
    assert_eq!(forged, Refusal::Signature);
    assert_eq!((forged.trouble(), forged.quarantines()), (Trouble::HubSignature, true));
    let mut refused = 1;
    // Whatever bit of the true one is flipped, it is not the hub's any more.
    for place in 0..true_one.len() {
        let mut flipped = true_one.clone();
        flipped[place] ^= 1 << (place % 8);
        let refusal = standing.house.refuses(&flipped);
        assert!(matches!(refusal, Refusal::Signature | Refusal::NoCheckpoint(_)), "byte {place}: {refusal}");
        refused += 1;
    }
    standing.stands(&hub, &[(&forged, "its signature is not by the hub_key")]);
    proof(
        "a checkpoint that another key signed, or of which a bit was flipped",
        "a_forged_checkpoint_is_refused_by_its_signature",
        refused,
    );
}

#[test]
fn bytes_that_are_no_checkpoint_are_refused_and_asked_for_again() {
    let hub = Hub::with(3);
    let mut standing = Standing::of(&hub);
    let page =
        standing.house.refuses(b"<html>the proxy's error page, which is long enough to hold what might be a signature</html>");
    let nothing = standing.house.refuses(b"");
    let mut newer = hub.signed();
    newer[8] = 2;
    let newer = standing.house.refuses(&newer);
    assert!(!page.quarantines() && !nothing.quarantines() && !newer.quarantines());
    standing.stands(&hub, &[(&page, "no checkpoint"), (&newer, "it has format 2")]);
}

#[test]
fn an_old_checkpoint_that_is_shown_again_is_refused_without_a_quarantine() {
    let hub = Hub::with(5);
    let old = hub.signed();
    hub.register(5..9);
    let mut standing = Standing::of(&hub);
    let replayed = standing.house.refuses(&old);
    assert!(matches!(replayed, Refusal::Replayed { .. }) && !replayed.quarantines());
    assert_eq!(replayed.trouble(), Trouble::HubRefused);
    // The same after a restart.
    standing.house.intake.remember(std::time::Duration::ZERO).unwrap();
    standing.house = standing.house.restarted();
    assert!(matches!(standing.house.refuses(&old), Refusal::Replayed { .. }));
    // The same of one that ends behind the own log, and before what was seen.
    hub.register(9..11);
    let between = hub.signed();
    hub.register(11..13);
    standing.house.intake.consider(&hub.signed()).unwrap();
    assert!(matches!(standing.house.refuses(&between), Refusal::Replayed { .. }));
    standing.stands(&hub, &[(&replayed, "shown again")]);
    proof("an old checkpoint shown again", "an_old_checkpoint_that_is_shown_again_is_refused_without_a_quarantine", 3);
}

#[test]
fn after_a_crash_a_source_that_is_behind_is_not_taken_for_a_hub_that_was_put_back() {
    let hub = Hub::with(5);
    let mut standing = Standing::of(&hub);
    standing.house.intake.remember(std::time::Duration::ZERO).unwrap();
    hub.register(5..7);
    let of_a_relay = hub.signed();
    let put_back = hub.copied(NOW + 1_000_000);
    hub.register(7..9);
    standing.house.catch_up(&hub);
    standing.position = standing.house.registry.position();
    // What was seen last is not written down yet.
    standing.house = standing.house.restarted();
    let behind = standing.house.refuses(&of_a_relay);
    assert!(matches!(behind, Refusal::Replayed { .. }) && !behind.quarantines(), "{behind}");
    let lost = standing.house.refuses(&put_back.signed());
    assert!(matches!(lost, Refusal::EndsBeforeOurs { .. }) && lost.quarantines(), "{lost}");
    standing.stands(&hub, &[(&behind, "its source is behind"), (&lost, "was rolled back")]);
    // One that has just begun to follow.
    let mut fresh = House::following(&hub);
    fresh.catch_up(&hub);
    let mut fresh = fresh.restarted();
    assert!(matches!(fresh.refuses(&of_a_relay), Refusal::Replayed { .. }));
    proof(
        "a relay that is behind, after a crash",
        "after_a_crash_a_source_that_is_behind_is_not_taken_for_a_hub_that_was_put_back",
        2,
    );
}

#[test]
fn a_hub_that_was_put_back_to_an_old_copy_is_refused_as_rolled_back() {
    let hub = Hub::with(5);
    let old = hub.copied(NOW + 1_000_000);
    hub.register(5..9);
    let mut standing = Standing::of(&hub);
    let rolled_back = standing.house.refuses(&old.signed());
    assert!(matches!(rolled_back, Refusal::RolledBack { .. }) && rolled_back.quarantines());
    // Without what was seen, the own log says the same.
    standing.house.intake.forget_seen();
    let ends_early = standing.house.refuses(&old.signed());
    assert!(matches!(ends_early, Refusal::EndsBeforeOurs { .. }) && ends_early.quarantines());
    assert_eq!((rolled_back.trouble(), ends_early.trouble()), (Trouble::HubRolledBack, Trouble::HubRolledBack));
    standing.stands(&hub, &[(&rolled_back, "rolled back, by an old copy"), (&ends_early, "before the own log")]);
    proof(
        "a hub put back to an old copy of its directory",
        "a_hub_that_was_put_back_to_an_old_copy_is_refused_as_rolled_back",
        2,
    );
}

#[test]
fn a_hub_that_went_on_from_an_old_copy_is_refused_as_forked() {
    let hub = Hub::with(5);
    let other = hub.copied(NOW + 1_000_000);
    hub.register(5..9);
    let mut standing = Standing::of(&hub);
    // At the same sequence, another history.
    other.register(100..104);
    while other.registry.sequence() < hub.registry.sequence() {
        other.registry.maintain(NOW).unwrap();
        other.register(200..201);
    }
    assert_eq!(other.registry.sequence(), hub.registry.sequence());
    let forked = standing.house.refuses(&other.signed());
    assert_eq!(forked, Refusal::Forked { sequence: hub.registry.sequence() });
    assert!(forked.quarantines());
    // Beyond it nothing is signed of where we stand: the frames do not lead there.
    standing.house.intake.forget_seen();
    other.register(104..106);
    assert!(matches!(standing.house.intake.consider(&other.signed()), Ok(Wanted::Frames { .. })));
    let behind = standing.house.sequence();
    let parted = refusal(standing.house.intake.take(&other.frames_behind(behind)));
    assert!(matches!(parted, Refusal::NotTheSignedChain { .. }));
    standing.house.intake.forget_seen();
    standing.stands(&hub, &[(&forked, "another history"), (&parted, "do not lead to the chain")]);
    proof("a hub that went on from an old copy", "a_hub_that_went_on_from_an_old_copy_is_refused_as_forked", 2);
}

#[test]
fn a_hub_that_forked_before_what_a_lagging_house_had_seen_signed_is_found_out_on_the_way() {
    let hub = Hub::in_one_segment(5);
    let (other, stranger) = (hub.copied(NOW + 1_000_000), hub.copied(NOW));
    let mut standing = Standing::of(&hub);
    let stood = standing.house.sequence();
    hub.register(5..9);
    let seen = hub.registry.sequence();
    standing.house.intake.consider(&hub.signed()).unwrap();
    // The old copy goes on beyond what was seen, and tells of no place that could be compared.
    other.register(100..120);
    while other.registry.sequence() <= seen {
        other.registry.maintain(NOW).unwrap();
    }
    let grown = Wanted::Frames { after: stood, through: other.registry.sequence() };
    assert_eq!(standing.house.intake.consider(&other.signed()).unwrap(), grown);
    // Frames of a third log are somebody's on the way, and nothing against the hub.
    stranger.register(300..340);
    let on_the_way = refusal(standing.house.intake.take(&stranger.frames_behind(stood)));
    assert!(matches!(on_the_way, Refusal::NotTheSignedChain { .. }), "{on_the_way}");
    // The hub's own show it, however often they are asked for and newer words are considered between.
    for _ in 0..2 {
        other.register(120..121);
        standing.house.intake.consider(&other.signed()).unwrap();
        let forked = refusal(standing.house.intake.take(&other.frames_behind(stood)));
        assert_eq!(forked, Refusal::Forked { sequence: seen });
        assert!(forked.quarantines());
        assert_eq!(standing.house.sequence(), stood, "nothing of it is applied");
    }
    standing.house.intake.forget_seen();
    standing.stands(&hub, &[]);
}

#[test]
fn a_house_that_lags_while_its_hub_goes_on_passes_through_all_that_was_signed() {
    let hub = Hub::in_one_segment(5);
    let mut standing = Standing::of(&hub);
    for round in 1..9 {
        hub.register(5 * round..5 * round + 5);
        standing.house.intake.consider(&hub.signed()).unwrap();
    }
    standing.stands(&hub, &[]);
}

#[test]
fn a_new_stream_after_a_restore_is_refused_as_another() {
    let hub = Hub::with(5);
    let mut standing = Standing::of(&hub);
    let folder = tempfile::tempdir().unwrap();
    let snapshot = folder.path().join("backup.snap");
    hub.registry.create_snapshot(&snapshot).unwrap();
    let home = Home::new();
    snapshot::restore(&real_disk(), home.path(), &snapshot, NOW).unwrap();
    std::fs::copy(hub.home.path().join("signing.key"), home.path().join("signing.key")).unwrap();
    let restored = Hub::of(home, 0);
    restored.register(5..8);
    let refused = standing.house.refuses(&restored.signed());
    let expected = Refusal::OtherStream { ours: hub.registry.stream(), offered: restored.registry.stream() };
    assert_eq!(refused, expected);
    assert_eq!((refused.trouble(), refused.quarantines()), (Trouble::HubOtherStream, true));
    standing.stands(&hub, &[(&refused, "the hub was restored")]);
    proof("a hub restored from a backup, which is a new stream", "a_new_stream_after_a_restore_is_refused_as_another", 1);
}

#[test]
fn truncated_swapped_and_altered_segments_are_refused_and_the_true_ones_taken_then() {
    let hub = Hub::with(40);
    let frames = hub.frames();
    let true_bytes = hub.frames_behind(0);
    let mut refused = 0;
    let mut refuse = |bytes: &[u8], is_expected: &dyn Fn(&Refusal) -> bool| {
        let mut house = House::following(&hub);
        house.intake.consider(&hub.signed()).unwrap();
        let outcome = house.intake.take(bytes).map_err(|error| refusal::<()>(Err(error)));
        let found = outcome.map(|_| house.intake.source_ended()).map_or_else(|refusal| refusal, |ended| ended.unwrap_err());
        assert!(is_expected(&found), "{found}");
        assert!(!found.quarantines());
        // It stands at a signed place, or where it began, and the true bytes are taken from there.
        let stood = house.sequence();
        assert!(stood == 0 || hub.checkpoint().chain_at(stood).is_some());
        house.intake.take(&hub.frames_behind(stood)).unwrap();
        assert_eq!(house.registry.position(), hub.registry.position());
        refused += 1;
    };
    // Truncated between two frames, and within one.
    for keep in [1, 7, frames.len() - 1] {
        let cut: Vec<u8> = frames.iter().take(keep).flat_map(|(_, bytes)| bytes.clone()).collect();
        refuse(&cut, &|refusal| matches!(refusal, Refusal::Truncated { .. }));
        refuse(&cut[..cut.len() - 5], &|refusal| matches!(refusal, Refusal::Truncated { .. }));
    }
    // A frame left out, and two that changed places.
    for gone in [0, 5, 20] {
        let rest = frames.iter().enumerate().filter(|(place, _)| *place != gone);
        let rest: Vec<u8> = rest.flat_map(|(_, (_, bytes))| bytes.clone()).collect();
        refuse(&rest, &|refusal| matches!(refusal, Refusal::Gap { .. }));
        let mut swapped: Vec<Vec<u8>> = frames.iter().map(|(_, bytes)| bytes.clone()).collect();
        swapped.swap(gone, gone + 1);
        refuse(&swapped.concat(), &|refusal| matches!(refusal, Refusal::Gap { .. }));
    }
    // A bit flipped anywhere in a frame.
    for place in (0..true_bytes.len()).step_by(true_bytes.len() / 50) {
        let mut flipped = true_bytes.clone();
        flipped[place] ^= 0x10;
        refuse(&flipped, &|refusal| matches!(refusal, Refusal::NoFrame { .. } | Refusal::Truncated { .. } | Refusal::Gap { .. }));
    }
    // Another log's frames of the same sequences, whole and with right checksums: all of them, and one of them.
    let other = Hub::with(0);
    other.register(500..540);
    refuse(&other.frames_behind(0), &|refusal| matches!(refusal, Refusal::NotTheSignedChain { .. }));
    let mut mixed = frames.clone();
    let place = mixed.len() - 20;
    mixed[place] = other.frames()[place].clone();
    assert!(mixed[place].0 == frames[place].0 && mixed[place].1 != frames[place].1);
    let mixed: Vec<u8> = mixed.into_iter().flat_map(|(_, bytes)| bytes).collect();
    refuse(&mixed, &|refusal| matches!(refusal, Refusal::NotTheSignedChain { .. }));
    proof(
        "segments truncated, swapped, with frames left out, bits flipped, or of another log",
        "truncated_swapped_and_altered_segments_are_refused_and_the_true_ones_taken_then",
        refused,
    );
}

#[test]
fn bytes_that_are_no_frames_are_told_so() {
    let hub = Hub::with(3);
    let mut standing = Standing::of(&hub);
    hub.register(3..5);
    standing.house.intake.consider(&hub.signed()).unwrap();
    let after = standing.house.sequence();
    let refused = refusal(standing.house.intake.take(&[b'x'; 200]));
    assert_eq!(refused, Refusal::NoFrame { after, fault: Fault::Magic });
    standing.stands(&hub, &[(&refused, "no frame")]);
}

#[test]
fn a_state_that_is_not_the_signed_one_is_refused_as_diverged() {
    let hub = Hub::with(5);
    let mut standing = Standing::of(&hub);
    let mut checkpoint = hub.checkpoint();
    checkpoint.state.add(13, 1);
    let refused = standing.house.refuses(&hub.sign(&checkpoint));
    assert_eq!(refused, Refusal::Diverged { sequence: hub.registry.sequence() });
    assert_eq!((refused.trouble(), refused.quarantines()), (Trouble::HubDiverged, true));
    assert!(standing.house.intake.passable().is_some_and(|(_, passed)| passed != hub.sign(&checkpoint)), "it is not passed on");
    // Two parts that differ and add up to the same are told apart too.
    let mut moved = hub.checkpoint();
    moved.state.add(13, 1);
    moved.state.take(14, 1);
    assert_eq!(standing.house.refuses(&hub.sign(&moved)), refused);
    standing.house.intake.forget_seen();
    standing.stands(&hub, &[(&refused, "diverged")]);
    proof("a signed state that is not the own one", "a_state_that_is_not_the_signed_one_is_refused_as_diverged", 2);
}

#[test]
fn frames_without_a_signed_place_in_reach_ask_for_a_snapshot() {
    let hub = Hub::with(60);
    // A relay that holds more than its hub's checkpoint tells of: nothing is signed before the end.
    let bare = hub.sign(&Checkpoint { segments: Vec::new(), ..hub.checkpoint() });
    let bytes = hub.frames_behind(0);
    let mut house = House::following(&hub);
    house.intake = house.intake.with_spool_bytes_max(bytes.len() as u64 - 1);
    house.intake.consider(&bare).unwrap();
    let refused = refusal(house.intake.take(&bytes));
    assert!(matches!(refused, Refusal::NoPlaceInReach { after: 0, .. }));
    assert_eq!((refused.trouble(), refused.quarantines(), house.sequence()), (Trouble::HubTooFar, true, 0));
    house.intake = house.intake.with_spool_bytes_max(bytes.len() as u64);
    house.intake.take(&bytes).unwrap();
    assert_eq!(house.registry.position(), hub.registry.position(), "within reach the checkpoint's own place is enough");
}

#[test]
fn every_refusal_has_words_of_its_own_and_says_nothing_of_anybody() {
    let chain_free = [
        Refusal::Signature,
        Refusal::OtherStream { ours: shikaku::log::StreamId([1; 16]), offered: shikaku::log::StreamId([2; 16]) },
        Refusal::RolledBack { seen: 9, offered: 5 },
        Refusal::Replayed { seen: 9, offered: 5 },
        Refusal::EndsBeforeOurs { ours: 9, offered: 5 },
        Refusal::Forked { sequence: 9 },
        Refusal::NotTheSignedChain { after: 5, signed: 9 },
        Refusal::NotTheSignedSnapshot { sequence: 9 },
        Refusal::Gap { expected: 6, found: 8 },
        Refusal::NoFrame { after: 5, fault: Fault::Checksum },
        Refusal::Truncated { after: 5, signed: 9 },
        Refusal::Diverged { sequence: 9 },
        Refusal::TooFarBehind { needed: 6, oldest: 8 },
        Refusal::NoPlaceInReach { after: 5, bytes_max: 1 },
    ];
    let words: std::collections::BTreeSet<String> = chain_free.iter().map(ToString::to_string).collect();
    assert_eq!(words.len(), chain_free.len());
    assert!(chain_free.iter().all(|refusal| refusal.trouble().is_of_quarantine() == refusal.quarantines()));
}

#[test]
fn a_chain_that_only_a_relay_claims_is_never_believed() {
    let hub = Hub::with(5);
    let mut standing = Standing::of(&hub);
    hub.register(5..8);
    // The hub's word with another chain under the same signature.
    let mut altered = hub.checkpoint();
    let signed = hub.sign(&altered);
    altered.chain = Chain([7; 32]);
    let mut forged = altered.encode();
    forged.extend_from_slice(&signed[signed.len() - 64..]);
    assert_eq!(standing.house.refuses(&forged), Refusal::Signature);
    standing.stands(&hub, &[]);
}

#[test]
fn a_row_the_hub_never_registered_answers_nowhere() {
    let hub = Hub::with(5);
    let standing = Standing::of(&hub);
    let stranger = Registration { payer: PayerNumber::parse(b"88131016").ok(), ..person(777) };
    assert!(!is_eligible(&standing.house.registry, &stranger));
    register(&hub.registry, [stranger.clone()]);
    let mut house = standing.house;
    house.catch_up(&hub);
    assert!(is_eligible(&house.registry, &stranger));
}
