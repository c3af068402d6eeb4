//! Hostile clients, each alone and all together, while a well-behaved client keeps asking.
//!
//! The server is this same test binary, started again as a child, so that its memory is its own. It ends when its standard input does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use shikaku::serve::fast::{FastListener, ListenerLimits, Reply, Request};

// The appliance's allocator: what is given back to the system depends on it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ALONE: Duration = Duration::from_millis(1500);
const TOGETHER: Duration = Duration::from_secs(10);
const GROWTH_KIB_MAX: u64 = 64 * 1024;
const P99_MAX: Duration = Duration::from_millis(50);
const CONNECTIONS: usize = 10_000;
const SERVER: &str = "SHIKAKU_TEST_HOSTILE_SERVER";

#[test]
fn hostile_clients_neither_fill_the_memory_nor_disturb_a_good_one() {
    if std::env::var_os(SERVER).is_some() {
        return serve();
    }
    let crowd = enough_descriptors();
    let mut server = Server::start();
    let mut report = Vec::new();
    for (name, hostile) in HOSTILES {
        if crowd || *name != "ten thousand connections" {
            report.push(server.face(name, &[*hostile], ALONE));
        }
    }
    let all: Vec<_> = HOSTILES.iter().filter(|(name, _)| crowd || *name != "ten thousand connections").map(|(_, h)| *h).collect();
    report.push(server.face("all together", &all, TOGETHER));
    for line in &report {
        println!("{line}");
    }
    let said = server.stop();
    println!("{} connections stood at once; {said}", CROWD.load(Ordering::Relaxed));
    assert!(!said.contains("panicked at"), "{said}");
    let (mut attacks, mut answered) = (0, 0);
    for Faced { name, growth_kib, p99, errors, asked, .. } in report {
        assert!(asked > 100, "{name}: the good client asked only {asked} times");
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        assert!(growth_kib < GROWTH_KIB_MAX, "{name}: grew by {growth_kib} KiB");
        assert!(p99 < P99_MAX, "{name}: p99 {p99:?}");
        attacks += 1;
        answered += asked;
    }
    let test = "hostile_clients_neither_fill_the_memory_nor_disturb_a_good_one";
    println!(
        "proof: hostile clients neither fill the memory nor disturb a good one | kinds of attack, alone and together | {test} | {attacks}"
    );
    println!(
        "proof: hostile clients neither fill the memory nor disturb a good one | questions of a good client meanwhile | {test} | {answered}"
    );
}

type Hostile = fn(SocketAddr, &AtomicBool);

const HOSTILES: &[(&str, Hostile)] = &[
    ("pipelines and never reads", |address, over| twice(address, over, pipeline_unread)),
    ("endless header", |address, over| twice(address, over, endless_header)),
    ("a byte a second", byte_a_second),
    ("lengths that are none", |address, over| {
        for length in ["Content-Length: abc", "Content-Length: -1", "Content-Length: 5\r\nContent-Length: 5"] {
            poison(address, over, length);
        }
    }),
    ("chunked body", |address, over| poison(address, over, "Transfer-Encoding: chunked")),
    ("oversized body", oversized_body),
    ("ten thousand connections", crowd),
    ("half-closed sockets", half_closed),
];

/// Two of a kind at once, one for each of a small machine's workers.
fn twice(address: SocketAddr, over: &AtomicBool, hostile: Hostile) {
    thread::scope(|scope| {
        scope.spawn(|| repeat(over, || hostile(address, over)));
        repeat(over, || hostile(address, over));
    });
}

fn repeat(over: &AtomicBool, mut act: impl FnMut()) {
    while !over.load(Ordering::Relaxed) {
        act();
    }
}

/// None when the server is too busy with the crowd: a hostile client does not mind.
fn connect(address: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
    stream.set_write_timeout(Some(Duration::from_millis(200))).ok()?;
    Some(stream)
}

fn pipeline_unread(address: SocketAddr, over: &AtomicBool) {
    let Some(mut stream) = connect(address) else { return };
    let requests = "GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(1000);
    push(&mut stream, over, requests.as_bytes());
}

