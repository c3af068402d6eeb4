//! Writes the seeds from which the targets begin: real ones of every format, small. `seeds DIRECTORY` makes one folder a target.

use std::path::Path;
use std::sync::Arc;

use shikaku::disk::{Disk, RealDisk};
use shikaku::domain::day::Day;
use shikaku::domain::masters::{MasterKind, built_in};
use shikaku::index::IndexOptions;
use shikaku::log::{Chain, FrameKind, LogWriter, Position, SEGMENT_HEAD, StreamId};
use shikaku::record::DossierBatch;
use shikaku::record::dossier::HeldRow;
use shikaku::record::payload::{Changes, FeedPhase, FeedRecord, MasterPiece, horizon_to_bytes};
use shikaku::registry::{OpenOptions, Registry};
use shikaku::sync::bundle::{Bundle, ExportOptions, export};
use shikaku::sync::jetstream::fuzzing::{read, write as published};
use shikaku::sync::key::{SIGNATURE_BYTES, SIGNING_KEY_FILE};
use shikaku_fuzz::bundle::{Parts, fit, seal_bundle, sign};
use shikaku_fuzz::hub::{KEY_FILE, keys};
use shikaku_fuzz::memory_disk::MemoryDisk;
use shikaku_fuzz::register::{NOW_UNIX_MS, TODAY, changes, population, registration_file};

fn main() {
    let directory = std::env::args().nth(1).expect("a directory");
    let directory = Path::new(&directory);
    let write = |target: &str, name: &str, bytes: Vec<u8>| {
        let folder = directory.join(target);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), bytes).expect("a seed");
    };
    requests(&write);
    questions(&write);
    registration_files(&write);
    frames(&write);
    segments(&write);
    snapshots(&write);
    settings(&write);
    signed_by_the_hub(&write);
    messages(&write);
}

type Write<'w> = &'w dyn Fn(&str, &str, Vec<u8>);

fn with_first(first: u8, bytes: &[u8]) -> Vec<u8> {
    [&[first], bytes].concat()
}

fn today() -> Day {
    Day::parse(TODAY.as_bytes()).expect("a day")
}

