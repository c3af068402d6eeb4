//! The audit from end to end: look-ups noted through the library, then shown, reviewed and verified by the command, untouched and not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{Said, run, run_with_input};
use serde_json::Value;
use shikaku::audit::{AuditOptions, Auditor, BatchHead, Entry, TokenId, Via};
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::decision::Verdict;
use shikaku::domain::identifier::{InstitutionCode, InsurerNumber};
use shikaku::record::identity::{KeyBytes, KeyHash, KeyKind};
use tempfile::TempDir;

/// 2026-11-22, 09:00 in Japan.
const NINE: u64 = 1_795_273_200_000 + 9 * 3_600_000;
const HOSPITAL: &str = "0110113719";
const CLINIC: &str = "1310113720";

fn member(number: u32) -> KeyHash {
    let insurer = InsurerNumber::parse_padded(b"06132013").unwrap();
    let birth = BirthDate::parse(b"1980-01-01").unwrap();
    let mut key = KeyBytes::empty();
    key.set_member(&insurer, birth, b"1234", number.to_string().as_bytes()).unwrap();
    KeyHash::of(KeyKind::Member, key.as_bytes())
}

fn entry(institution: &str, number: u32, unix_ms: u64, verdict: Verdict) -> Entry {
    Entry {
        unix_ms,
        institution: Some(InstitutionCode::parse(institution.as_bytes()).unwrap()),
        token: TokenId::parse("0000beef"),
        key: member(number),
        service_date: Day::parse(b"2026-11-22").unwrap(),
        consent: true,
        verdict,
        sequence: 12,
        via: Via::Fast,
    }
}

struct Audited(TempDir);

impl Audited {
    /// Three runs of a program: ten look-ups of a hospital; a batch of a clinic; the hospital again, at night, finding nobody.
    fn new() -> Audited {
        let audited = Audited(TempDir::new().unwrap());
        audited.run_once(|auditor| {
            (0..10)
                .for_each(|number| auditor.note(&entry(HOSPITAL, number, NINE + u64::from(number), Verdict::Eligible)).unwrap());
        });
        audited.run_once(|auditor| {
            let Entry { unix_ms, institution, token, consent, sequence, via, .. } =
                entry(CLINIC, 0, NINE + 60_000, Verdict::Eligible);
            let mut batch = auditor.batch(BatchHead { unix_ms, institution, token, consent, sequence, via }, Duration::ZERO);
            (5..25).for_each(|number| batch.line(member(number), Day::parse(b"2026-11-22").unwrap(), Verdict::Expired).unwrap());
            batch.malformed_line().unwrap();
            batch.finish().unwrap();
        });
        audited.run_once(|auditor| {
            let at_night = NINE + 12 * 3_600_000;
            (100..130).for_each(|number| auditor.note(&entry(HOSPITAL, number, at_night, Verdict::NotRegistered)).unwrap());
        });
        audited
    }

    fn run_once(&self, note: impl FnOnce(&Auditor)) {
        let auditor = Auditor::open(&self.directory(), &AuditOptions::default()).unwrap();
        note(&auditor);
        auditor.close().unwrap();
    }

    fn directory(&self) -> PathBuf {
        self.0.path().join("audit")
    }

    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory()).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "aud")).collect();
        segments.sort();
        segments
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> Said {
        let data = self.0.path().to_str().unwrap();
        run(["audit", command, "--data", data].iter().chain(arguments))
    }

    fn shown(&self, arguments: &[&str]) -> Vec<Value> {
        let said = self.ask("show", &[&["--json"], arguments].concat()).ends(0);
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["note"].is_null()).collect()
    }
}

