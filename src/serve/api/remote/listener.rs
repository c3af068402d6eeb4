//! Connections: taken, shown a certificate, asked for one, served, and let go.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;
use tower_http::timeout::TimeoutLayer;

use super::answering::{Answering, look_up};
use super::following::guard;
use super::turned_away::TurnedAway;
use super::{Peer, RemoteError, RemoteLimits, RemoteOptions};
use crate::limits::{API_HEADERS_MAX, API_REREAD_MS, API_UNREAD_TIMEOUT_MS, API_WARN_DAYS};
use crate::serve::FORBIDDEN;
use crate::serve::api::counters::ApiCounters;
use crate::serve::api::look_up::refusal;
use crate::serve::clock::now_unix_ms;
use crate::serve::credential::Credential;
use crate::serve::fast::descriptors_are_short;
use crate::serve::service::Service;
use crate::tls::{PeerCertificate, ServerTls, server_config};

/// After the system could not give a connection, for want of descriptors for instance.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const DAY_MS: u64 = 24 * 3600 * 1000;

/// A connection over TLS, and the certificate that it showed.
type Shaken = (TlsStream<TcpStream>, Option<Arc<Credential>>);

/// The port, and everything that its connections share.
pub(super) struct Listener {
    tls: ServerTls,
    config: Arc<ArcSwap<ServerConfig>>,
    door: Arc<DoorKeeper>,
    handshakes: Arc<Semaphore>,
    stop_timeout: Duration,
}

/// What every connection needs.
struct DoorKeeper {
    router: Router,
    http: http1::Builder,
    connections: Arc<Semaphore>,
    handshake_timeout: Duration,
    turned_away: Arc<TurnedAway>,
    counters: ApiCounters,
}

impl Listener {
    pub(super) fn new(
        options: &RemoteOptions,
        service: Arc<Service>,
        log: Router,
        counters: ApiCounters,
    ) -> Result<Listener, RemoteError> {
        let limits = &options.limits;
        let turned_away = Arc::new(TurnedAway::new());
        let answering = Arc::new(Answering::new(service, turned_away.clone(), limits));
        let door = DoorKeeper {
            router: router(answering, log, limits),
            http: http(limits),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            handshake_timeout: limits.handshake_timeout,
            turned_away,
            counters,
        };
        Ok(Listener {
            config: Arc::new(ArcSwap::new(server_config(&options.tls, Credential::judge)?)),
            tls: options.tls.clone(),
            door: Arc::new(door),
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            stop_timeout: limits.stop_timeout,
        })
    }

    /// Takes connections until it is told to stop, and then waits for the requests under way.
    pub(super) async fn run(&self, socket: TcpListener, mut stop: oneshot::Receiver<()>) {
        let graceful = GracefulShutdown::new();
        loop {
            let taken = tokio::select! {
                taken = self.take(&socket) => taken,
                _ = &mut stop => break,
            };
            let Some((stream, address, handshake)) = taken else { continue };
            let (door, tls, watcher) = (self.door.clone(), TlsAcceptor::from(self.config.load_full()), graceful.watcher());
            tokio::spawn(async move { door.serve(stream, address, tls, handshake, watcher).await });
        }
        drop(socket);
        if tokio::time::timeout(self.stop_timeout, graceful.shutdown()).await.is_err() {
            tracing::info!("requests over TLS that were still under way are cut");
        }
    }

    /// The next connection, with its place among the handshakes.
    async fn take(&self, socket: &TcpListener) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let place = self.handshakes.clone().acquire_owned().await.ok()?;
        match socket.accept().await {
            Ok((stream, address)) => {
                self.door.counters.accepted();
                Some((stream, address, place))
            }
            Err(error) => {
                self.door.turned_away.say("a connection", &error);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                None
            }
        }
    }

    /// Notices certificates that were renewed, for ever, and says each day when its own is about to end. New connections have the new
    /// ones; what cannot be used changes nothing.
    pub(super) async fn reread(&self) {
        let (mut last, mut last_day) = (self.modified(), None);
        loop {
            let day = now_unix_ms() / DAY_MS;
            if last_day.replace(day) != Some(day) {
                self.warn_of_the_end();
            }
            tokio::time::sleep(Duration::from_millis(API_REREAD_MS)).await;
            let now = self.modified();
            if now == last {
                continue;
            }
            last = now;
            match server_config(&self.tls, Credential::judge) {
                Ok(config) => {
                    tracing::info!("the API's certificates were reread");
                    self.config.store(config);
                }
                Err(error) => tracing::error!(%error, "the API's certificates stay as they were"),
            }
        }
    }

    fn warn_of_the_end(&self) {
        let Ok(expires_unix_s) = self.tls.own.expires_unix_s() else { return };
        let left_ms = (expires_unix_s * 1000).saturating_sub(now_unix_ms());
        if left_ms < API_WARN_DAYS * DAY_MS {
            tracing::warn!(days = left_ms / DAY_MS, "the API's own certificate ends; issue another and put it in its place");
        }
    }

    fn modified(&self) -> Vec<Option<SystemTime>> {
        let tls = &self.tls;
        let files = [Some(&tls.own.certificate), Some(&tls.own.key), tls.client_ca.as_ref(), tls.client_crl.as_ref()];
        let modified = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
        files.into_iter().flatten().map(|path| modified(path)).collect()
    }
}