fn requests(write: Write<'_>) {
    let person = population(200).recipient(3);
    let json = person.ask_member(true).json(today(), true, Some("0110113719"));
    let line = person.ask_member(true).line(None);
    let post = |target: &str, fields: &str, body: &str| {
        format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let question = post("/v1/eligibility", "Content-Type: application/json\r\n", &json);
    let batch_fields = "Content-Type: text/tab-separated-values\r\nAccept: text/tab-separated-values\r\n";
    let batch = post("/v1/eligibility/batch?on=2026-11-22&consent=true", batch_fields, &line);
    let seeds: [(&str, u8, Vec<u8>); 9] = [
        ("question", 0, question.clone()),
        ("batch", 0, batch.clone()),
        ("line", 0, post("/v1/eligibility?consent=true", "Content-Type: text/plain\r\n", &line)),
        ("two", 0, [question.as_slice(), &batch].concat()),
        ("bearer", 1, post("/v1/eligibility", "Authorization: Bearer shk_00\r\n", &json)),
        ("health", 0, b"GET /v1/health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_vec()),
        ("status", 1, b"HEAD /v1/status HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".to_vec()),
        ("chunked", 0, b"POST /v1/eligibility HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec()),
        ("continue", 0, b"POST /v1/eligibility HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n".to_vec()),
    ];
    for (name, door, bytes) in seeds {
        write("request", name, with_first(door, &bytes));
    }
}

fn questions(write: Write<'_>) {
    let population = population(200);
    let mut lines = String::new();
    for index in 0..200 {
        let person = population.recipient(index);
        let asked = [Some(person.ask_member(index % 2 == 0)), person.ask_certificate(0, index % 3 == 0), person.ask_card()];
        for (kind, asked) in asked.iter().enumerate().filter_map(|(kind, asked)| asked.as_ref().map(|asked| (kind, asked))) {
            if index < 3 || (kind == 2 && index % 50 == 0) {
                write("question", &format!("{kind}-{index}"), asked.json(today(), index != 1, None).into_bytes());
            }
            if index < 12 {
                lines.push_str(&asked.line((index % 4 == 0).then(today)));
                lines.push('\n');
            }
        }
    }
    let escaped =
        r#"{"member":{"insurer_number":"\u0030613201","symbol":"\u8a18\u53f7","number":"1","birth_date":"1980-01-01"}}"#;
    write("question", "escaped", escaped.as_bytes().to_vec());
    for how in 0..4 {
        write("batch", &format!("lines-{how}"), with_first(how, lines.as_bytes()));
    }
    write("batch", "odd", with_first(0, b"m\t06132013:1:2:00\t1980-01-01\r\n\nx\nc\t54136015\t1\t2026-11-22\t19800101\nk\t\n"));
}

fn registration_files(write: Write<'_>) {
    let file = registration_file(2);
    let text = String::from_utf8(file.clone()).expect("a population is UTF-8");
    let (cp932, dates) = (encoding_rs::SHIFT_JIS.encode(&text).0.into_owned(), text.replace('-', ""));
    write("registration_file", "utf-8", with_first(0, &file));
    write("registration_file", "cp932", with_first(1, &cp932));
    write("registration_file", "compact-dates", with_first(0, dates.as_bytes()));
    let header = text.lines().next().expect("a header");
    let quoted = header.split(',').map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(",");
    write("registration_file", "quoted", with_first(2, format!("\u{feff}{quoted}\r\n\"a\"\"b\",\"c\r\nd\",,\r\n").as_bytes()));
}

fn frames(write: Write<'_>) {
    let changes = changes(2);
    write("frame", "changes", with_first(0, changes.as_bytes()));
    let masters = "code,name,from,to\n130001,東京都,2023-04-01,\n";
    for piece in MasterPiece::split(MasterKind::Authorities, masters, 1024) {
        write("frame", "master", with_first(1, &piece.to_bytes()));
    }
    write("frame", "feed", with_first(2, &feed().to_bytes()));
    write("frame", "pruning", with_first(3, &horizon_to_bytes(today())));
    let mut batch = DossierBatch::default();
    let first: Vec<_> = changes.iter().take(1).collect();
    let held: Vec<HeldRow<'_>> =
        first.iter().map(|change| HeldRow { row: change.row, bytes: change.bytes, sequence: 9, time_unix_s: 9 }).collect();
    if let Some(dossier) = batch.push(5, &held).and_then(|place| batch.dossier(place)) {
        write("frame", "dossier", with_first(4, dossier.as_bytes()));
    }
}

fn feed() -> FeedRecord {
    FeedRecord {
        phase: FeedPhase::Began,
        file_name: "rows.csv".to_owned(),
        file_hash: "00".repeat(32),
        authorities: vec!["132012".to_owned()],
        rows: 2,
        rejects: 0,
        gates_overridden: vec!["older_file".to_owned()],
        accepted_by: Some("operator".to_owned()),
    }
}

fn segments(write: Write<'_>) {
    let disk = MemoryDisk::default();
    let stream = StreamId([3; 16]);
    let at = Position { stream, sequence: 0, chain: Chain::beginning(stream, None), state_checksum: 0 };
    let shared: Arc<dyn Disk> = Arc::new(disk.clone());
    let mut log = LogWriter::begin(shared, Path::new("/log"), at, NOW_UNIX_MS).expect("a log").with_segment_bytes_max(600);
    for (kind, payload) in [
        (FrameKind::Feed, feed().to_bytes()),
        (FrameKind::Changes, changes(1).as_bytes().to_vec()),
        (FrameKind::Pruning, horizon_to_bytes(today()).to_vec()),
        (FrameKind::Mark, Vec::new()),
        (FrameKind::Changes, Changes::new().as_bytes().to_vec()),
        (FrameKind::Mark, Vec::new()),
    ] {
        log.append(kind, &payload, 1, NOW_UNIX_MS).expect("a frame");
        log.sync().expect("a sync");
    }
    let files = disk.files();
    let all: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
    let first = u16::try_from(files.first().map_or(0, |(_, bytes)| bytes.len())).expect("a small segment");
    let seed = |how: u8, cut: u16, bytes: &[u8]| [&[how], &cut.to_le_bytes()[..], bytes].concat();
    for (name, how) in [("as-written", 0), ("sealed", 1)] {
        write("segment", &format!("one-{name}"), seed(how, 0, &files[0].1));
        write("segment", &format!("two-{name}"), seed(how | 2, first, &all));
    }
    write("segment", "joined", seed(7, first, &all));
    write("segment", "torn", seed(0, 0, &files[0].1[..files[0].1.len() - 20]));
}

fn snapshots(write: Write<'_>) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let options = OpenOptions { index: IndexOptions { segment_words_log2: 14, slots: 64 }, ..OpenOptions::at(NOW_UNIX_MS) };
    let registry = Registry::open(&directory.path().join("data"), &options).expect("a registry");
    registry.apply(&changes(2), NOW_UNIX_MS).expect("registrations");
    shorten_masters(&registry);
    let file = directory.path().join("snap");
    registry.create_snapshot(&file).expect("a snapshot");
    let bytes = std::fs::read(file).expect("a snapshot");
    write("snapshot", "whole", with_first(1, &bytes));
    write("snapshot", "sealed-anew", with_first(0, &bytes[..bytes.len() - 40]));
}

fn settings(write: Write<'_>) {
    let hash = "0123456789abcdef".repeat(4);
    write("tokens", "two", format!("# tokens\n{hash} 0110113719 lookup\n{hash} 3618010015 monitor\n\0Bearer shk_0").into_bytes());
    let config = "plaintext_networks = [\"10.1.0.0/16\", \"fd00::/8\"]\ndata_age_max_hours = 72\nscrub_pause_s = 60\n\
                  audit = true\naudit_retention_days = 400\naudit_sync_ms = 50\naudit_when_behind = \"refuse\"\n\
                  misses_per_minute_max = 0\n[listener]\nconnections_max = 64\nidle_timeout_ms = 1000\n";
    write("configuration", "all", config.as_bytes().to_vec());
    write("configuration", "empty", Vec::new());
}

/// Leaves one authority that takes part, so that seeds are small.
fn shorten_masters(registry: &Registry) {
    let participant =
        built_in(MasterKind::Participation).lines().nth(1).expect("a participant").split(',').next().map(str::to_owned);
    let participant = participant.expect("a code");
    for kind in [MasterKind::Participation, MasterKind::Issuers, MasterKind::Schemes, MasterKind::Authorities] {
        let table = built_in(kind);
        let is_short = !matches!(kind, MasterKind::Participation | MasterKind::Authorities);
        let kept = table.lines().enumerate().filter(|(line, text)| *line == 0 || is_short || text.starts_with(&participant));
        let short: String = kept.map(|(_, text)| format!("{text}\n")).collect();
        registry.set_master(kind, &short, NOW_UNIX_MS).expect("a short table");
    }
}

/// A checkpoint, a manifest, and bundles that hold them.
fn signed_by_the_hub(write: Write<'_>) {
    let directory = tempfile::TempDir::new().expect("a directory");
    let index = IndexOptions { segment_words_log2: 14, slots: 64 };
    let options = OpenOptions { index, segment_bytes_max: 2048, ..OpenOptions::at(NOW_UNIX_MS) };
    let data = directory.path().join("data");
    let registry = Registry::open(&data, &options).expect("a registry");
    std::fs::write(data.join(SIGNING_KEY_FILE), KEY_FILE).expect("a key");
    shorten_masters(&registry);
    let (behind, _) = registry.position();
    for _ in 0..3 {
        registry.apply(&changes(1), NOW_UNIX_MS).expect("registrations");
    }
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let bundle = |name: &str, options: ExportOptions| {
        let file = directory.path().join(name);
        export(&registry, &disk, &file, options, None).expect("a bundle");
        Bundle::open(&file, &keys().key).expect("what the hub exported is believed");
        let bytes = std::fs::read(file).expect("it can be read");
        let mut again = bytes.clone();
        fit(&mut again);
        sign(&mut again, &keys().signer);
        seal_bundle(&mut again);
        assert_eq!(again, bytes, "what the target signs is what the hub signs");
        bytes
    };
    let seed = |how: u8, bytes: &[u8]| [&[how, 0, 77], bytes].concat();
    let (few, begun) = (bundle("few", ExportOptions::Since(behind)), bundle("begun", ExportOptions::WithSnapshot));
    for (name, how) in [("as-written", 0), ("sealed", 1), ("signed", 2), ("fitted", 6)] {
        write("bundle", &format!("frames-{name}"), seed(how, &few));
        write("bundle", &format!("snapshot-{name}"), seed(how, &begun));
    }
    for (name, how, file, parts) in [("checkpoint", 0, &few, Parts::of(&few)), ("manifest", 2, &begun, Parts::of(&begun))] {
        let parts = parts.expect("a bundle that was exported is laid out");
        let signed = &file[if name == "checkpoint" { parts.checkpoint } else { parts.manifest }];
        let content = &signed[..signed.len() - SIGNATURE_BYTES];
        write("checkpoint", &format!("{name}-as-written"), seed(how, signed));
        write("checkpoint", &format!("{name}-signed"), seed(how | 1, content));
        write("checkpoint", &format!("{name}-for-something-else"), seed(how | 4, content));
    }
}

fn messages(write: Write<'_>) {
    let (stream, before) = (StreamId([3; 16]), [6; 32]);
    let disk = MemoryDisk::default();
    let at = Position { stream, sequence: 8, chain: Chain(before), state_checksum: 5 };
    let mut log = LogWriter::begin(Arc::new(disk.clone()), Path::new("/log"), at, NOW_UNIX_MS).expect("a log");
    log.append(FrameKind::Pruning, &horizon_to_bytes(today()), 5, NOW_UNIX_MS).expect("a frame");
    let frame = disk.files()[0].1.split_off(SEGMENT_HEAD);
    write("message", "published", [&[1, 0, 77][..], &before, &frame].concat());
    let message = published(stream, Chain(before), &frame, &keys().signer).expect("a message");
    assert!(read(stream, &message, &keys().key).is_some(), "what the hub publishes is believed");
    let lengths = [message.chain.len(), message.signature.len()].map(|length| u8::try_from(length).expect("a short header"));
    let seed = |chain: &str| [&[0, lengths[0], lengths[1]][..], chain.as_bytes(), message.signature.as_bytes(), &frame].concat();
    write("message", "as-published", seed(&message.chain));
    write("message", "another-chain", seed(&message.chain.replace('6', "7")));
}
