#![forbid(unsafe_code)]
//! Starting and stopping.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use may::coroutine;
use may_minihttp::HttpServiceFactory;
use rustix::net::sockopt;
use rustix::process::{Resource, getrlimit, setrlimit};

use super::connection::{Connection, leave};
use super::counters::Counters;
use super::guard::{self, Socket};
use super::limits::ListenerLimits;
use super::registry::Registry;
use super::{Answer, sweeper};
use crate::limits::{
    API_CONNECTIONS_MAX, API_HANDSHAKES_MAX, LISTENER_ACCEPTS_IN_A_ROW, LISTENER_DESCRIPTORS_LEFT, LISTENER_FAREWELLS_MAX,
    LISTENER_LEAVING_MAX,
};

/// Words of a coroutine's stack, 256 KiB; only what is touched is resident.
const STACK_WORDS: usize = 0x8000;

/// Stacks the engine keeps for later; it makes them all when it starts.
const STACKS_KEPT: usize = 256;

/// Descriptors the rest of the appliance needs, the API's connections among them.
const DESCRIPTORS_ELSEWHERE: u64 = 256 + (API_CONNECTIONS_MAX + API_HANDSHAKES_MAX) as u64;

/// Connections made to one's own listener to end its acceptors; a few are enough unless a crowd stands at the door.
const STOP_KNOCKS_MAX: u32 = 2_000;
const STOP_KNOCK_TIMEOUT: Duration = Duration::from_millis(100);

const ACCEPT_PAUSE: Duration = Duration::from_millis(1);

/// Why listening did not begin.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else listens there. The engine would share the port with them silently.
    #[error("{address} is in use by another program; stop it or choose another address with --listen")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system allows too few open files for the connections that the limits allow.
    #[error("{needed} open files are needed for the connections allowed, but the system permits {allowed} (ulimit -n)")]
    TooFewDescriptors {
        /// By these limits.
        needed: u64,
        /// By the system, at most.
        allowed: u64,
    },
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// The look-up listener. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
#[derive(Debug)]
pub struct FastListener {
    address: SocketAddr,
    registry: Arc<Registry>,
    sweeper: Option<thread::JoinHandle<()>>,
}

impl FastListener {
    /// Listens on `address` (port 0 takes a free one) and answers with `answer`. The first listener of a process starts the engine's
    /// workers, one a core, which live as long as the process.
    pub fn start<A: Answer>(address: SocketAddr, limits: ListenerLimits, answer: &Arc<A>) -> Result<Self, ListenError> {
        let workers = configure_engine();
        permit_descriptors(&limits)?;
        let failed = |source| ListenError::Io { address, source };
        let claim = claim(address)?;
        let local = claim.local_addr().map_err(failed)?;
        let registry = Arc::new(Registry::new(limits));
        let sweeper = thread::Builder::new().name("listener-sweeper".to_owned()).spawn({
            let registry = Arc::clone(&registry);
            move || sweeper::run(registry)
        });
        let sweeper = sweeper.map_err(failed)?;
        let _ = registry.sweeper.set(sweeper.thread().clone());
        let listener = Self { address: local, registry, sweeper: Some(sweeper) };
        for _ in 0..workers {
            let reception =
                Reception { answer: Arc::clone(answer), registry: Arc::clone(&listener.registry), pace: Mutex::new(Pace::new()) };
            // Its handle could only cancel it, which is not needed: an acceptor ends by itself when the listener stops.
            drop(reception.start(local).map_err(failed)?);
        }
        guard::bound_receive_buffers(local).map_err(failed)?;
        Ok(listener)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Its counts, to keep.
    pub fn counters(&self) -> Counters {
        Counters(Arc::clone(&self.registry))
    }

    /// Takes no new connections, lets requests under way be answered, shuts the others, and returns when all are gone or, after the
    /// limits' `stop_timeout`, cut.
    pub fn stop(mut self) {
        self.begin_to_stop();
        if let Some(sweeper) = self.sweeper.take() {
            // A panic of the sweeper was reported when it happened; there is nothing to add here.
            let _ = sweeper.join();
        }
    }

    fn begin_to_stop(&mut self) {
        if self.registry.stopping.swap(true, Ordering::AcqRel) {
            return;
        }
        self.registry.wake_sweeper();
        // An acceptor finds out when it has accepted something. The kernel spreads connections over the acceptors that are left, and
        // refuses when there are none.
        let mut knocks = 0..STOP_KNOCKS_MAX;
        while knocks.next().is_some() && TcpStream::connect_timeout(&self.address, STOP_KNOCK_TIMEOUT).is_ok() {
            thread::yield_now();
        }
    }
}

impl Drop for FastListener {
    fn drop(&mut self) {
        self.begin_to_stop();
    }
}

/// Makes the service of each new connection. One an acceptor.
struct Reception<A> {
    answer: Arc<A>,
    registry: Arc<Registry>,
    pace: Mutex<Pace>,
}

impl<A: Answer> HttpServiceFactory for Reception<A> {
    type Service = Connection<A>;

