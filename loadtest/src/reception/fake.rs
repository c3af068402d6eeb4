//! A server that knows the answers by heart, and can be told to stall, to hang up or to keep silent.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use shikaku::domain::day::Day;

use super::questions::Questions;
use crate::arguments::{Form, PopulationArguments};
use crate::slices::Slices;

/// What it does to a request, by the request's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whim {
    Answer,
    /// Everybody waits that long, from this request on.
    Stall(Duration),
    HangUp,
    KeepSilent,
    /// Somebody else's answer.
    Lie,
    /// 503.
    Refuse,
}

pub(crate) fn population(questions: u32) -> PopulationArguments {
    PopulationArguments {
        recipients: 1_000,
        seed: 1,
        as_of: Day::parse(b"2026-11-22").unwrap(),
        questions,
        question_seed: 1,
        no_institution: false,
        uniform: true,
    }
}

pub(crate) fn questions(count: u32) -> Questions {
    Questions::prepare(&population(count), Day::parse(b"2024-11-01").unwrap(), Form::Compact).unwrap()
}

struct Fake {
    answers: HashMap<Vec<u8>, Vec<u8>>,
    asked: AtomicU64,
    door: RwLock<()>,
    whim: Box<dyn Fn(u64) -> Whim + Send + Sync>,
}

/// Serves on a free port for as long as the test's process lives.
pub(crate) fn serve(questions: &Questions, whim: impl Fn(u64) -> Whim + Send + Sync + 'static) -> SocketAddr {
    let mut answers = HashMap::new();
    for plan in questions.plans() {
        let pair = |slices: &Slices, nth| slices.slice(nth).to_vec();
        answers.extend((0..plan.requests.len()).map(|nth| (pair(&plan.requests, nth), pair(&plan.expected, nth))));
    }
    let fake = Arc::new(Fake { answers, asked: AtomicU64::new(0), door: RwLock::new(()), whim: Box::new(whim) });
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let fake = Arc::clone(&fake);
            std::thread::spawn(move || fake.attend(stream));
        }
    });
    address
}

impl Fake {
    /// One request at a time: whatever is sent is read until it is one that has an answer.
    fn attend(&self, mut stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let (mut request, mut part) = (Vec::new(), [0; 4_096]);
        while let Ok(count @ 1..) = stream.read(&mut part) {
            request.extend_from_slice(&part[..count]);
            let Some(answer) = self.answers.get(&request) else { continue };
            request.clear();
            let (mut status, mut body) = (200, answer.as_slice());
            match (self.whim)(self.asked.fetch_add(1, Ordering::Relaxed)) {
                Whim::Answer => {}
                Whim::Stall(how_long) => {
                    let _everybody = self.door.write().unwrap();
                    std::thread::sleep(how_long);
                }
                Whim::HangUp => return,
                Whim::KeepSilent => continue,
                Whim::Lie => body = b"?\n",
                Whim::Refuse => (status, body) = (503, b"{}"),
            }
            let _through = self.door.read().unwrap();
            let head = format!("HTTP/1.1 {status} Said\r\nContent-Length: {}\r\n\r\n", body.len());
            if stream.write_all(&[head.as_bytes(), body].concat()).is_err() {
                return;
            }
        }
    }
}
