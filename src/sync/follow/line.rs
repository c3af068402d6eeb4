//! One connection to a hub: HTTP/1.1 over TLS, made anew when it broke.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::limits::{FOLLOW_CONNECT_TIMEOUT_MS, FOLLOW_IDLE_TIMEOUT_MS};
use crate::tls::{ClientTls, TlsError, client_config, server_name};

/// The port of a hub where its address names none.
const PORT: u16 = 8471;

/// The longest answer that is not a file, bytes.
const WORDS_BYTES_MAX: usize = 64 << 10;

/// What a line is to be given up for.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Not an address of a hub.
    #[error("{0}: a hub's address is like https://hub.example:8471")]
    Address(String),
    /// Certificates and keys.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// No connection, or one that broke.
    #[error("{to}: {what}")]
    Broken {
        /// The hub.
        to: String,
        /// What happened.
        what: String,
    },
    /// Nothing came in time.
    #[error("{to}: {doing} took too long")]
    Late {
        /// The hub.
        to: String,
        /// What was waited for.
        doing: &'static str,
    },
    /// The hub answers that it does not.
    #[error("{to} answers {target} with {status}: {words}")]
    Answered {
        /// The hub.
        to: String,
        /// What was asked for.
        target: String,
        /// HTTP status.
        status: u16,
        /// The code, as the API says it, or what there is of words.
        words: String,
    },
}

/// `https://HOST[:PORT]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubAddress {
    host: String,
    port: u16,
}

impl HubAddress {
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl FromStr for HubAddress {
    type Err = LineError;

    fn from_str(text: &str) -> Result<HubAddress, LineError> {
        let wrong = || LineError::Address(text.to_owned());
        let rest = text.strip_prefix("https://").ok_or_else(wrong)?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.rsplit_once(':') {
            // What stands in brackets is an address that has colons of its own.
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| wrong())?),
            Some(_) | None => (rest, PORT),
        };
        let is_host = server_name(host).is_ok() && !host.contains('/');
        if is_host { Ok(HubAddress { host: host.to_owned(), port }) } else { Err(wrong()) }
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}:{}", self.host, self.port)
    }
}

/// A line to a hub.
#[derive(Debug)]
pub(super) struct Line {
    hub: HubAddress,
    name: ServerName<'static>,
    tls: ClientTls,
    sender: Option<SendRequest<Empty<Bytes>>>,
}

impl Line {
    pub(super) fn to(hub: HubAddress, tls: ClientTls) -> Result<Line, LineError> {
        let name = server_name(&hub.host)?;
        Ok(Line { hub, name, tls, sender: None })
    }

    /// Gives the connection up; the next question makes a new one.
    pub(super) fn hang_up(&mut self) {
        self.sender = None;
    }

    /// Asks, and waits for the head of the answer: so long, and beyond that as long as any answer may take. A connection on which nothing
    /// was asked for a while may have been closed at the other end: then it is asked again on a new one.
    pub(super) async fn get(
        &mut self,
        target: &str,
        headers: &[(header::HeaderName, String)],
        wait: Duration,
    ) -> Result<Response<Incoming>, LineError> {
        if let Some(sender) = self.sender.take().filter(|sender| !sender.is_closed()) {
            match self.ask(sender, target, headers, wait).await {
                Err(LineError::Broken { .. }) => {}
                asked => return asked,
            }
        }
        let sender = self.connect().await?;
        self.ask(sender, target, headers, wait).await
    }