    fn new_service(&self, id: usize) -> Connection<A> {
        if self.registry.stopping.load(Ordering::Acquire) {
            leave();
        }
        let pause = self.pace.lock().unwrap_or_else(PoisonError::into_inner).pause();
        if pause {
            // A worker that finds the next connection waiting after each one would accept for as long as somebody knocks, and serve
            // nobody meanwhile.
            coroutine::sleep(ACCEPT_PAUSE);
        }
        let place = if descriptors_are_short(id) { None } else { self.registry.enter(id) };
        let peer = place.as_ref().and_then(|place| place.slot.socket.with(guard::prepare)).and_then(Result::ok);
        if place.is_none() {
            self.registry.tally.refused.add(1);
            let socket = Socket::default();
            socket.adopt(id);
            socket.with(guard::cut);
            socket.withdraw();
        }
        Connection::new(Arc::clone(&self.answer), Arc::clone(&self.registry), place, peer)
    }
}

/// Counts accepts that follow each other closely.
struct Pace {
    began: Instant,
    accepts: u32,
}

impl Pace {
    fn new() -> Self {
        Self { began: Instant::now(), accepts: 0 }
    }

    fn pause(&mut self) -> bool {
        let now = Instant::now();
        if now.duration_since(self.began) > 10 * ACCEPT_PAUSE {
            *self = Self { began: now, accepts: 0 };
        }
        self.accepts += 1;
        let pause = self.accepts >= LISTENER_ACCEPTS_IN_A_ROW;
        if pause {
            self.accepts = 0;
        }
        pause
    }
}

/// Makes sure that nobody listens there, and keeps it so until the engine does.
///
/// The engine sets `SO_REUSEPORT`, with which two servers share a port and each gets some of the connections. This socket does not, so it
/// is refused where anybody listens; only then is the option set, so that the engine's sockets may join it.
fn claim(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let claim = TcpListener::bind(address).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        _ => ListenError::Io { address, source },
    })?;
    sockopt::set_socket_reuseport(&claim, true).map_err(|source| ListenError::Io { address, source: source.into() })?;
    Ok(claim)
}

/// The engine spins when it can accept no more for want of descriptors, so that there must always be enough.
fn permit_descriptors(limits: &ListenerLimits) -> Result<(), ListenError> {
    let needed = (limits.connections_max + LISTENER_LEAVING_MAX + LISTENER_FAREWELLS_MAX) as u64 + DESCRIPTORS_ELSEWHERE;
    let mut permitted = getrlimit(Resource::Nofile);
    if permitted.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let allowed = permitted.maximum;
    permitted.current = allowed;
    if allowed.is_some_and(|allowed| allowed < needed) || setrlimit(Resource::Nofile, permitted).is_err() {
        return Err(ListenError::TooFewDescriptors { needed, allowed: allowed.unwrap_or(0) });
    }
    Ok(())
}

/// Whether a new connection's descriptor shows that nearly all are taken: the system gives the lowest number that is free. The limit is asked
/// for each time, because an operator may lower it while the server runs.
pub(in crate::serve) fn descriptors_are_short(descriptor: usize) -> bool {
    let permitted = getrlimit(Resource::Nofile).current.and_then(|current| usize::try_from(current).ok());
    permitted.is_some_and(|permitted| descriptor + LISTENER_DESCRIPTORS_LEFT >= permitted)
}

fn configure_engine() -> usize {
    static ONCE: Once = Once::new();
    let workers = thread::available_parallelism().map_or(1, usize::from);
    ONCE.call_once(|| {
        may::config().set_workers(workers).set_stack_size(STACK_WORDS).set_pool_capacity(STACKS_KEPT).set_worker_pin(false);
    });
    workers
}
