//! A site with an authority of its own: certificates right and wrong, the API in this process, and a client that speaks TLS.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use shikaku::serve::api::counters::ApiCounters;
use shikaku::serve::api::remote::{RemoteApi, RemoteLimits, RemoteOptions};
use shikaku::serve::config::Config;
use shikaku::serve::service::Service;
use shikaku::serve::tokens::Tokens;
use shikaku::tls::pki::{NewFile, Order, SiteAuthority, write_new};
use shikaku::tls::{ClientCertificates, ClientTls, CredentialFiles, ServerTls, client_config, server_name};
use tempfile::TempDir;

use super::{Answer, Http, PATIENCE, connected};

/// The host name in every server's certificate.
pub const HOST: &str = "127.0.0.1";

/// A site: its authority, and a directory for what it signs.
pub struct Site {
    directory: TempDir,
    authority: SiteAuthority,
}

/// Now, seconds since 1970.
pub fn now_unix_s() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

impl Site {
    pub fn new() -> Site {
        let directory = tempfile::tempdir().unwrap();
        let authority = SiteAuthority::create(&directory.path().join("ca"), "a site for tests", 30, now_unix_s()).unwrap();
        Site { directory, authority }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Takes a certificate back; the list stands beside the authority's certificate.
    pub fn revoke(&self, own: &CredentialFiles) -> PathBuf {
        let directory = self.path("ca");
        self.authority.revoke(&directory, &own.certificate, now_unix_s()).unwrap();
        directory.join("ca.crl")
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.path("ca/ca.crt")
    }

    /// A certificate for a URI, as if it had been signed at some time, valid for a day from then.
    pub fn signed_at(&self, name: &str, uri: &str, hosts: &[&str], unix_s: u64) -> CredentialFiles {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        let order = Order { name: name.to_owned(), uri: uri.to_owned(), hosts, days: 1 };
        let signed = self.authority.issue(&order, unix_s).unwrap();
        self.write(name, &signed.certificate, &signed.key)
    }

    /// A certificate that is valid now.
    pub fn signed(&self, name: &str, uri: &str, hosts: &[&str]) -> CredentialFiles {
        self.signed_at(name, uri, hosts, now_unix_s())
    }

    /// Certificate and key as files.
    pub fn write(&self, name: &str, certificate: &str, key: &str) -> CredentialFiles {
        let directory = self.path(name);
        let file =
            |name: &str, content: &str, is_secret| NewFile { name: name.to_owned(), content: content.to_owned(), is_secret };
        write_new(&directory, &[file("crt", certificate, false), file("key", key, true)]).unwrap();
        CredentialFiles { certificate: directory.join("crt"), key: directory.join("key") }
    }

    /// The hub's certificate.
    pub fn hub(&self) -> CredentialFiles {
        let files = CredentialFiles { certificate: self.path("hub/crt"), key: self.path("hub/key") };
        if files.key.exists() { files } else { self.signed("hub", "urn:shikaku:clearing_house:hub", &[HOST, "localhost"]) }
    }

    /// The configuration of a client that believes this site, with or without a certificate.
    pub fn client(&self, own: Option<&CredentialFiles>) -> Arc<ClientConfig> {
        client_config(&ClientTls { ca: self.ca(), own: own.cloned() }).unwrap()
    }

    /// `[api]` for a server of the program.
    pub fn config(&self) -> String {
        let hub = self.hub();
        let path = |path: &Path| format!("{:?}", path.to_str().unwrap());
        format!(
            "[api]\nlisten = \"127.0.0.1:0\"\ncertificate = {}\nkey = {}\nclient_ca = {}\n",
            path(&hub.certificate),
            path(&hub.key),
            path(&self.ca())
        )
    }

    /// What the API in this process is started with: every client shows a certificate, as off loopback.
    pub fn options(&self) -> RemoteOptions {
        let tls = ServerTls {
            own: self.hub(),
            client_ca: Some(self.ca()),
            client_crl: None,
            clients: ClientCertificates::Required,
            tls12: false,
        };
        RemoteOptions { listen: "127.0.0.1:0".parse().unwrap(), tls, limits: RemoteLimits::default() }
    }
}

/// The API in this process, of a register that is still being loaded.
pub fn start(options: &RemoteOptions, log: Router) -> RemoteApi {
    remember_the_log();
    let service = Arc::new(Service::new(Config::default(), Tokens::default()));
    RemoteApi::start(options, service, log, ApiCounters::default()).unwrap()
}

/// A connection over TLS; the handshake is made with the first bytes.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

pub fn tls_to(address: SocketAddr, config: &Arc<ClientConfig>) -> Tls {
    let connection = ClientConnection::new(config.clone(), server_name(HOST).unwrap()).unwrap();
    StreamOwned::new(connection, connected(address))
}

pub fn https(address: SocketAddr, config: &Arc<ClientConfig>) -> Http<Tls> {
    Http::over(tls_to(address, config))
}

/// A GET on a connection of its own: its answer, or how that ended; and the port it came from.
pub fn try_get(address: SocketAddr, config: &Arc<ClientConfig>, target: &str) -> (std::io::Result<Answer>, u16) {
    let mut stream = tls_to(address, config);
    let port = stream.sock.local_addr().unwrap().port();
    let sent = stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n").as_bytes());
    // What was refused may be noticed while writing or while reading.
    (sent.and_then(|()| Http::over(stream).try_receive()), port)
}

/// The log of this process, line by line.
static LOG: (Mutex<Vec<String>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.0.lock().unwrap().push(String::from_utf8_lossy(bytes).into_owned());
        LOG.1.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Keeps what is logged in this process for [`logged`].
pub fn remember_the_log() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let subscriber = tracing_subscriber::fmt().json().with_env_filter("info").with_writer(|| LogWriter).finish();
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
}

/// The first logged line that holds all of these, once there is one.
#[track_caller]
pub fn logged(parts: &[&str]) -> String {
    let until = Instant::now() + PATIENCE;
    let mut lines = LOG.0.lock().unwrap();
    loop {
        if let Some(line) = lines.iter().find(|line| parts.iter().all(|part| line.contains(part))) {
            return line.clone();
        }
        let left = until.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("not logged: {parts:?} in {lines:#?}"));
        lines = LOG.1.wait_timeout(lines, left).unwrap().0;
    }
}

/// How long something took.
pub fn timed<T>(deed: impl FnOnce() -> T) -> (T, Duration) {
    let began = Instant::now();
    let done = deed();
    (done, began.elapsed())
}
