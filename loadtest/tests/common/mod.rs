//! A small registered population and the binaries, for the trials' tests.

#![allow(dead_code, reason = "each test file uses some of it")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use tempfile::TempDir;

/// The appliance, built beside the load test; a test of this package alone has it built first.
pub(crate) fn shikaku() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let binary = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("shikaku");
        if !binary.exists() {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--package", "shikaku", "--bin", "shikaku"]).current_dir(env!("CARGO_MANIFEST_DIR"));
            if !cfg!(debug_assertions) {
                build.arg("--release");
            }
            assert!(build.status().unwrap().success(), "the appliance cannot be built");
        }
        binary
    })
}

/// A data directory with a population of this size and seed 1.
pub(crate) fn registered(recipients: u64) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("registrations.csv");
    let run = |command: &mut Command| assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{command:?}");
    run(Command::new(shikaku()).args(["synth", "--recipients", &recipients.to_string(), "--out"]).arg(&file));
    run(Command::new(shikaku()).arg("import").arg("--data").arg(directory.path().join("data")).arg(&file));
    directory
}

/// A server that ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts it on a port that it chooses itself, and waits for the word that it is ready.
    pub(crate) fn start(data: &Path) -> Server {
        let mut command = Command::new(shikaku());
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).env("SHIKAKU_LOG", "info");
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (ready, address) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let entry: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
                if entry["fields"]["message"] == "ready" {
                    let _ = ready.send(entry["fields"]["address"].as_str().unwrap().parse().unwrap());
                }
            }
        });
        // Ended with the test also where it never gets ready.
        let mut server = Server { child, address: SocketAddr::from(([127, 0, 0, 1], 0)) };
        server.address = address.recv_timeout(Duration::from_secs(60)).expect("the server does not answer");
        server
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a trial.
pub(crate) fn loadtest(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(arguments).output().unwrap()
}

/// What a trial that ended well printed as JSON.
pub(crate) fn report(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", complaint(output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What a trial complained of.
pub(crate) fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
