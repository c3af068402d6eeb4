//! The command's side: one HTTP/1.1 client over the owner's socket or over TCP.

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use super::{AppliedBody, CONTROL_SOCKET, ExportBody, FailureBody, KnownFileQuestion, MasterBody, SnapshotBody, StandingBody};
use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::MasterKind;
use crate::ingest::register::{Register, RegisterError, Standing};
use crate::record::payload::{Changes, FeedRecord};
use crate::registry::snapshot::SnapshotSummary;
use crate::registry::verify::VerifyReport;
use crate::registry::{Applied, KnownFile};
use crate::sync::bundle::{BundleSummary, Imported};
use crate::tls::{ClientTls, client_config, server_name};

/// What went wrong between a command and a server.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or the connection broke.
    #[error("{to}: {what}")]
    Connection {
        /// Whom it was to.
        to: String,
        /// What happened.
        what: String,
    },
    /// The server said no.
    #[error("{0}")]
    Refused(String),
    /// The URL is not one.
    #[error("{0}: a URL like http://127.0.0.1:8470 is needed, or https:// with --ca")]
    Url(String),
    /// The line cannot be secured.
    #[error(transparent)]
    Tls(#[from] crate::tls::TlsError),
}

/// A connection to a server, used by one command.
pub struct Client {
    runtime: tokio::runtime::Runtime,
    sender: Mutex<SendRequest<Full<Bytes>>>,
    host: String,
}

/// An answer: status and body.
pub struct ClientAnswer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Client {
    /// Connects to the owner of a directory; `None` when nobody owns it.
    pub fn of_owner(directory: &Path) -> Result<Option<Client>, ClientError> {
        let path = directory.join(CONTROL_SOCKET);
        let runtime = runtime()?;
        match runtime.block_on(UnixStream::connect(&path)) {
            Ok(stream) => Client::over(runtime, stream, "owner".to_owned(), &path.display().to_string()).map(Some),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(ClientError::Connection { to: path.display().to_string(), what: error.to_string() }),
        }
    }

    /// Connects to `http://HOST:PORT`, or to `https://HOST:PORT` where it is said whom to believe.
    pub fn of_url(url: &str, tls: Option<&ClientTls>) -> Result<Client, ClientError> {
        let wrong = || ClientError::Url(url.to_owned());
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let host = Some(rest.trim_end_matches('/')).filter(|host| !host.is_empty() && !host.contains('/')).ok_or_else(wrong)?;
        let (port, tls) = match (scheme, tls) {
            ("http", None) => (80, None),
            ("https", Some(tls)) => (443, Some(tls)),
            _ => return Err(wrong()),
        };
        let with_port = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let (name, address) = with_port.map_or_else(|| (host, format!("{host}:{port}")), |(name, _)| (name, host.to_owned()));
        let runtime = runtime()?;
        let broken = |error: std::io::Error| ClientError::Connection { to: url.to_owned(), what: error.to_string() };
        let stream = runtime.block_on(TcpStream::connect(&address)).map_err(broken)?;
        let Some(tls) = tls else { return Client::over(runtime, stream, host.to_owned(), url) };
        let (connector, name) = (TlsConnector::from(client_config(tls)?), server_name(name)?);
        let stream = runtime.block_on(connector.connect(name, stream)).map_err(broken)?;
        Client::over(runtime, stream, host.to_owned(), url)
    }

