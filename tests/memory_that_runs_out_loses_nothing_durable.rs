//! The memory limit is reached in the middle of an import, alone and through a server: it ends in words, and every row up to the last
//! `durable` line is answered.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::crash::{assert_answered_up_to, durable_line, start_import, undisturbed};
use common::limits::{address_space_bytes, limit};
use common::proof::proof;
use common::{Place, Running, program};

const TEST: &str = "memory_that_runs_out_loses_nothing_durable";

/// Address spaces, MiB: from one in which hardly anything begins to one in which everything ends.
const SPACES_MIB: [u64; 7] = [96, 160, 224, 288, 384, 512, 4096];

/// The import with a limit from its first instruction on.
fn import_within(space_mib: u64, data: &Path, file: &Path) -> Running {
    let own = program();
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={}", space_mib << 20)).arg(own.get_program());
    command.args(["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()]).env_remove("SHIKAKU_LOG");
    // Where there is no memory for a backtrace either, the standard library may wait for itself while it writes one.
    command.env("RUST_BACKTRACE", "0");
    Running::of(command.stdin(Stdio::null()))
}

#[test]
fn of_an_import_alone() {
    let (mut failed, mut ended) = (0, 0);
    for space_mib in SPACES_MIB {
        let place = Place::new();
        let file = place.write("rows.csv", &undisturbed().text);
        let mut import = import_within(space_mib, &place.data(), &file);
        let status = import.wait().0;
        let line = durable_line(&import);
        let said = import.err.all();
        if status == 0 {
            ended += 1;
        } else {
            failed += 1;
            let words = ["memory", "Memory", "thread", "allocat"];
            assert!(said.iter().any(|line| words.iter().any(|word| line.contains(word))), "{space_mib} MiB: {status}, {said:?}");
        }
        place.run("verify", &[]).ends(0);
        let server = place.serve();
        assert_answered_up_to(&server, line);
        assert_eq!(server.stop(), 0);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "{space_mib} MiB, durable up to {line}");
    }
    assert!(failed > 0 && ended > 0, "{failed} failed, {ended} did not");
    let promise = "it ends in words, every durable row answers, and importing again ends as undisturbed";
    proof(promise, "the memory limit reached by an import", TEST, format!("{failed} limits reached"));
}

#[test]
fn of_a_server_that_an_import_goes_through() {
    let (mut failed, mut died) = (0, 0);
    for more_mib in [1, 8, 24, 48] {
        let place = Place::new();
        let mut server = place.serve();
        let process = server.process.id();
        let space = address_space_bytes(process) + (more_mib << 20);
        if let Err(why) = limit(process, "as", space) {
            eprintln!("skipped: the limit cannot be lowered: {why}");
            return;
        }
        let (mut import, file) = start_import(&place);
        let status = import.wait().0;
        let line = durable_line(&import);
        failed += u32::from(status != 0);
        if server.process.has_ended() {
            died += 1;
        } else {
            assert_answered_up_to(&server, line);
        }
        server.process.kill();
        drop(server);
        place.verified();
        let server = place.serve();
        assert_answered_up_to(&server, line);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        assert_eq!(server.stop(), 0);
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "{more_mib} MiB more, durable up to {line}");
    }
    assert!(failed > 0, "no limit was reached");
    let count = format!("{failed} limits reached, {died} ended the server");
    proof("every durable row answers", "the memory limit reached by a server while an import goes through it", TEST, count);
}
