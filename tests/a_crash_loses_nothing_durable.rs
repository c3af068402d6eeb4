//! `kill -9` at random moments of an import, alone and through a server: every row up to the last `durable` line is answered after the
//! restart, and importing again ends where an undisturbed import ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use std::time::Duration;

use common::crash::{assert_answered_up_to, durable_line, random, rounds, start_import, undisturbed, wait_for_a_moment_within};
use common::proof::proof;
use common::{Place, Running, Server};

const TEST: &str = "a_crash_loses_nothing_durable";

/// Kills some time after the import began to apply: a share of what applying takes, counted from its first acknowledgement, or from the
/// start if the moment lies before that.
fn wait_for_the_moment(import: &Running, round: usize) {
    let takes = undisturbed().took;
    if round > 0 {
        import.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
    }
    wait_for_a_moment_within(if round == 0 { takes } else { takes / 2 });
}

#[test]
fn of_an_import_alone() {
    for round in 0..rounds() {
        let place = Place::new();
        let (mut import, file) = start_import(&place);
        wait_for_the_moment(&import, round);
        import.kill();
        let line = durable_line(&import);
        // Before anything has mended it.
        place.verified();
        let server = place.serve();
        assert_answered_up_to(&server, line);
        assert_eq!(server.stop(), 0);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "round {round}, killed after line {line}");
    }
    proof("every durable row answers, and importing again ends as undisturbed", "kill -9 of an import alone", TEST, rounds());
}

#[test]
fn of_the_server_that_an_import_goes_through() {
    for round in 0..rounds() {
        let place = Place::new();
        let mut server = place.serve();
        let (mut import, file) = start_import(&place);
        wait_for_the_moment(&import, round);
        server.process.kill();
        let status = import.wait().0;
        let line = durable_line(&import);
        assert!(status == 1 || line == *undisturbed().last_lines.last().unwrap(), "{status} after line {line}");
        place.verified();
        let server = place.serve();
        assert_answered_up_to(&server, line);
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        assert_answered_up_to(&server, u64::MAX);
        assert_eq!(server.stop(), 0);
        assert_eq!(place.state_checksum(), undisturbed().state_checksum, "round {round}, killed after line {line}");
    }
    let fault = "kill -9 of the server an import goes through";
    proof("every durable row answers, and importing again ends as undisturbed", fault, TEST, rounds());
}

#[test]
fn of_an_import_while_its_server_lives() {
    let place = Place::new();
    let server = place.serve();
    let (mut import, file) = start_import(&place);
    wait_for_the_moment(&import, 1);
    import.kill();
    assert_answered_up_to(&server, durable_line(&import));
    place.run("import", &[file.to_str().unwrap()]).ends(0);
    assert_answered_up_to(&server, u64::MAX);
    assert_eq!(place.state_checksum(), undisturbed().state_checksum);
}

#[test]
fn of_a_demo_while_it_is_made() {
    let place = Place::new();
    let data = place.data();
    let arguments = ["demo", "--recipients", "4000", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let mut demo = Running::start(arguments);
    demo.err.wait(|lines| lines.iter().any(|line| line.contains("importing it")).then_some(()));
    std::thread::sleep(Duration::from_millis(random(300)));
    demo.kill();
    let again = Running::start(arguments);
    let lines = again.out.wait(|lines| (lines.len() == 3).then(|| lines.to_vec()));
    let lines = lines.unwrap_or_else(|| panic!("{:#?}", again.err.all()));
    assert!(lines.iter().all(|line| line.starts_with("curl ")));
    let address = lines[0].split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    assert_eq!(Server { process: again, address }.status()["recipients"], 4000);
}
