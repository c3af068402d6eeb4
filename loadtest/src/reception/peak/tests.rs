//! Whole runs against a server that does as it is told.

use super::super::arrivals::Occasion;
use super::super::fake::{Whim, questions, serve};
use super::super::institution::Institution;
use super::super::record::milliseconds;
use super::*;

const QUESTIONS: u32 = 500;

/// One look-up every millisecond, so that what must come out is plain arithmetic.
fn every_millisecond(count: u32, short: impl Fn(u32) -> bool) -> Vec<Arrival> {
    let arrival = |nth| Arrival {
        at_ns: u64::from(nth) * 1_000_000,
        question: nth % QUESTIONS,
        gateway: (nth % 4) as u8,
        institution: if nth % 3 == 0 { Institution::Pharmacy } else { Institution::Clinic },
        occasion: Occasion::Visit,
        short: short(nth),
    };
    (0..count).map(arrival).collect()
}

fn usual(address: SocketAddr) -> Region {
    let window = Window { from: 500, to: 530, compress: 600 };
    Region {
        address,
        window,
        gateways: 4,
        kept_each: 4,
        short: 8,
        reconnect_at_ns: None,
        patience: Duration::from_secs(60),
        silence: Duration::MAX,
    }
}

/// The record, and how many answers were wrong.
fn play(
    arrivals: &[Arrival],
    region: impl Fn(Region) -> Region,
    whim: impl Fn(u64) -> Whim + Send + Sync + 'static,
) -> (Record, u64) {
    let questions = questions(QUESTIONS);
    let region = region(usual(serve(&questions, whim)));
    let mut answers = Answers::new(&questions);
    let record = run(&region, arrivals, &questions, &mut answers, || {}).unwrap();
    (record, answers.wrong())
}

#[test]
fn a_stall_is_seen_by_everybody_who_came_meanwhile_and_not_by_those_alone_who_were_being_served() {
    let stall = Duration::from_millis(400);
    let whim = move |nth| if nth == 500 { Whim::Stall(stall) } else { Whim::Answer };
    let (record, wrong) = play(&every_millisecond(2_000, |_| false), |region| region, whim);
    let waits = record.waits();
    assert_eq!((waits.len(), record.dropped, wrong), (2_000, 0, 0));
    // Four hundred came during the stall, evenly: a quarter of them, one in twenty of all, waited for more than 300 ms. On sixteen
    // connections a client that waits before it asks again would have seen sixteen.
    assert!(milliseconds(&waits, 0.96) > 290.0, "{}", milliseconds(&waits, 0.96));
    let waited_long = waits.count_between(100_000_000, u64::MAX);
    assert!(waited_long >= 280, "{waited_long}");
}

#[test]
fn kept_and_short_connections_are_answered_and_reconnect_all_at_once() {
    let arrivals = every_millisecond(1_500, |nth| nth % 5 == 0);
    let (record, wrong) = play(&arrivals, |region| Region { reconnect_at_ns: Some(700_000_000), ..region }, |_| Whim::Answer);
    assert_eq!((record.waits().len(), record.dropped, wrong), (1_500, 0, 0));
    assert_eq!(record.short().len(), 300);
    assert!(record.reconnected_after_ns.is_some());
    let offered: u64 = record.intervals().iter().map(|interval| interval.offered).sum();
    assert_eq!(offered, 1_500);
}

#[test]
fn a_reconnect_that_outlasts_the_last_answer_is_waited_for() {
    let questions = questions(QUESTIONS);
    let region = Region { reconnect_at_ns: Some(0), ..usual(serve(&questions, |_| Whim::Answer)) };
    let mut answers = Answers::new(&questions);
    let mut peak = Peak::prepare(&region, &[], &questions, &mut answers).unwrap();
    peak.connect_all().unwrap();
    peak.reconnect_when_due().unwrap();
    // Nothing is under way on any of them, and none of them stands.
    assert!(peak.desks.free() == peak.desks.terminals() && peak.unconnected() == 16 && peak.is_reconnecting());
    peak.drain().unwrap();
    assert!(peak.record.reconnected_after_ns.is_some());
}

#[test]
fn what_is_hung_up_on_or_refused_is_dropped_and_a_lie_is_wrong() {
    let whim = |nth| match nth {
        100 | 200 => Whim::HangUp,
        300 => Whim::Refuse,
        400 => Whim::Lie,
        _ => Whim::Answer,
    };
    let (record, wrong) = play(&every_millisecond(600, |_| false), |region| region, whim);
    assert_eq!((record.dropped, record.waits().len()), (3, 597));
    assert_eq!(wrong, 2, "the refusal is no right answer either");
}

#[test]
fn what_is_never_answered_is_dropped_with_all_that_waited_behind_it() {
    // One gateway keeps silent on all its connections; the ones after wait in vain.
    let mut arrivals = every_millisecond(40, |_| false);
    arrivals.iter_mut().for_each(|arrival| arrival.gateway = 2);
    let (record, _) = play(
        &arrivals,
        |region| Region { patience: Duration::from_secs(2), ..region },
        |nth| if nth < 10 { Whim::Answer } else { Whim::KeepSilent },
    );
    assert_eq!((record.waits().len(), record.dropped), (10, 30));
}

#[test]
fn what_a_server_hung_up_on_after_a_silence_is_asked_once_more_and_only_once() {
    let impatient = |region| Region { silence: Duration::ZERO, ..region };
    // Each connection's first request comes after a silence, however short.
    let (record, wrong) =
        play(&every_millisecond(200, |_| false), impatient, |nth| if nth == 50 { Whim::HangUp } else { Whim::Answer });
    assert_eq!((record.waits().len(), record.dropped, record.asked_again, wrong), (200, 0, 1, 0));
    let (record, _) = play(&every_millisecond(1, |_| false), impatient, |_| Whim::HangUp);
    assert_eq!((record.waits().len(), record.dropped, record.asked_again), (0, 1, 1));
}
