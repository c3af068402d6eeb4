//! How a broker is reached and what is asked of it, as the configuration says it.

use std::path::PathBuf;

use async_nats::ServerAddr;
use serde::Deserialize;

/// The name of the broker's stream when the configuration does not say.
pub(super) const STREAM_NAME: &str = "shikaku";

/// A broker: one server, or several of a cluster.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerConfig {
    /// Its servers, `nats://host:4222` or `tls://host:4222`. Each of them tells of the others, which is heeded where TLS is asked of all.
    pub urls: Vec<String>,
    /// A file of credentials, as the broker's own tools make it.
    pub credentials: Option<PathBuf>,
    /// The certificates (PEM) that the broker's is judged by; the system's own when nothing is said.
    pub ca: Option<PathBuf>,
    /// The own certificate (PEM), where the broker asks for one.
    pub certificate: Option<PathBuf>,
    /// Its key (PEM).
    pub key: Option<PathBuf>,
    /// The name of the stream at the broker.
    pub stream: String,
    /// The name by which the broker knows this follower; made from the machine's name and the directory's when nothing is said. Two
    /// followers of one name take each other's messages.
    pub consumer: Option<String>,
}

impl Default for BrokerConfig {
    fn default() -> BrokerConfig {
        BrokerConfig {
            urls: Vec::new(),
            credentials: None,
            ca: None,
            certificate: None,
            key: None,
            stream: STREAM_NAME.to_owned(),
            consumer: None,
        }
    }
}

/// What the hub publishes to.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct PublishConfig {
    /// The broker.
    pub broker: BrokerConfig,
    /// On how many servers each message lies when the stream is made: 1, 3 or 5. With three none is lost with one server.
    pub replicas: usize,
    /// From how many bytes on the oldest messages go, when the stream is made; never when nothing is said.
    pub bytes_max: Option<u64>,
    /// From which age on messages go, days, when the stream is made; never when nothing is said.
    pub age_max_days: Option<u32>,
}

impl Default for PublishConfig {
    fn default() -> PublishConfig {
        PublishConfig { broker: BrokerConfig::default(), replicas: 1, bytes_max: None, age_max_days: None }
    }
}

/// Why a broker cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerConfigError {
    /// No server is named.
    #[error("no server of the broker is named: `urls` says where it is")]
    NoUrl,
    /// Not an address of a broker. It is not repeated: it may hold a password.
    #[error("what is given as a broker's address is none: nats://host:4222 or tls://host:4222 is one, without name and password")]
    Url,
    /// Plain text to another machine.
    #[error("{0} is not loopback, and what is registered must not travel in plain text: say tls://, or name the broker's `ca`")]
    PlainText(String),
    /// Half of a certificate and key.
    #[error("`certificate` and `key` are given together or not at all")]
    HalfACertificate,
    /// A name that a broker does not take.
    #[error("{what} is one to {NAME_BYTES_MAX} letters, digits, - and _")]
    Name {
        /// Which name.
        what: &'static str,
    },
    /// A hub reads nothing.
    #[error("`consumer` names a follower at the broker; a hub that publishes has none")]
    HubWithConsumer,
    /// Not a number of copies.
    #[error("`replicas` is 1, 3 or 5")]
    Replicas,
}

/// The longest name of a stream or a consumer, bytes.
const NAME_BYTES_MAX: usize = 64;

impl BrokerConfig {
    /// The same with the servers that a command line names, separated by commas.
    #[must_use]
    pub fn at(mut self, urls: &str) -> BrokerConfig {
        self.urls = urls.split(',').map(|url| url.trim().to_owned()).collect();
        self
    }

    /// Checks everything that can be checked without asking anybody, and gives the servers.
    pub fn servers(&self) -> Result<Vec<ServerAddr>, BrokerConfigError> {
        if self.urls.is_empty() {
            return Err(BrokerConfigError::NoUrl);
        }
        if self.certificate.is_some() != self.key.is_some() {
            return Err(BrokerConfigError::HalfACertificate);
        }
        let names = [("the name of a broker's stream", Some(&self.stream)), ("the name of a consumer", self.consumer.as_ref())];
        for (what, name) in names {
            if name.is_some_and(|name| !is_name(name)) {
                return Err(BrokerConfigError::Name { what });
            }
        }
        self.urls.iter().map(|url| self.server(url)).collect()
    }