fn router(answering: Arc<Answering>, log: Router, limits: &RemoteLimits) -> Router {
    let mut router = Router::new().fallback(look_up).with_state(answering.clone());
    if log.has_routes() {
        router = router.merge(log.route_layer(from_fn_with_state(answering, guard)));
    }
    router.layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limits.request_timeout))
}

fn http(limits: &RemoteLimits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_header_size(limits.head_bytes_max)
        .max_headers(API_HEADERS_MAX);
    http
}

impl DoorKeeper {
    async fn serve(
        &self,
        stream: TcpStream,
        address: SocketAddr,
        tls: TlsAcceptor,
        handshake: OwnedSemaphorePermit,
        watcher: Watcher,
    ) {
        let stranger = Peer { address, credential: None };
        if let Err(error) = prepare(&stream) {
            self.counters.refused();
            return self.turned_away.say(&stranger, &error);
        }
        let (stream, credential) = match self.shake_hands(stream, tls).await {
            Ok(shown) => shown,
            Err(reason) => {
                self.counters.handshake_refused();
                return self.turned_away.say(&stranger, reason);
            }
        };
        drop(handshake);
        let peer = Peer { address, credential };
        let Ok(_place) = self.connections.clone().try_acquire_owned() else {
            self.counters.refused();
            return self.turned_away.say(&peer, "there are as many connections as are allowed");
        };
        let _serving = self.counters.serving();
        let answer = service_fn(|request| self.answer(request, peer.clone()));
        let served = watcher.watch(self.http.serve_connection(TokioIo::new(stream), answer)).await;
        if let Err(error) = served {
            // A peer that went away, was slow, or sent what is no request.
            tracing::debug!(%peer, %error, "a connection ended early");
        }
    }

    /// The connection with who is at its other end, or why it leads to nothing.
    async fn shake_hands(&self, stream: TcpStream, tls: TlsAcceptor) -> Result<Shaken, String> {
        let stream = match tokio::time::timeout(self.handshake_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(format!("handshake: {error}")),
            Err(_) => return Err("handshake: it took too long".to_owned()),
        };
        let credential = credential_of(&stream)?;
        Ok((stream, credential))
    }

    async fn answer(&self, request: hyper::Request<Incoming>, peer: Peer) -> Result<Response, Infallible> {
        let response = self.respond(request, peer).await?;
        self.counters.answered(response.status());
        Ok(response)
    }

    async fn respond(&self, request: hyper::Request<Incoming>, peer: Peer) -> Result<Response, Infallible> {
        if peer.has_expired(now_unix_ms() / 1000) {
            self.turned_away.say(&peer, "the certificate has expired since it was shown");
            let mut refused = refusal(&FORBIDDEN);
            refused.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return Ok(refused);
        }
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        self.router.clone().oneshot(request).await
    }
}

/// Small answers are not held back, and a peer that takes nothing of an answer is let go of.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    if descriptors_are_short(usize::try_from(stream.as_raw_fd()).unwrap_or(0)) {
        return Err(io::Error::other("nearly all descriptors are taken"));
    }
    rustix::net::sockopt::set_tcp_user_timeout(stream, API_UNREAD_TIMEOUT_MS)?;
    Ok(())
}

/// Who the connection's certificate names; the handshake has judged it already.
fn credential_of(stream: &TlsStream<TcpStream>) -> Result<Option<Arc<Credential>>, String> {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let Some(certificate) = certificates.first() else { return Ok(None) };
    let certificate = PeerCertificate::read(certificate).ok_or("the certificate cannot be read")?;
    let credential = Credential::of_certificate(&certificate).map_err(|error| error.to_string())?;
    Ok(Some(Arc::new(credential)))
}
