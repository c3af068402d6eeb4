//! Commands that find the directory's owner work through it, with the same output and status as alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{HACHIOJI, INFANTS, Place, Row, Said, ask_member, day};

/// Sequences count marks as well, which a server writes when it is idle; all else must be the same.
fn without_sequences(said: &Said) -> (i32, String) {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').filter(|word| !word.starts_with("sequence=")).collect();
        words.join(" ") + "\n"
    };
    (said.status, said.out.lines().map(line).collect())
}

fn json_without_sequence(said: &Said) -> serde_json::Value {
    let last = said.out.lines().last().unwrap();
    let mut report: serde_json::Value = serde_json::from_str(last).unwrap();
    report["sequence"] = serde_json::Value::Null;
    report
}

#[test]
fn an_import_ends_alike_and_its_rows_are_answered_at_once() {
    let (alone, served) = (Place::new(), Place::new());
    let server = served.serve();
    let files = Place::new();
    let full: Vec<Row> = (0..200).map(Row::of).collect();
    let blank: Vec<Row> = full.iter().map(|row| row.clone().with("outpatient_visit_yen", "")).collect();
    let bad = [Row::of(301), Row::of(302).with("sex", "8"), Row::of(303).withdrawn(), Row::of(301).with("valid_to", day(3))];
    let cancelled = [Row::of(304), Row::of(304).withdrawn(), Row::of(5).withdrawn()];
    let sent: [(&str, &[Row], &[&str], i32); 8] = [
        ("full.csv", &full, &[], 0),
        ("full.csv", &full, &[], 0),
        ("blank.csv", &blank, &[], 4),
        ("bad.csv", &bad, &["--dry-run"], 3),
        ("bad.csv", &bad, &[], 3),
        ("cancelled.csv", &cancelled, &[], 0),
        ("blank.csv", &blank, &["--accept"], 0),
        ("full.csv", &full, &[], 4),
    ];
    for (name, rows, more, status) in sent {
        let file = files.file(name, rows);
        let mut arguments = more.to_vec();
        arguments.push(file.to_str().unwrap());
        let [one, other] = [&alone, &served].map(|place| {
            let said = place.run("import", &arguments).ends(status);
            let rejects = std::fs::read_to_string(files.path(&format!("{name}.rejects.csv"))).unwrap_or_default();
            (without_sequences(&said), rejects)
        });
        assert_eq!(one, other, "{name}");
        if name == "full.csv" && status == 0 {
            let lines: String = full.iter().map(|row| ask_member(row) + "\n").collect();
            let answers = server.batch("consent=true", &lines);
            assert!(answers.len() == 200 && answers.iter().all(|answer| answer.starts_with('E')), "at once");
        }
    }
    let file = files.file("json.csv", &full[..3]);
    let arguments = ["--json", "--accept", file.to_str().unwrap()];
    let reports = [&alone, &served].map(|place| json_without_sequence(&place.run("import", &arguments).ends(0)));
    assert_eq!(reports[0], reports[1]);
    for (name, content) in [("unknown.csv", "op,colour\n"), ("empty.csv", "")] {
        let file = files.write(name, content);
        let [one, other] = [&alone, &served].map(|place| place.run("import", &[file.to_str().unwrap()]).ends(1).err);
        // Only one of the two logs to standard error before it complains.
        assert_eq!(one.lines().last(), other.lines().last());
    }
    assert_eq!(alone.state_checksum(), served.state_checksum());
    assert_eq!(server.stop(), 0);
    assert_eq!(alone.state_checksum(), served.state_checksum());
}

#[test]
fn masters_look_ups_verification_and_snapshots_go_through_the_owner() {
    let (alone, served) = (Place::new(), Place::new());
    let server = served.serve();
    let row = Row::of(1);
    let payers = format!(
        "payer_number,authority_code,scheme,area,check,valid_from,valid_to\n{INFANTS},{HACHIOJI},乳幼児,,strict,2000-04-01,\n"
    );
    for place in [&alone, &served] {
        let payers = place.write("payers.csv", &payers);
        let wrong = place.write("wrong.csv", payers_with_unknown_authority());
        place.run("masters set", &["--payers", payers.to_str().unwrap()]).ends(0);
        let said = place.run("masters set", &["--payers", wrong.to_str().unwrap()]).ends(1);
        assert!(said.err.contains("line 2"), "{}", said.err);
        place.import("rows.csv", [&row], &[]).ends(0);
    }
    let same = |command: &str, more: &[&str]| {
        let [one, other] = [&alone, &served].map(|place| place.run(command, more).ends(0));
        assert_eq!(one.out, other.out, "{command}");
        one.out
    };
    let shown = same("masters show", &[]);
    for table in ["authorities", "issuers", "schemes", "participation", "payers"] {
        assert!(shown.contains(table), "{shown}");
        same("masters show", &["--table", table]);
    }
    assert_eq!(same("masters show", &["--table", "payers"]), payers);
    let answers = [&alone, &served].map(|place| {
        let said = place.run("lookup --card card-1 --consent", &["--on", &day(0)]).ends(0);
        (said.json()["verdict"].clone(), said.json()["entitlements"].clone())
    });
    assert_eq!(answers[0], answers[1]);
    assert_eq!(alone.state_checksum(), served.state_checksum());

    // A file without a directory in its name is the caller's, not the server's.
    let data = served.data();
    let mut command = common::program();
    command.current_dir(served.0.path()).args(["snapshot", "create", "--data", data.to_str().unwrap(), "--out", "here.snap"]);
    Said::of(&command.output().unwrap()).ends(0);
    assert!(served.path("here.snap").exists());
    assert_eq!(server.stop(), 0);
}

