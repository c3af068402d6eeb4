//! `lookup`, `verify`, `snapshot`, `synth` and the help, and what lies in the data directory afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use common::{HOSPITAL, INFANTS, Place, Row, Said, ask_member, day, member_json, run, run_with_input};
use serde_json::Value;

#[test]
fn every_command_explains_itself() {
    let commands = [
        "",
        "demo",
        "synth",
        "import",
        "serve",
        "lookup",
        "verify",
        "snapshot",
        "snapshot create",
        "snapshot restore",
        "masters",
        "masters show",
        "masters set",
        "token",
        "token add",
        "token list",
        "token revoke",
        "audit",
        "audit show",
        "audit verify",
        "audit review",
    ];
    for command in commands {
        let said = run(command.split_whitespace().chain(["--help"])).ends(0);
        assert!(said.out.contains("Usage:") && said.err.is_empty(), "{command}: {said:?}");
    }
    let said = run(["--help"]).ends(0);
    for command in commands.iter().filter(|command| !command.is_empty() && !command.contains(' ')) {
        assert!(said.out.contains(command), "{command}");
    }
    assert!(run(["--version"]).ends(0).out.starts_with("shikaku "));
}

/// The part of an answer that does not depend on when it was given.
fn told(said: &Said) -> (Value, Value, Value) {
    let answer = said.json();
    (answer["verdict"].clone(), answer["entitlements"].clone(), answer["service_date"].clone())
}

#[test]
fn a_look_up_answers_alike_from_the_directory_its_owner_and_a_url() {
    let place = Place::new();
    let row = Row::of(1).with("designated_institutions", HOSPITAL);
    place.import("rows.csv", [&row], &[]).ends(0);
    let questions: [Vec<String>; 4] = [
        ["--member", "06132013:1234:1:00", "--born", "1980-01-01"].map(String::from).into(),
        ["--certificate", &format!("{INFANTS}/R1")].map(String::from).into(),
        ["--certificate", &format!("{INFANTS}/R1"), "--born", "1980-01-01"].map(String::from).into(),
        ["--card", "card-1"].map(String::from).into(),
    ];
    let common = ["--consent", "--on", &day(0), "--institution", HOSPITAL].map(String::from);
    let ask = |source: [&str; 2], question: &[String]| {
        let arguments: Vec<&str> =
            ["lookup"].into_iter().chain(source).chain(question.iter().chain(&common).map(String::as_str)).collect();
        run(arguments).ends(0)
    };
    let data = place.data();
    let directory = ["--data", data.to_str().unwrap()];
    let alone: Vec<_> = questions.iter().map(|question| told(&ask(directory, question))).collect();
    assert!(alone.iter().all(|answer| answer.0 == "eligible" && *answer == alone[0]), "{alone:#?}");
    let server = place.serve();
    let url = format!("http://{}", server.address);
    for (question, expected) in questions.iter().zip(&alone) {
        assert_eq!(told(&ask(directory, question)), *expected);
        assert_eq!(told(&ask(["--url", &url], question)), *expected);
    }
    for input in [member_json(&row, &day(0)), ask_member(&row), format!("{}\n", ask_member(&row))] {
        for source in [directory, ["--url", &url]] {
            let arguments = ["lookup", source[0], source[1], "--stdin", "--consent", "--on", &day(0), "--institution", HOSPITAL];
            assert_eq!(told(&run_with_input(arguments, &input).ends(0)), alone[0], "{input}");
        }
    }
}

