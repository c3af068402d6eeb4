//! The look-up listener on `may_minihttp`, and the guard that lets it face hostile clients.
//!
//! `may_minihttp` parses requests and runs one coroutine a connection, very fast, but it has no limits: it believes every header, waits
//! for ever, and keeps whatever a peer sends or does not read. Its one handle is that each connection gets a service and the service
//! learns the socket's descriptor. What stands here is built on that:
//!
//! - [`connection`](self) validates each head before it touches the body, and accounts for every byte it produces;
//! - the *registry* knows all live connections and displaces the idle ones at the cap;
//! - the *sweeper*, an OS thread, asks the kernel what each socket has received and acknowledged and shuts down those that are idle,
//!   slow, or hold more memory than they may;
//! - a *farewell* takes the socket over from the engine after a refused request or `Connection: close`, so that the last answer reaches
//!   the peer and nothing after it is served.
//!
//! # What remains the engine's way
//!
//! - More than 16 headers, or a malformed request line, closes the connection without an answer; the engine prints one line to
//!   standard error.
//! - A peer that closes its sending half together with its last request gets no answer to what arrived with the close.
//! - While the body of a request has not arrived, answers to the requests pipelined before it wait too.
//! - The engine logs each closed connection as an error under the target `may_minihttp`, and `generator` logs each taken-over one: a
//!   subscriber should turn `may_minihttp`, `may` and `generator` off.
//! - The engine must be built with `panic = "unwind"`.

mod connection;
mod counters;
mod farewell;
mod framing;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod guard;
mod limits;
mod listener;
mod recent;
mod registry;
mod reply;
mod request;
mod retry;
mod sweeper;
mod tally;
mod watch;
pub mod wire;

pub use counters::{Counted, Counters};
pub use limits::ListenerLimits;
pub(in crate::serve) use listener::descriptors_are_short;
pub use listener::{FastListener, ListenError};
pub use reply::{ContentType, Reply};
pub use request::{Method, Request};

/// What answers a request.
///
/// Called on a worker that many connections share: it must not block, lock, log, touch files, or yield.
pub trait Answer: Send + Sync + 'static {
    /// Reads the request, writes the reply. A panic is caught, answered with 500, and ends the connection.
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>);
}

impl<F> Answer for F
where
    F: Fn(&Request<'_>, &mut Reply<'_>) + Send + Sync + 'static,
{
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>) {
        self(request, reply);
    }
}
