//! Somebody between a hub and those who follow it, with a certificate that they believe: it passes on what it is asked for, and alters
//! what it likes.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};
use shikaku::tls::{ClientCertificates, ClientTls, CredentialFiles, ServerTls, client_config, server_config, server_name};

use super::PATIENCE;
use super::houses::Certificates;

/// An answer on its way.
#[derive(Clone, Debug)]
pub struct Passing {
    pub status: u16,
    /// Without the line of the status, the length, and the empty line.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Passing {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

type Lie = Box<dyn FnMut(&str, Passing) -> Passing + Send>;

/// The one in between, while the test holds it.
pub struct Liar {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    hub: SocketAddr,
    lie: Mutex<Lie>,
    told: AtomicU64,
    ended: AtomicBool,
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Liar {
    pub fn before(hub: SocketAddr, certificates: &Certificates) -> Liar {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tls = ServerTls {
            own: files(certificates.of("replica", "liar")),
            client_ca: Some(certificates.authority()),
            client_crl: None,
            clients: ClientCertificates::Required,
            tls12: false,
        };
        let shared = Arc::new(Shared {
            hub,
            lie: Mutex::new(Box::new(|_, passing| passing)),
            told: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            server: server_config(&tls, |_| Ok(())).unwrap(),
            client: client(certificates, "liar"),
        });
        let liar = Liar { address: listener.local_addr().unwrap(), shared: shared.clone() };
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::Relaxed) {
                    return;
                }
                let shared = shared.clone();
                // A connection that ends in the middle ends here too.
                std::thread::spawn(move || shared.pass_on(stream));
            }
        });
        liar
    }

    /// From the next answer on this is done to them.
    pub fn tell(&self, lie: impl FnMut(&str, Passing) -> Passing + Send + 'static) {
        *self.shared.lie.lock().unwrap() = Box::new(lie);
        self.shared.told.store(0, Ordering::Relaxed);
    }

    /// From the next answer on nothing is.
    pub fn tell_the_truth(&self) {
        self.tell(|_, passing| passing);
    }

    /// How many answers went through since.
    pub fn told(&self) -> u64 {
        self.shared.told.load(Ordering::Relaxed)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn pass_on(&self, stream: TcpStream) -> Option<()> {
        let mut asking = BufReader::new(StreamOwned::new(ServerConnection::new(self.server.clone()).ok()?, stream));
        let mut hub = BufReader::new(connect(self.hub, &self.client).ok()?);
        while !self.ended.load(Ordering::Relaxed) {
            let head = read_head(&mut asking)?;
            // Nobody waits longer for a lie than a moment.
            let head = head.replace("wait=20", "wait=1");
            hub.get_mut().write_all(head.as_bytes()).ok()?;
            let target = head.split(' ').nth(1)?.to_owned();
            let passing = read_answer(&mut hub)?;
            let passing = (self.lie.lock().unwrap())(&target, passing);
            self.told.fetch_add(1, Ordering::Relaxed);
            let mut bytes = format!("HTTP/1.1 {} Answer\r\n", passing.status);
            for (name, value) in &passing.headers {
                bytes.push_str(&format!("{name}: {value}\r\n"));
            }
            if passing.status != 304 {
                bytes.push_str(&format!("content-length: {}\r\n", passing.body.len()));
            }
            bytes.push_str("\r\n");
            asking.get_mut().write_all(&[bytes.as_bytes(), &passing.body].concat()).ok()?;
            asking.get_mut().flush().ok()?;
        }
        None
    }
}

/// A connection over TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Connects as somebody.
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Tls> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let connection = ClientConnection::new(config.clone(), server_name("127.0.0.1").unwrap());
    Ok(StreamOwned::new(connection.map_err(std::io::Error::other)?, stream))
}

/// The certificates of one who follows.
pub fn client(certificates: &Certificates, name: &str) -> Arc<ClientConfig> {
    client_config(&ClientTls { ca: certificates.authority(), own: Some(files(certificates.of("replica", name))) }).unwrap()
}

/// Asks once on a connection of its own.
pub fn ask(address: SocketAddr, config: &Arc<ClientConfig>, target: &str, headers: &[(&str, &str)]) -> Passing {
    let mut stream = connect(address, config).unwrap();
    let mut request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    read_answer(&mut BufReader::new(stream)).unwrap()
}

fn files((certificate, key): (PathBuf, PathBuf)) -> CredentialFiles {
    CredentialFiles { certificate, key }
}

fn read_head(stream: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

fn read_answer(stream: &mut impl BufRead) -> Option<Passing> {
    let head = read_head(stream)?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers: Vec<(String, String)> = fields.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect();
    let mut passing = Passing { status, headers, body: Vec::new() };
    let length = passing.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    if status != 304 {
        passing.body.resize(length, 0);
        stream.read_exact(&mut passing.body).ok()?;
    }
    passing.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    Some(passing)
}
