//! A part of the log in a file, for houses without a line: taken whole and verified, or refused in words of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use std::path::{Path, PathBuf};

use common::proof::proof;
use common::{Place, Row, Said, ask_member};
use xxhash_rust::xxh3::xxh3_64;

/// A hub's directory, and how it is made to say more.
struct Hub {
    place: Place,
    people: u64,
}

impl Hub {
    fn new() -> Hub {
        let mut hub = Hub { place: Place::new(), people: 0 };
        hub.register(30);
        hub
    }

    fn register(&mut self, people: u64) {
        let rows: Vec<Row> = (self.people..self.people + people).map(Row::of).collect();
        self.people += people;
        self.place.import(&format!("rows{}.csv", self.people), &rows, &[]).ends(0);
    }

    fn sequence(&self) -> u64 {
        self.place.verified()["sequence"].as_u64().unwrap()
    }

    /// Exports; `beginning` is `--since N` or `--with-snapshot`.
    fn export(&self, name: &str, beginning: &str) -> PathBuf {
        let out = self.place.path(name);
        let mut arguments: Vec<&str> = beginning.split_whitespace().collect();
        arguments.extend(["--out", out.to_str().unwrap()]);
        self.place.run("bundle export", &arguments).ends(0);
        out
    }

    fn key(&self) -> String {
        self.place.run("hub-key", &[]).ends(0).out.trim().to_owned()
    }
}

fn import(house: &Place, file: &Path, more: &[&str]) -> Said {
    let mut arguments = more.to_vec();
    arguments.push(file.to_str().unwrap());
    house.run("bundle import", &arguments)
}

fn begin(house: &Place, file: &Path, hub: &Hub) -> Said {
    import(house, file, &["--hub-key", &hub.key()])
}

/// Sequence and state checksum.
fn stands(place: &Place) -> (u64, String) {
    let report = place.verified();
    (report["sequence"].as_u64().unwrap(), report["state_checksum"].as_str().unwrap().to_owned())
}

/// The offsets of checkpoint, manifest, snapshot, frames and end, as the head says them.
fn layout(bundle: &[u8]) -> [usize; 5] {
    let length = |at: usize| usize::try_from(u64::from_le_bytes(bundle[at..at + 8].try_into().unwrap())).unwrap();
    let mut at = [128, 0, 0, 0, 0];
    for part in 0..4 {
        at[part + 1] = at[part] + length(72 + 8 * part).next_multiple_of(8);
    }
    at
}

/// Makes the checksums of a bundle right again, as somebody does who changes one on purpose.
fn sealed(mut bundle: Vec<u8>) -> Vec<u8> {
    let head = xxh3_64(&bundle[..120]).to_le_bytes();
    bundle[120..128].copy_from_slice(&head);
    let end = bundle.len() - 32;
    let hash = blake3::hash(&bundle[..end]);
    bundle[end..].copy_from_slice(hash.as_bytes());
    bundle
}

#[test]
fn a_house_without_a_line_ends_where_the_hub_stood() {
    let mut hub = Hub::new();
    let house = Place::new();
    let first = hub.export("first.bundle", "--since 0");
    let said = begin(&house, &first, &hub).ends(0);
    assert!(said.out.contains("verified and taken") && said.out.contains("stood at 0"), "{}", said.out);
    assert_eq!(stands(&house), stands(&hub.place));
    let mut carried = 1;
    for _ in 0..3 {
        let since = hub.sequence();
        hub.register(20);
        // One that begins earlier than needed does as well.
        let file = hub.export("next.bundle", &format!("--since {}", since - carried));
        import(&house, &file, &[]).ends(0);
        assert_eq!(stands(&house), stands(&hub.place));
        carried += 1;
    }
    let again = import(&house, &hub.place.path("next.bundle"), &["--json"]).ends(0).json();
    assert_eq!(again["stood"], again["stands"], "once is enough: {again}");
    let older = import(&house, &first, &[]).ends(0);
    assert!(older.out.contains("holds nothing new"), "{}", older.out);
    assert_eq!(stands(&house), stands(&hub.place));
    let test = "a_house_without_a_line_ends_where_the_hub_stood";
    proof("a house that is fed by bundles ends at the hub's sequence and state checksum", "none", test, carried);
}

