//! `docs/operations/when-it-breaks.md`, tried: a directory is broken in each way, the words of the guide are looked for where it says they
//! are, its commands are typed, and what it promises is checked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Place, Row, Said, Server, eventually};

const GUIDE: &str = include_str!("../docs/operations/when-it-breaks.md");
const GUIDE_JA: &str = include_str!("../docs/operations/when-it-breaks.ja.md");
const PEOPLE: u64 = 200;

/// The text of a section, from its heading to the next.
fn section<'g>(guide: &'g str, heading: &str) -> &'g str {
    let mut headings = guide.match_indices("\n## ").map(|(at, _)| at);
    let is_it = |at: &usize| guide[at + 1..].lines().next().is_some_and(|line| line.contains(heading));
    let begin = headings.find(is_it).unwrap_or_else(|| panic!("no section {heading}"));
    let rest = &guide[begin + 1..];
    rest.find("\n## ").map_or(rest, |end| &rest[..end])
}

/// The commands of a section, line by line.
fn commands(text: &str) -> Vec<&str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = line == "```sh";
        } else if inside {
            lines.push(line);
        }
    }
    lines
}

/// A machine with the program on it: its data directory stands for /var/lib/shikaku, and its server for the unit.
struct Machine {
    place: Place,
    server: Option<Server>,
}

impl Machine {
    /// With people registered and no server running.
    fn new() -> Machine {
        let place = Place::new();
        // Each row supersedes another, so that there is a history too.
        let rows = |segment: &str| (0..PEOPLE).map(|number| Row::of(number).with("segment", segment)).collect::<Vec<_>>();
        for segment in ["before", "now"] {
            place.import(&format!("{segment}.csv"), &rows(segment), &[]).ends(0);
        }
        let bin = place.path("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shikaku"), bin.join("shikaku")).unwrap();
        // Nobody needs another user in a test, nor has one.
        let sudo = "#!/bin/sh\n[ \"$1\" = -u ] && shift 2\n[ \"$1\" = install ] && set -- mkdir -m 0700 -- \"$9\"\nexec \"$@\"\n";
        std::fs::write(bin.join("sudo"), sudo).unwrap();
        std::fs::set_permissions(bin.join("sudo"), std::fs::Permissions::from_mode(0o755)).unwrap();
        Machine { place, server: None }
    }

    fn with_a_snapshot() -> Machine {
        let mut machine = Machine::new();
        machine.start_configured("[snapshots]\nevery_s = 1\n");
        let server = machine.server();
        eventually("a snapshot was taken", || !server.status()["snapshots"]["newest"].is_null());
        machine.stop();
        machine
    }

    fn data(&self) -> PathBuf {
        self.place.data()
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it serves")
    }

    fn start(&mut self) {
        self.start_configured("");
    }

    fn start_configured(&mut self, config: &str) {
        self.server = Some(self.place.serve_configured(config));
    }

    fn stop(&mut self) {
        assert_eq!(self.server.take().expect("it serves").stop(), 0);
    }

    /// Types the commands of a section; each must end well.
    #[track_caller]
    fn type_the_commands_of(&mut self, heading: &str) {
        let lines = commands(section(GUIDE, heading));
        assert!(!lines.is_empty(), "{heading} has no commands");
        let count = lines.len();
        for line in lines {
            match line {
                "sudo systemctl stop shikaku" => {
                    if self.server.is_some() {
                        self.stop();
                    }
                }
                "sudo systemctl start shikaku" => self.start(),
                line if line.starts_with("curl -s http://127.0.0.1:8470") => {
                    self.server().get(&line["curl -s http://127.0.0.1:8470".len()..]).succeeds();
                }
                line => {
                    let line = line.replace("/var/lib/shikaku", self.data().to_str().unwrap());
                    let path = format!("{}:{}", self.place.path("bin").display(), std::env::var("PATH").unwrap());
                    let output = Command::new("sh").args(["-c", &line]).env("PATH", path).output().unwrap();
                    let said = Said::of(&output);
                    assert_eq!(said.status, 0, "{line}\nout: {}\nerr: {}", said.out, said.err);
                }
            }
        }
        println!(
            "proof: what the repair guide says to type can be typed and helps | {heading} | the_repair_guide_is_true | {count}"
        );
    }

    #[track_caller]
    fn answers_everybody(&self) {
        let lines: String = (0..PEOPLE).map(|number| format!("k\tcard-{number}\n")).collect();
        let answers = self.server().batch("consent=true", &lines);
        assert!(answers.len() as u64 == PEOPLE && answers.iter().all(|answer| answer.starts_with('E')), "{answers:?}");
    }

    /// The troubles with their details; each must have its section in both guides.
    #[track_caller]
    fn troubles(&self) -> Vec<(String, String)> {
        let status = self.server().status();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let list = status["troubles"].as_array().unwrap();
        let troubles: Vec<_> = list.iter().map(|one| (text(&one["trouble"]), text(&one["detail"]))).collect();
        for (word, _) in &troubles {
            for guide in [GUIDE, GUIDE_JA] {
                section(guide, &format!("`{word}`"));
            }
        }
        troubles
    }

    #[track_caller]
    fn has_only(&self, word: &str) -> String {
        let troubles = self.troubles();
        assert!(matches!(&troubles[..], [(only, _)] if only == word), "{troubles:?}");
        troubles[0].1.clone()
    }

    #[track_caller]
    fn is_well_and_registers(&self) {
        assert_eq!(self.troubles(), []);
        self.answers_everybody();
        self.place.import("later.csv", &[Row::of(PEOPLE + 1)], &[]).ends(0);
        self.place.verified();
    }

    fn refuses_to_register(&self, word: &str) {
        let said = self.place.import("refused.csv", &[Row::of(PEOPLE + 2)], &[]).ends(1);
        assert!(said.err.contains(&format!("nothing is registered while there is {word}")), "{}", said.err);
    }

    fn serve_refuses(&self) -> Said {
        self.place.run("serve", &["--listen", "127.0.0.1:0"]).ends(1)
    }
}

