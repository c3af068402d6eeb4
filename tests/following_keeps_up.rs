//! How quickly the log travels, measured: run by name, in a release build, on a machine that does nothing else.
//!
//! ```sh
//! cargo test --release --test following_keeps_up -- --ignored --nocapture --test-threads 1
//! ```
//!
//! Where look-ups are timed, everything but the follower and the one who asks it stands aside: the hub is another machine.
//!
//! `SHIKAKU_FOLLOW_RECIPIENTS` sets the size (20,000; 520,000 come to a million rows), `SHIKAKU_FOLLOW_SECONDS` how long rows stream in (20).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::houses::{Certificates, House, registration, settle};
use common::{Http, Place, Row, member_json};
use shikaku::domain::registration::Operation;
use shikaku::ingest::register::Register;
use shikaku::record::payload::Changes;
use shikaku::serve::api::client::Client;

/// Rows a second that stream in, and in how many batches.
const ROWS_A_SECOND: u32 = 10_000;
const BATCHES_A_SECOND: u32 = 10;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn quantile(sorted: &[Duration], share: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    let rank = (sorted.len() as f64 * share) as usize;
    sorted[rank.min(sorted.len() - 1)]
}

/// A synthetic register's file.
fn synthetic(place: &Place, recipients: u64) -> String {
    let file = place.path("synthetic.csv");
    let arguments = ["--recipients", &recipients.to_string(), "--as-of", &common::day(0), "--out", file.to_str().unwrap()];
    common::run(["synth"].into_iter().chain(arguments)).ends(0);
    file.to_str().unwrap().to_owned()
}

/// Imports a file at a house that stands aside, in a process that does so as well.
fn import_aside(house: &House, file: &str) {
    let program = common::program();
    let import = ["import", "--data", house.place.data().to_str().unwrap(), file].map(str::to_owned);
    let status = Command::new("nice").args(["-n", "19"]).arg(program.get_program()).args(import).output().unwrap().status;
    assert!(status.success());
}

/// Asks one person after another, one at a time, until it is told to stop; gives how long each answer took, and, for each sequence that
/// an answer was as of, when the first such came.
fn ask_until(stop: &AtomicBool, address: SocketAddr) -> (Vec<Duration>, Vec<(u64, Instant)>) {
    let question = member_json(&Row::of(1), &common::day(0));
    let (mut connection, mut took, mut seen) = (Http::to(address), Vec::new(), Vec::<(u64, Instant)>::new());
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let answer = connection.question(&question).succeeds();
        took.push(began.elapsed());
        let sequence = answer.json()["as_of"]["sequence"].as_u64().unwrap();
        if seen.last().is_none_or(|(last, _)| *last < sequence) {
            seen.push((sequence, Instant::now()));
        }
    }
    (took, seen)
}

/// Look-ups for so long.
fn quiet(address: SocketAddr, length: Duration) -> Vec<Duration> {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&stop, address));
        std::thread::sleep(length);
        stop.store(true, Ordering::Relaxed);
        let (mut took, _) = asking.join().unwrap();
        took.sort();
        took
    })
}

#[test]
#[ignore = "a measurement: it takes minutes, and needs the machine for itself"]
fn rows_that_stream_in_reach_a_follower_soon() {
    let certificates = Certificates::new();
    let hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..10);
    let house = House::started(Place::new(), certificates.follow("ward", hub.api(), &hub.hub_key()));
    settle(&hub, &[&house]);
    let client = Client::of_owner(&hub.place.data()).unwrap().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let seconds = u32::try_from(number("SHIKAKU_FOLLOW_SECONDS", 20)).unwrap();
    let seen = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&stop, house.server().address));
        let began = Instant::now();
        for batch in 0..seconds * BATCHES_A_SECOND {
            let each = ROWS_A_SECOND / BATCHES_A_SECOND;
            let mut changes = Changes::new();
            for person in 0..each {
                let number = u64::from(1_000_000 + batch * each + person);
                changes.push(Operation::Upsert, &shikaku::record::row::Row::of(&registration(number))).unwrap();
            }
            std::thread::sleep(
                (began + batch * Duration::from_secs(1) / BATCHES_A_SECOND).saturating_duration_since(Instant::now()),
            );
            let applied = client.apply(&changes).unwrap();
            acknowledged.lock().unwrap().push((applied.sequence, Instant::now()));
        }
        settle(&hub, &[&house]);
        stop.store(true, Ordering::Relaxed);
        asking.join().unwrap().1
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    let lag = acknowledged.iter().map(|(sequence, at)| {
        let (_, arrived) = seen.iter().find(|(shown, _)| shown >= sequence).unwrap();
        arrived.saturating_duration_since(*at)
    });
    let mut lag: Vec<Duration> = lag.collect();
    lag.sort();
    println!(
        "measured: replication lag at {ROWS_A_SECOND} rows/s in {BATCHES_A_SECOND} batches, {} batches | median {:?} | p99 {:?} | worst {:?}",
        lag.len(),
        quantile(&lag, 0.5),
        quantile(&lag, 0.99),
        lag[lag.len() - 1]
    );
    assert!(quantile(&lag, 0.5) <= Duration::from_secs(1));
}

