//! Real servers of the engine, started and ended by the test.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::jetstream::context::GetStreamErrorKind;
use tempfile::TempDir;

/// Long enough for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something holds.
#[track_caller]
pub(crate) fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One server or a cluster of three, in a directory that is gone when the test is.
pub(crate) struct Servers {
    directory: TempDir,
    servers: Vec<Server>,
    runtime: tokio::runtime::Runtime,
}

struct Server {
    port: u16,
    config: PathBuf,
    process: Option<Child>,
}

impl Servers {
    /// One server; `None` where the program is not installed.
    pub(crate) fn one() -> Option<Servers> {
        Servers::one_with("")
    }

    /// One server with more lines of configuration.
    pub(crate) fn one_with(more: &str) -> Option<Servers> {
        Servers::start(1, more)
    }

    /// Three that replicate.
    pub(crate) fn three() -> Option<Servers> {
        Servers::start(3, "")
    }

    fn start(count: usize, more: &str) -> Option<Servers> {
        if !is_installed() {
            return None;
        }
        let directory = TempDir::new().unwrap();
        let ports = free_ports(2 * count);
        let (ports, routes) = ports.split_at(count);
        let servers = (0..count).map(|place| {
            let config = directory.path().join(format!("{place}.conf"));
            let text = configuration(directory.path(), place, ports[place], if count > 1 { routes } else { &[] }, more);
            std::fs::write(&config, text).unwrap();
            Server { port: ports[place], config, process: None }
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut servers = Servers { servers: servers.collect(), directory, runtime };
        for place in 0..count {
            servers.restart(place);
        }
        Some(servers)
    }

    /// Starts a server that is not running, and waits until it answers.
    pub(crate) fn restart(&mut self, place: usize) {
        let log = self.directory.path().join(format!("{place}.log"));
        let server = &mut self.servers[place];
        let out = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new("nats-server");
        command.arg("-c").arg(&server.config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
        server.process = Some(command.spawn().unwrap());
        let port = server.port;
        await_that("the server answers", || greets(port));
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self, place: usize) {
        let mut process = self.servers[place].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// The addresses, as the configuration names them.
    pub(crate) fn urls(&self) -> String {
        let urls: Vec<String> = self.servers.iter().map(|server| format!("nats://127.0.0.1:{}", server.port)).collect();
        urls.join(",")
    }

    /// The address of one of them for TLS.
    pub(crate) fn tls_url(&self) -> String {
        format!("tls://localhost:{}", self.servers[0].port)
    }

    /// Which of the servers leads the stream.
    pub(crate) fn leader(&self) -> usize {
        let info = self.ask(|context| async move { context.get_stream("shikaku").await.unwrap().get_info().await.unwrap() });
        let leader = info.cluster.unwrap().leader.unwrap();
        leader.strip_prefix("server").unwrap().parse().unwrap()
    }

    /// Waits until the cluster has agreed on who leads, so that streams can be made.
    pub(crate) fn await_quorum(&self) {
        await_that("the cluster answers", || {
            self.ask(|context| async move {
                // A stream that is not there: only who leads can say so.
                match tokio::time::timeout(Duration::from_secs(2), context.get_stream("nowhere")).await {
                    Ok(Err(error)) => matches!(error.kind(), GetStreamErrorKind::JetStream(_)),
                    Ok(Ok(_)) | Err(_) => false,
                }
            })
        });
    }

    /// Does something with the engine as anybody could who may.
    pub(crate) fn ask<F, T>(&self, deed: impl FnOnce(jetstream::Context) -> F) -> T
    where
        F: Future<Output = T>,
    {
        self.runtime.block_on(async {
            let urls: Vec<async_nats::ServerAddr> = self.urls().split(',').map(|url| url.parse().unwrap()).collect();
            let client = async_nats::ConnectOptions::new().connect(urls).await.unwrap();
            deed(jetstream::new(client.clone())).await
        })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for place in 0..self.servers.len() {
                let log = std::fs::read_to_string(self.directory.path().join(format!("{place}.log"))).unwrap_or_default();
                let lines: Vec<&str> = log.lines().collect();
                println!("server{place} said last:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"));
            }
        }
        for server in &mut self.servers {
            if let Some(process) = &mut server.process {
                let _ = process.kill();
                let _ = process.wait();
            }
        }
    }
}

/// Whether there is a server to try it with.
pub(crate) fn is_installed() -> bool {
    Command::new("nats-server").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn configuration(directory: &Path, place: usize, port: u16, routes: &[u16], more: &str) -> String {
    let store = directory.join(format!("store{place}"));
    let cluster = if routes.is_empty() {
        String::new()
    } else {
        let urls: Vec<String> = routes.iter().map(|port| format!("nats-route://127.0.0.1:{port}")).collect();
        format!("cluster {{ name: houses, listen: \"127.0.0.1:{}\", routes: [{}] }}\n", routes[place], urls.join(", "))
    };
    format!(
        "server_name: server{place}\nlisten: \"127.0.0.1:{port}\"\n\
         jetstream {{ store_dir: \"{}\", max_file_store: 1GB, max_memory_store: 64MB }}\n{cluster}{more}\n",
        store.display()
    )
}

/// Ports that nobody listens on: they are held together, so that all differ, and let go.
fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// A server speaks first.
fn greets(port: u16) -> bool {
    let Ok(stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).is_ok() && line.starts_with("INFO ")
}
