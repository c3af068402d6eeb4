//! What the tests that kill the program share: a file, what an undisturbed import of it comes to, and when to kill.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use shikaku::domain::day::Day;
use shikaku::population::Population;

use super::{Place, Running, Server, day, run};

pub const RECIPIENTS: u64 = 30_000;

/// The file, what an undisturbed import of it comes to, and how long that takes.
pub struct Undisturbed {
    pub text: Vec<u8>,
    pub population: Population,
    /// For each recipient, the line on which its last row stands.
    pub last_lines: Vec<u64>,
    pub state_checksum: String,
    pub took: Duration,
}

pub fn undisturbed() -> &'static Undisturbed {
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
pub fn random(below: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish() % below
}

/// The last line that an import called durable; 0 when it got to none.
pub fn durable_line(import: &Running) -> u64 {
    let lines = import.out.to_end();
    let numbers = lines.iter().filter_map(|line| line.strip_prefix("durable ")?.split("line=").nth(1)?.parse().ok());
    numbers.max().unwrap_or(0)
}

pub fn start_import(place: &Place) -> (Running, PathBuf) {
    let file = place.write("rows.csv", &undisturbed().text);
    let data = place.data();
    (Running::start(["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()]), file)
}

/// Asks about everybody whose rows all stand at or before a line.
#[track_caller]
pub fn assert_answered_up_to(server: &Server, line: u64) {
    let whole = undisturbed();
    let population = &whole.population;
    let known: Vec<u64> = (0..RECIPIENTS).filter(|index| whole.last_lines[usize::try_from(*index).unwrap()] <= line).collect();
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

/// Kinds of work that are killed in the middle; the rounds are shared out among them.
const KINDS: usize = 5;

/// How often a kind of work is killed: a share of `SHIKAKU_KILL_ROUNDS`, which is 20 where it is not set.
pub fn rounds() -> usize {
    let all = std::env::var("SHIKAKU_KILL_ROUNDS").map_or(20, |rounds| rounds.parse().unwrap());
    usize::max(all / KINDS, 1)
}

/// Lets some part of a span pass: what is waited for is no condition but a moment.
pub fn wait_for_a_moment_within(span: Duration) {
    std::thread::sleep(Duration::from_micros(random(u64::try_from(span.as_micros()).unwrap().max(1))));
}
