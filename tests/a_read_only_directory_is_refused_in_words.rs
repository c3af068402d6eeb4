//! A directory on a disk that takes nothing: every command says so and names it, and changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod common;

use common::proof::proof;
use common::small_disk::SmallDisk;
use common::{Place, Row, Running, bytes_below};

#[test]
fn is_refused_in_words() {
    let disk = match SmallDisk::of_mib(320) {
        Ok(disk) => disk,
        Err(why) => {
            eprintln!("skipped: no small disk can be mounted: {why}");
            return;
        }
    };
    let place = Place::within(&disk.path(""));
    let elsewhere = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let file = elsewhere.file("more.csv", [&Row::of(2)]);
    let snapshot = elsewhere.path("a.snap");
    place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    let before = bytes_below(&place.data());
    disk.make_read_only();
    let data = place.data();
    let mut server = Running::start(["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let status = server.wait().0;
    let mut said = vec![("serve", status, server.err.all().join("\n"))];
    for (command, more) in [
        ("import", vec![file.to_str().unwrap()]),
        ("snapshot create", vec!["--out", snapshot.to_str().unwrap()]),
        ("snapshot restore", vec![snapshot.to_str().unwrap()]),
        ("token add --institution 0110113719 --role lookup", vec![]),
    ] {
        let ended = place.run(command, &more);
        said.push((command, ended.status, ended.err));
    }
    for (command, status, words) in &said {
        assert_eq!(*status, 1, "{command}: {words}");
        assert!(words.contains(data.to_str().unwrap()) && words.contains("Read-only file system"), "{command}: {words}");
    }
    assert!(bytes_below(&data) == before, "something changed");
    proof("refused in words, nothing changed", "a read-only directory", "a_read_only_directory_is_refused_in_words", said.len());
}
