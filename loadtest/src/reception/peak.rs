//! The run itself: one thread, because client and server share two cores.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use super::arrivals::{Arrival, Window};
use super::clock::{Alarm, now_ns};
use super::desks::Desks;
use super::questions::{Answers, Questions};
use super::record::{BUSY_EVERY_NS, Record};
use super::terminals::{Asking, Outcome, Terminal};
use crate::error::LoadError;
use crate::measure::cpu::thread_cpu;
use crate::wire::HeadReader;

/// Between the last preparation and the first moment.
const LEAD_NS: u64 = 20_000_000;
/// Nothing is waited for longer without a look at the clock.
const POLL_MS_MAX: u64 = 100;

/// What the region is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) address: SocketAddr,
    pub(crate) window: Window,
    pub(crate) gateways: u8,
    /// Connections that a gateway keeps open.
    pub(crate) kept_each: u8,
    /// Short connections at once.
    pub(crate) short: u8,
    /// When all kept connections go down and come up again, in nanoseconds since the window began.
    pub(crate) reconnect_at_ns: Option<u64>,
    /// How long the first connections, and the last answers, are waited for.
    pub(crate) patience: Duration,
    /// After so long without a word the server may hang up, and may do so just when something is asked.
    pub(crate) silence: Duration,
}

/// Sends everything at its moment. Whether the answers were right is for `answers` to say; `begun` hears when the window begins.
pub(crate) fn run<'q>(
    region: &Region,
    arrivals: &[Arrival],
    questions: &'q Questions,
    answers: &mut Answers<'q>,
    begun: impl FnOnce(),
) -> Result<Record, LoadError> {
    let mut peak = Peak::prepare(region, arrivals, questions, answers)?;
    peak.connect_all()?;
    begun();
    peak.began_ns = now_ns() + LEAD_NS;
    peak.play()?;
    peak.drain()?;
    Ok(peak.record)
}

struct Peak<'p, 'q> {
    region: &'p Region,
    arrivals: &'p [Arrival],
    questions: &'q Questions,
    answers: &'p mut Answers<'q>,
    poll: Poll,
    alarm: Alarm,
    heads: HeadReader,
    desks: Desks,
    terminals: Vec<Terminal>,
    record: Record,
    began_ns: u64,
    /// The next arrival to be sent.
    next: usize,
    reconnect: Reconnect,
    busy_since: (u64, Duration),
}

/// Where the great reconnect stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reconnect {
    None,
    At(u64),
    /// Since then.
    UnderWay(u64),
}

impl<'p, 'q> Peak<'p, 'q> {
    fn prepare(
        region: &'p Region,
        arrivals: &'p [Arrival],
        questions: &'q Questions,
        answers: &'p mut Answers<'q>,
    ) -> Result<Self, LoadError> {
        let poll = Poll::new().map_err(LoadError::io("epoll"))?;
        let desks = Desks::new(region.gateways, region.kept_each, region.short);
        let terminals = (0..desks.terminals()).map(|nth| Terminal::new(Token(nth), !desks.kept().contains(&nth))).collect();
        let alarm = Alarm::new(&poll, Token(desks.terminals()))?;
        let record = Record::new(region.window).ok_or_else(|| LoadError::Usage("no histogram can be made".to_owned()))?;
        Ok(Peak {
            region,
            arrivals,
            questions,
            answers,
            poll,
            alarm,
            heads: HeadReader::new(),
            desks,
            terminals,
            record,
            began_ns: 0,
            next: 0,
            reconnect: region.reconnect_at_ns.map_or(Reconnect::None, Reconnect::At),
            busy_since: (0, Duration::ZERO),
        })
    }

