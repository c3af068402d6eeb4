#![forbid(unsafe_code)]
//! The end of a connection that must be ended: its last answer is written, its sending half closed, and what the peer is still sending
//! thrown away for a while. Closing at once would make the kernel answer the peer's next bytes with a reset, and a reset can overtake
//! the answer that explains it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown};

use super::limits::ListenerLimits;

/// Reads in one step, so that one fast sender does not keep the sweeper from the others.
const READS_A_STEP: usize = 8;

/// A socket owned apart from the engine, which has forgotten the connection.
#[derive(Debug)]
pub(super) struct Farewell {
    socket: OwnedFd,
    unsent: BytesMut,
    drained: u64,
    moved_at: Instant,
    said: bool,
}

impl Farewell {
    /// Begins with the first attempt to write, which is nearly always the whole.
    pub(super) fn begin(socket: OwnedFd, unsent: BytesMut) -> Self {
        let mut farewell = Self { socket, unsent, drained: 0, moved_at: Instant::now(), said: false };
        farewell.say();
        farewell
    }

    /// Bytes of the last answer that are still here.
    pub(super) fn unsent_bytes(&self) -> u64 {
        self.unsent.len() as u64
    }

    /// Goes on a little. Returns whether there is more to do; otherwise the socket can be closed.
    pub(super) fn step(&mut self, limits: &ListenerLimits, now: Instant, scratch: &mut [u8]) -> bool {
        if !self.said {
            return self.say() && self.within(limits.unread_timeout, now);
        }
        for _ in 0..READS_A_STEP {
            match rustix::net::recv(&self.socket, &mut *scratch, RecvFlags::DONTWAIT) {
                Ok((0, _)) => return false,
                Ok((bytes, _)) => self.drained += bytes as u64,
                Err(Errno::AGAIN | Errno::INTR) => break,
                Err(_) => return false,
            }
        }
        self.drained <= limits.drain_bytes_max && self.within(limits.drain_timeout, now)
    }

    fn within(&self, timeout: Duration, now: Instant) -> bool {
        now.saturating_duration_since(self.moved_at) <= timeout
    }

    /// Writes what can be written; closes the sending half after the last byte. False when the peer is gone.
    fn say(&mut self) -> bool {
        while !self.unsent.is_empty() {
            match rustix::net::send(&self.socket, &self.unsent, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(bytes) => {
                    self.unsent.advance(bytes);
                    self.moved_at = Instant::now();
                }
                Err(Errno::AGAIN | Errno::INTR) => return true,
                Err(_) => return false,
            }
        }
        self.unsent = BytesMut::new();
        self.said = true;
        rustix::net::shutdown(&self.socket, Shutdown::Write).is_ok()
    }
}