/// Every other one behaves first, until it is no longer new.
fn endless_header(address: SocketAddr, over: &AtomicBool) {
    let Some(mut stream) = connect(address) else { return };
    if ENDLESS.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
        let _ = stream.write_all(b"GET /good HTTP/1.1\r\n\r\n");
        thread::sleep(Duration::from_millis(150));
    }
    if stream.write_all(b"GET / HTTP/1.1\r\nX: ").is_ok() {
        push(&mut stream, over, &[b'a'; 64 * 1024]);
    }
}

static ENDLESS: AtomicU64 = AtomicU64::new(0);

/// Writes until it is cut off. A full socket is not the end: the client stays and insists.
fn push(stream: &mut TcpStream, over: &AtomicBool, bytes: &[u8]) {
    while !over.load(Ordering::Relaxed) {
        match stream.write(bytes) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => return,
        }
    }
}

fn byte_a_second(address: SocketAddr, over: &AtomicBool) {
    let mut streams: Vec<_> = (0..100).filter_map(|_| connect(address)).collect();
    let request = b"POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789";
    for byte in request.iter().cycle() {
        streams.retain_mut(|stream| stream.write_all(&[*byte]).is_ok());
        let second = Instant::now() + Duration::from_secs(1);
        while Instant::now() < second {
            if over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// What comes after the bad head counts as served if it is answered with 200.
fn poison(address: SocketAddr, over: &AtomicBool, header: &str) {
    let request = format!("POST /p HTTP/1.1\r\n{header}\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET /good HTTP/1.1\r\n\r\n");
    let until = Instant::now() + Duration::from_millis(400);
    repeat(over, || {
        let Some(mut stream) = connect(address) else { return };
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "served after {header}");
        if Instant::now() > until {
            thread::sleep(Duration::from_millis(1));
        }
    });
}

fn oversized_body(address: SocketAddr, over: &AtomicBool) {
    let piece = vec![b'x'; 64 * 1024];
    repeat(over, || {
        let Some(mut stream) = connect(address) else { return };
        let _ = stream.write_all(b"POST /p HTTP/1.1\r\nContent-Length: 100000000\r\n\r\n");
        for _ in 0..1600 {
            if over.load(Ordering::Relaxed) || stream.write_all(&piece).is_err() {
                return;
            }
        }
    });
}

fn crowd(address: SocketAddr, over: &AtomicBool) {
    let mut streams = Vec::with_capacity(CONNECTIONS);
    while streams.len() < CONNECTIONS && !over.load(Ordering::Relaxed) {
        streams.extend(connect(address));
    }
    CROWD.fetch_max(streams.len() as u64, Ordering::Relaxed);
    repeat(over, || thread::sleep(Duration::from_millis(20)));
}

static CROWD: AtomicU64 = AtomicU64::new(0);

fn half_closed(address: SocketAddr, over: &AtomicBool) {
    let mut streams = Vec::new();
    repeat(over, || {
        let Some(mut stream) = connect(address) else { return };
        match streams.len() % 3 {
            0 => drop(stream.shutdown(Shutdown::Write)),
            1 => drop(
                stream
                    .write_all(b"POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nha")
                    .and_then(|()| stream.shutdown(Shutdown::Write)),
            ),
            _ => drop(stream.write_all(b"GET / HT").and_then(|()| stream.shutdown(Shutdown::Read))),
        }
        streams.push(stream);
        if streams.len() == 600 {
            streams.clear();
        }
        thread::sleep(Duration::from_millis(1));
    });
}

/// What the good client and the server's memory went through.
struct Faced {
    name: String,
    asked: usize,
    p99: Duration,
    slowest: Duration,
    growth_kib: u64,
    errors: Vec<String>,
}

impl std::fmt::Display for Faced {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, asked, p99, slowest, growth_kib, errors } = self;
        write!(f, "{name}: asked {asked}, p99 {p99:?}, slowest {slowest:?}, memory +{growth_kib} KiB, errors {errors:?}")
    }
}

