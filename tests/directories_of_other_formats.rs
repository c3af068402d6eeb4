//! A directory of an older format opens, verifies and answers as it did then; one of a newer format is refused in words and left alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::BytesMut;
use common::proof::proof;
use common::{Place, Row, Running, Said, bytes_below, run};
use serde_json::Value;
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;
use xxhash_rust::xxh3::xxh3_64;

const TEST: &str = "directories_of_other_formats";

/// 2026-11-22, midnight in Japan: when the questions were asked.
const THEN_UNIX_MS: u64 = 1_795_273_200_000;

/// An archive of `tests/fixtures`, unpacked.
struct Fixture {
    place: Place,
    folder: PathBuf,
}

impl Fixture {
    fn all() -> Vec<Fixture> {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let names = fs::read_dir(fixtures).unwrap().map(|entry| entry.unwrap().path());
        let mut archives: Vec<PathBuf> = names.filter(|name| name.to_string_lossy().ends_with(".tar.gz")).collect();
        archives.sort();
        archives.iter().map(|archive| Fixture::unpacked(archive)).collect()
    }

    fn unpacked(archive: &Path) -> Fixture {
        let place = Place::new();
        let status = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(place.0.path()).status().unwrap();
        assert!(status.success());
        let name = archive.file_name().unwrap().to_str().unwrap().strip_suffix(".tar.gz").unwrap();
        Fixture { folder: place.path(name), place }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    #[track_caller]
    fn answers_as_then(&self, data: &Path) {
        let registry = Registry::open(data, &OpenOptions::at(THEN_UNIX_MS)).unwrap();
        assert_eq!(registry.troubles().stops_writing(), None);
        let service = Service::new(Config::default(), Tokens::default());
        let _ = service.reader.set(registry.reader());
        let questions = self.read("questions.tsv");
        let request = Request {
            method: Method::Post,
            path: "/v1/eligibility/batch",
            query: "on=2026-11-22&consent=true",
            content_type: Some("text/tab-separated-values"),
            accept: Some("text/tab-separated-values"),
            authorization: None,
            peer: Ipv4Addr::LOCALHOST.into(),
            body: questions.as_bytes(),
        };
        let mut body = BytesMut::new();
        service.respond(&request, Door::Fast, &mut Reply::new(&mut body));
        assert_eq!(std::str::from_utf8(&body).unwrap(), self.read("answers.tsv"));
        registry.close(THEN_UNIX_MS).unwrap();
    }
}

fn verified(data: &str) -> Value {
    run(["verify", "--data", data, "--json"]).ends(0).json()
}

#[test]
fn every_released_format_opens_verifies_and_answers_as_it_did() {
    let fixtures = Fixture::all();
    assert!(!fixtures.is_empty());
    let mut questions = 0;
    for fixture in &fixtures {
        let then: Value = serde_json::from_str(&fixture.read("verified.json")).unwrap();
        let data = fixture.path("data");
        assert_eq!(verified(&data)["state_checksum"], then["state_checksum"]);
        run(["audit", "verify", "--data", &data]).ends(0);
        fixture.answers_as_then(Path::new(&data));
        assert!(!fixture.folder.join("data/store.earlier").exists());
        assert_eq!(verified(&data)["notes"], serde_json::json!([]));

        // The same without the store, which is then rebuilt from the log.
        fs::remove_dir_all(fixture.folder.join("data/store")).unwrap();
        fixture.answers_as_then(Path::new(&data));
        assert_eq!(verified(&data)["state_checksum"], then["state_checksum"]);

        let restored = fixture.place.data();
        run(["snapshot", "restore", "--data", restored.to_str().unwrap(), &fixture.path("whole.snap")]).ends(0);
        fixture.answers_as_then(&restored);
        assert_eq!(verified(restored.to_str().unwrap())["state_checksum"], then["state_checksum"]);
        questions += 3 * fixture.read("questions.tsv").lines().count();
    }
    let count = format!("{} formats, {questions} answers", fixtures.len());
    proof("opens, verifies and answers as it did", "a directory of an older format", TEST, count);
}

/// Gives a file with a header of the log's shape the next version, and a checksum that fits.
fn make_newer(path: &Path, header_bytes: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[8] += 1;
    let covered = header_bytes - 8;
    let checksum = xxh3_64(&bytes[..covered]).to_le_bytes();
    bytes[covered..header_bytes].copy_from_slice(&checksum);
    fs::write(path, bytes).unwrap();
}

fn only_file_in(folder: &Path, extension: &str) -> PathBuf {
    let mut paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
}

/// A server that must not start.
fn served(data: &Path) -> Said {
    let mut server = Running::start(["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    let status = server.wait().0;
    Said { status, out: String::new(), err: server.err.all().join("\n") }
}

#[test]
fn a_newer_log_is_refused_and_left_alone() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    make_newer(&only_file_in(&place.data().join("log"), "seg"), 128);
    let log_and_store = || {
        let below = bytes_below(&place.data());
        below.into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect::<Vec<_>>()
    };
    let before = log_and_store();
    let file = place.file("more.csv", [&Row::of(2)]);
    let snapshot = place.path("a.snap");
    let refused = [
        served(&place.data()),
        place.run("import", &[file.to_str().unwrap()]),
        place.run("verify", &[]),
        place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]),
        place.run("lookup --card card-1 --consent", &[]),
    ];
    for said in &refused {
        assert!(said.status == 1 && said.mentions("log format 2; this program knows up to 1"), "{said:?}");
    }
    let changed: Vec<PathBuf> = log_and_store().into_iter().filter(|file| !before.contains(file)).map(|(path, _)| path).collect();
    assert_eq!(changed, Vec::<PathBuf>::new());
    proof("refused in words, nothing changed", "a directory of a newer format", TEST, refused.len());
}

#[test]
fn a_newer_snapshot_is_refused_and_nothing_is_begun() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let snapshot = place.path("a.snap");
    place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    let mut bytes = fs::read(&snapshot).unwrap();
    bytes[8] = 3;
    fs::write(&snapshot, bytes).unwrap();
    let target = Place::new();
    let said = target.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(1);
    assert!(said.err.contains("snapshot format 3; this program knows up to 2"), "{said:?}");
    assert!(!target.data().join("log").exists() && !target.data().join("snapshots").exists());
    proof("refused in words, nothing begun", "a snapshot of a newer format", TEST, 1);
}

#[test]
fn a_newer_audit_is_refused_and_left_alone() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    assert_eq!(place.serve().stop(), 0);
    let segment = only_file_in(&place.data().join("audit"), "aud");
    make_newer(&segment, 128);
    let before = bytes_below(&place.data().join("audit"));
    let said = served(&place.data());
    assert!(said.status == 1 && said.err.contains("audit"), "{said:?}");
    assert!(said.err.contains("format") || said.err.contains("newer"), "{said:?}");
    assert!(bytes_below(&place.data().join("audit")) == before, "something changed");
    proof("refused in words, nothing changed", "an audit of a newer format", TEST, 1);
}
