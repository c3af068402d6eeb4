//! Asking at a given rate whatever the server does (open loop): latencies count from when a request was meant to be sent, so that a
//! server that stalls is not asked less for it, and the wait in front of it is seen.

mod phase;
mod schedule;
mod timer;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

use crate::check::Checker;
use crate::error::LoadError;
use crate::plan::Plan;
use crate::wire::{Connection, HeadReader};

pub(crate) use phase::Phase;

use phase::Clocks;
use schedule::Schedule;
use timer::Timer;

/// How long answers may be waited for when nothing more is asked.
const DRAIN_S: u64 = 10;
const TIMER: Token = Token(usize::MAX - 1);

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u16,
    pub(crate) rate_per_s: f64,
    /// Requests meant to be sent at the same moment on one connection: 1 spreads them evenly, more is a pipeline.
    pub(crate) together: u16,
    /// A connection with this many requests under way takes no more: what falls due then is dropped, and counted.
    pub(crate) under_way_max: usize,
    pub(crate) server_pid: Option<u32>,
}

/// Asks until `phase` says `None`, and waits for what is under way. `phase` hears how long it has been and says which phase this is; a
/// request belongs to the phase in which it fell due. Whether the answers were right is for the checker to say.
pub(crate) fn drive_paced(
    plan: &Plan,
    pace: &Pace,
    checker: &mut Checker<'_>,
    phases: usize,
    phase: impl FnMut(Duration) -> Option<usize>,
) -> Result<Vec<Phase>, LoadError> {
    let mut drive = Paced::connect(plan, pace, phases)?;
    drive.run(checker, phase)?;
    drive.drain(checker)?;
    Ok(drive.phases)
}

/// A request under way.
#[derive(Clone, Copy)]
struct Asked {
    meant_ns: u64,
    phase: usize,
}

struct Paced<'p> {
    plan: &'p Plan,
    pace: &'p Pace,
    poll: Poll,
    events: Events,
    timer: Timer,
    connections: Vec<(Connection, VecDeque<Asked>)>,
    heads: HeadReader,
    schedule: Schedule,
    /// The connection whose turn is next.
    turn: usize,
    began: Instant,
    phases: Vec<Phase>,
}

impl<'p> Paced<'p> {
    fn connect(plan: &'p Plan, pace: &'p Pace, phases: usize) -> Result<Paced<'p>, LoadError> {
        if !pace.address.ip().is_loopback() {
            return Err(LoadError::Usage("only a server on loopback may be loaded".to_owned()));
        }
        let poll = Poll::new().map_err(LoadError::io("epoll"))?;
        let count = usize::from(pace.connections);
        let mut connections = Vec::with_capacity(count);
        for nth in 0..count {
            let mut connection = Connection::open(pace.address, nth * plan.requests.len() / count)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.stream, Token(nth), interest).map_err(LoadError::io("epoll"))?;
            connections.push((connection, VecDeque::new()));
        }
        let schedule = Schedule::new(pace.rate_per_s, pace.together);
        let timer = Timer::every(schedule.interval()).map_err(LoadError::io("a timer"))?;
        timer.register(poll.registry(), TIMER).map_err(LoadError::io("epoll"))?;
        Ok(Paced {
            plan,
            pace,
            poll,
            events: Events::with_capacity(count + 1),
            timer,
            connections,
            heads: HeadReader::new(),
            schedule,
            turn: 0,
            began: Instant::now(),
            phases: (0..phases).map(|_| Phase::new()).collect::<Result<_, _>>()?,
        })
    }

    fn run(&mut self, checker: &mut Checker<'_>, mut phase: impl FnMut(Duration) -> Option<usize>) -> Result<(), LoadError> {
        self.began = Instant::now();
        let mut clocks = Clocks::read(self.pace.server_pid)?;
        let mut current = None;
        while let Some(next) = phase(self.began.elapsed()) {
            if current != Some(next) {
                let read = Clocks::read(self.pace.server_pid)?;
                self.account(current, &clocks, &read);
                (clocks, current) = (read, Some(next));
            }
            self.ask_what_is_due(next)?;
            self.turn(checker, None)?;
        }
        let read = Clocks::read(self.pace.server_pid)?;
        self.account(current, &clocks, &read);
        Ok(())
    }

    /// Adds what has passed to the phase that was.
    fn account(&mut self, phase: Option<usize>, before: &Clocks, after: &Clocks) {
        let Some(phase) = phase.and_then(|phase| self.phases.get_mut(phase)) else { return };
        phase.note_time(before, after);
    }

    fn ask_what_is_due(&mut self, phase: usize) -> Result<(), LoadError> {
        let now = Instant::now();
        let now_ns = nanoseconds(now.duration_since(self.began));
        let together = usize::from(self.pace.together);
        while let Some(meant_ns) = self.schedule.next_due(now_ns) {
            let Some(counts) = self.phases.get_mut(phase) else { return Ok(()) };
            counts.due += together as u64;
            let place = self.turn;
            self.turn = (self.turn + 1) % self.connections.len().max(1);
            let Some((connection, asked)) = self.connections.get_mut(place) else { return Ok(()) };
            if connection.under_way() + together > self.pace.under_way_max {
                counts.dropped += together as u64;
                continue;
            }
            asked.extend(std::iter::repeat_n(Asked { meant_ns, phase }, together));
            let depth = connection.under_way() + together;
            connection.ask(self.plan, depth, now)?;
        }
        Ok(())
    }

    /// Waits until something has come or is due, and reads and checks what came.
    fn turn(&mut self, checker: &mut Checker<'_>, at_most: Option<Duration>) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, at_most) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(LoadError::io("epoll"))?,
        }
        for event in &self.events {
            if event.token() == TIMER {
                self.timer.acknowledge();
                continue;
            }
            let Some((connection, asked)) = self.connections.get_mut(event.token().0) else { continue };
            if event.is_readable() {
                let received = connection.receive(&self.heads, checker, self.plan.requests.len())?;
                let now_ns = nanoseconds(self.began.elapsed());
                let mut body_bytes = received.body_bytes;
                for _ in 0..received.answers {
                    let Some(one) = asked.pop_front() else { break };
                    let Some(phase) = self.phases.get_mut(one.phase) else { break };
                    phase.note_answer(now_ns.saturating_sub(one.meant_ns), std::mem::take(&mut body_bytes));
                }
            }
            connection.write(self.plan)?;
        }
        Ok(())
    }

    /// Asks nothing more and waits for what is under way.
    fn drain(&mut self, checker: &mut Checker<'_>) -> Result<(), LoadError> {
        let until = Instant::now() + Duration::from_secs(DRAIN_S);
        loop {
            let missing: usize = self.connections.iter().map(|(connection, _)| connection.under_way()).sum();
            if missing == 0 {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LoadError::MissingAnswers { missing: missing as u64, seconds: DRAIN_S });
            }
            self.turn(checker, Some(left))?;
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