#[test]
fn a_look_up_that_is_an_error_ends_with_1_and_one_without_consent_says_nothing() {
    let place = Place::new();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    let silent = place.run("lookup --card card-1", &[]).ends(0).json();
    assert_eq!(silent["verdict"], "no_information");
    for served in [None, Some(place.serve())] {
        let error = place.run("lookup --member 06132013:1234:1:00 --born 1980-13-01 --consent", &[]).ends(1);
        assert_eq!(error.json()["error"]["code"], "bad_birth_date");
        let error = place.run("lookup --card card-1 --consent", &["--on", "1999-01-01"]).ends(1);
        assert_eq!(error.json()["error"]["code"], "before_retention");
        place.run("lookup --member 06132013-1234-1 --born 1980-01-01", &[]).ends(1);
        place.run("lookup --certificate 88138243", &[]).ends(1);
        drop(served);
    }
    run(["lookup", "--url", "ftp://nowhere", "--card", "1"]).ends(1);
    run(["lookup", "--url", "http://127.0.0.1:1", "--card", "1"]).ends(1);
}

#[test]
fn a_mistyped_directory_does_not_become_a_register_that_knows_nobody() {
    let place = Place::new();
    let backup = place.path("backup.snap");
    let reading = |present: bool| {
        for command in ["lookup --card card-1 --consent", "masters show", "masters show --table payers"] {
            let said = place.run(command, &[]).ends(1);
            assert!(said.err.contains("holds no register") && said.out.is_empty(), "{said:?}");
        }
        let said = place.run("snapshot create", &["--out", backup.to_str().unwrap()]).ends(1);
        assert!(said.err.contains("holds no register") && !backup.exists(), "{said:?}");
        let said = place.run("token list", &[]).ends(1);
        assert!(said.err.contains("no such file") && said.out.is_empty(), "{said:?}");
        assert_eq!(place.data().exists(), present);
    };
    reading(false);
    std::fs::create_dir(place.data()).unwrap();
    reading(true);
    assert_eq!(std::fs::read_dir(place.data()).unwrap().count(), 0, "an empty directory stays empty");
}

#[test]
fn tokens_are_listed_where_there_is_a_register_or_a_file_of_them() {
    let place = Place::new();
    let elsewhere = place.path("elsewhere");
    let elsewhere = ["--tokens", elsewhere.to_str().unwrap()];
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    assert_eq!(place.run("token list", &[]).ends(0).out, "", "a register without tokens");
    place.run("token list", &elsewhere).ends(1);
    let add = ["--institution", HOSPITAL, "--role", "lookup"];
    place.run("token add", &[&add[..], &elsewhere].concat()).ends(0);
    assert_eq!(place.run("token list", &elsewhere).ends(0).out.lines().count(), 1);
    assert_eq!(place.run("token list", &[]).ends(0).out, "");
}

#[test]
fn an_absent_or_empty_directory_verifies_as_empty() {
    let place = Place::new();
    let report = place.verified();
    assert_eq!((&report["sequence"], &report["rows"]), (&Value::from(0), &Value::from(0)));
    assert!(!place.data().exists(), "verifying makes nothing");
    std::fs::create_dir(place.data()).unwrap();
    assert_eq!(place.verified()["rows"], 0);
}

