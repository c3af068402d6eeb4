//! One thread that drives all connections, because client and server share two cores.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token};

use crate::arguments::ClockArguments;
use crate::error::LoadError;
use crate::measure::cpu::{process_cpu, thread_cpu};
use crate::wire::{Connection, Judge, Received, Script};

/// How long answers may be waited for when nothing more is asked.
const DRAIN_S: u64 = 10;
/// Latencies beyond this count as this, in ns.
const LATENCY_MAX_NS: u64 = 60_000_000_000;

/// How to ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) connections: u16,
    pub(crate) depth: u16,
    pub(crate) clock: ClockArguments,
    /// The server's process, for its CPU time.
    pub(crate) server_pid: Option<u32>,
}

/// What was measured between two moments.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) lookups: u64,
    pub(crate) requests: u64,
    pub(crate) body_bytes: u64,
    pub(crate) elapsed: Duration,
    pub(crate) server_cpu: Option<Duration>,
    pub(crate) client_cpu: Duration,
    /// Nanoseconds from asking to having read the answer; only where one request is under way.
    pub(crate) latencies_ns: Option<Histogram<u64>>,
}

/// Asks for as long as the clock says, waits for what is under way, and fails if an answer is missing. Whether the answers were right
/// is for the checker to say.
pub(crate) fn drive<S: Script>(plan: &S, load: &Load, checker: &mut impl Judge) -> Result<Measured, LoadError> {
    let mut drive = Drive::connect(plan, load)?;
    drive.run(checker, load.clock.warm_up_ms)?;
    let measured = drive.measure(checker, load)?;
    drive.drain(checker)?;
    Ok(measured)
}

struct Drive<'p, S: Script> {
    plan: &'p S,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    heads: S::Framing,
    depth: usize,
    asking: bool,
    received: Received,
    latencies_ns: Option<Histogram<u64>>,
}

impl<'p, S: Script> Drive<'p, S> {
    fn connect(plan: &'p S, load: &Load) -> Result<Drive<'p, S>, LoadError> {
        if !load.address.ip().is_loopback() {
            return Err(LoadError::Usage("only a server on loopback may be loaded".to_owned()));
        }
        let poll = Poll::new().map_err(LoadError::io("epoll"))?;
        let count = usize::from(load.connections);
        let mut connections = Vec::with_capacity(count);
        for nth in 0..count {
            let mut connection =
                Connection::open_and(load.address, nth * plan.requests().len() / count, |stream| plan.greet(stream))?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.stream, Token(nth), interest).map_err(LoadError::io("epoll"))?;
            connections.push(connection);
        }
        Ok(Drive {
            plan,
            poll,
            events: Events::with_capacity(count),
            connections,
            heads: plan.framing(),
            depth: usize::from(load.depth),
            asking: true,
            received: Received::default(),
            latencies_ns: None,
        })
    }

    /// Asks and checks for a while.
    fn run(&mut self, checker: &mut impl Judge, duration_ms: u64) -> Result<(), LoadError> {
        let until = Instant::now() + Duration::from_millis(duration_ms);
        let now = Instant::now();
        for connection in &mut self.connections {
            connection.ask(self.plan, self.depth, now)?;
        }
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.turn(checker, left)?;
        }
        Ok(())
    }

    fn measure(&mut self, checker: &mut impl Judge, load: &Load) -> Result<Measured, LoadError> {
        let server_cpu = || load.server_pid.map(process_cpu).transpose();
        self.received = Received::default();
        if self.depth == 1 {
            self.latencies_ns = Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3).ok();
        }
        let (began, server_before, client_before) = (Instant::now(), server_cpu()?, thread_cpu());
        self.run(checker, load.clock.seconds * 1_000)?;
        let (elapsed, server_after, client_after) = (began.elapsed(), server_cpu()?, thread_cpu());
        Ok(Measured {
            lookups: self.received.answers * self.plan.lookups_per_request() as u64,
            requests: self.received.answers,
            body_bytes: self.received.body_bytes,
            elapsed,
            server_cpu: server_after.zip(server_before).map(|(after, before)| after.saturating_sub(before)),
            client_cpu: client_after.saturating_sub(client_before),
            latencies_ns: self.latencies_ns.take(),
        })
    }

    /// Asks nothing more and waits for what is under way.
    fn drain(&mut self, checker: &mut impl Judge) -> Result<(), LoadError> {
        self.asking = false;
        let until = Instant::now() + Duration::from_secs(DRAIN_S);
        loop {
            let missing: usize = self.connections.iter().map(Connection::under_way).sum();
            if missing == 0 {
                return Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LoadError::MissingAnswers { missing: missing as u64, seconds: DRAIN_S });
            }
            self.turn(checker, left)?;
        }
    }

    /// Waits for something to come, reads and checks it, and asks again.
    fn turn(&mut self, checker: &mut impl Judge, at_most: Duration) -> Result<(), LoadError> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            polled => polled.map_err(LoadError::io("epoll"))?,
        }
        for event in &self.events {
            let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
            if event.is_readable() {
                let received = connection.receive(&self.heads, checker, self.plan.requests().len())?;
                self.received.answers += received.answers;
                self.received.body_bytes += received.body_bytes;
                if received.answers > 0 && (self.asking || self.latencies_ns.is_some()) {
                    let now = Instant::now();
                    if let Some(latencies_ns) = &mut self.latencies_ns {
                        let waited = now.duration_since(connection.asked_at()).as_nanos();
                        latencies_ns.saturating_record(u64::try_from(waited).unwrap_or(LATENCY_MAX_NS));
                    }
                    if self.asking {
                        connection.ask(self.plan, self.depth, now)?;
                    }
                    continue;
                }
            }
            // Also when nothing more is asked: a request half written has to be finished.
            connection.write(self.plan)?;
        }
        Ok(())
    }
}
