//! Lines that are cut, slow, mixed up or altered, a hub and a follower killed at any moment: always the same state in the end, nothing
//! applied twice, nothing that was not verified.
//!
//! `SHIKAKU_LINE_ROUNDS` says how many rounds of each there are; 10 where it is not set.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::time::Duration;

use common::crash::{random, wait_for_a_moment_within};
use common::houses::{Certificates, House, settle};
use common::proof::proof;
use common::proxy::{Fault, Proxy};
use common::{Place, Row};

/// People registered in a round: a few hundred kilobytes of frames.
const PEOPLE: u64 = 300;

fn rounds() -> u64 {
    std::env::var("SHIKAKU_LINE_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap())
}

/// A hub, one that follows it, and the line between them.
struct Pair {
    hub: House,
    house: House,
    line: Proxy,
    registered: u64,
    /// They are read again for every connection.
    _certificates: Certificates,
}

impl Pair {
    fn new() -> Pair {
        let certificates = Certificates::new();
        let hub = House::started(Place::new(), certificates.api("hub"));
        hub.register(0..PEOPLE);
        let line = Proxy::to(hub.api());
        let house = House::started(Place::new(), certificates.follow("ward", line.address, &hub.hub_key()));
        settle(&hub, &[&house]);
        Pair { hub, house, line, registered: PEOPLE, _certificates: certificates }
    }

    /// Registers some more; gives who is new.
    fn register(&mut self) -> std::ops::Range<u64> {
        let people = self.registered..self.registered + PEOPLE;
        self.hub.register(people.clone());
        self.registered = people.end;
        people
    }

    /// Both stand at the same place, and whoever was registered is found.
    #[track_caller]
    fn settle(&self, people: &std::ops::Range<u64>) {
        settle(&self.hub, &[&self.house]);
        assert!(self.house.answers_for(people.start) && self.house.answers_for(people.end - 1));
    }

    /// The follower's log is the hub's, byte for byte, each frame once; and everything in it adds up.
    fn end_alike(mut self) {
        settle(&self.hub, &[&self.house]);
        assert!(self.house.following()["quarantine"].is_null(), "{}", self.house.following());
        self.house.stop();
        self.hub.stop();
        assert!(self.hub.frames().starts_with(&self.house.frames()));
        self.house.place.verified();
    }
}

fn try_faults(promise: &str, what: &str, test: &str, mut fault: impl FnMut() -> Fault) {
    let mut pair = Pair::new();
    for _ in 0..rounds() {
        let fault = fault();
        pair.line.set(fault);
        let (before, began) = (pair.line.applied(), pair.registered);
        // A line may carry some of it without a fault.
        while pair.line.applied() == before {
            pair.register();
            wait_for_a_moment_within(Duration::from_millis(600));
            assert!(pair.registered < began + 100 * PEOPLE, "{fault:?} was never met");
        }
        let people = began..pair.registered;
        assert!(pair.house.answers_for(0), "look-ups go on");
        pair.line.set(Fault::None);
        pair.settle(&people);
    }
    pair.end_alike();
    proof(promise, what, test, rounds());
}

const PROMISE: &str = "a follower ends at the hub's state, nothing applied twice or unverified";

#[test]
fn a_line_that_is_cut_anywhere_changes_nothing() {
    let test = "a_line_that_is_cut_anywhere_changes_nothing";
    try_faults(PROMISE, "a line cut after 0 to 200,000 bytes of every connection", test, || {
        let most = [1_000, 10_000, 200_000][usize::try_from(random(3)).unwrap()];
        Fault::Cut(random(most))
    });
}

#[test]
fn a_slow_or_late_line_changes_nothing() {
    let test = "a_slow_or_late_line_changes_nothing";
    try_faults(PROMISE, "a line of 20 to 220 kB/s, or with delays of up to 200 ms a piece", test, || {
        if random(2) == 0 { Fault::Slow(20_000 + random(200_000)) } else { Fault::Delay(Duration::from_millis(1 + random(200))) }
    });
}

#[test]
fn a_line_that_alters_or_mixes_bytes_changes_nothing() {
    let test = "a_line_that_alters_or_mixes_bytes_changes_nothing";
    try_faults(PROMISE, "a line that flips bits, or lets pieces change places", test, || {
        if random(2) == 0 { Fault::Corrupt(500 + random(50_000)) } else { Fault::Reorder }
    });
}

#[test]
fn a_line_that_swallows_everything_changes_nothing() {
    let test = "a_line_that_swallows_everything_changes_nothing";
    try_faults(PROMISE, "a line that takes bytes and carries none", test, || Fault::Drop);
}

#[test]
fn a_follower_killed_at_any_moment_goes_on_where_its_log_stands() {
    let mut pair = Pair::new();
    for _ in 0..rounds() {
        // Slow enough that the kill comes in the middle more often than not.
        pair.line.set(Fault::Slow(200_000 + random(4_000_000)));
        let people = pair.register();
        wait_for_a_moment_within(Duration::from_millis(800));
        pair.house.kill();
        pair.line.set(Fault::None);
        pair.house.start();
        assert!(pair.house.answers_for(0));
        pair.settle(&people);
    }
    pair.end_alike();
    proof(PROMISE, "a follower killed with -9", "a_follower_killed_at_any_moment_goes_on_where_its_log_stands", rounds());
}

#[test]
fn a_hub_killed_at_any_moment_is_followed_on_when_it_is_back() {
    let mut pair = Pair::new();
    for _ in 0..rounds() {
        let people = pair.registered..pair.registered + PEOPLE;
        pair.registered = people.end;
        let rows: Vec<Row> = people.clone().map(Row::of).collect();
        let file = pair.hub.place.file("rows.csv", &rows);
        let data = pair.hub.place.data();
        let mut import = common::Running::start(["import", "--data", data.to_str().unwrap(), file.to_str().unwrap()]);
        wait_for_a_moment_within(Duration::from_millis(400));
        pair.hub.kill();
        import.wait();
        assert!(pair.house.answers_for(0));
        pair.hub.start();
        pair.line.lead_to(pair.hub.api());
        // What the hub had not acknowledged is given again, as an operator would.
        pair.hub.place.run("import", &["--accept", file.to_str().unwrap()]).ends(0);
        pair.settle(&people);
    }
    pair.end_alike();
    proof(
        PROMISE,
        "a hub killed with -9 while it registers",
        "a_hub_killed_at_any_moment_is_followed_on_when_it_is_back",
        rounds(),
    );
}