#[test]
fn a_snapshot_restores_what_it_was_taken_of_into_an_empty_directory_only() {
    let (place, target) = (Place::new(), Place::new());
    let rows: Vec<Row> = (0..300).map(Row::of).collect();
    place.import("rows.csv", &rows, &[]).ends(0);
    let snapshot = place.path("backup.snap");
    let snapshot = snapshot.to_str().unwrap();
    let said = place.run("snapshot create", &["--out", snapshot]).ends(0);
    assert!(said.out.contains("300 recipients"), "{}", said.out);

    // Through the owner, while it is written to.
    let server = place.serve();
    let served = place.path("served.snap");
    let summary = place.run("snapshot create --json", &["--out", served.to_str().unwrap()]).ends(0).json();
    assert_eq!((&summary["recipients"], &summary["rows"]), (&Value::from(300), &Value::from(300)));
    place.import("later.csv", [&Row::of(999)], &[]).ends(0);
    assert_eq!(server.stop(), 0);

    let lines: String = rows.iter().chain([&Row::of(999)]).map(|row| ask_member(row) + "\n").collect();
    let ask = |place: &Place| {
        let server = place.serve();
        let answers = server.batch(&format!("on={}&consent=true", day(0)), &lines);
        assert_eq!(server.stop(), 0);
        answers
    };
    for file in [snapshot, served.to_str().unwrap()] {
        let target = Place::new();
        target.run("snapshot restore", &[file]).ends(0);
        target.verified();
        let answers = ask(&target);
        assert!(answers[..300].iter().all(|answer| answer.starts_with('E')) && answers[300] == "N");
        // It is a stream of its own, which goes on.
        target.import("later.csv", [&Row::of(999)], &[]).ends(0);
        assert_eq!(target.state_checksum(), place.state_checksum());
        std::fs::remove_dir_all(target.data().join("store")).unwrap();
        assert!(ask(&target).iter().all(|answer| answer.starts_with('E')), "rebuilt from the snapshot and the log");
    }

    std::fs::create_dir(target.data()).unwrap();
    target.write("data/letter.txt", "mine");
    let said = target.run("snapshot restore", &[snapshot]).ends(1);
    assert!(said.err.contains("not empty"), "{}", said.err);
    place.run("snapshot restore", &[snapshot]).ends(1);
    assert_eq!(place.verified()["rows"], 301);
    target.run("snapshot create", &["--out", "/nonexistent/backup.snap"]).ends(1);
}

#[test]
fn the_synthetic_file_is_the_same_for_the_same_arguments() {
    let place = Place::new();
    let write = |name: &str, seed: &str| {
        let path = place.path(name);
        let arguments = ["synth", "--recipients", "500", "--seed", seed, "--out", path.to_str().unwrap()];
        run(arguments).ends(0);
        std::fs::read(path).unwrap()
    };
    assert_eq!(write("one.csv", "7"), write("two.csv", "7"));
    assert_ne!(write("one.csv", "7"), write("three.csv", "8"));
    run(["synth", "--recipients", "1", "--out", "/nonexistent/rows.csv"]).ends(1);
}

/// Every path below a directory, the directory itself among them, with its permission bits.
fn modes(path: &Path) -> Vec<(String, u32)> {
    let metadata = std::fs::symlink_metadata(path).unwrap();
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => "directory",
        kind if kind.is_socket() => "socket",
        _ => "file",
    };
    let mut found = vec![(format!("{kind} {}", path.display()), metadata.permissions().mode() & 0o777)];
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn nobody_else_may_read_what_lies_in_the_data_directory() {
    let place = Place::new();
    let bad = Row::of(2).with("sex", "9");
    place.import("rows.csv", [&Row::of(1), &bad], &[]).ends(3);
    place.run("token add", &["--institution", HOSPITAL, "--role", "lookup"]).ends(0);
    let snapshot = place.path("backup.snap");
    place.run("snapshot create", &["--out", snapshot.to_str().unwrap()]).ends(0);
    let restored = Place::new();
    restored.run("snapshot restore", &[snapshot.to_str().unwrap()]).ends(0);
    let servers = [place.serve(), restored.serve()];
    let mut found = Vec::new();
    for place in [&place, &restored] {
        found.extend(modes(&place.data()));
    }
    for name in ["backup.snap", "rows.csv.rejects.csv", "rows.csv.reasons.csv"] {
        found.extend(modes(&place.path(name)));
    }
    assert!(found.iter().any(|(path, _)| path.ends_with("control.sock")));
    let open: Vec<_> = found
        .iter()
        .filter(|(path, mode)| *mode != if path.starts_with("directory") { 0o700 } else { 0o600 })
        .map(|(path, mode)| format!("{mode:o} {path}"))
        .collect();
    assert!(open.is_empty(), "{} of them, {:#?}", open.len(), open.iter().take(3).collect::<Vec<_>>());
    drop(servers);
}