fn payers_with_unknown_authority() -> String {
    format!("payer_number,authority_code,scheme,area,check,valid_from,valid_to\n{INFANTS},999997,x,,,2000-04-01,\n")
}

#[test]
fn a_second_owner_is_refused_and_told_who_holds_the_directory() {
    let place = Place::new();
    let server = place.serve();
    let owner = server.process.id().to_string();
    let said = place.run("serve --listen 127.0.0.1:0", &[]).ends(1);
    assert!(said.err.contains(&owner), "{}", said.err);
    server.get("/v1/health").succeeds();
    place.import("rows.csv", [&Row::of(1)], &[]).ends(0);
    // A dead owner holds nothing, though its socket is still there.
    let mut server = server;
    server.process.kill();
    assert!(place.data().join("control.sock").exists());
    place.run("lookup --card card-1 --consent", &[]).ends(0);
    assert_eq!(place.serve().stop(), 0);
    assert!(!place.data().join("control.sock").exists());
}

#[test]
fn a_port_in_use_and_a_missing_file_are_told_by_name() {
    let (one, other) = (Place::new(), Place::new());
    let server = one.serve();
    let said = other.run("serve", &["--listen", &server.address.to_string()]).ends(1);
    assert!(said.err.contains(&server.address.port().to_string()), "{}", said.err);
    let absent = other.path("absent.toml");
    let said = other.run("serve", &["--listen", "127.0.0.1:0", "--config", absent.to_str().unwrap()]).ends(1);
    assert!(said.err.contains("absent.toml"), "{}", said.err);
}

#[test]
fn the_status_tells_what_stands_and_how_old_each_feed_is() {
    let place = Place::new();
    let server = place.serve();
    let before = server.status()["sequence"].as_u64().unwrap();
    let kofu = Row::of(2).with("authority_code", "192015");
    place.import("rows.csv", [&Row::of(1), &Row::of(1).with("sub_key", "b"), &kofu], &[]).ends(0);
    common::eventually("the page is written again", || {
        let status = server.status();
        status["rows"] == 3 && status["feeds"].as_array().unwrap().len() == 2
    });
    let status = server.status();
    assert_eq!(status["recipients"], 2);
    assert!(status["sequence"].as_u64().unwrap() > before);
    assert_eq!(status["state_checksum"], place.state_checksum());
    assert!(status["memory"]["resident_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(status["uptime_s"].is_u64() && status["version"].is_string());
    let feeds: Vec<(&str, bool)> = status["feeds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|feed| (feed["authority_code"].as_str().unwrap(), feed["age_s"].as_u64().unwrap() < 600))
        .collect();
    assert_eq!(feeds, [(HACHIOJI, true), ("192015", true)]);
}

#[test]
fn a_server_stops_in_order_while_connections_are_open() {
    let place = Place::new();
    let mut server = place.serve();
    let mut idle = server.connect();
    idle.ask("GET", "/v1/health", &[], b"").succeeds();
    let mut half = server.connect();
    half.send(b"POST /v1/eligibility HTTP/1.1\r\nContent-Length: 100\r\n\r\n{");
    for signal in ["TERM", "INT"] {
        server.process.signal(signal);
        let (status, took) = server.process.wait();
        assert_eq!(status, 0);
        assert!(took < std::time::Duration::from_secs(10), "{signal}: {took:?}");
        server = place.serve();
    }
    place.verified();
}

#[test]
fn one_import_at_a_time() {
    let place = Place::new();
    let rows: Vec<Row> = (0..20_000).map(Row::of).collect();
    let file = place.file("rows.csv", &rows);
    let data = place.data();
    let mut first = common::Running::start(["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()]);
    first.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
    let second = place.import("other.csv", [&Row::of(99_999)], &[]);
    // It may only have come too late.
    assert!(second.status == 0 || second.err.contains("another import"), "{second:?}");
    assert_eq!(first.wait().0, 0);
    place.import("other.csv", [&Row::of(99_999)], &[]).ends(0);
}
