//! A second process on a directory is refused and told who has it; an owner that died leaves it free.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::proof::proof;
use common::{Place, Row, Running};
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::clock::now_unix_ms;

#[test]
fn a_second_server_is_told_who_serves() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let mut server = place.serve();
    let second = || Running::start(["serve", "--data", place.data().to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let mut refused = second();
    assert_eq!(refused.wait().0, 1);
    let owner = format!("is in use by process {}", server.process.id());
    assert!(refused.err.all().iter().any(|line| line.contains(&owner)), "{:?}", refused.err.all());
    let snapshot = place.path("a.snap");
    place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    assert!(place.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(1).err.contains(&owner));
    assert_eq!(server.get("/v1/health").succeeds().status, 200);

    server.process.kill();
    let again = place.serve();
    assert_eq!(again.status()["recipients"], 1);
    assert_eq!(again.stop(), 0);
    proof("refused, and told who", "a second process on the directory", "a_directory_has_one_owner", 2);
}

#[test]
fn commands_are_told_of_an_owner_that_has_no_socket() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let registry = Registry::open(&place.data(), &OpenOptions::at(now_unix_ms())).unwrap();
    let owner = format!("is in use by process {}", std::process::id());
    let file = place.file("more.csv", [&Row::of(2)]);
    let snapshot = place.path("a.snap");
    let refused = [
        place.run("import", &[file.to_str().unwrap()]),
        place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]),
        place.run("masters show", &[]),
        place.run("lookup --card card-1 --consent", &[]),
        place.run("verify", &[]),
    ];
    let count = refused.len();
    for said in refused {
        assert!(said.status == 1 && said.err.contains(&owner), "{said:?}");
    }
    registry.close(now_unix_ms()).unwrap();
    proof("refused, and told who", "a command beside an owner without a socket", "a_directory_has_one_owner", count);
}