struct Server {
    child: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
    memory_kib: u64,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hostile_clients_neither_fill_the_memory_nor_disturb_a_good_one", "--nocapture"])
            .env(SERVER, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let heard = Arc::clone(&said);
        // Read while it runs: a full pipe would block the server.
        thread::spawn(move || {
            let mut line = String::new();
            while stderr.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                // The engine prints a line for each request it cannot parse.
                if !line.starts_with("failed to parse http request") {
                    heard.lock().unwrap().push_str(&line);
                }
                line.clear();
            }
        });
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address =
            lines.by_ref().find_map(|line| Some(line.unwrap().split_once("listening on ")?.1.parse().unwrap())).unwrap();
        thread::spawn(move || lines.for_each(drop));
        let mut server = Self { child, address, said, memory_kib: 0 };
        server.face("warming up", &[], Duration::from_millis(300));
        server.memory_kib = server.resident_kib();
        server
    }

    /// Runs the hostile clients beside a good one.
    fn face(&mut self, name: &str, hostiles: &[Hostile], time: Duration) -> Faced {
        let over = AtomicBool::new(false);
        let (address, until) = (self.address, Instant::now() + time);
        let mut memory_kib = 0;
        let (mut times, errors) = thread::scope(|scope| {
            let good = scope.spawn(|| ask_until(address, &over));
            for hostile in hostiles {
                let over = &over;
                scope.spawn(move || hostile(address, over));
            }
            while Instant::now() < until {
                memory_kib = memory_kib.max(self.resident_kib());
                thread::sleep(Duration::from_millis(5));
            }
            over.store(true, Ordering::Relaxed);
            good.join().unwrap()
        });
        assert!(self.child.try_wait().unwrap().is_none(), "{name}: the server ended: {}", self.said.lock().unwrap());
        times.sort();
        Faced {
            name: name.to_owned(),
            asked: times.len(),
            p99: times.get(times.len() * 99 / 100).copied().unwrap_or(Duration::MAX),
            slowest: times.last().copied().unwrap_or(Duration::MAX),
            growth_kib: memory_kib.saturating_sub(self.memory_kib),
            errors,
        }
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok()).unwrap()
    }

    fn stop(&mut self) -> String {
        drop(self.child.stdin.take());
        let status = self.child.wait().unwrap();
        let said = self.said.lock().unwrap().clone();
        assert!(status.success(), "{status}: {said}");
        said
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
    }
}

/// A reception desk: one question after the other, on one connection.
fn ask_until(address: SocketAddr, over: &AtomicBool) -> (Vec<Duration>, Vec<String>) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let body = "x".repeat(100);
    let request = format!("POST /good HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{body}");
    let (mut times, mut errors, mut answer) = (Vec::new(), Vec::new(), vec![0; 4096]);
    while !over.load(Ordering::Relaxed) && errors.is_empty() {
        let began = Instant::now();
        match stream.write_all(request.as_bytes()).and_then(|()| stream.read(&mut answer)) {
            Ok(bytes) if answer[..bytes].starts_with(b"HTTP/1.1 200 ") && answer[..bytes].ends_with(b"\r\n\r\n100") => {}
            Ok(bytes) => errors.push(format!("answered {:?}", String::from_utf8_lossy(&answer[..bytes]))),
            Err(error) => errors.push(error.to_string()),
        }
        times.push(began.elapsed());
        thread::sleep(Duration::from_micros(200));
    }
    (times, errors)
}

/// The child: answers with the length of the body, or with half a kilobyte.
fn serve() {
    let answer = |request: &Request<'_>, reply: &mut Reply<'_>| {
        if request.path == "/large" {
            reply.body().resize(520, b'x');
        } else {
            reply.body().extend_from_slice(request.body.len().to_string().as_bytes());
        }
    };
    let listener = FastListener::start("127.0.0.1:0".parse().unwrap(), ListenerLimits::default(), &Arc::new(answer)).unwrap();
    println!("\nlistening on {}", listener.local_addr());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    eprintln!("{:?}", listener.counters().read());
    listener.stop();
}

/// Ten thousand sockets here, and as many for the server while it refuses them.
fn enough_descriptors() -> bool {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let needed = CONNECTIONS as u64 + 2000;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < needed) {
        limit.current = limit.maximum;
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let enough = getrlimit(Resource::Nofile).current.is_none_or(|current| current >= needed);
    if !enough {
        println!("ten thousand connections: skipped, the system allows too few open files");
    }
    enough
}
