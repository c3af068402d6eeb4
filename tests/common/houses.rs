//! Houses of a site, as processes on loopback: a hub that registers, those that follow it, and the certificates they know each other by.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shikaku::domain::registration::Operation;
use shikaku::record::payload::Changes;
use shikaku::record::row::Row as ArchivableRow;
use shikaku::registry::{Keeping, OpenOptions, Registry};
use tempfile::TempDir;

use super::{Place, Row, Running, Server, eventually, run};

/// A site's authority and what it signed.
pub struct Certificates(TempDir);

impl Certificates {
    pub fn new() -> Certificates {
        let certificates = Certificates(tempfile::tempdir().unwrap());
        let out = certificates.path("authority");
        run(["pki", "init", "--out", out.to_str().unwrap()]).ends(0);
        certificates
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn authority(&self) -> PathBuf {
        self.path("authority/ca.crt")
    }

    /// Certificate and key of a machine in a role, reached at 127.0.0.1; made when they are first asked for.
    pub fn of(&self, role: &str, name: &str) -> (PathBuf, PathBuf) {
        let (out, authority) = (self.path(name), self.path("authority"));
        let (certificate, key) = (out.join(format!("{role}-{name}.crt")), out.join(format!("{role}-{name}.key")));
        if !key.exists() {
            let arguments = ["pki", "issue", "--ca", authority.to_str().unwrap(), "--out", out.to_str().unwrap()];
            run(arguments.into_iter().chain(["--role", role, "--name", name, "--host", "127.0.0.1"])).ends(0);
        }
        (certificate, key)
    }

    /// `[api]` for a server.
    pub fn api(&self, name: &str) -> String {
        let ((certificate, key), ca) = (self.of("operator", name), self.authority());
        format!("[api]\nlisten = \"127.0.0.1:0\"\ncertificate = {certificate:?}\nkey = {key:?}\nclient_ca = {ca:?}\n")
    }

    /// `[follow]` for one who follows the hub at an address.
    pub fn follow(&self, name: &str, hub: SocketAddr, hub_key: &str) -> String {
        let ((certificate, key), ca) = (self.of("replica", name), self.authority());
        format!(
            "[follow]\nurl = \"https://{hub}\"\nhub_key = \"{hub_key}\"\nca = {ca:?}\ncertificate = {certificate:?}\nkey = {key:?}\n"
        )
    }
}

/// A data directory with a configuration, and the server on it while it runs.
pub struct House {
    pub place: Place,
    pub config: String,
    server: Option<Server>,
}

impl House {
    pub fn new(place: Place, config: impl Into<String>) -> House {
        // What is looked up is not what is tried here.
        House { place, config: format!("audit = false\n{}", config.into()), server: None }
    }

    pub fn started(place: Place, config: impl Into<String>) -> House {
        let mut house = House::new(place, config);
        house.start();
        house
    }

    /// Starts the server, and waits until it answers.
    #[track_caller]
    pub fn start(&mut self) -> &Server {
        let process = self.spawn();
        self.server.insert(Server::of(process))
    }

    /// Starts it without waiting.
    pub fn spawn(&self) -> Running {
        let (config, data) = (self.place.write("shikaku.toml", &self.config), self.place.data());
        let arguments = ["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"];
        Running::start(arguments.into_iter().chain(["--config", config.to_str().unwrap()]))
    }

    #[track_caller]
    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it serves")
    }

    /// Takes no processor that anybody else wants from now on: it stands for a machine of its own.
    #[track_caller]
    pub fn stand_aside(&self) {
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.server().process.id())).unwrap() {
            let thread = thread.unwrap().file_name();
            let status = Command::new("renice").args(["-n", "19", "-p"]).arg(thread).stdout(Stdio::null()).status().unwrap();
            assert!(status.success());
        }
    }

    /// Where its API listens.
    #[track_caller]
    pub fn api(&self) -> SocketAddr {
        self.server().api()
    }

    /// The key it signs with, or whose it passes on.
    #[track_caller]
    pub fn hub_key(&self) -> String {
        self.place.run("hub-key", &[]).ends(0).out.trim().to_owned()
    }

    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.process.kill();
        }
    }

    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            assert_eq!(server.stop(), 0);
        }
    }

    pub fn status(&self) -> Value {
        self.server().status()
    }

    pub fn following(&self) -> Value {
        self.status()["following"].clone()
    }

    /// Sequence and state checksum.
    pub fn position(&self) -> (u64, String) {
        let status = self.status();
        (status["sequence"].as_u64().unwrap(), status["state_checksum"].as_str().unwrap().to_owned())
    }

    /// The sequence that its answers are as of.
    pub fn newest_sequence(&self) -> u64 {
        let answer = self.server().question(&super::member_json(&Row::of(0), &super::day(0))).succeeds();
        answer.json()["as_of"]["sequence"].as_u64().unwrap()
    }

    /// The words of its troubles.
    pub fn troubles(&self) -> Vec<String> {
        let health = self.server().get("/v1/health").json();
        health["troubles"].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    }

    pub fn has_trouble(&self, word: &str) -> bool {
        self.troubles().iter().any(|trouble| trouble == word)
    }

    /// Registers people through the running server; gives how many rows.
    #[track_caller]
    pub fn register(&self, people: std::ops::Range<u64>) {
        let rows: Vec<Row> = people.clone().map(Row::of).collect();
        self.place.import(&format!("{}-{}.csv", people.start, people.end), &rows, &[]).ends(0);
    }

    /// Whether somebody is entitled today.
    pub fn answers_for(&self, person: u64) -> bool {
        let lines = super::ask_member(&Row::of(person)) + "\n";
        self.server().batch("consent=true", &lines)[0].starts_with('E')
    }

    /// Every frame of its log, byte for byte, in order.
    pub fn frames(&self) -> Vec<u8> {
        frames_in(&self.place.data())
    }
}

