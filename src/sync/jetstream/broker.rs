//! The connection to a broker, and the stream there.

use std::time::Duration;

use async_nats::jetstream::context::{ContextBuilder, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, LastRawMessageErrorKind, RetentionPolicy, StorageType, Stream};
use async_nats::jetstream::{Context, ErrorCode};
use async_nats::{ConnectOptions, Event};
use tokio::sync::watch;

use super::config::{BrokerConfig, BrokerConfigError, PublishConfig};
use super::message::Subjects;
use crate::limits::{BROKER_ANSWER_TIMEOUT_MS, BROKER_CONNECT_TIMEOUT_MS, BROKER_WINDOW_FRAMES_MAX};

/// How long the broker remembers the ids of messages, so that one that is published twice is kept once.
const DUPLICATES: Duration = Duration::from_secs(120);

/// What is wrong with a broker. It may be over the next time.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] BrokerConfigError),
    /// A file that the configuration names.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody there, or not willing.
    #[error("the broker cannot be reached: {0}")]
    Unreachable(String),
    /// There is no such stream.
    #[error("the broker has no stream {name}: nothing was published there yet")]
    NoStream {
        /// Its name.
        name: String,
    },
    /// It said no, or nothing.
    #[error("the broker does not {deed}: {what}")]
    Deed {
        /// What it was asked for.
        deed: &'static str,
        /// What it said.
        what: String,
    },
}

impl BrokerError {
    pub(super) fn deed<E: std::fmt::Display>(deed: &'static str) -> impl FnOnce(E) -> BrokerError {
        move |error| BrokerError::Deed { deed, what: error.to_string() }
    }
}

/// A connection; it ends with this and with what was asked for through it.
pub(super) struct Broker {
    pub(super) context: Context,
    /// Whether it broke since it was made. The client makes it anew by itself, to a server that may have lost something meanwhile.
    broke: watch::Receiver<bool>,
}

impl Broker {
    /// Connects to the first server that answers.
    pub(super) async fn connect(config: &BrokerConfig, name: &str) -> Result<Broker, BrokerError> {
        let servers = config.servers()?;
        let answer = Duration::from_millis(BROKER_ANSWER_TIMEOUT_MS);
        let requires_tls = config.requires_tls(&servers);
        let (breaks, broke) = watch::channel(false);
        let mut options = ConnectOptions::new()
            .name(name)
            .require_tls(requires_tls)
            .connection_timeout(Duration::from_millis(BROKER_CONNECT_TIMEOUT_MS))
            .request_timeout(Some(answer))
            .ping_interval(Duration::from_secs(5))
            .event_callback(move |event| {
                match event {
                    Event::Disconnected => {
                        breaks.send_replace(true);
                    }
                    // A right that is missing is said here alone: what was asked for is not answered at all.
                    Event::ServerError(error) => tracing::warn!(%error, "the broker complains"),
                    _ => {}
                }
                std::future::ready(())
            });
        if !requires_tls {
            // A server may tell of others anywhere, and they would be spoken to in plain text.
            options = options.ignore_discovered_servers();
        }
        if let Some(path) = &config.ca {
            options = options.add_root_certificates(path.clone());
        }
        if let (Some(certificate), Some(key)) = (&config.certificate, &config.key) {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if let Some(path) = &config.credentials {
            let read = options.credentials_file(path).await;
            options = read.map_err(|source| BrokerError::File { path: path.clone(), source })?;
        }
        let client = options.connect(servers).await.map_err(|error| BrokerError::Unreachable(error.to_string()))?;
        let context = ContextBuilder::new().timeout(answer).max_ack_inflight(2 * BROKER_WINDOW_FRAMES_MAX).build(client);
        Ok(Broker { context, broke })
    }

    /// Fails where the connection broke since it was made.
    pub(super) fn unbroken(&self) -> Result<(), BrokerError> {
        if *self.broke.borrow() { Err(BrokerError::Unreachable("the connection broke".to_owned())) } else { Ok(()) }
    }

    /// Completes when it breaks.
    pub(super) async fn broken(&self) {
        let mut broke = self.broke.clone();
        // Its other end lives as long as the connection.
        let _ = broke.wait_for(|broke| *broke).await;
    }

    /// The stream that a follower reads.
    pub(super) async fn stream(&self, name: &str) -> Result<Stream, BrokerError> {
        self.context.get_stream(name).await.map_err(|error| match error.kind() {
            GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                BrokerError::NoStream { name: name.to_owned() }
            }
            _ => BrokerError::Deed { deed: "tell of its stream", what: error.to_string() },
        })
    }