#[test]
#[ignore = "a measurement: it takes minutes, and needs the machine for itself"]
fn an_import_reaches_three_houses_and_a_fourth_begins_with_the_snapshot() {
    let certificates = Certificates::new();
    let config = format!("{}[snapshots]\nevery_s = 1\n", certificates.api("hub"));
    let hub = House::started(Place::new(), config);
    let key = hub.hub_key();
    let follow = |name: &str| {
        House::new(Place::new(), format!("{}[snapshots]\nenabled = false\n", certificates.follow(name, hub.api(), &key)))
    };
    let mut houses: Vec<House> = ["one", "two", "three"].map(follow).into();
    for house in &mut houses {
        house.start();
    }
    // One of the three is asked; what the others do, they do elsewhere.
    for elsewhere in houses.iter().skip(1).chain([&hub]) {
        elsewhere.stand_aside();
    }
    let file = synthetic(&hub.place, number("SHIKAKU_FOLLOW_RECIPIENTS", 20_000));
    let quiet_ones = quiet(houses[0].server().address, Duration::from_secs(5));
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let (mut busy_ones, imported) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&stop, houses[0].server().address).0);
        import_aside(&hub, &file);
        let imported = began.elapsed();
        settle(&hub, &houses.iter().collect::<Vec<_>>());
        stop.store(true, Ordering::Relaxed);
        (asking.join().unwrap(), imported)
    });
    let settled = began.elapsed();
    busy_ones.sort();
    let rows = hub.status()["rows"].as_u64().unwrap();
    println!(
        "measured: {rows} rows imported in {imported:?}, three followers at the hub's sequence and state after {settled:?} | look-ups at a \
         follower, one at a time: p99.9 quiet {:?} of {}, while it follows {:?} of {}",
        quantile(&quiet_ones, 0.999),
        quiet_ones.len(),
        quantile(&busy_ones, 0.999),
        busy_ones.len()
    );
    common::eventually("a snapshot of all of it", || {
        let status = hub.status();
        status["snapshots"]["newest"]["sequence"].as_u64().is_some_and(|taken| taken + 10 > status["sequence"].as_u64().unwrap())
    });
    let mut fourth = follow("four");
    let began = Instant::now();
    fourth.start();
    settle(&hub, &[&fourth]);
    let begun = fourth.status()["log_first_sequence"].as_u64().unwrap();
    println!(
        "measured: a fresh follower stands where the hub does after {:?}, its log begins at sequence {begun}",
        began.elapsed()
    );
}

#[test]
#[ignore = "a measurement: it takes minutes, and needs the machine for itself"]
fn look_ups_are_answered_as_quickly_while_a_house_catches_up() {
    let certificates = Certificates::new();
    let hub = House::started(Place::new(), certificates.api("hub"));
    hub.register(0..10);
    let mut house = House::started(Place::new(), certificates.follow("ward", hub.api(), &hub.hub_key()));
    settle(&hub, &[&house]);
    hub.stand_aside();
    let calm = quiet(house.server().address, Duration::from_secs(10));
    house.stop();
    let file = synthetic(&hub.place, number("SHIKAKU_FOLLOW_RECIPIENTS", 20_000));
    import_aside(&hub, &file);
    house.start();
    let began = Instant::now();
    let stop = AtomicBool::new(false);
    let mut busy = std::thread::scope(|scope| {
        let asking = scope.spawn(|| ask_until(&stop, house.server().address).0);
        settle(&hub, &[&house]);
        stop.store(true, Ordering::Relaxed);
        asking.join().unwrap()
    });
    busy.sort();
    let (before, during) = (quantile(&calm, 0.999), quantile(&busy, 0.999));
    println!(
        "measured: look-ups one at a time while {} rows are caught up with in {:?}: p99.9 {during:?} of {}, quiet {before:?} of {}",
        house.status()["rows"],
        began.elapsed(),
        busy.len(),
        calm.len()
    );
}