    fn server(&self, url: &str) -> Result<ServerAddr, BrokerConfigError> {
        let server: ServerAddr = url.parse().map_err(|_| BrokerConfigError::Url)?;
        let has_password = server.username().is_some() || server.password().is_some();
        if has_password || server.host().is_empty() || !matches!(server.scheme(), "nats" | "tls") {
            return Err(BrokerConfigError::Url);
        }
        if self.uses_tls(&server) || is_loopback(server.host()) {
            Ok(server)
        } else {
            Err(BrokerConfigError::PlainText(server.host().to_owned()))
        }
    }

    /// Whether a server is spoken to over TLS alone.
    fn uses_tls(&self, server: &ServerAddr) -> bool {
        server.tls_required() || self.ca.is_some() || self.certificate.is_some()
    }

    /// Whether TLS is asked of every server, of one that another tells of as well.
    pub(super) fn requires_tls(&self, servers: &[ServerAddr]) -> bool {
        servers.iter().all(|server| self.uses_tls(server))
    }
}

impl PublishConfig {
    /// What the configuration and the command line say; the command line goes first. `None` where neither names a broker.
    pub fn of(config: &PublishConfig, urls: Option<&str>) -> Result<Option<PublishConfig>, BrokerConfigError> {
        let mut config = config.clone();
        if let Some(urls) = urls {
            config.broker = config.broker.at(urls);
        }
        if config.broker.urls.is_empty() {
            return Ok(None);
        }
        config.check()?;
        Ok(Some(config))
    }

    /// Checks everything that can be checked without asking anybody.
    pub fn check(&self) -> Result<(), BrokerConfigError> {
        if !matches!(self.replicas, 1 | 3 | 5) {
            return Err(BrokerConfigError::Replicas);
        }
        if self.broker.consumer.is_some() {
            return Err(BrokerConfigError::HubWithConsumer);
        }
        self.broker.servers().map(|_| ())
    }
}

fn is_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
    address.map_or(host == "localhost", |address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(urls: &str) -> BrokerConfig {
        BrokerConfig::default().at(urls)
    }

    #[test]
    fn plain_text_stays_on_this_machine() {
        for urls in ["nats://127.0.0.1:4222", "nats://[::1]:4222,nats://localhost", "tls://broker.example:4222"] {
            assert!(at(urls).servers().is_ok(), "{urls}");
        }
        let far = at("nats://127.0.0.1:4222,nats://192.0.2.7:4222");
        assert_eq!(far.servers().unwrap_err(), BrokerConfigError::PlainText("192.0.2.7".to_owned()));
        assert!(BrokerConfig { ca: Some("ca.pem".into()), ..far }.servers().is_ok());
    }

    #[test]
    fn tls_is_asked_of_every_server_where_each_that_is_named_has_it() {
        let requires_tls = |config: BrokerConfig| config.requires_tls(&config.servers().unwrap());
        assert!(requires_tls(at("tls://one.example:4222,tls://other.example")));
        assert!(requires_tls(BrokerConfig { ca: Some("ca.pem".into()), ..at("nats://one.example") }));
        assert!(!requires_tls(at("tls://one.example,nats://127.0.0.1")));
        assert!(!requires_tls(at("nats://127.0.0.1")));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_in_words_that_repeat_no_password() {
        assert_eq!(BrokerConfig::default().servers().unwrap_err(), BrokerConfigError::NoUrl);
        for urls in ["http://127.0.0.1:4222", "nats://", "nats://me:secret@127.0.0.1:4222", "nats://token@127.0.0.1:4222"] {
            let error = at(urls).servers().unwrap_err();
            assert!(error == BrokerConfigError::Url && !error.to_string().contains("secret"), "{urls}");
        }
        let half = BrokerConfig { key: Some("key.pem".into()), ..at("tls://127.0.0.1") };
        assert_eq!(half.servers().unwrap_err(), BrokerConfigError::HalfACertificate);
        for name in ["", "with.dot", "with space", "*", ">", &"x".repeat(65)] {
            let config = BrokerConfig { stream: name.to_owned(), ..at("nats://127.0.0.1") };
            assert!(matches!(config.servers(), Err(BrokerConfigError::Name { .. })), "{name}");
        }
        let publish = PublishConfig { broker: at("nats://127.0.0.1"), replicas: 2, ..PublishConfig::default() };
        assert_eq!(publish.check().unwrap_err(), BrokerConfigError::Replicas);
        let broker = BrokerConfig { consumer: Some("hub".to_owned()), ..at("nats://127.0.0.1") };
        let publish = PublishConfig { broker, ..PublishConfig::default() };
        assert_eq!(publish.check().unwrap_err(), BrokerConfigError::HubWithConsumer);
    }
}