    /// The stream that the hub publishes to, made where there is none. One that is there stays as it was made, but for subjects that it
    /// lacks: those of a stream that was restored.
    pub(super) async fn stream_for(&self, subjects: &Subjects, config: &PublishConfig) -> Result<Stream, BrokerError> {
        let name = &config.broker.stream;
        let wanted = [&subjects.frames, &subjects.checkpoint];
        match self.stream(name).await {
            Ok(stream) => {
                let found = &stream.cached_info().config;
                if wanted.iter().all(|subject| found.subjects.contains(subject)) {
                    return Ok(stream);
                }
                let mut widened = found.clone();
                widened.subjects.extend(wanted.into_iter().cloned());
                self.context.update_stream(widened).await.map_err(BrokerError::deed("add a subject to its stream"))?;
                self.stream(name).await
            }
            Err(BrokerError::NoStream { .. }) => {
                let made = self.context.create_stream(made(subjects, config)).await;
                made.map_err(BrokerError::deed("make a stream"))
            }
            Err(error) => Err(error),
        }
    }
}

/// How a stream is made: on the disk, old messages going first where there is a limit.
fn made(subjects: &Subjects, config: &PublishConfig) -> Config {
    let days = config.age_max_days.map_or(0, u64::from);
    Config {
        name: config.broker.stream.clone(),
        subjects: vec![subjects.frames.clone(), subjects.checkpoint.clone()],
        description: Some("the log of a register, one message a frame".to_owned()),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: config.replicas,
        max_bytes: config.bytes_max.and_then(|bytes| i64::try_from(bytes).ok()).unwrap_or(-1),
        max_age: Duration::from_secs(days * 24 * 3600),
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        duplicate_window: DUPLICATES,
        ..Config::default()
    }
}

/// `None` where there is no such message.
pub(super) fn found<T>(
    asked: Result<T, async_nats::error::Error<LastRawMessageErrorKind>>,
    deed: &'static str,
) -> Result<Option<T>, BrokerError> {
    match asked {
        Ok(message) => Ok(Some(message)),
        Err(error) => match error.kind() {
            LastRawMessageErrorKind::NoMessageFound => Ok(None),
            LastRawMessageErrorKind::JetStream(said) if said.error_code() == ErrorCode::NO_MESSAGE_FOUND => Ok(None),
            _ => Err(BrokerError::Deed { deed, what: error.to_string() }),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use tokio::time::timeout;

    use super::*;

    /// A server that takes one connection, tells of another server, and then falls silent: each connection after that ends at once.
    fn takes_one(listener: &TcpListener, told_of: u16) {
        let (mut stream, _) = listener.accept().unwrap();
        let info = serde_json::json!({
            "server_id": "A", "server_name": "a", "version": "2.10.0", "go": "go1", "host": "127.0.0.1", "port": 4222, "proto": 1,
            "headers": true, "max_payload": 1 << 20, "connect_urls": [format!("127.0.0.1:{told_of}")],
        });
        write!(stream, "INFO {info}\r\n").unwrap();
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        while lines.next().unwrap().unwrap() != "PING" {}
        stream.write_all(b"PONG\r\n").unwrap();
    }

    #[test]
    fn nobody_is_called_whom_a_broker_in_plain_text_tells_of() {
        let (listener, elsewhere) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        elsewhere.set_nonblocking(true).unwrap();
        let told_of = elsewhere.local_addr().unwrap().port();
        let config = BrokerConfig::default().at(&format!("nats://{}", listener.local_addr().unwrap()));
        let server = std::thread::spawn(move || {
            takes_one(&listener, told_of);
            // Each server that is known is tried before one is tried again.
            (0..4).map(|_| listener.accept().map(|(stream, _): (TcpStream, _)| drop(stream))).all(|called| called.is_ok())
        });
        let patience = Duration::from_secs(30);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let broker = runtime.block_on(async {
            let broker = timeout(patience, Broker::connect(&config, "test")).await.unwrap().unwrap();
            timeout(patience, broker.broken()).await.unwrap();
            broker
        });
        let until = Instant::now() + patience;
        while !server.is_finished() {
            assert!(Instant::now() < until, "the broker that is named is not called again");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(broker);
        assert!(server.join().unwrap());
        assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody else was called");
    }
}