    async fn ask(
        &mut self,
        mut sender: SendRequest<Empty<Bytes>>,
        target: &str,
        headers: &[(header::HeaderName, String)],
        wait: Duration,
    ) -> Result<Response<Incoming>, LineError> {
        let mut request = Request::get(target).header(header::HOST, self.hub.authority());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Empty::new()).map_err(|error| self.broken(&error))?;
        let patience = wait + Duration::from_millis(FOLLOW_IDLE_TIMEOUT_MS);
        let asked = async {
            sender.ready().await?;
            sender.send_request(request).await
        };
        let answer = timeout(patience, asked).await.map_err(|_| self.late("an answer"))?.map_err(|error| self.broken(&error))?;
        self.sender = Some(sender);
        Ok(answer)
    }

    /// The next piece of an answer's body; `None` at its end.
    pub(super) async fn piece(&mut self, body: &mut Incoming) -> Result<Option<Bytes>, LineError> {
        loop {
            let frame = timeout(Duration::from_millis(FOLLOW_IDLE_TIMEOUT_MS), body.frame()).await;
            let Some(frame) = frame.map_err(|_| self.late("the rest of an answer"))? else { return Ok(None) };
            match frame.map_err(|error| self.broken(&error))?.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                // Nothing, or a trailer.
                Ok(_) | Err(_) => {}
            }
        }
    }

    /// A whole body that is not longer than this.
    pub(super) async fn whole(&mut self, mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, LineError> {
        let mut whole = Vec::new();
        while let Some(piece) = self.piece(&mut body).await? {
            if whole.len() + piece.len() > bytes_max {
                self.hang_up();
                return Err(LineError::Broken {
                    to: self.hub.to_string(),
                    what: "the answer is longer than it can be".to_owned(),
                });
            }
            whole.extend_from_slice(&piece);
        }
        Ok(whole)
    }

    /// An answer that is JSON.
    pub(super) async fn object(&mut self, body: Incoming) -> Result<serde_json::Value, LineError> {
        // A list of segments may be long.
        let bytes = self.whole(body, 256 * WORDS_BYTES_MAX).await?;
        serde_json::from_slice(&bytes).map_err(|error| self.broken(&error))
    }

    /// What an answer that is none of those that were hoped for says.
    pub(super) async fn answered(&mut self, target: &str, answer: Response<Incoming>) -> LineError {
        let status = answer.status();
        let words = match self.whole(answer.into_body(), WORDS_BYTES_MAX).await {
            Ok(bytes) => code_in(&bytes).unwrap_or_else(|| words_of(status)),
            Err(_) => words_of(status),
        };
        LineError::Answered { to: self.hub.to_string(), target: target.to_owned(), status: status.as_u16(), words }
    }

    async fn connect(&self) -> Result<SendRequest<Empty<Bytes>>, LineError> {
        // Read anew for each connection: certificates are renewed while the program runs.
        let connector = TlsConnector::from(client_config(&self.tls)?);
        let connecting = async {
            let stream = TcpStream::connect((self.hub.host.trim_matches(['[', ']']), self.hub.port)).await?;
            stream.set_nodelay(true)?;
            connector.connect(self.name.clone(), stream).await
        };
        let within = Duration::from_millis(FOLLOW_CONNECT_TIMEOUT_MS);
        let stream = timeout(within, connecting).await.map_err(|_| self.late("connecting"))?;
        let stream = stream.map_err(|error| self.broken(&error))?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(&error))?;
        tokio::spawn(connection);
        Ok(sender)
    }

    fn broken(&self, what: &dyn std::error::Error) -> LineError {
        // The reason stands innermost.
        let mut words = what.to_string();
        let mut source = what.source();
        while let Some(error) = source {
            words = format!("{words}: {error}");
            source = error.source();
        }
        LineError::Broken { to: self.hub.to_string(), what: words }
    }

    fn late(&self, doing: &'static str) -> LineError {
        LineError::Late { to: self.hub.to_string(), doing }
    }
}

fn code_in(bytes: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let part = |name: &str| body.get("error").and_then(|error| error.get(name)).and_then(serde_json::Value::as_str);
    let code = part("code")?;
    // It goes to the log: letters, digits and underscores, whoever wrote it.
    let is_word = code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_word.then(|| code.to_owned())
}

fn words_of(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or("no words").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hubs_address_is_https_and_a_host() {
        let read = |text: &str| text.parse::<HubAddress>().map(|hub| hub.to_string());
        assert_eq!(read("https://hub.example").unwrap(), "https://hub.example:8471");
        assert_eq!(read("https://127.0.0.1:9000/").unwrap(), "https://127.0.0.1:9000");
        assert_eq!(read("https://[::1]:9000").unwrap(), "https://[::1]:9000");
        assert_eq!(read("https://[::1]").unwrap(), "https://[::1]:8471");
        for wrong in ["", "hub.example", "http://hub.example", "https://", "https://hub:port", "https://hub/log", "nats://hub"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
