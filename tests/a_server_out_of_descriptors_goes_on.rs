//! No descriptors left: who is connected is answered, who comes is turned away, nothing spins, and when descriptors are free again
//! everybody is answered again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

mod common;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::limits::{descriptors_leaving, limit, processor_ticks};
use common::proof::proof;
use common::{PATIENCE, Place, Row, eventually, member_json};

/// Descriptors that the limit leaves, most of which the server keeps back.
const ROOM: usize = 40;
const COMERS: usize = 120;

/// Whether a new connection is answered. One that is cut off, or that nobody ever accepts, is not.
fn is_answered(stream: &mut TcpStream) -> bool {
    let asked = stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut status = [0; 12];
    asked.and_then(|()| stream.read_exact(&mut status)).is_ok() && status.ends_with(b"200")
}

#[test]
fn goes_on() {
    let place = Place::new();
    let row = Row::of(1);
    place.import("rows.csv", [&row], &[]).ends(0);
    let server = place.serve();
    let mut known = server.connect();
    let question = member_json(&row, &common::day(0));
    let answer = known.question(&question).succeeds().body;
    let process = server.process.id();
    if let Err(why) = limit(process, "nofile", descriptors_leaving(process, ROOM)) {
        eprintln!("skipped: the limit cannot be lowered: {why}");
        return;
    }
    let mut comers = Vec::new();
    let mut turned_away = 0;
    for _ in 0..COMERS {
        let mut comer = TcpStream::connect(server.address).unwrap();
        comer.set_read_timeout(Some(PATIENCE)).unwrap();
        if is_answered(&mut comer) {
            comers.push(comer);
        } else {
            turned_away += 1;
        }
        assert_eq!(known.question(&question).succeeds().body, answer);
    }
    assert!(turned_away > 0 && !comers.is_empty(), "{turned_away} of {COMERS} were turned away");

    // A spinning acceptor would use all the time there is.
    let (ticks, began) = (processor_ticks(process), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(known.question(&question).succeeds().body, answer);
        std::thread::sleep(Duration::from_millis(20));
    }
    let used = Duration::from_millis(10 * (processor_ticks(process) - ticks));
    assert!(used < Duration::from_secs(1), "{used:?} of processor time in {:?}", began.elapsed());

    // What is registered and what is asked through the owner's socket find descriptors.
    place.import("more.csv", [&Row::of(2)], &[]).ends(0);
    place.run("lookup --card card-2 --consent", &[]).ends(0);

    drop(comers);
    eventually("new connections are answered again", || is_answered(&mut TcpStream::connect(server.address).unwrap()));
    assert_eq!(server.stop(), 0);
    let count = format!("{COMERS} connections, {turned_away} turned away");
    let promise = "who is connected is answered, nothing spins, registering goes on, it recovers";
    proof(promise, "no descriptors left", "a_server_out_of_descriptors_goes_on", count);
}
