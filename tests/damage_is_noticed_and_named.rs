//! Bytes that changed on the disk: said on standard error and in the status, mended where the truth is whole, named where it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation
)]

mod common;

use std::path::{Path, PathBuf};

use common::{INFANTS, Place, Row, Server, ask_member, day};
use serde_json::Value;

const ROWS: u64 = 1500;

fn rows() -> Vec<Row> {
    (0..ROWS).map(Row::of).collect()
}

/// A directory with rows, closed in order.
fn filled() -> Place {
    let place = Place::new();
    place.import("rows.csv", &rows(), &[]).ends(0);
    place
}

#[track_caller]
fn assert_all_answered(server: &Server) {
    let lines: String = rows().iter().map(|row| ask_member(row) + "\n").collect();
    let answers = server.batch(&format!("on={}&consent=true", day(0)), &lines);
    let expected = (0..ROWS).map(|number| format!("E\t{INFANTS}/R{number}/{}/E", day(365)));
    let wrong: Vec<_> = expected.zip(&answers).filter(|(expected, answer)| expected != *answer).take(3).collect();
    assert!(wrong.is_empty() && answers.len() == rows().len(), "{wrong:#?}");
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn flip(path: &Path, offset: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

fn segment(place: &Place) -> PathBuf {
    place.data().join("log/00000000000000000001.seg")
}

fn troubles(server: &Server) -> Vec<String> {
    let status = server.status();
    let health = server.get("/v1/health").succeeds().json();
    let words: Vec<String> =
        status["troubles"].as_array().unwrap().iter().map(|trouble| trouble["trouble"].as_str().unwrap().to_owned()).collect();
    assert_eq!(health["troubles"], Value::from(words.clone()));
    words
}

#[test]
fn a_flipped_byte_in_the_log_is_named_with_its_file_and_offset() {
    let place = filled();
    let length = std::fs::metadata(segment(&place)).unwrap().len() as usize;
    let whole = std::fs::read(segment(&place)).unwrap();
    let mut flipped = 0;
    for share in [1, 30, 60, 90] {
        let offset = length * share / 100;
        flip(&segment(&place), offset);
        let said = place.run("verify", &[]).ends(1);
        assert!(said.out.contains("00000000000000000001.seg") && said.out.contains("offset"), "{}", said.out);
        let report = place.run("verify", &["--json"]).ends(1).json();
        let named = report["fault"]["offset"].as_u64().unwrap() as usize;
        assert!(report["fault"]["path"].as_str().unwrap().ends_with("00000000000000000001.seg"), "{report}");
        assert!(named <= offset && offset - named <= 900 * 1024, "{named} is not the frame around {offset}");
        flipped += 1;
        std::fs::write(segment(&place), &whole).unwrap();
    }
    place.verified();

    // With neither a whole log nor a store there is nothing to answer from, and nothing is destroyed.
    flip(&segment(&place), length / 2);
    let damaged = std::fs::read(segment(&place)).unwrap();
    std::fs::remove_dir_all(place.data().join("store")).unwrap();
    let said = place.run("serve", &["--listen", "127.0.0.1:0"]).ends(1);
    assert!(said.err.contains("00000000000000000001.seg") && said.err.contains("offset"), "{}", said.err);
    assert_eq!(std::fs::read(segment(&place)).unwrap(), damaged);
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped byte of the log | a_flipped_byte_in_the_log_is_named_with_its_file_and_offset | {flipped}"
    );
}

#[test]
fn a_running_server_verifies_its_log_as_well() {
    let place = filled();
    let server = place.serve();
    place.verified();
    let length = std::fs::metadata(segment(&place)).unwrap().len() as usize;
    // Under a running server, as a disk does it: in place.
    {
        use std::os::unix::fs::FileExt;
        let file = std::fs::OpenOptions::new().read(true).write(true).open(segment(&place)).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, (length / 2) as u64).unwrap();
        file.write_all_at(&[byte[0] ^ 1], (length / 2) as u64).unwrap();
    }
    let said = place.run("verify", &[]).ends(1);
    assert!(said.out.contains("00000000000000000001.seg"), "{}", said.out);
    assert_all_answered(&server);
}

#[test]
fn a_flipped_byte_in_the_store_is_never_answered_from() {
    let place = filled();
    let checksum = place.state_checksum();
    let store = place.data().join("store");
    let spots: Vec<(PathBuf, usize)> = files_below(&store)
        .into_iter()
        .flat_map(|path| {
            let bytes = std::fs::read(&path).unwrap();
            // Bytes that are zero are mostly in no use.
            let used: Vec<usize> = bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(offset, _)| offset).collect();
            [1, 4, 7].map(|tenth| used.get(used.len() * tenth / 10).map(|offset| (path.clone(), *offset)))
        })
        .flatten()
        .collect();
    let (mut noticed, tried) = (0, spots.len());
    for (path, offset) in spots {
        let content = std::fs::read(&path).unwrap();
        flip(&path, offset);
        let server = place.serve();
        assert_all_answered(&server);
        assert_eq!(server.state_checksum(), checksum);
        let troubles = troubles(&server);
        if troubles == ["store_rebuilt"] {
            noticed += 1;
            let notes = server.process.err.all().join("\n");
            assert!(notes.contains("store was damaged") && notes.contains("store.bad-"), "{notes}");
            assert!(
                place.data().read_dir().unwrap().any(|entry| entry
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .starts_with("store.bad-"))
            );
        } else {
            // A byte that nothing is read from; it is put back for the next spot.
            assert!(troubles.is_empty(), "{troubles:?}");
        }
        assert_eq!(server.stop(), 0);
        if troubles.is_empty() && path.exists() {
            let now = std::fs::read(&path).unwrap();
            if now.len() == content.len() && now.get(offset) == Some(&(content[offset] ^ 0x40)) {
                flip(&path, offset);
            }
        }
        place.verified();
    }
    assert!(noticed > 0, "no spot was one that is read");
    println!(
        "proof: damage is noticed and named, and never answered from | a flipped byte of the store | a_flipped_byte_in_the_store_is_never_answered_from | {tried}"
    );
}

