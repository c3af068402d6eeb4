//! Somebody with a certificate that is believed, between a hub and those who follow it, or a hub that is not what it was: what it says is
//! refused, each time with its own word, and look-ups go on from the last verified state.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::sync::{Arc, Mutex};

use common::houses::{Certificates, House, await_end_of, await_trouble, settle};
use common::liar::{Liar, Passing};
use common::proof::proof;
use common::proxy::Proxy;
use common::{Place, Row, eventually};
use shikaku::disk::{Disk, RealDisk};
use shikaku::registry::snapshot;
use shikaku::sync::checkpoint::Checkpoint;
use shikaku::sync::key::HubSigner;

const PROMISE: &str = "what is not the hub's is refused by its own word, and look-ups go on";

/// A hub, a liar before it, and a house that asks the liar.
struct Scene {
    hub: House,
    liar: Liar,
    house: House,
    /// They are read again for every connection.
    _certificates: Certificates,
}

impl Scene {
    fn new() -> Scene {
        let place = Place::new();
        place.import("first.csv", &(0..40).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
        Scene::of(place)
    }

    /// With forty people registered.
    fn of(place: Place) -> Scene {
        let certificates = Certificates::new();
        let hub = House::started(place, certificates.api("hub"));
        let liar = Liar::before(hub.api(), &certificates);
        let house = House::started(Place::new(), certificates.follow("ward", liar.address, &hub.hub_key()));
        settle(&hub, &[&house]);
        Scene { hub, liar, house, _certificates: certificates }
    }

    /// The house is in quarantine for this, with these words; it answers from what it had, even after a restart.
    #[track_caller]
    fn is_in_quarantine(&mut self, word: &str, words: &str) {
        await_trouble(&self.house, word);
        let held = self.house.position();
        for _ in 0..2 {
            let quarantine = self.house.following()["quarantine"].clone();
            assert_eq!(quarantine["trouble"], word);
            assert!(quarantine["detail"].as_str().unwrap().contains(words), "{quarantine}");
            let metrics = self.house.server().get("/metrics").body;
            assert!(metrics.contains("\nshikaku_follow_quarantine 1\n"));
            assert!(self.house.answers_for(0));
            assert_eq!(self.house.position(), held);
            self.house.stop();
            self.house.start();
            await_trouble(&self.house, word);
        }
    }

    /// Nothing is taken, though the truth is told, until the operator says so.
    #[track_caller]
    fn goes_on_by_the_operators_word(&self, word: &str, people: std::ops::Range<u64>) {
        self.liar.tell_the_truth();
        self.hub.register(people.clone());
        let said = self.house.place.run("follow resume", &[]).ends(0);
        assert!(said.out.contains(word), "{said:?}");
        await_end_of(&self.house, word);
        settle(&self.hub, &[&self.house]);
        assert!(self.house.answers_for(people.end - 1));
    }
}

fn is_checkpoint(target: &str) -> bool {
    target.starts_with("/v1/log/checkpoint")
}

fn is_segment(target: &str) -> bool {
    target.starts_with("/v1/log/segments/")
}

#[test]
fn a_forged_checkpoint_ends_in_quarantine() {
    let mut scene = Scene::new();
    let stranger = tempfile::tempdir().unwrap();
    let signer = HubSigner::read_or_make(&RealDisk, stranger.path()).unwrap();
    let key = scene.hub.hub_key().parse().unwrap();
    scene.liar.tell(move |target, mut passing| {
        if is_checkpoint(target) && passing.status == 200 {
            // The hub's own words, and one more sequence, signed by somebody else.
            let mut checkpoint = Checkpoint::verify(&passing.body, &key).unwrap();
            checkpoint.sequence += 1;
            passing.body = checkpoint.sign(&signer);
        }
        passing
    });
    scene.hub.register(40..50);
    scene.is_in_quarantine("hub_signature", "not by the hub_key");
    assert!(!scene.house.answers_for(45));
    scene.goes_on_by_the_operators_word("hub_signature", 50..60);
    proof(PROMISE, "a forged checkpoint", "a_forged_checkpoint_ends_in_quarantine", 1);
}

#[test]
fn an_old_checkpoint_shown_again_is_refused_and_the_truth_taken_again() {
    let scene = Scene::new();
    let old: Arc<Mutex<Option<Passing>>> = Arc::default();
    let kept = old.clone();
    scene.liar.tell(move |target, passing| {
        if is_checkpoint(target) && passing.status == 200 {
            kept.lock().unwrap().get_or_insert_with(|| passing.clone());
        }
        passing
    });
    eventually("a checkpoint went by", || old.lock().unwrap().is_some());
    scene.hub.register(40..50);
    settle(&scene.hub, &[&scene.house]);
    let shown = old.lock().unwrap().clone().unwrap();
    scene.liar.tell(move |target, passing| if is_checkpoint(target) { shown.clone() } else { passing });
    await_trouble(&scene.house, "hub_refused");
    let failure = scene.house.following()["failure"].as_str().unwrap().to_owned();
    assert!(failure.contains("shown again"), "{failure}");
    assert!(scene.house.following()["quarantine"].is_null() && scene.house.answers_for(49));
    scene.liar.tell_the_truth();
    await_end_of(&scene.house, "hub_refused");
    scene.hub.register(50..60);
    settle(&scene.hub, &[&scene.house]);
    proof(PROMISE, "an old checkpoint shown again", "an_old_checkpoint_shown_again_is_refused_and_the_truth_taken_again", 1);
}

#[test]
fn truncated_and_altered_segments_are_refused_and_the_true_ones_taken_then() {
    let scene = Scene::new();
    let mut next = 40;
    type Alter = fn(&mut Vec<u8>);
    let lies: [(&str, Alter); 4] = [
        ("it was truncated", |body| body.truncate(body.len() / 16 * 8)),
        ("what is no frame", |body| body[30] ^= 1),
        ("what is no frame", |body| body.iter_mut().for_each(|byte| *byte = 0x55)),
        ("frames are missing", |body| {
            let first = u32::from_le_bytes(body[4..8].try_into().unwrap()).next_multiple_of(8) + 64;
            body.drain(..usize::try_from(first).unwrap());
        }),
    ];
    let count = lies.len();
    for (words, alter) in lies {
        scene.liar.tell(move |target, mut passing| {
            if is_segment(target) && passing.status == 206 {
                alter(&mut passing.body);
            }
            passing
        });
        scene.hub.register(next..next + 10);
        await_trouble(&scene.house, "hub_refused");
        eventually(words, || {
            let following = scene.house.following();
            following["failure"].as_str().is_some_and(|failure| failure.contains(words))
        });
        assert!(scene.house.answers_for(next - 1) && !scene.house.answers_for(next));
        scene.liar.tell_the_truth();
        await_end_of(&scene.house, "hub_refused");
        next += 10;
        settle(&scene.hub, &[&scene.house]);
    }
    proof(
        PROMISE,
        "segments truncated, with frames left out, bits flipped, or overwritten",
        "truncated_and_altered_segments_are_refused_and_the_true_ones_taken_then",
        count,
    );
}

/// The frames of another log, of the same sequences and with right checksums.
#[test]
fn swapped_segments_end_in_quarantine_when_they_are_not_put_right() {
    let place = Place::new();
    place.import("first.csv", &(0..40).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
    // The same register goes on with other people elsewhere.
    let other = place.copied();
    let held = common::houses::frames_in(&other.data()).len();
    other.import("other.csv", &(500..520).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
    let others = common::houses::frames_in(&other.data()).split_off(held);
    let mut scene = Scene::of(place);
    scene.liar.tell(move |target, mut passing| {
        if is_segment(target) && passing.status == 206 {
            passing.body.clone_from(&others);
        }
        passing
    });
    scene.hub.register(40..60);
    scene.is_in_quarantine("hub_forked", "do not lead to the chain");
    assert!(!scene.house.answers_for(505));
    scene.goes_on_by_the_operators_word("hub_forked", 60..65);
    proof(PROMISE, "segments of another log", "swapped_segments_end_in_quarantine_when_they_are_not_put_right", 1);
}

/// A hub, a line that may lead elsewhere, and a house.
struct Moved {
    certificates: Certificates,
    hub: House,
    line: Proxy,
    house: House,
}

impl Moved {
    fn new() -> Moved {
        let certificates = Certificates::new();
        let hub = House::started(Place::new(), certificates.api("hub"));
        hub.register(0..20);
        let line = Proxy::to(hub.api());
        let house = House::started(Place::new(), certificates.follow("ward", line.address, &hub.hub_key()));
        settle(&hub, &[&house]);
        Moved { certificates, hub, line, house }
    }

    /// The hub's directory of this moment, as a backup of the machine has it.
    fn backup(&mut self) -> Place {
        self.hub.stop();
        let copy = self.hub.place.copied();
        self.hub.start();
        self.line.lead_to(self.hub.api());
        copy
    }
}

#[test]
fn a_hub_put_back_to_an_old_backup_of_the_machine_ends_in_quarantine_and_a_resnapshot_follows_it() {
    let mut moved = Moved::new();
    let backup = moved.backup();
    moved.hub.register(20..40);
    settle(&moved.hub, &[&moved.house]);
    moved.hub.kill();
    let old = House::started(backup, moved.certificates.api("hub"));
    moved.line.lead_to(old.api());
    await_trouble(&moved.house, "hub_rolled_back");
    let detail = moved.house.following()["quarantine"]["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("it was rolled back"), "{detail}");
    assert!(moved.house.answers_for(39), "it answers from what it has");
    // Asked again it is refused again: the own log is ahead of the hub's.
    moved.house.place.run("follow resume", &[]).ends(0);
    eventually("it is refused again", || {
        let quarantine = moved.house.following()["quarantine"].clone();
        quarantine["detail"].as_str().is_some_and(|detail| detail.contains("before the own log"))
    });
    let running = moved.house.place.run("follow resnapshot", &[]).ends(1);
    assert!(running.mentions("is in use by process"), "{running:?}");
    moved.house.stop();
    let said = moved.house.place.run("follow resnapshot", &[]).ends(0);
    let aside = said.out.split("lies in ").nth(1).unwrap().split(';').next().unwrap().to_owned();
    moved.house.start();
    old.register(60..70);
    settle(&old, &[&moved.house]);
    assert!(moved.house.answers_for(69) && !moved.house.answers_for(39) && moved.house.troubles().is_empty());
    for part in ["follows", "log", "store", "intake"] {
        assert!(std::path::Path::new(&aside).join(part).exists(), "{part} was moved and not removed");
    }
    proof(
        PROMISE,
        "a hub put back to an old backup of its machine",
        "a_hub_put_back_to_an_old_backup_of_the_machine_ends_in_quarantine_and_a_resnapshot_follows_it",
        1,
    );
}

#[test]
fn a_hub_restored_from_a_snapshot_is_another_stream_and_a_resnapshot_follows_it() {
    let mut moved = Moved::new();
    let file = moved.hub.place.path("backup.snap");
    moved.hub.place.run("snapshot create", &["--out", file.to_str().unwrap()]).ends(0);
    moved.hub.register(20..40);
    settle(&moved.hub, &[&moved.house]);
    moved.hub.kill();
    let restored = Place::new();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    snapshot::restore(&disk, &restored.data(), &file, 1).unwrap();
    std::fs::copy(moved.hub.place.data().join("signing.key"), restored.data().join("signing.key")).unwrap();
    let restored = House::started(restored, moved.certificates.api("hub"));
    moved.line.lead_to(restored.api());
    await_trouble(&moved.house, "hub_other_stream");
    assert!(moved.house.answers_for(39));
    moved.house.stop();
    moved.house.place.run("follow resnapshot", &[]).ends(0);
    moved.house.start();
    settle(&restored, &[&moved.house]);
    assert!(moved.house.answers_for(19) && !moved.house.answers_for(39) && moved.house.troubles().is_empty());
    proof(
        PROMISE,
        "a hub restored from a snapshot",
        "a_hub_restored_from_a_snapshot_is_another_stream_and_a_resnapshot_follows_it",
        1,
    );
}

#[test]
fn a_snapshot_that_was_altered_on_the_way_begins_nothing() {
    let certificates = Certificates::new();
    let (old, restored) = (Place::new(), Place::new());
    old.import("rows.csv", &(0..40).map(Row::of).collect::<Vec<_>>(), &[]).ends(0);
    let file = old.path("backup.snap");
    old.run("snapshot create", &["--out", file.to_str().unwrap()]).ends(0);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    snapshot::restore(&disk, &restored.data(), &file, 1).unwrap();
    let hub = House::started(restored, certificates.api("hub"));
    eventually("a snapshot was taken", || !hub.status()["snapshots"]["newest"].is_null());
    let liar = Liar::before(hub.api(), &certificates);
    liar.tell(|target, mut passing| {
        if target.starts_with("/v1/log/snapshots/") {
            let middle = passing.body.len() / 2;
            passing.body[middle] ^= 1;
        }
        passing
    });
    let house = House::new(Place::new(), certificates.follow("ward", liar.address, &hub.hub_key()));
    let process = house.spawn();
    let refused = process.err.wait(|lines| lines.iter().find(|line| line.contains("not the file that the hub signed")).cloned());
    assert!(refused.is_some() && !house.place.data().join("log").exists());
    liar.tell_the_truth();
    let server = common::Server::of(process);
    assert_eq!(server.status()["following"]["hub"].as_str().unwrap(), format!("https://{}", liar.address));
    proof(PROMISE, "a snapshot altered on the way", "a_snapshot_that_was_altered_on_the_way_begins_nothing", 1);
}
