#![forbid(unsafe_code)]
//! The API for other machines: HTTP/1.1 over TLS on a port of its own.
//!
//! Look-ups, health, status and metrics are the service's, the same bytes as on the fast listener. Further routes are mounted beside them
//! and see only requests of those who may follow the log. Who asks is the certificate of the connection; on loopback, where none is
//! required, it may be a token's bearer.
//!
//! A stranger costs little: handshakes have places of their own and five seconds. A head, a body and an answer each have a limit and a
//! time, all from the libraries; what is left to this room is to say them, and to keep a reason why somebody was turned away from
//! everybody but the operator.

mod answering;
mod following;
mod limits;
mod listener;
mod options;
mod peer;
mod turned_away;

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

pub use limits::RemoteLimits;
pub use options::{RemoteError, RemoteOptions};
pub use peer::Peer;

use crate::limits::API_ANSWERING_THREADS;
use crate::serve::api::counters::ApiCounters;
use crate::serve::service::Service;
use listener::Listener;

/// The API while it runs, on a runtime of its own. Dropping it stops it without waiting; [`stop`](Self::stop) waits.
#[derive(Debug)]
pub struct RemoteApi {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl RemoteApi {
    /// Listens (port 0 takes a free one) and answers. `log` holds the routes for those who follow the log; each of its requests carries a
    /// [`Peer`] among its extensions, and has passed [`may`](crate::serve::roles::may) with
    /// [`Deed::Follow`](crate::serve::roles::Deed::Follow). What comes of connections and requests is counted in `counters`.
    pub fn start(
        options: &RemoteOptions,
        service: Arc<Service>,
        log: Router,
        counters: ApiCounters,
    ) -> Result<RemoteApi, RemoteError> {
        options.check()?;
        let failed = |source| RemoteError::Listen { address: options.listen, source };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(API_ANSWERING_THREADS)
            .thread_name("api")
            .enable_all()
            .build()
            .map_err(failed)?;
        let socket = runtime.block_on(TcpListener::bind(options.listen)).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let listener = Listener::new(options, service, log, counters)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = listener.reread() => {}
                    () = listener.run(socket, stopped) => {}
                }
            });
            // What still runs was given its time.
            runtime.shutdown_background();
        };
        let thread = std::thread::Builder::new().name("api".to_owned()).spawn(run).map_err(failed)?;
        Ok(RemoteApi { address, stop, thread })
    }

    /// Where it listens.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Takes no new connections, lets requests under way be answered, and returns when all are or their time is up.
    pub fn stop(self) {
        // Where nobody listens any more it has stopped by itself, and the thread says why.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the API panicked");
        }
    }
}