/// The frames of a directory's log.
pub fn frames_in(data: &Path) -> Vec<u8> {
    let log = data.join("log");
    let names = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".seg")).collect();
    names.sort();
    names.iter().flat_map(|name| std::fs::read(log.join(name)).unwrap().split_off(128)).collect()
}

/// Waits until everybody stands where the hub does, at its sequence and its state.
#[track_caller]
pub fn settle(hub: &House, houses: &[&House]) -> (u64, String) {
    // Pages are written now and then; answers are of the moment.
    let newest = hub.newest_sequence();
    let until = Instant::now() + 2 * super::PATIENCE;
    loop {
        let at = hub.position();
        let others: Vec<_> = houses.iter().map(|house| house.position()).collect();
        if at.0 >= newest && others.iter().all(|other| *other == at) {
            return at;
        }
        let standing = || houses.iter().map(|house| house.status()).collect::<Vec<_>>();
        assert!(Instant::now() < until, "the hub stands at {at:?}, the others at {others:?}: {:#?}", standing());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until a house has a trouble.
#[track_caller]
pub fn await_trouble(house: &House, word: &str) {
    eventually(&format!("the trouble {word}"), || house.has_trouble(word));
}

/// Waits until it has it no more.
#[track_caller]
pub fn await_end_of(house: &House, word: &str) {
    eventually(&format!("the end of {word}"), || !house.has_trouble(word));
}

/// A field of a logged line with this message.
pub fn said(line: &str, message: &str, field: &str) -> Option<String> {
    let line: Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    (fields["message"] == message).then(|| fields[field].as_str().unwrap_or_default().to_owned())
}

/// The person of a row made by [`Row::of`], for those who register without a file.
pub fn registration(number: u64) -> shikaku::domain::registration::Registration {
    use shikaku::domain::day::{BirthDate, Day};
    use shikaku::domain::identifier::{AuthorityCode, BranchNumber, InsurerNumber, PayerNumber, Sex};
    shikaku::domain::registration::Registration {
        authority: AuthorityCode::parse(super::HACHIOJI.as_bytes()).unwrap(),
        certificate_type: "A1".to_owned(),
        certificate_name: "乳幼児医療証".to_owned(),
        insurer: InsurerNumber::parse_padded(b"06132013").unwrap(),
        symbol: "1234".to_owned(),
        number: number.to_string(),
        branch: BranchNumber::parse(b"00").ok(),
        birth_date: BirthDate::parse(b"1980-01-01").unwrap(),
        sex: Sex::parse(b"1").ok(),
        payer: PayerNumber::parse(super::INFANTS.as_bytes()).ok(),
        recipient_number: format!("R{number}"),
        history_key: "1".to_owned(),
        valid_from: Day::parse(super::day(-365).as_bytes()).unwrap(),
        valid_to: Day::parse(super::day(365).as_bytes()).unwrap(),
        card_link: format!("card-{number}"),
        ..shikaku::ingest::blank_registration()
    }
}

/// Registers people, a frame for every twenty, in small segments, and lets the log go as far as two snapshots cover it; gives the oldest
/// sequence that is left.
pub fn trimmed(place: &Place, people: u64) -> u64 {
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let options = OpenOptions { segment_bytes_max: 16 << 10, ..OpenOptions::at(now) };
    let registry = Registry::open(&place.data(), &options).unwrap();
    for turn in 0..people / 20 {
        let mut changes = Changes::new();
        for person in turn * 20..turn * 20 + 20 {
            changes.push(Operation::Upsert, &ArchivableRow::of(&registration(person))).unwrap();
        }
        registry.apply(&changes, now).unwrap();
        // Of the last ones some segments are left.
        if turn + 4 < people / 20 {
            registry.keep_snapshots(&Keeping { snapshots: 2, log_retention_ms: 0 }, now + (1 << 40)).unwrap();
        }
    }
    let oldest = registry.oldest_sequence().unwrap();
    registry.close(now).unwrap();
    assert!(oldest > 1, "the log goes back to {oldest}");
    oldest
}