    /// Opens all kept connections and waits until they stand: the region is there before the morning begins.
    fn connect_all(&mut self) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(self.terminals.len() + 1);
        let began = Instant::now();
        for terminal in self.terminals.iter_mut().take(self.desks.kept().len()) {
            terminal.open(self.poll.registry(), self.region.address)?;
        }
        while self.unconnected() > 0 {
            if began.elapsed() > self.region.patience {
                return Err(LoadError::Server(format!("{} does not take a region's connections", self.region.address)));
            }
            self.turn(&mut events, Some(Duration::from_millis(POLL_MS_MAX)))?;
        }
        Ok(())
    }

    fn unconnected(&self) -> usize {
        self.terminals.iter().filter(|terminal| !terminal.is_short() && !terminal.is_connected()).count()
    }

    /// Sends until nothing is left to send.
    fn play(&mut self) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(self.terminals.len() + 1);
        self.busy_since = (now_ns(), thread_cpu());
        while let Some(arrival) = self.arrivals.get(self.next) {
            let next_ns = self.began_ns + arrival.at_ns;
            if now_ns() >= next_ns {
                self.send_due()?;
            } else {
                self.alarm.set(next_ns)?;
            }
            self.reconnect_when_due()?;
            self.note_busy();
            let waits = self.arrivals.get(self.next).is_some_and(|arrival| now_ns() < self.began_ns + arrival.at_ns);
            self.turn(&mut events, Some(if waits { Duration::from_millis(POLL_MS_MAX) } else { Duration::ZERO }))?;
        }
        Ok(())
    }

    /// Waits for what is under way, the great reconnect included, and counts what does not come.
    fn drain(&mut self) -> Result<(), LoadError> {
        let mut events = Events::with_capacity(self.terminals.len() + 1);
        let began = Instant::now();
        let is_done = |peak: &Self| peak.desks.free() == peak.desks.terminals() && !peak.is_reconnecting();
        while !is_done(self) && began.elapsed() < self.region.patience {
            self.turn(&mut events, Some(Duration::from_millis(POLL_MS_MAX)))?;
        }
        let under_way = self.terminals.iter_mut().filter_map(Terminal::abandon).count();
        self.record.dropped += (under_way + self.desks.waiting()) as u64;
        Ok(())
    }

    /// Sends what is due, and what becomes due meanwhile, until answers should be looked at again.
    fn send_due(&mut self) -> Result<(), LoadError> {
        for _ in 0..self.terminals.len() {
            let Some(arrival) = self.arrivals.get(self.next) else { return Ok(()) };
            let now = now_ns();
            let Some(late_ns) = now.checked_sub(self.began_ns + arrival.at_ns) else { return Ok(()) };
            let nth = u32::try_from(self.next).unwrap_or(u32::MAX);
            self.next += 1;
            self.record.offered(arrival);
            if let Some(terminal) = self.desks.arrive(nth, arrival) {
                self.record.late(late_ns);
                if !self.ask(terminal, nth, false)? {
                    self.drop_one(terminal)?;
                }
            }
        }
        Ok(())
    }

    /// Whether it could be asked on that connection.
    fn ask(&mut self, terminal: usize, nth: u32, again: bool) -> Result<bool, LoadError> {
        let (Some(arrival), Some(place)) = (self.arrivals.get(index(nth)), self.terminals.get_mut(terminal)) else {
            return Ok(false);
        };
        let outcome = place.ask((nth, again), self.questions.request(arrival), self.poll.registry(), self.region.address)?;
        Ok(outcome == Outcome::Waiting)
    }

    /// Waits for something to happen and looks at it.
    fn turn(&mut self, events: &mut Events, at_most: Option<Duration>) -> Result<(), LoadError> {
        match self.poll.poll(events, at_most) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(LoadError::io("epoll"))?,
        }
        for event in events.iter() {
            self.look(event.token().0)?;
        }
        Ok(())
    }

    fn look(&mut self, terminal: usize) -> Result<(), LoadError> {
        // The alarm is no terminal: it only ends the waiting.
        let Some(place) = self.terminals.get_mut(terminal) else { return Ok(()) };
        let was_connected = place.is_connected();
        let asked = place.asking().and_then(|asking| self.arrivals.get(index(asking.arrival)));
        let request = asked.map_or(&[][..], |arrival| self.questions.request(arrival));
        let answers = &mut *self.answers;
        let mut refused = false;
        let outcome = place.look(request, &self.heads, |status, body| {
            // A server that says no has answered, but not the question.
            refused = matches!(status, 429 | 503);
            if let Some(arrival) = asked {
                answers.check(arrival, status, body);
            }
        })?;
        if !was_connected && place.is_connected() {
            self.note_connected();
        }
        match outcome {
            // Where all come at once, one may be turned away; a gateway tries again.
            Outcome::Ended(None) if self.is_reconnecting() && self.desks.kept().contains(&terminal) => self.reopen(terminal),
            Outcome::Waiting | Outcome::Ended(None) => Ok(()),
            Outcome::Ended(Some(asking)) => self.ended(terminal, asking),
            Outcome::Answered(_) if refused => self.drop_one(terminal),
            Outcome::Answered(asking) => {
                if let Some(arrival) = asked {
                    let now = now_ns();
                    let intended = self.began_ns + arrival.at_ns;
                    self.record.answered(arrival, now.saturating_sub(intended), now.saturating_sub(asking.sent_ns));
                }
                self.next_of(terminal)
            }
        }
    }

    /// A connection ended with a request on it. Where it had been silent for long the server had every right to end it, and hung up before
    /// it read the request: then it is asked once more, as any client with a pool of connections does, and has waited since its own
    /// moment. Everything else is a drop.
    fn ended(&mut self, terminal: usize, asking: Asking) -> Result<(), LoadError> {
        let was_silent = Duration::from_nanos(asking.silence_ns) >= self.region.silence;
        if was_silent && !asking.again && self.ask(terminal, asking.arrival, true)? {
            self.record.asked_again += 1;
            return Ok(());
        }
        self.drop_one(terminal)
    }

    /// A request has no answer and will get none.
    fn drop_one(&mut self, terminal: usize) -> Result<(), LoadError> {
        self.record.dropped += 1;
        self.next_of(terminal)
    }

    /// The connection is done with its question.
    fn next_of(&mut self, terminal: usize) -> Result<(), LoadError> {
        while let Some(nth) = self.desks.done(terminal) {
            if self.ask(terminal, nth, false)? {
                break;
            }
            self.record.dropped += 1;
        }
        Ok(())
    }

    /// The networks of all gateways go down and come up at the same moment. What was under way is asked again, and has waited since its
    /// own moment.
    fn reconnect_when_due(&mut self) -> Result<(), LoadError> {
        let Reconnect::At(at_ns) = self.reconnect else { return Ok(()) };
        let now = now_ns();
        if now < self.began_ns + at_ns {
            return Ok(());
        }
        self.reconnect = Reconnect::UnderWay(now);
        for terminal in self.terminals.iter_mut().filter(|terminal| !terminal.is_short()) {
            self.record.asked_again += u64::from(terminal.asking().is_some());
            terminal.open(self.poll.registry(), self.region.address)?;
        }
        Ok(())
    }

    fn reopen(&mut self, terminal: usize) -> Result<(), LoadError> {
        let Some(place) = self.terminals.get_mut(terminal) else { return Ok(()) };
        place.open(self.poll.registry(), self.region.address)
    }

    fn is_reconnecting(&self) -> bool {
        matches!(self.reconnect, Reconnect::UnderWay(_))
    }

    fn note_connected(&mut self) {
        if let Reconnect::UnderWay(since) = self.reconnect
            && self.unconnected() == 0
        {
            self.record.reconnected_after_ns = Some(now_ns().saturating_sub(since));
            self.reconnect = Reconnect::None;
        }
    }

    fn note_busy(&mut self) {
        let now = now_ns();
        let (since, before) = self.busy_since;
        let elapsed = now.saturating_sub(since);
        if elapsed >= BUSY_EVERY_NS {
            let cpu = thread_cpu();
            self.record.busy(cpu.saturating_sub(before).as_secs_f64() / Duration::from_nanos(elapsed).as_secs_f64());
            self.busy_since = (now, cpu);
        }
    }
}

fn index(nth: u32) -> usize {
    usize::try_from(nth).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
