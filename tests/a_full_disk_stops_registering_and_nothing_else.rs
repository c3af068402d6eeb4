//! A full disk: what was acknowledged stays, look-ups go on, the status says why nothing is registered, and once there is room it goes on
//! without a restart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod common;

use std::thread;

use common::crash::{assert_answered_up_to, durable_line, undisturbed};
use common::proof::proof;
use common::small_disk::SmallDisk;
use common::{Place, Running, Server, eventually};
use serde_json::Value;

const TEST: &str = "a_full_disk_stops_registering_and_nothing_else";
/// Registering needs 128 MiB of room, and the register takes some 60.
const DISK_MIB: u64 = 320;
/// Less than registering needs, more than everything else does.
const NEARLY_FULL_BYTES: u64 = 100 << 20;

fn small_disk() -> Option<SmallDisk> {
    SmallDisk::of_mib(DISK_MIB).map_err(|why| eprintln!("skipped: no small disk can be mounted: {why}")).ok()
}

fn troubles(server: &Server) -> Vec<(String, String)> {
    let status = server.status();
    let words = |trouble: &Value, key: &str| trouble[key].as_str().unwrap().to_owned();
    let troubles = status["troubles"].as_array().unwrap().iter();
    troubles.map(|trouble| (words(trouble, "trouble"), words(trouble, "detail"))).collect()
}

fn has(server: &Server, trouble: &str) -> bool {
    troubles(server).iter().any(|(word, _)| word == trouble)
}

fn start_import(place: &Place) -> Running {
    let file = place.path("rows.csv");
    Running::start(["import", "--data", place.data().to_str().unwrap(), file.to_str().unwrap()])
}

/// What is asked of every row up to a line while the disk is full.
#[track_caller]
fn answers_and_says_why(server: &Server, line: u64) {
    eventually("the status says that the disk is full", || has(server, "disk_full"));
    let detail = troubles(server).into_iter().find(|(word, _)| word == "disk_full").unwrap().1;
    assert!(detail.contains("once there is room") && detail.contains("by itself"), "{detail}");
    server.get("/v1/health").succeeds();
    assert_answered_up_to(server, line);
}

#[test]
fn nearly_full_before_an_import_begins() {
    let Some(disk) = small_disk() else { return };
    let place = Place::within(&disk.path(""));
    place.write("rows.csv", &undisturbed().text);
    let server = place.serve();
    disk.fill_to(NEARLY_FULL_BYTES);
    let mut import = start_import(&place);
    assert_eq!(import.wait().0, 1);
    assert!(import.err.all().iter().any(|line| line.contains("MiB are left on the disk")), "{:?}", import.err.all());
    assert_eq!(durable_line(&import), 0);
    answers_and_says_why(&server, 0);

    disk.make_room();
    eventually("the trouble is over", || troubles(&server).is_empty());
    assert_eq!(start_import(&place).wait().0, 0);
    assert_answered_up_to(&server, u64::MAX);
    assert_eq!((troubles(&server), server.stop()), (Vec::new(), 0));
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
    let promise = "nothing is acknowledged, look-ups go on, registering resumes by itself";
    proof(promise, "a disk without the room that registering needs", TEST, 1);
}

#[test]
fn filled_to_the_last_byte_while_an_import_is_under_way() {
    let Some(disk) = small_disk() else { return };
    let place = Place::within(&disk.path(""));
    place.write("rows.csv", &undisturbed().text);
    let server = place.serve();
    let mut import = start_import(&place);
    import.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
    disk.fill_to(0);
    import.wait();
    let line = durable_line(&import);
    let whole = *undisturbed().last_lines.last().unwrap();
    assert!(line > 0);
    if line < whole {
        answers_and_says_why(&server, line);
        // Again and again, each time in words, and nothing of it is acknowledged.
        for _ in 0..3 {
            let mut again = start_import(&place);
            assert_eq!((again.wait().0, durable_line(&again)), (1, 0), "{:?}", again.err.all());
        }
        let snapshot = place.path("full.snap");
        let said = place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(1);
        assert!(!snapshot.exists() && said.err.contains("shikaku: "), "{said:?}");
        answers_and_says_why(&server, line);
    }
    disk.make_room();
    eventually("the trouble is over", || !has(&server, "disk_full"));
    assert_eq!(start_import(&place).wait().0, 0);
    assert_answered_up_to(&server, u64::MAX);
    // The page is written twice a second.
    eventually("the state is the undisturbed one", || server.state_checksum() == undisturbed().state_checksum);
    assert_eq!(server.stop(), 0);
    let server = place.serve();
    assert_answered_up_to(&server, u64::MAX);
    assert_eq!((server.state_checksum(), server.stop()), (undisturbed().state_checksum.clone(), 0));
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
    let promise = "every durable row answers, look-ups go on, registering resumes by itself";
    proof(promise, "a disk filled to its last byte under an import", TEST, format!("{line} of {whole} lines durable"));
}

#[test]
fn full_when_the_server_starts() {
    let Some(disk) = small_disk() else { return };
    let place = Place::within(&disk.path(""));
    let elsewhere = Place::new();
    let file = place.write("rows.csv", &undisturbed().text);
    place.run("import", &[file.to_str().unwrap()]).ends(0);
    disk.fill_to(0);
    // What cannot be audited is not answered, unless the operator said so; both are said.
    let mut refused = Running::start(["serve", "--data", place.data().to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.wait().0, 1);
    assert!(refused.err.all().iter().any(|line| line.contains("audit = false")), "{:#?}", refused.err.all());
    let config = elsewhere.write("shikaku.toml", "audit = false\n");
    let server = Server::start_with(&place.data(), &["--config", config.to_str().unwrap()]);
    assert_answered_up_to(&server, u64::MAX);
    let mut import = start_import(&place);
    assert_eq!((import.wait().0, durable_line(&import)), (1, 0), "{:?}", import.err.all());
    assert!(server.stop() <= 1);

    disk.make_room();
    let server = place.serve();
    assert_eq!(start_import(&place).wait().0, 0);
    assert_answered_up_to(&server, u64::MAX);
    assert_eq!(server.stop(), 0);
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
    proof("look-ups are answered, and nothing is lost", "a disk that is full when the server starts", TEST, 1);
}

#[test]
fn an_import_alone_ends_in_words() {
    let Some(disk) = small_disk() else { return };
    let place = Place::within(&disk.path(""));
    place.write("rows.csv", &undisturbed().text);
    let mut import = start_import(&place);
    let full = thread::scope(|scope| {
        let filling = scope.spawn(|| {
            import.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
            disk.fill_to(0);
        });
        filling.join()
    });
    full.unwrap();
    import.wait();
    let line = durable_line(&import);
    disk.make_room();
    place.verified();
    let server = place.serve();
    assert_answered_up_to(&server, line);
    assert_eq!(server.stop(), 0);
    assert_eq!(start_import(&place).wait().0, 0);
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
    let promise = "every durable row answers, and importing again ends as undisturbed";
    proof(promise, "a disk filled to its last byte under an import without a server", TEST, format!("durable up to line {line}"));
}
