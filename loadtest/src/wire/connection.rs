//! One connection: what it has asked, in order, and what has come.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;

use super::inbox::Inbox;
use super::{Framing, Judge, Script};
use crate::error::LoadError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers come in the order of the requests, and requests are asked in the order of the plan, so that two places and a count are all
/// that has to be remembered.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    inbox: Inbox,
    /// The next request to be written, and how much of the run that begins there has been.
    next: usize,
    next_bytes_written: usize,
    unwritten: usize,
    /// The request that the next answer belongs to.
    awaited: usize,
    under_way: usize,
    asked_at: Instant,
}

/// What came at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Received {
    pub(crate) answers: u64,
    pub(crate) body_bytes: u64,
}

impl Connection {
    /// Connects; its first request will be number `first`.
    pub(crate) fn open(address: SocketAddr, first: usize) -> Result<Connection, LoadError> {
        Connection::open_and(address, first, |_| Ok(()))
    }

    /// Connects, and says what the server wants to hear before the first request.
    pub(crate) fn open_and(
        address: SocketAddr,
        first: usize,
        greet: impl FnOnce(&mut std::net::TcpStream) -> Result<(), LoadError>,
    ) -> Result<Connection, LoadError> {
        let mut stream = std::net::TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(LoadError::io("connecting"))?;
        stream.set_nodelay(true).map_err(LoadError::io("TCP_NODELAY"))?;
        greet(&mut stream)?;
        stream.set_nonblocking(true).map_err(LoadError::io("a socket that does not block"))?;
        Ok(Connection {
            stream: TcpStream::from_std(stream),
            inbox: Inbox::new(),
            next: first,
            next_bytes_written: 0,
            unwritten: 0,
            awaited: first,
            under_way: 0,
            asked_at: Instant::now(),
        })
    }

    /// Requests without an answer.
    pub(crate) fn under_way(&self) -> usize {
        self.under_way
    }

    /// When a request was asked last.
    pub(crate) fn asked_at(&self) -> Instant {
        self.asked_at
    }

    /// Asks until `depth` requests are under way.
    pub(crate) fn ask(&mut self, script: &impl Script, depth: usize, now: Instant) -> Result<(), LoadError> {
        let more = depth.saturating_sub(self.under_way);
        if more > 0 {
            self.asked_at = now;
            self.under_way += more;
            self.unwritten += more;
        }
        self.write(script)
    }

    /// Writes what was asked and could not be written before.
    pub(crate) fn write(&mut self, script: &impl Script) -> Result<(), LoadError> {
        let requests = script.requests();
        while self.unwritten > 0 {
            let end = requests.len().min(self.next + self.unwritten);
            let run = requests.run(self.next..end);
            match self.stream.write(run.get(self.next_bytes_written..).unwrap_or_default()) {
                Ok(0) => return Err(LoadError::Closed),
                Ok(count) => self.next_bytes_written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(broken(error)),
            }
            if self.next_bytes_written == run.len() {
                self.unwritten -= end - self.next;
                self.next = end % requests.len();
                self.next_bytes_written = 0;
            }
        }
        Ok(())
    }

    /// Reads and checks all that has come.
    pub(crate) fn receive(
        &mut self,
        heads: &impl Framing,
        checker: &mut impl Judge,
        requests: usize,
    ) -> Result<Received, LoadError> {
        let mut received = Received::default();
        loop {
            let more = match self.inbox.fill(&mut self.stream) {
                Ok((0, _)) => return Err(LoadError::Closed),
                Ok((_, more)) => more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(received),
                Err(error) if error.kind() == ErrorKind::Interrupted => true,
                Err(error) => return Err(broken(error)),
            };
            loop {
                let request = self.awaited;
                let taken = self.inbox.take(heads, |status, body| {
                    checker.check(request, status, body);
                    body.len() as u64
                })?;
                let Some(body_bytes) = taken else { break };
                if self.under_way == 0 {
                    return Err(LoadError::NotHttp("an answer that nobody asked for"));
                }
                self.under_way -= 1;
                self.awaited = (self.awaited + 1) % requests;
                received.answers += 1;
                received.body_bytes += body_bytes;
            }
            // A read that left room has emptied the socket, and whatever comes later is told anew.
            if !more {
                return Ok(received);
            }
        }
    }
}

fn broken(error: std::io::Error) -> LoadError {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => LoadError::Closed,
        _ => LoadError::Io { what: "a connection", source: error },
    }
}
