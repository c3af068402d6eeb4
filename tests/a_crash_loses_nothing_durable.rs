//! `kill -9` at random moments of an import, alone and through a server: every row up to the last `durable` line is answered after the
//! restart, and importing again ends where an undisturbed import ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)]

mod common;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{Place, Running, Server, day, run};
use shikaku::domain::day::Day;
use shikaku::population::Population;

const RECIPIENTS: u64 = 30_000;
const ROUNDS: usize = 5;

/// The file, what an undisturbed import of it comes to, and how long that takes.
struct Undisturbed {
    text: Vec<u8>,
    population: Population,
    /// For each recipient, the line on which its last row stands.
    last_lines: Vec<u64>,
    state_checksum: String,
    took: Duration,
}

fn undisturbed() -> &'static Undisturbed {
    static DONE: OnceLock<Undisturbed> = OnceLock::new();
    DONE.get_or_init(|| {
        let place = Place::new();
        let file = place.path("rows.csv");
        let today = day(0);
        let recipients = RECIPIENTS.to_string();
        run(["synth", "--recipients", &recipients, "--as-of", &today, "--out", file.to_str().unwrap()]).ends(0);
        let began = Instant::now();
        place.run("import", &[file.to_str().unwrap()]).ends(0);
        let took = began.elapsed();
        let population = Population::new(1, RECIPIENTS, Day::parse(today.as_bytes()).unwrap()).unwrap();
        let mut last_lines = Vec::new();
        let mut line = 1;
        for index in 0..RECIPIENTS {
            let mut lines = Vec::new();
            population.write_registrations(index..index + 1, &mut lines);
            line += lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            last_lines.push(line);
        }
        let text = std::fs::read(&file).unwrap();
        assert_eq!(text.iter().filter(|byte| **byte == b'\n').count() as u64, line);
        Undisturbed { text, population, last_lines, state_checksum: place.state_checksum(), took }
    })
}

/// A number that differs from run to run, for moments; it is printed with what fails.
fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % below
}

/// The last line that an import called durable; 0 when it got to none.
fn durable_line(import: &Running) -> u64 {
    let lines = import.out.to_end();
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("durable ")?.split("line=").nth(1)?.parse().ok());
    numbers.max().unwrap_or(0)
}

fn start_import(place: &Place) -> (Running, PathBuf) {
    let file = place.write("rows.csv", &undisturbed().text);
    let data = place.data();
    (Running::start(["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()]), file)
}

/// Asks about everybody whose rows all stand at or before a line.
#[track_caller]
fn assert_answered_up_to(server: &Server, line: u64) {
    let whole = undisturbed();
    let population = &whole.population;
    let known: Vec<u64> = (0..RECIPIENTS).filter(|index| whole.last_lines[*index as usize] <= line).collect();
    for run in known.chunks(4000) {
        let recipients: Vec<_> = run.iter().map(|index| population.recipient(*index)).collect();
        let lines: String = recipients.iter().map(|recipient| recipient.ask_member(true).line(None) + "\n").collect();
        let answers = server.batch(&format!("on={}&consent=true", population.as_of()), &lines);
        let expected =
            recipients.iter().map(|recipient| recipient.expected_member(true, population.as_of(), None).compact_line());
        let wrong: Vec<_> = expected.zip(&answers).filter(|(expected, answer)| expected != *answer).collect();
        assert!(answers.len() == run.len() && wrong.is_empty(), "durable up to line {line}: {wrong:#?}");
    }
}

/// Kills some time after the import began to apply: a share of what applying takes, counted from its first acknowledgement, or from the
/// start if the moment lies before that.
fn wait_for_the_moment(import: &Running, round: usize) {
    let takes = u64::try_from(undisturbed().took.as_micros()).unwrap();
    if round > 0 {
        import.out.wait(|lines| lines.iter().any(|line| line.starts_with("durable ")).then_some(()));
    }
    // The only sleep: what is waited for is no condition but a moment.
    std::thread::sleep(Duration::from_micros(random(if round == 0 { takes } else { takes / 2 })));
}

#[test]
fn of_an_import_alone() {
    for round in 0..ROUNDS {
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
}

#[test]
fn of_the_server_that_an_import_goes_through() {
    for round in 0..ROUNDS {
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