    fn over<S>(runtime: tokio::runtime::Runtime, stream: S, host: String, to: &str) -> Result<Client, ClientError>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let failed = |error: hyper::Error| ClientError::Connection { to: to.to_owned(), what: error.to_string() };
        let sender = runtime.block_on(async {
            let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(failed)?;
            tokio::spawn(connection);
            Ok::<_, ClientError>(sender)
        })?;
        Ok(Client { runtime, sender: Mutex::new(sender), host })
    }

    /// Sends a request and waits for the whole answer. `headers` are added as they are.
    pub fn call(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<ClientAnswer, ClientError> {
        let broken = |what: String| ClientError::Connection { to: self.host.clone(), what };
        let mut request = Request::builder().method(method).uri(target).header("host", &self.host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body))).map_err(|error| broken(error.to_string()))?;
        self.runtime.block_on(async {
            let mut sender = self.sender.lock().await;
            sender.ready().await.map_err(|error| broken(error.to_string()))?;
            let answer = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.map_err(|error| broken(error.to_string()))?;
            Ok(ClientAnswer { status, body: body.to_bytes().to_vec() })
        })
    }

    /// Verifies through the owner.
    pub fn verify(&self) -> Result<VerifyReport, ClientError> {
        self.ask(Method::POST, "/control/verify", &())
    }

    /// Writes a snapshot through the owner; the path must be absolute.
    pub fn snapshot(&self, file: PathBuf) -> Result<SnapshotSummary, ClientError> {
        self.ask(Method::POST, "/control/snapshot", &SnapshotBody { file })
    }

    /// Writes a bundle through the owner; the path must be absolute.
    pub fn export_bundle(&self, file: PathBuf, since: Option<u64>) -> Result<BundleSummary, ClientError> {
        self.ask(Method::POST, "/control/bundle/export", &ExportBody { file, since })
    }

    /// Takes a bundle in through the owner; the path must be absolute.
    pub fn import_bundle(&self, file: PathBuf) -> Result<Imported, ClientError> {
        self.ask(Method::POST, "/control/bundle/import", &SnapshotBody { file })
    }

    /// The master tables.
    pub fn masters(&self) -> Result<Vec<(u8, String)>, ClientError> {
        self.ask(Method::GET, "/control/masters", &())
    }

    /// Replaces a master table.
    pub fn set_master(&self, kind: MasterKind, text: String) -> Result<u64, ClientError> {
        self.ask(Method::POST, "/control/masters", &MasterBody { kind: kind as u8, text })
    }

    fn ask<Q: Serialize, A: DeserializeOwned>(&self, method: Method, target: &str, question: &Q) -> Result<A, ClientError> {
        let body = serde_json::to_vec(question).map_err(|error| ClientError::Refused(error.to_string()))?;
        read(&self.call(method, target, &[("content-type", "application/json")], body)?)
    }

    fn send<A: DeserializeOwned>(&self, target: &str, changes: &Changes) -> Result<A, ClientError> {
        let headers = [("content-type", "application/octet-stream")];
        read(&self.call(Method::POST, target, &headers, changes.as_bytes().to_vec())?)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, ClientError> {
    // The connection is driven beside the command, which blocks while it waits.
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| ClientError::Connection { to: "this machine".to_owned(), what: error.to_string() })
}

fn read<A: DeserializeOwned>(answer: &ClientAnswer) -> Result<A, ClientError> {
    if answer.status == 200 {
        return serde_json::from_slice(&answer.body)
            .map_err(|error| ClientError::Refused(format!("the server answers what this program does not read: {error}")));
    }
    let failure = serde_json::from_slice::<FailureBody>(&answer.body).map(|body| body.failure);
    Err(ClientError::Refused(failure.unwrap_or_else(|_| format!("the server answers with status {}", answer.status))))
}

impl From<ClientError> for RegisterError {
    fn from(error: ClientError) -> RegisterError {
        RegisterError::Server(error.to_string())
    }
}

impl Register for Client {
    fn standing(&self) -> Result<Standing, RegisterError> {
        let body: StandingBody = self.ask(Method::GET, "/control/standing", &())?;
        body.into_standing().ok_or_else(|| RegisterError::Server("the server's masters cannot be read".to_owned()))
    }

    fn known_file(&self, hash: &str, authorities: &[AuthorityCode]) -> Result<KnownFile, RegisterError> {
        let authorities = authorities.iter().map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned());
        let question = KnownFileQuestion { hash: hash.to_owned(), authorities: authorities.collect() };
        Ok(self.ask(Method::POST, "/control/known-file", &question)?)
    }

    fn are_current(&self, changes: &Changes) -> Result<Vec<bool>, RegisterError> {
        Ok(self.send("/control/are-current", changes)?)
    }

    fn reserve_rows(&self, rows: u64) -> Result<(), RegisterError> {
        Ok(self.ask(Method::POST, "/control/reserve", &rows)?)
    }

    fn record_feed(&self, feed: &FeedRecord) -> Result<u64, RegisterError> {
        Ok(self.ask(Method::POST, "/control/feed", feed)?)
    }

    fn apply(&self, changes: &Changes) -> Result<Applied, RegisterError> {
        let body: AppliedBody = self.send("/control/apply", changes)?;
        Ok(body.into_applied())
    }
}
