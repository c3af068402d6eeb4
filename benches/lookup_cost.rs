//! What a look-up costs in process, from the request's body to the rendered answer, without the socket: nanoseconds by the clock, or
//! instructions when run under `valgrind --tool=callgrind --toggle-collect='*measured*'`.
//!
//! ```sh
//! cargo bench --bench lookup_cost -- DIR RECIPIENTS single|batch compact|json [ROUNDS]
//! ```
//!
//! `DIR` holds the synthetic population of that many recipients. Every answer of the first round is checked against how its recipient
//! was made; the rounds after it are measured.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::panic, missing_docs)]

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::BytesMut;
use shikaku::population::Population;
use shikaku::population::workload::{Asker, Question, Workload};
use shikaku::registry::{OpenOptions, Registry};
use shikaku::serve::Door;
use shikaku::serve::config::Config;
use shikaku::serve::fast::{Method, Reply, Request};
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const QUESTIONS: u64 = 16_000;
const BATCH_LINES: usize = 1000;

/// A request that is ready to be asked, and its right answer in the compact form.
struct Prepared {
    path: &'static str,
    query: String,
    content_type: &'static str,
    body: String,
    expected: String,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [data, recipients, shape, form, rounds @ ..] = arguments.as_slice() else {
        println!("skipped: give a data directory, its recipients, single or batch, and compact or json");
        return;
    };
    let recipients: u64 = recipients.parse().expect("RECIPIENTS is a number");
    let rounds: usize = rounds.first().map_or(20, |rounds| rounds.parse().expect("ROUNDS is a number"));
    let compact = form == "compact";
    let now_unix_ms = 1_795_316_400_000;
    let registry = Registry::open(Path::new(data), &OpenOptions::at(now_unix_ms)).expect("the directory opens");
    let service = Service::new(Config::default(), Tokens::default());
    let reader = registry.reader();
    let horizon = reader.view().horizon;
    let _ = service.reader.set(reader);
    let day = "2026-11-22".parse_day();
    let population = Population::new(1, recipients, day).expect("a population").with_horizon(horizon);
    let prepared = match shape.as_str() {
        "single" => singles(&Workload::new(population, 7, Asker::Visited), compact),
        _ => batches(&Workload::new(population, 7, Asker::Nobody)),
    };
    let lookups = prepared.iter().map(|one| one.expected.lines().count()).sum::<usize>();
    println!("{} recipients, {lookups} look-ups a round", registry.figures().dossiers.load(Ordering::Relaxed));

    let mut body = BytesMut::with_capacity(1 << 20);
    for one in &prepared {
        measured(&service, &one.request(compact), &mut body);
        if compact {
            assert_eq!(std::str::from_utf8(&body).unwrap(), one.expected, "a wrong answer");
        }
    }
    let started = Instant::now();
    for _ in 0..rounds {
        for one in &prepared {
            measured(&service, &one.request(compact), &mut body);
        }
    }
    let ns = started.elapsed().as_nanos() as f64 / (rounds * lookups) as f64;
    println!("{shape} {form}: {ns:.1} ns a look-up");
}

/// One request. Never inlined, so that a profiler can collect in here alone.
#[inline(never)]
fn measured(service: &Service, request: &Request<'_>, body: &mut BytesMut) {
    let mut reply = Reply::new(body);
    service.respond(request, Door::Fast, &mut reply);
}

impl Prepared {
    fn request(&self, compact: bool) -> Request<'_> {
        let accept = if compact { "text/tab-separated-values" } else { "application/json" };
        Request {
            method: Method::Post,
            path: self.path,
            query: &self.query,
            content_type: Some(self.content_type),
            accept: Some(accept),
            authorization: None,
            peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
            body: self.body.as_bytes(),
        }
    }
}

fn singles(workload: &Workload, compact: bool) -> Vec<Prepared> {
    let one = |question: Question| {
        let expected = format!("{}\n", question.expected.compact_line());
        if !compact {
            let body = question.json();
            return Prepared { path: "/v1/eligibility", query: String::new(), content_type: "application/json", body, expected };
        }
        let institution = question.institution.as_ref().map_or_else(String::new, |code| format!("&institution={code}"));
        let query = format!("on={}&consent={}{institution}", workload.day(), question.consent);
        Prepared { path: "/v1/eligibility", query, content_type: "text/plain", body: question.line(), expected }
    };
    (0..QUESTIONS).map(|nth| one(workload.question(nth))).collect()
}

fn batches(workload: &Workload) -> Vec<Prepared> {
    let questions: Vec<Question> = (0..QUESTIONS).map(|nth| workload.question(nth)).filter(|question| question.consent).collect();
    let one = |lines: &[Question]| Prepared {
        path: "/v1/eligibility/batch",
        query: format!("on={}&consent=true", workload.day()),
        content_type: "text/tab-separated-values",
        body: lines.iter().map(|question| format!("{}\n", question.line())).collect(),
        expected: lines.iter().map(|question| format!("{}\n", question.expected.compact_line())).collect(),
    };
    questions.chunks_exact(BATCH_LINES).map(one).collect()
}

trait ParseDay {
    fn parse_day(&self) -> shikaku::domain::day::Day;
}

impl ParseDay for str {
    fn parse_day(&self) -> shikaku::domain::day::Day {
        shikaku::domain::day::Day::parse(self.as_bytes()).expect("a day")
    }
}