#[test]
fn what_was_asked_is_shown_by_institution_by_time_and_by_person() {
    let audited = Audited::new();
    assert_eq!(audited.shown(&[]).len(), 61);
    assert_eq!(audited.shown(&["--institution", CLINIC]).len(), 21);
    assert_eq!(audited.shown(&["--institution", HOSPITAL, "--from", "2026-11-22T12:00"]).len(), 30);
    assert_eq!(audited.shown(&["--to", "2026-11-22T09:01"]).len(), 10);
    assert_eq!(audited.shown(&["--from", "2026-11-23"]).len(), 0);
    assert_eq!((audited.shown(&["--token", "0000beef"]).len(), audited.shown(&["--token", "0000beee"]).len()), (61, 0));
    let one = &audited.shown(&["--institution", HOSPITAL])[3];
    assert_eq!((&one["time"], &one["verdict"]), (&"2026-11-22T09:00:00.003+09:00".into(), &"eligible".into()));
    assert_eq!((&one["consent"], &one["sequence"], &one["via"]), (&true.into(), &12.into(), &"fast".into()));
    let line = &audited.shown(&["--institution", CLINIC])[20];
    assert_eq!((&line["verdict"], &line["who"], &line["line"]), (&"not_answered".into(), &Value::Null, &20.into()));

    let about = |line: &str| {
        let data = audited.0.path().to_str().unwrap();
        let said = run_with_input(["audit", "show", "--data", data, "--about-stdin"], line).ends(0);
        said.out.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let asked = about("m\t06132013:1234:7:00\t1980-01-01\n");
    assert!(asked.len() == 2 && asked[0].contains(HOSPITAL) && asked[1].contains(CLINIC), "{asked:?}");
    assert!(about("m\t06132013:1234:70:00\t1980-01-01\n").is_empty());
    assert!(asked.iter().all(|line| !line.contains("06132013")), "no identifier is shown");
}

#[test]
fn a_review_tells_what_a_person_should_ask_about() {
    let audited = Audited::new();
    let said =
        audited.ask("review", &["--from", "2026-11-22", "--json", "--per-hour", "25", "--institutions", "2"]).ends(0).json();
    let findings = said["findings"].as_array().unwrap();
    let named = |name: &str| findings.iter().filter(|finding| finding["finding"] == name).collect::<Vec<_>>();
    assert_eq!((&said["look_ups"], findings.len()), (&61.into(), 8), "{findings:#?}");
    assert_eq!((&named("mass")[0]["look_ups"], &named("mass")[0]["asker"]["institution"]), (&30.into(), &HOSPITAL.into()));
    assert_eq!(named("outside_hours")[0]["first"], "2026-11-22T21:00:00.000+09:00");
    assert_eq!((&named("misses")[0]["misses"], &named("misses")[0]["in_a_row"]), (&30.into(), &30.into()));
    assert_eq!(named("many_institutions").len(), 5, "five people were asked about by both");
    let quiet = audited.ask("review", &["--from", "2026-11-22", "--to", "2026-11-22T12:00"]).ends(0);
    assert_eq!(quiet.out, "reviewed: 31 look-ups by 2 askers, 0 findings\n");
}

#[test]
fn an_untouched_audit_verifies_and_its_chain_can_be_kept_elsewhere() {
    let audited = Audited::new();
    let said = audited.ask("verify", &[]).ends(0);
    let kept = said.out.lines().find_map(|line| line.strip_prefix("to be kept elsewhere, for --expect: ")).unwrap().to_owned();
    audited.run_once(|auditor| auditor.note(&entry(HOSPITAL, 1, NINE, Verdict::Eligible)).unwrap());
    audited.ask("verify", &["--expect", &kept]).ends(0);
    let forged = Audited::new();
    forged.ask("verify", &[]).ends(0);
    assert!(forged.ask("verify", &["--expect", &kept]).ends(1).out.contains("the chain kept elsewhere is not in it"));
}

#[test]
fn tampering_is_found_and_named_with_file_and_offset() {
    type Damage = fn(&[PathBuf]) -> (PathBuf, u64);
    let damages: [Damage; 5] = [
        |segments| {
            fs::remove_file(&segments[1]).unwrap();
            (segments[2].clone(), 32)
        },
        |segments| {
            fs::remove_file(&segments[2]).unwrap();
            (segments[1].clone(), fs::metadata(&segments[1]).unwrap().len())
        },
        |segments| {
            let (one, other) = (fs::read(&segments[0]).unwrap(), fs::read(&segments[1]).unwrap());
            fs::write(&segments[0], other).unwrap();
            fs::write(&segments[1], one).unwrap();
            (segments[0].clone(), 40)
        },
        |segments| {
            let mut bytes = fs::read(&segments[1]).unwrap();
            // Header 128, note 136: the block of look-ups.
            bytes[264 + 70] ^= 1;
            fs::write(&segments[1], bytes).unwrap();
            (segments[1].clone(), 264)
        },
        |segments| {
            let file = fs::File::options().write(true).open(&segments[2]).unwrap();
            file.set_len(300).unwrap();
            (segments[2].clone(), 264)
        },
    ];
    let tried = damages.len();
    for (number, damage) in damages.into_iter().enumerate() {
        let audited = Audited::new();
        let (path, offset) = damage(&audited.segments());
        let said = audited.ask("verify", &["--json"]).ends(1).json();
        let first = &said["faults"][0];
        let found = (first["path"].as_str().map(Path::new), first["offset"].as_u64());
        assert_eq!(found, (Some(path.as_path()), Some(offset)), "damage {number}: {said}");
        let plain = audited.ask("verify", &[]).ends(1).out;
        assert!(plain.contains(&format!("{}: damaged at offset {offset}: ", path.display())), "{plain}");
    }
    println!(
        "proof: tampering with the audit is found, with file and offset | segments removed, exchanged, changed and cut | tampering_is_found_and_named_with_file_and_offset | {tried}"
    );
}

#[test]
fn an_audit_is_read_while_it_is_written() {
    let audited = Audited::new();
    let options = AuditOptions { sync_ms: 10, ..AuditOptions::default() };
    let auditor = Auditor::open(&audited.directory(), &options).unwrap();
    auditor.note(&entry(HOSPITAL, 1, NINE, Verdict::Future)).unwrap();
    let before = auditor.status().durable_entry;
    let until = std::time::Instant::now() + common::PATIENCE;
    while auditor.status().durable_entry == before {
        assert!(std::time::Instant::now() < until);
        std::thread::yield_now();
    }
    audited.ask("verify", &[]).ends(0);
    assert_eq!(audited.shown(&[]).len(), 62);
    auditor.close().unwrap();
    audited.ask("verify", &[]).ends(0);
}

#[test]
fn wrong_usage_and_an_absent_audit_are_said() {
    let audited = Audited::new();
    for wrong in [["--from", "yesterday"], ["--institution", "12"], ["--token", "beef"], ["--to", "2026-13-01"]] {
        audited.ask("show", &wrong).ends(2);
    }
    audited.ask("verify", &["--expect", "12:abc"]).ends(2);
    audited.ask("review", &["--hours", "8-19"]).ends(2);
    let nowhere = TempDir::new().unwrap();
    let data = nowhere.path().to_str().unwrap();
    assert!(run(["audit", "verify", "--data", data]).ends(0).mentions("empty"));
    for command in ["show", "review"] {
        assert!(run(["audit", command, "--data", data]).ends(1).mentions("holds no audit"));
    }
}
