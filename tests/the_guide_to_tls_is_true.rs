//! `docs/operations/tls.md`, tried: a site of a hub and two hospitals is made by typing its commands, and what it promises is checked.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::net::SocketAddr;
use std::process::Command;

use common::proof::proof;
use common::{Place, Row, Said, Server};

const GUIDE: &str = include_str!("../docs/operations/tls.md");
const GUIDE_JA: &str = include_str!("../docs/operations/tls.ja.md");

/// The blocks of a kind, in order.
fn blocks<'g>(guide: &'g str, kind: &str) -> Vec<&'g str> {
    let fences = guide.split("\n```").collect::<Vec<_>>();
    fences.into_iter().filter_map(|block| block.strip_prefix(kind)?.strip_prefix('\n')).collect()
}

fn commands(guide: &str) -> Vec<&str> {
    blocks(guide, "sh").into_iter().flat_map(str::lines).collect()
}

/// The machines of the guide, all of them this one.
struct Machines {
    place: Place,
    config: String,
    server: Option<Server>,
    api: Option<SocketAddr>,
    typed: usize,
}

impl Machines {
    fn new() -> Machines {
        let place = Place::new();
        place.import("rows.csv", &[Row::of(1), Row::of(2)], &[]).ends(0);
        std::fs::create_dir(place.path("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_shikaku"), place.path("bin/shikaku")).unwrap();
        Machines { place, config: String::new(), server: None, api: None, typed: 0 }
    }

    /// What is written for the guide's machines, as it is here.
    fn here(&self, text: &str) -> String {
        let address = self.api.map_or_else(String::new, |api| format!("localhost:{}", api.port()));
        let etc = self.place.path("etc").display().to_string();
        let text = text
            .replace("hub.example.jp:8471", &address)
            .replace("hub.example.jp", "localhost")
            .replace("10.20.0.5:8471", "127.0.0.1:0");
        text.replace("10.20.0.5", "127.0.0.1")
            .replace("/etc/shikaku", &etc)
            .replace("sudo ", "")
            .replace(" -o shikaku -g shikaku", "")
    }

    /// Types a line and gives what it says.
    fn try_line(&self, line: &str) -> Said {
        let path = format!("{}:{}", self.place.path("bin").display(), std::env::var("PATH").unwrap());
        let output =
            Command::new("sh").args(["-c", &self.here(line)]).env("PATH", path).current_dir(self.place.0.path()).output();
        Said::of(&output.unwrap())
    }

    /// Types all lines that begin like this; each must end well.
    #[track_caller]
    fn type_lines(&mut self, beginning: &str) -> Vec<String> {
        let lines = commands(GUIDE).into_iter().filter(|line| line.contains(beginning)).collect::<Vec<_>>();
        assert!(!lines.is_empty(), "no line begins with {beginning}");
        self.typed += lines.len();
        lines.iter().map(|line| self.try_line(line).ends(0).out).collect()
    }

    /// Adds a block of the configuration, and starts the server anew.
    fn restart_with(&mut self, block: usize) {
        let lines = blocks(GUIDE, "toml")[block].lines().filter(|line| block == 0 || *line != "[api]");
        self.config = lines.fold(std::mem::take(&mut self.config), |config, line| config + &self.here(line) + "\n");
        if let Some(server) = self.server.take() {
            assert_eq!(server.stop(), 0);
        }
        let server = self.place.serve_configured(&self.config);
        self.api = server.process.err.wait(|lines| lines.iter().find_map(|line| listening(line)));
        self.server = Some(server);
    }
}

fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    (fields["message"] == "the API listens").then(|| fields["address"].as_str().unwrap().parse().unwrap())
}

#[test]
fn both_languages_say_to_type_and_to_write_the_same() {
    assert_eq!(commands(GUIDE), commands(GUIDE_JA));
    assert_eq!(blocks(GUIDE, "toml"), blocks(GUIDE_JA, "toml"));
    // The tables' first columns too, as far as they are the program's words.
    let words = |guide: &str| {
        let cells = guide.lines().filter(|line| line.starts_with("| `")).map(|line| line.split('|').nth(1).unwrap().to_owned());
        let words = cells.map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
        words.collect::<Vec<_>>()
    };
    assert_eq!(words(GUIDE), words(GUIDE_JA));
}

#[test]
fn a_site_of_a_hub_and_two_hospitals_is_made_by_what_the_guide_says_to_type() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("curl is missing: the guide's lines with it cannot be tried");
        return;
    }
    let mut machines = Machines::new();
    machines.type_lines("shikaku pki init");
    assert_eq!(machines.type_lines("shikaku pki issue").len(), 6);
    machines.type_lines("sudo install -d");
    machines.type_lines("for-hub/replica-hub.crt");
    machines.restart_with(0);
    assert!(machines.type_lines("/v1/health")[0].contains("\"status\":\"ok\""));
    assert!(machines.type_lines("shikaku lookup")[0].contains("\"verdict\":\"eligible\""));
    let batch = machines.type_lines("/v1/eligibility/batch");
    assert!(batch[0].lines().count() == 2 && batch[0].lines().all(|line| line.starts_with('E')), "{batch:?}");
    assert!(machines.type_lines("/v1/status")[0].contains("\"state_checksum\""));
    assert!(machines.type_lines("/metrics")[0].contains("shikaku_ready 1"));

    // A replica may read the status, until its certificate is taken back.
    let south = "curl -s --cacert for-south/ca.crt --cert for-south/replica-south.crt --key for-south/replica-south.key \
                 https://hub.example.jp:8471/v1/status";
    machines.try_line(south).ends(0);
    machines.type_lines("shikaku pki revoke");
    machines.type_lines("site-ca/ca.crl");
    machines.restart_with(1);
    assert_ne!(machines.try_line(south).status, 0);
    machines.type_lines("for-north/institution-0110113719.crt --key for-north/institution-0110113719.key https");
    proof(
        "what the guide to TLS says to type can be typed and does what it says",
        "none",
        "a_site_of_a_hub_and_two_hospitals_is_made_by_what_the_guide_says_to_type",
        machines.typed,
    );
}