#[test]
fn an_empty_directory_begins_from_a_snapshot_and_another_house_passes_on_what_it_took() {
    let mut hub = Hub::new();
    let (house, next) = (Place::new(), Place::new());
    let beginning = hub.export("begin.bundle", "--with-snapshot");
    let said = begin(&house, &beginning, &hub).ends(0);
    assert!(said.out.contains("a snapshot of sequence"), "{}", said.out);
    assert_eq!(stands(&house), stands(&hub.place));
    begin(&next, &beginning, &hub).ends(0);
    let since = hub.sequence();
    hub.register(25);
    import(&house, &hub.export("more.bundle", &format!("--since {since}")), &[]).ends(0);
    // The house is no hub, and what it hands on is signed by the hub all the same.
    let passed_on = house.path("passed-on.bundle");
    let since = since.to_string();
    house.run("bundle export", &["--since", &since, "--out", passed_on.to_str().unwrap()]).ends(0);
    import(&next, &passed_on, &[]).ends(0);
    assert_eq!(stands(&next), stands(&hub.place));
    let out = house.path("own.bundle");
    let refused = house.run("bundle export", &["--with-snapshot", "--out", out.to_str().unwrap()]).ends(1);
    assert!(refused.err.contains("signed by the hub") && !out.exists(), "{}", refused.err);
    let names: Vec<_> = std::fs::read_dir(house.data()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!names.iter().any(|name| name.to_str().unwrap().contains("bundle")), "{names:?}");
    let test = "an_empty_directory_begins_from_a_snapshot_and_another_house_passes_on_what_it_took";
    proof("an empty directory is begun from a bundle's snapshot", "none", test, 2);
}

#[test]
fn a_running_server_exports_and_imports_and_answers_at_once() {
    let mut hub = Hub::new();
    let house = Place::new();
    begin(&house, &hub.export("first.bundle", "--since 0"), &hub).ends(0);
    let (hub_server, house_server) = (hub.place.serve(), house.serve());
    let newcomer = Row::of(hub.people);
    let question = ask_member(&newcomer);
    assert!(house_server.batch("consent=true", &question)[0].starts_with('N'));
    let since = house_server.status()["sequence"].as_u64().unwrap();
    hub.register(10);
    let file = hub.export("served.bundle", &format!("--since {since}"));
    import(&house, &file, &[]).ends(0);
    assert!(house_server.batch("consent=true", &question)[0].starts_with('E'), "visible when the command has ended");
    let refused = import(&hub.place, &file, &[]).ends(1);
    assert!(refused.err.contains("registers on its own"), "{}", refused.err);
    assert_eq!((hub_server.stop(), house_server.stop()), (0, 0));
    let refused = import(&hub.place, &file, &[]).ends(1);
    assert!(refused.err.contains("registers on its own"), "{}", refused.err);
}

#[test]
fn a_gap_is_refused_with_both_ends_named() {
    let mut hub = Hub::new();
    let house = Place::new();
    begin(&house, &hub.export("first.bundle", "--since 0"), &hub).ends(0);
    let stood = stands(&house);
    hub.register(20);
    let between = hub.sequence();
    hub.register(20);
    let late = hub.export("late.bundle", &format!("--since {between}"));
    let refused = import(&house, &late, &[]).ends(1);
    let words = format!("this bundle begins at {}, this directory stands at {}", between + 1, stood.0);
    assert!(refused.err.contains(&words), "{}", refused.err);
    assert_eq!(stands(&house), stood);
    let empty = Place::new();
    let refused = begin(&empty, &late, &hub).ends(1);
    assert!(refused.err.contains("holds no snapshot"), "{}", refused.err);
    let refused = hub.place.run("bundle export", &["--since", "9999", "--out", "/dev/null/x"]).ends(1);
    assert!(refused.err.contains("nothing behind 9999"), "{}", refused.err);
    let test = "a_gap_is_refused_with_both_ends_named";
    proof("a bundle that would leave a gap is refused", "a bundle too late", test, 2);
}

