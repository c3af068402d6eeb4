//! One connection, with one request under way at a time.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, ipproto, socket_with, sockopt};

use super::clock::now_ns;
use crate::error::LoadError;
use crate::wire::{HeadReader, Inbox};

/// Closing a connection keeps its port for a minute, and a source address has some 28,000 of them. Short connections go out from these
/// many addresses of the loopback network in turn, which is enough for seven thousand a second for ever.
const SOURCE_ADDRESSES: u8 = 16;

/// A connection that may be open, opening or closed, and is opened when something is to be asked.
pub(crate) struct Terminal {
    token: Token,
    stream: Option<TcpStream>,
    connected: bool,
    inbox: Inbox,
    asking: Option<Asking>,
    written: usize,
    /// Whether its connection ends with the answer.
    short: bool,
    /// When the connection was made or last answered.
    active_ns: u64,
    opened: u32,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asking {
    /// Place among the arrivals.
    pub(crate) arrival: u32,
    /// When it was handed to the connection.
    pub(crate) sent_ns: u64,
    /// How long the connection had been silent before.
    pub(crate) silence_ns: u64,
    /// Asked before, on a connection that ended.
    pub(crate) again: bool,
}

/// What came of looking at a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing to tell yet.
    Waiting,
    /// The request was answered.
    Answered(Asking),
    /// The connection was refused or ended; the request on it, if any, has no answer.
    Ended(Option<Asking>),
}

impl Terminal {
    pub(crate) fn new(token: Token, short: bool) -> Terminal {
        let inbox = Inbox::new();
        Terminal { token, stream: None, connected: false, inbox, asking: None, written: 0, short, active_ns: 0, opened: 0 }
    }

    pub(crate) fn is_short(&self) -> bool {
        self.short
    }

    pub(crate) fn asking(&self) -> Option<Asking> {
        self.asking
    }

    /// Whether a connection stands.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected
    }

    /// Begins to connect. The outcome comes as an event; one that is refused at once leaves the terminal closed.
    pub(crate) fn open(&mut self, registry: &Registry, address: SocketAddr) -> Result<(), LoadError> {
        self.close();
        let nth = self.opened.wrapping_add(u32::try_from(self.token.0).unwrap_or(0));
        self.opened = self.opened.wrapping_add(1);
        let source = self.short.then(|| source(nth));
        let Some(mut stream) = begin(source, address)? else { return Ok(()) };
        let interest = Interest::READABLE | Interest::WRITABLE;
        registry.register(&mut stream, self.token, interest).map_err(LoadError::io("epoll"))?;
        self.stream = Some(stream);
        Ok(())
    }

    /// Hangs up. What was asked stays asked, to be asked again on the next connection.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.connected = false;
        self.written = 0;
        self.inbox.clear();
    }

    /// Asks, at once where a connection stands, else as soon as it does.
    pub(crate) fn ask(
        &mut self,
        (arrival, again): (u32, bool),
        request: &[u8],
        registry: &Registry,
        address: SocketAddr,
    ) -> Result<Outcome, LoadError> {
        debug_assert!(self.asking.is_none(), "one at a time");
        let sent_ns = now_ns();
        let silence_ns = if self.connected { sent_ns.saturating_sub(self.active_ns) } else { 0 };
        self.asking = Some(Asking { arrival, sent_ns, silence_ns, again });
        self.written = 0;
        if self.stream.is_none() {
            self.open(registry, address)?;
        }
        Ok(match &self.stream {
            Some(_) if self.connected => self.write(request),
            Some(_) => Outcome::Waiting,
            None => self.ended(),
        })
    }

    /// The connection has something to say: that it stands, that there is room to write, or that something came. `check` is given the
    /// status and the body of an answer.
    pub(crate) fn look(
        &mut self,
        request: &[u8],
        heads: &HeadReader,
        check: impl FnOnce(u16, &[u8]),
    ) -> Result<Outcome, LoadError> {
        if !self.connected && !self.has_connected() {
            return Ok(if self.stream.is_some() { Outcome::Waiting } else { self.ended() });
        }
        if let Outcome::Ended(asking) = self.write(request) {
            return Ok(Outcome::Ended(asking));
        }
        self.read(heads, check)
    }

    /// Gives up what is under way.
    pub(crate) fn abandon(&mut self) -> Option<Asking> {
        self.close();
        self.asking.take()
    }

    /// Looks how connecting went; closes the connection if it went badly.
    fn has_connected(&mut self) -> bool {
        let Some(stream) = &self.stream else { return false };
        match (stream.take_error(), stream.peer_addr()) {
            (Ok(None), Ok(_)) => {
                self.connected = true;
                self.active_ns = now_ns();
            }
            (Ok(None), Err(error)) if error.kind() == ErrorKind::NotConnected => {}
            _ => self.close(),
        }
        self.connected
    }

    fn write(&mut self, request: &[u8]) -> Outcome {
        let (Some(stream), Some(_)) = (&mut self.stream, self.asking) else { return Outcome::Waiting };
        while let Some(rest) = request.get(self.written..).filter(|rest| !rest.is_empty()) {
            match stream.write(rest) {
                Ok(count) if count > 0 => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Outcome::Waiting,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return self.ended(),
            }
        }
        Outcome::Waiting
    }

    fn read(&mut self, heads: &HeadReader, check: impl FnOnce(u16, &[u8])) -> Result<Outcome, LoadError> {
        let mut check = Some(check);
        loop {
            let Some(stream) = &mut self.stream else { return Ok(Outcome::Waiting) };
            let more = match self.inbox.fill(stream) {
                Ok((0, _)) => return Ok(self.ended()),
                Ok((_, more)) => more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Outcome::Waiting),
                Err(error) if error.kind() == ErrorKind::Interrupted => true,
                Err(_) => return Ok(self.ended()),
            };
            let taken = self.inbox.take(heads, |status, body| {
                if let Some(check) = check.take() {
                    check(status, body);
                }
            })?;
            if taken.is_some() {
                let asking = self.asking.take().ok_or(LoadError::NotHttp("an answer that nobody asked for"))?;
                self.active_ns = now_ns();
                if self.short {
                    self.close();
                }
                return Ok(Outcome::Answered(asking));
            }
            if !more {
                return Ok(Outcome::Waiting);
            }
        }
    }

    fn ended(&mut self) -> Outcome {
        Outcome::Ended(self.abandon())
    }
}

fn source(nth: u32) -> IpAddr {
    let last = u8::try_from(nth % u32::from(SOURCE_ADDRESSES)).unwrap_or(0);
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2 + last))
}

/// A connection that is being made; none where nobody listens.
fn begin(source: Option<IpAddr>, address: SocketAddr) -> Result<Option<TcpStream>, LoadError> {
    let failed = |error: rustix::io::Errno| LoadError::io("connecting")(error.into());
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket: OwnedFd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP)).map_err(failed)?;
    sockopt::set_tcp_nodelay(&socket, true).map_err(failed)?;
    if let Some(source) = source.filter(|source| source.is_ipv4() == address.is_ipv4()) {
        bind(&socket, &SocketAddr::new(source, 0)).map_err(failed)?;
    }
    match connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(Some(TcpStream::from_std(std::net::TcpStream::from(socket)))),
        Err(rustix::io::Errno::CONNREFUSED) => Ok(None),
        Err(error) => Err(failed(error)),
    }
}