#[test]
fn a_store_that_was_lost_or_is_another_one_s_is_rebuilt() {
    let place = filled();
    let checksum = place.state_checksum();
    std::fs::remove_dir_all(place.data().join("store")).unwrap();
    place.verified();
    let server = place.serve();
    assert_all_answered(&server);
    assert_eq!(server.stop(), 0);

    let other = Place::new();
    other.import("other.csv", [&Row::of(1)], &[]).ends(0);
    std::fs::remove_dir_all(place.data().join("store")).unwrap();
    std::fs::rename(other.data().join("store"), place.data().join("store")).unwrap();
    let server = place.serve();
    assert_eq!(troubles(&server), ["store_rebuilt"]);
    assert_all_answered(&server);
    assert_eq!(server.stop(), 0);
    assert_eq!(place.state_checksum(), checksum);
}

#[test]
fn a_torn_tail_is_cut_kept_aside_and_reported() {
    let garbage: Vec<u8> = (0..5000u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for tail in [&garbage[..], &garbage[..3], &[0; 4096], &b"SHKF"[..], &b"SHKF\x00\x10\x00\x00"[..]] {
        let place = filled();
        let before = std::fs::read(segment(&place)).unwrap();
        std::fs::write(segment(&place), [&before[..], tail].concat()).unwrap();
        let report = place.verified();
        assert!(report["notes"].as_array().unwrap().iter().any(|note| note.as_str().unwrap().contains("torn")), "{report}");
        let server = place.serve();
        assert_eq!(troubles(&server), ["torn_tail_cut"], "{} bytes", tail.len());
        let notes = server.process.err.all().join("\n");
        assert!(notes.contains("torn tail") && notes.contains("00000000000000000001.seg"), "{notes}");
        assert_all_answered(&server);
        place.import("more.csv", [&Row::of(9999)], &[]).ends(0);
        assert_eq!(server.stop(), 0);
        let kept = files_below(&place.data().join("log")).into_iter().find(|path| path.to_str().unwrap().contains("torn-"));
        assert_eq!(std::fs::read(kept.expect("the bytes are kept")).unwrap(), tail);
        place.verified();
        let again = place.serve();
        assert!(troubles(&again).is_empty());
    }
}

#[test]
fn a_tail_torn_off_a_killed_import_is_cut() {
    for bytes in [1, 9, 200] {
        let place = Place::new();
        let mut server = place.serve();
        place.import("rows.csv", &rows(), &[]).ends(0);
        server.process.kill();
        // What stands last is the feed's end, longer than what is torn off, and perhaps a mark. If the store took it already, the log has
        // lost what was acknowledged, and nothing is written any more.
        let length = std::fs::metadata(segment(&place)).unwrap().len();
        let file = std::fs::OpenOptions::new().write(true).open(segment(&place)).unwrap();
        file.set_len(length - bytes).unwrap();
        drop(file);
        let server = place.serve();
        assert_all_answered(&server);
        let troubles = troubles(&server);
        let is_cut = troubles == ["torn_tail_cut"];
        assert!(is_cut || troubles == ["log_lost"] || troubles == ["log_corrupt"], "{troubles:?}");
        let said = place.import("more.csv", [&Row::of(9999)], &[]);
        assert_eq!(said.status, if is_cut { 0 } else { 1 }, "{said:?}");
        assert_all_answered(&server);
    }
}

#[test]
fn a_log_that_was_lost_is_answered_around_and_nothing_is_written() {
    let place = filled();
    std::fs::remove_dir_all(place.data().join("log")).unwrap();
    let server = place.serve();
    assert_eq!(troubles(&server), ["log_lost"]);
    assert_all_answered(&server);
    let said = place.import("more.csv", [&Row::of(9999)], &[]).ends(1);
    assert!(said.err.contains("log_lost"), "{}", said.err);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_snapshot_that_is_damaged_restores_nothing() {
    let place = filled();
    let file = place.path("backup.snap");
    place.run("snapshot create", &["--out", file.to_str().unwrap()]).ends(0);
    let whole = std::fs::read(&file).unwrap();
    for (name, bytes) in [
        ("flipped", {
            let mut bytes = whole.clone();
            bytes[whole.len() / 2] ^= 1;
            bytes
        }),
        ("cut", whole[..whole.len() - 100].to_vec()),
        ("other", b"not a snapshot at all".to_vec()),
        ("empty", Vec::new()),
    ] {
        let target = Place::new();
        let damaged = target.write("damaged.snap", bytes);
        let said = target.run("snapshot restore", &[damaged.to_str().unwrap()]).ends(1);
        assert!(said.err.contains("damaged.snap"), "{name}: {}", said.err);
        assert!(!segment(&target).exists(), "{name}");
        // What is whole can still be restored there.
        target.run("snapshot restore", &[file.to_str().unwrap()]).ends(0);
    }
}