#[test]
fn what_is_forged_truncated_swapped_or_of_another_stream_is_refused_each_in_its_own_words() {
    let mut hub = Hub::new();
    let house = Place::new();
    begin(&house, &hub.export("first.bundle", "--since 0"), &hub).ends(0);
    let since = hub.sequence();
    hub.register(20);
    hub.register(20);
    let genuine = std::fs::read(hub.export("genuine.bundle", &format!("--since {since}"))).unwrap();
    let other = Hub::new();
    let strange = std::fs::read(other.export("strange.bundle", "--since 0")).unwrap();
    let before = stands(&house);
    let [checkpoint, _, _, frames, end] = layout(&genuine);
    let first_length = {
        let payload = u32::from_le_bytes(genuine[frames + 4..frames + 8].try_into().unwrap()) as usize;
        64 + payload.next_multiple_of(8)
    };

    let changed = |place: usize| {
        let mut bundle = genuine.clone();
        bundle[place] ^= 1;
        bundle
    };
    // One row's byte changed, and every checksum on the way made right again.
    let forged_frame = {
        let mut bundle = changed(frames + 80);
        let covered = frames + first_length - 8;
        let checksum = xxh3_64(&bundle[frames..covered]);
        bundle[covered..covered + 8].copy_from_slice(&checksum.to_le_bytes());
        sealed(bundle)
    };
    // The first frame left out, the head adjusted.
    let without_first = {
        let mut bundle = genuine.clone();
        bundle.drain(frames..frames + first_length);
        let length = (end - frames - first_length) as u64;
        bundle[96..104].copy_from_slice(&length.to_le_bytes());
        sealed(bundle)
    };
    // The last frames cut off, the head adjusted.
    let without_last = {
        let mut bundle = genuine.clone();
        bundle.drain(frames + first_length..end);
        bundle[96..104].copy_from_slice(&(first_length as u64).to_le_bytes());
        sealed(bundle)
    };
    // The frames of this hub under the checkpoint of another.
    let swapped = {
        let mut bundle = genuine.clone();
        let length = frames - checkpoint;
        let theirs = strange[128..128 + length].to_vec();
        bundle[checkpoint..frames].copy_from_slice(&theirs);
        sealed(bundle)
    };
    let other_since = {
        let mut bundle = genuine.clone();
        bundle[32..40].copy_from_slice(&(since - 1).to_le_bytes());
        sealed(bundle)
    };
    let newer = {
        let mut bundle = genuine.clone();
        bundle[8] = 2;
        sealed(bundle)
    };
    let cases: [(&str, Vec<u8>, &str); 14] = [
        ("cut in the middle", genuine[..genuine.len() / 2].to_vec(), "is truncated"),
        ("its last byte cut off", genuine[..genuine.len() - 1].to_vec(), "is truncated"),
        ("cut in its head", genuine[..100].to_vec(), "is truncated"),
        ("empty", Vec::new(), "is no bundle"),
        ("something else", b"op,authority_code\n".repeat(20), "is no bundle"),
        ("a flipped bit in the frames", changed(frames + 90), "is damaged"),
        ("a flipped bit in the head", changed(40), "is damaged"),
        ("a changed row, sealed again", forged_frame, "do not lead to the chain that the hub signed"),
        ("a frame left out, sealed again", without_first, "frames are missing"),
        ("the end cut off, sealed again", without_last, "it was truncated"),
        ("the checkpoint changed, sealed again", sealed(changed(checkpoint + 40)), "its signature is not by the hub_key"),
        ("another hub's checkpoint", swapped, "its signature is not by the hub_key"),
        ("another beginning in its head", other_since, "frames are missing"),
        ("a newer format", newer, "has bundle format 2"),
    ];
    let count = cases.len() + 2;
    for (what, bytes, words) in cases {
        let file = house.write("hostile.bundle", bytes);
        let refused = import(&house, &file, &[]).ends(1);
        assert!(refused.err.contains(words), "{what}: {}", refused.err);
        assert_eq!(stands(&house), before, "{what}");
    }
    // Another hub's, whole: refused by its key here, and by its stream where the key would do.
    let file = house.write("strange.bundle", &strange);
    let refused = import(&house, &file, &[]).ends(1);
    assert!(refused.err.contains("its signature is not by the hub_key"), "{}", refused.err);
    let restored = restored_twin(&hub);
    let file = restored.export("restored.bundle", "--with-snapshot");
    let refused = import(&house, &file, &[]).ends(1);
    assert!(refused.err.contains("the hub was restored, or is another one"), "{}", refused.err);
    let refused = import(&house, &file, &["--hub-key", &other.key()]).ends(1);
    assert!(refused.err.contains("follows another key"), "{}", refused.err);
    assert_eq!(stands(&house), before);
    // The genuine one is still taken.
    let file = house.write("genuine.bundle", &genuine);
    import(&house, &file, &[]).ends(0);
    assert_eq!(stands(&house), stands(&hub.place));
    let test = "what_is_forged_truncated_swapped_or_of_another_stream_is_refused_each_in_its_own_words";
    proof("a bundle that is not as the hub signed it changes nothing", "forged, cut, swapped, of another stream", test, count);
}