/// The words stand in the section, with what differs each time left out, in both languages.
#[track_caller]
fn is_quoted(heading: &str, words: &str) {
    for guide in [GUIDE, GUIDE_JA] {
        assert!(section(guide, heading).contains(words), "{words:?} is not said under {heading}");
    }
}

fn flip(path: &Path, offset: u64) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[usize::try_from(offset).unwrap()] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

fn length(path: &Path) -> u64 {
    std::fs::metadata(path).unwrap().len()
}

fn segment(machine: &Machine) -> PathBuf {
    machine.data().join("log/00000000000000000001.seg")
}

fn newest_snapshot(machine: &Machine) -> PathBuf {
    let entries = std::fs::read_dir(machine.data().join("snapshots")).unwrap();
    entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "snap")).max().unwrap()
}

#[test]
fn both_languages_have_the_same_sections_and_the_same_commands() {
    let words = |guide: &str| -> Vec<String> {
        let headings = guide.lines().filter(|line| line.starts_with("## "));
        headings.map(|line| line.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(words(GUIDE), words(GUIDE_JA));
    assert_eq!(commands(GUIDE), commands(GUIDE_JA));
    for trouble in [
        "store_detached",
        "store_rebuilt",
        "log_poisoned",
        "log_corrupt",
        "log_unreadable",
        "log_lost",
        "store_not_opened",
        "memory_behind",
        "torn_tail_cut",
        "snapshot_failed",
        "snapshot_damaged",
        "old_data",
        "hub_unreachable",
        "hub_refused",
        "hub_signature",
        "hub_other_stream",
        "hub_rolled_back",
        "hub_forked",
        "hub_diverged",
        "hub_too_far",
        "audit_out_of_space",
        "audit_poisoned",
    ] {
        assert!(words(GUIDE).iter().any(|heading| heading.split(' ').any(|word| word == trouble)), "{trouble}");
    }
}

#[test]
fn where_to_look() {
    let mut machine = Machine::new();
    machine.start();
    machine.type_the_commands_of("Where to look");
    machine.is_well_and_registers();
}

#[test]
fn a_store_that_was_rebuilt() {
    let mut machine = Machine::new();
    // The store of another directory.
    let other = Place::new();
    other.import("other.csv", &[Row::of(1)], &[]).ends(0);
    std::fs::remove_dir_all(machine.data().join("store")).unwrap();
    std::fs::rename(other.data().join("store"), machine.data().join("store")).unwrap();
    machine.start();
    let detail = machine.has_only("store_rebuilt");
    assert!(detail.starts_with("the store was damaged (") && detail.contains("rebuilt from the log"), "{detail}");
    is_quoted("`store_rebuilt`", "the store was damaged (");
    is_quoted("`store_rebuilt`", "and rebuilt from the log");
    machine.type_the_commands_of("`store_rebuilt`");
    machine.stop();
    machine.start();
    machine.is_well_and_registers();
}

#[test]
fn a_store_that_was_detached() {
    let mut machine = Machine::new();
    machine.start();
    // Every slab of the store turns to garbage under the running server; `verify` reads it.
    for entry in std::fs::read_dir(machine.data().join("store/slabs")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::write(&path, vec![0x5a; usize::try_from(length(&path)).unwrap()]).unwrap();
    }
    machine.place.run("verify", &[]).ends(1);
    eventually("the status says so", || !machine.troubles().is_empty());
    machine.has_only("store_detached");
    is_quoted("`store_detached`", "the store is detached; look-ups and the log go on");
    let log = machine.server().process.err.all().join("\n");
    assert!(log.contains("the store is detached; look-ups and the log go on"), "{log}");
    assert!(machine.data().join("store.failed").exists());
    machine.answers_everybody();
    machine.place.import("later.csv", &[Row::of(PEOPLE + 9)], &[]).ends(0);
    machine.type_the_commands_of("`store_detached`");
    assert!(!machine.data().join("store.failed").exists());
    machine.answers_everybody();
}

#[test]
fn a_torn_tail() {
    let mut machine = Machine::new();
    let whole = std::fs::read(segment(&machine)).unwrap();
    std::fs::write(segment(&machine), [&whole[..], &whole[whole.len() - 40..]].concat()).unwrap();
    machine.start();
    let detail = machine.has_only("torn_tail_cut");
    assert!(detail.starts_with("cut a torn tail of 40 bytes") && detail.contains("was never acknowledged"), "{detail}");
    is_quoted("`torn_tail_cut`", "cut a torn tail of N bytes");
    is_quoted("`torn_tail_cut`", "was never acknowledged");
    machine.type_the_commands_of("`torn_tail_cut`");
    machine.stop();
    machine.start();
    machine.is_well_and_registers();
}

#[test]
fn a_corrupt_log() {
    let mut machine = Machine::new();
    flip(&segment(&machine), length(&segment(&machine)) / 2);
    machine.start();
    let detail = machine.has_only("log_corrupt");
    assert!(detail.contains("00000000000000000001.seg") && detail.contains("offset"), "{detail}");
    machine.refuses_to_register("log_corrupt");
    is_quoted("`log_corrupt`", "nothing is registered while there is log_corrupt");
    machine.answers_everybody();
    machine.type_the_commands_of("`log_corrupt`");
    machine.is_well_and_registers();
    assert!(machine.data().join("audit").exists());
}

#[test]
fn a_lost_log() {
    let mut machine = Machine::new();
    std::fs::remove_dir_all(machine.data().join("log")).unwrap();
    machine.start();
    let detail = machine.has_only("log_lost");
    assert!(detail.contains("the log does not reach it"), "{detail}");
    is_quoted("`log_lost`", "the log does not reach it");
    machine.refuses_to_register("log_lost");
    machine.answers_everybody();
    machine.type_the_commands_of("`log_lost`");
    machine.is_well_and_registers();
}

#[test]
fn a_log_that_is_an_old_copy() {
    let mut machine = Machine::new();
    let early = std::fs::read(segment(&machine)).unwrap();
    machine.place.import("more.csv", &[Row::of(PEOPLE + 5)], &[]).ends(0);
    std::fs::write(segment(&machine), early).unwrap();
    machine.start();
    let detail = machine.has_only("log_lost");
    assert!(detail.contains("the log ends at sequence ") && detail.contains("the store stands at "), "{detail}");
    is_quoted("`log_lost`", "the log ends at sequence N, the store stands at M");
    machine.type_the_commands_of("`log_lost`");
    machine.is_well_and_registers();
}

#[test]
fn a_poisoned_log() {
    let mut machine = Machine::new();
    machine.start();
    std::fs::write(machine.data().join("log/POISONED"), "").unwrap();
    machine.type_the_commands_of("`log_poisoned`");
    assert!(!machine.data().join("log/POISONED").exists());
    machine.is_well_and_registers();
    is_quoted("`log_poisoned`", &shikaku::log::LogError::Poisoned.to_string());
}

#[test]
fn a_snapshot_that_failed() {
    let mut machine = Machine::new();
    let in_the_way = machine.data().join("snapshots/next.snap.tmp");
    std::fs::create_dir_all(in_the_way.join("inside")).unwrap();
    machine.start_configured("[snapshots]\nevery_s = 1\n");
    eventually("it is said", || !machine.troubles().is_empty());
    machine.has_only("snapshot_failed");
    machine.type_the_commands_of("`snapshot_failed`");
    std::fs::remove_dir_all(&in_the_way).unwrap();
    eventually("the word goes away by itself", || machine.troubles().is_empty());
    machine.is_well_and_registers();
    let path = PathBuf::from("snapshots");
    let no_room = shikaku::registry::RegistryError::NoRoom { path, needed_bytes: 2, free_bytes: 1 }.to_string();
    assert!(no_room.contains("bytes must be free for a snapshot"), "{no_room}");
    is_quoted("`snapshot_failed`", "bytes must be free for a snapshot");
}

#[test]
fn a_snapshot_that_is_damaged() {
    let mut machine = Machine::with_a_snapshot();
    let snapshot = newest_snapshot(&machine);
    flip(&snapshot, length(&snapshot) / 2);
    let said = machine.place.run("verify", &[]).ends(1);
    assert!(said.out.contains(snapshot.to_str().unwrap()) && said.out.contains("damaged"), "{}", said.out);
    machine.start_configured("[snapshots]\nevery_s = 1\n");
    eventually("the next round finds it", || !machine.troubles().is_empty());
    let detail = machine.has_only("snapshot_damaged");
    assert!(detail.contains(".snap.bad and does not count"), "{detail}");
    is_quoted("`snapshot_damaged`", ".snap.bad");
    machine.type_the_commands_of("`snapshot_damaged`");
    machine.stop();
    machine.start();
    machine.is_well_and_registers();
}

#[test]
fn a_log_that_the_disk_will_not_read() {
    let mut machine = Machine::new();
    machine.start_configured("scrub_pause_s = 1\n");
    let (segment, aside) = (segment(&machine), machine.data().join("aside"));
    std::fs::rename(&segment, &aside).unwrap();
    std::fs::create_dir(&segment).unwrap();
    eventually("the next round finds it", || !machine.troubles().is_empty());
    let detail = machine.has_only("log_unreadable");
    assert!(detail.contains(segment.to_str().unwrap()), "{detail}");
    is_quoted("`log_unreadable`", "log_unreadable");
    machine.answers_everybody();
    std::fs::remove_dir(&segment).unwrap();
    std::fs::rename(&aside, &segment).unwrap();
    eventually("a later round reads it", || machine.troubles().is_empty());
    machine.type_the_commands_of("`log_unreadable`");
    machine.is_well_and_registers();
}

#[test]
fn old_data() {
    let mut machine = Machine::new();
    machine.start_configured("data_age_max_hours = 0\n");
    eventually("a second has passed since the feed", || !machine.troubles().is_empty());
    let detail = machine.has_only("old_data");
    assert_eq!(detail, "the oldest feed is 0 hours old");
    is_quoted("`old_data`", "the oldest feed is N hours old");
}

#[test]
fn a_directory_in_use() {
    let mut machine = Machine::new();
    machine.start();
    // Its socket is gone, so the second owner cannot work through the first.
    std::fs::remove_file(machine.data().join("control.sock")).unwrap();
    let said = machine.place.import("second.csv", &[Row::of(1)], &[]).ends(1);
    let words = format!("is in use by process {}", machine.server().process.id());
    assert!(said.err.contains(&words), "{}", said.err);
    assert!(machine.serve_refuses().err.contains(&words));
    section(GUIDE_JA, "`is in use by process`");
    machine.answers_everybody();
}

#[test]
fn no_verified_state() {
    let mut machine = Machine::with_a_snapshot();
    std::fs::remove_dir_all(machine.data().join("log")).unwrap();
    std::fs::remove_dir_all(machine.data().join("store")).unwrap();
    let said = machine.serve_refuses();
    assert!(said.err.contains("no verified state"), "{}", said.err);
    machine.type_the_commands_of("No verified state");
    machine.is_well_and_registers();
}

#[test]
fn a_directory_of_a_newer_format() {
    let machine = Machine::new();
    let mut bytes = std::fs::read(segment(&machine)).unwrap();
    bytes[8] = 9;
    let checksum = xxhash_rust::xxh3::xxh3_64(&bytes[..120]);
    bytes[120..128].copy_from_slice(&checksum.to_le_bytes());
    std::fs::write(segment(&machine), &bytes).unwrap();
    let said = machine.serve_refuses();
    assert!(said.err.contains("has log format 9; this program knows up to "), "{}", said.err);
    is_quoted("`this program knows up to`", "has log format N; this program knows up to M");
    assert_eq!(std::fs::read(segment(&machine)).unwrap(), bytes);
}

#[test]
fn a_machine_that_was_replaced() {
    let machine = Machine::with_a_snapshot();
    let mut new = Machine::new();
    let snapshot = PathBuf::from(format!("{}.snap", new.data().display()));
    std::fs::copy(newest_snapshot(&machine), &snapshot).unwrap();
    std::fs::remove_dir_all(new.data()).unwrap();
    new.type_the_commands_of("The disk was replaced");
    new.start();
    new.is_well_and_registers();
}

#[test]
fn a_process_that_was_killed() {
    let mut machine = Machine::new();
    machine.start();
    machine.place.import("last.csv", &[Row::of(PEOPLE + 3)], &[]).ends(0);
    let mut server = machine.server.take().unwrap();
    server.process.kill();
    machine.type_the_commands_of("The process was killed");
    machine.is_well_and_registers();
    assert!(machine.server().batch("consent=true", &format!("k\tcard-{}", PEOPLE + 3))[0].starts_with('E'));
}
