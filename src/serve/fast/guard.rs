//! The doors to the kernel that need `unsafe`: a connection's socket by its bare number, and what `TCP_INFO` says of it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{Shutdown, sockopt};

use crate::limits::LISTENER_RECEIVE_BUFFER_BYTES;

/// A connection's socket, for as long as its service lives.
///
/// The engine hands over a number, not an owner. The number means this socket until the engine closes its stream, which it does after
/// dropping the service; the service's drop calls [`withdraw`](Self::withdraw). So whoever holds the lock and finds a number there may
/// use it, and nobody can hit a later socket that got the same number.
#[derive(Debug, Default)]
pub(super) struct Socket(Mutex<Option<RawFd>>);

impl Socket {
    /// Takes up the number that `HttpServiceFactory::new_service` was given, from within that call.
    pub(super) fn adopt(&self, id: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = RawFd::try_from(id).ok().filter(|fd| *fd >= 0);
    }

    /// Forgets the number. After this returns nobody uses it any more.
    pub(super) fn withdraw(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Does something with the socket, unless it has been withdrawn.
    pub(super) fn with<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        let number = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fd = (*number)?;
        // SAFETY: the number was adopted from a stream that the engine keeps open until after `withdraw`, which needs the lock that is
        // held here. It is not -1, because `adopt` takes no negative number.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Some(act(fd))
    }
}

/// Makes a fresh connection ready: answers leave at once. Returns the peer.
pub(super) fn prepare(fd: BorrowedFd<'_>) -> io::Result<IpAddr> {
    sockopt::set_tcp_nodelay(fd, true)?;
    let peer = rustix::net::getpeername(fd)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    Ok(peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip().to_canonical()))
}

/// Bounds the receive buffers of all connections to come, through the listening sockets that they inherit it from.
///
/// Set on a connection it would be too late: the peer has been told of a larger window, sizes its segments by that, and then waits for the
/// kernel's 200 ms probe whenever one does not fit. The engine keeps its listening sockets to itself, so that they are looked for among
/// the process's descriptors.
pub(super) fn bound_receive_buffers(address: SocketAddr) -> io::Result<()> {
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let Some(fd) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else { continue };
        // SAFETY: the number was open a moment ago. Should another thread have closed it since, the calls below fail or look at what has
        // taken its place, and nothing but a socket that listens on this very address is changed.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let ours = || rustix::net::getsockname(fd).ok().and_then(|name| SocketAddr::try_from(name).ok()) == Some(address);
        if sockopt::socket_acceptconn(fd) == Ok(true) && ours() {
            sockopt::set_socket_recv_buffer_size(fd, LISTENER_RECEIVE_BUFFER_BYTES)?;
        }
    }
    Ok(())
}

/// Ends a connection at once: the kernel drops what was not sent and tells the peer.
pub(super) fn cut(fd: BorrowedFd<'_>) {
    let _ = sockopt::set_socket_linger(fd, Some(Duration::ZERO));
    let _ = rustix::net::shutdown(fd, Shutdown::Both);
}

/// Ends a connection in order: what was written still arrives.
pub(super) fn shut(fd: BorrowedFd<'_>) {
    let _ = rustix::net::shutdown(fd, Shutdown::Both);
}

/// A second owner of the socket.
pub(super) fn duplicate(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, 3)?)
}

/// What the kernel has counted on a connection, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    /// Bytes that arrived, read by the process or not.
    pub(super) received: u64,
    /// Bytes that the peer acknowledged.
    pub(super) acked: u64,
    /// Bytes that the process has written.
    pub(super) written: u64,
}

const TCP_INFO_BYTES: libc::socklen_t = 256;

/// Reads `TCP_INFO`. The structure only ever grows at its end; bindings lag behind it, so that the fields are taken by their offsets.
pub(super) fn traffic(fd: BorrowedFd<'_>) -> io::Result<Traffic> {
    let mut info = [0_u8; TCP_INFO_BYTES as usize];
    let mut length = TCP_INFO_BYTES;
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `length` bytes into `info`, which has as many, and
    // any bytes are valid there.
    let result =
        unsafe { libc::getsockopt(fd.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length) };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let long = |offset: usize| info.get(offset..offset + 8).and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_ne_bytes);
    let word = |offset: usize| info.get(offset..offset + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let (acked, received, unsent, sent, resent) = (long(120), long(128), word(144), long(200), long(208));
    Ok(Traffic { received, acked, written: sent.saturating_sub(resent) + u64::from(unsent) })
}