#[test]
fn a_snapshot_in_a_bundle_is_the_one_that_the_hub_signed_or_nothing_is_begun() {
    let hub = Hub::new();
    let genuine = std::fs::read(hub.export("begin.bundle", "--with-snapshot")).unwrap();
    let [_, manifest, snapshot, frames, _] = layout(&genuine);
    assert!(frames > snapshot && snapshot > manifest);
    let changed = |place: usize| {
        let mut bundle = genuine.clone();
        bundle[place] ^= 1;
        sealed(bundle)
    };
    let without_manifest = {
        let mut bundle = genuine.clone();
        bundle.drain(manifest..snapshot);
        bundle[80..88].copy_from_slice(&0_u64.to_le_bytes());
        sealed(bundle)
    };
    for (what, bytes, words) in [
        ("a changed snapshot", changed(snapshot + (frames - snapshot) / 2), "its snapshot is not the one that the hub signed"),
        ("a changed manifest", changed(manifest + 90), "its signature is not by the hub_key"),
        ("no manifest", without_manifest, "its snapshot is not signed"),
    ] {
        let house = Place::new();
        let file = house.write("hostile.bundle", bytes);
        let refused = begin(&house, &file, &hub).ends(1);
        assert!(refused.err.contains(words), "{what}: {}", refused.err);
        let file = house.write("genuine.bundle", &genuine);
        begin(&house, &file, &hub).ends(0);
        assert_eq!(stands(&house), stands(&hub.place), "what was refused leaves room for what is genuine");
    }
    let unnamed = Place::new();
    let refused = import(&unnamed, &hub.place.path("begin.bundle"), &[]).ends(1);
    assert!(refused.err.contains("--hub-key"), "{}", refused.err);
    assert!(!unnamed.data().exists(), "nothing is made before it is known whom to believe");
    let test = "a_snapshot_in_a_bundle_is_the_one_that_the_hub_signed_or_nothing_is_begun";
    proof("no directory is begun from a snapshot that the hub did not sign", "changed snapshots and manifests", test, 4);
}

#[test]
fn a_hub_that_was_set_back_is_refused_by_its_bundle_too() {
    let mut hub = Hub::new();
    let house = Place::new();
    begin(&house, &hub.export("first.bundle", "--since 0"), &hub).ends(0);
    let back = Hub { place: hub.place.copied(), people: 5_000 };
    let since = hub.sequence();
    hub.register(20);
    import(&house, &hub.export("more.bundle", &format!("--since {since}")), &[]).ends(0);
    let before = stands(&house);
    let mut back = back;
    for _ in 0..3 {
        back.register(20);
    }
    let file = back.export("forked.bundle", &format!("--since {since}"));
    let refused = import(&house, &file, &[]).ends(1);
    assert!(refused.err.contains("forked"), "{}", refused.err);
    assert_eq!(stands(&house), before);
    let test = "a_hub_that_was_set_back_is_refused_by_its_bundle_too";
    proof("a hub that was set back is refused through a bundle", "an old copy of its directory exports", test, 1);
}

/// A hub with the same key and another stream: restored from a snapshot.
fn restored_twin(hub: &Hub) -> Hub {
    let snapshot = hub.place.path("twin.snap");
    hub.place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    let place = Place::new();
    place.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(0);
    std::fs::copy(hub.place.data().join("signing.key"), place.data().join("signing.key")).unwrap();
    let mut twin = Hub { place, people: hub.people + 1_000 };
    twin.register(5);
    twin
}
