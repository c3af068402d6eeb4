//! What the fast listener answers to unusual but precise requests, byte for byte where it matters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stderr)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use shikaku::serve::fast::{Answer, ContentType, FastListener, ListenError, ListenerLimits, Method, Reply, Request};

/// Says what it was asked, so that a test sees which requests were served.
struct Echo;

impl Answer for Echo {
    fn answer(&self, request: &Request<'_>, reply: &mut Reply<'_>) {
        assert!(request.path != "/panic", "asked to");
        if request.method == Method::Other {
            reply.status(405);
        }
        if let Some(seconds) = request.path.strip_prefix("/later/") {
            reply.status(429).retry_after_s(seconds.parse().unwrap());
        }
        if let Some(bytes) = request.path.strip_prefix("/large/") {
            reply.body().resize(bytes.parse().unwrap(), b'x');
            return;
        }
        let authorization = request.authorization.map(String::from_utf8_lossy);
        let said = format!(
            "{} {} {} {:?} {:?} {:?} {}",
            request.path,
            request.query,
            request.body.len(),
            request.content_type,
            request.accept,
            authorization,
            request.peer
        );
        reply.content_type(ContentType::Text).body().extend_from_slice(said.as_bytes());
    }
}

fn start(limits: ListenerLimits) -> FastListener {
    FastListener::start("127.0.0.1:0".parse().unwrap(), limits, &Arc::new(Echo)).unwrap()
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// One answer: status and body.
fn read_answer(stream: &mut TcpStream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

/// Sends everything in one write and reads until the server closes: the statuses in order, and the bytes.
fn exchange(address: SocketAddr, bytes: &[u8]) -> (Vec<u16>, String) {
    let mut stream = connect(address);
    stream.write_all(bytes).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    let statuses = all.match_indices("HTTP/1.1 ").map(|(at, _)| all[at + 9..at + 12].parse().unwrap()).collect();
    (statuses, all)
}

fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

const GOOD: &str = "GET /good HTTP/1.1\r\nHost: h\r\n\r\n";

fn assert_poisoned(head: &str, status: u16) {
    let listener = start(ListenerLimits::default());
    for before in [0, 1, 5, 40] {
        let bytes = format!("{}{head}{GOOD}{GOOD}", GOOD.repeat(before));
        let (statuses, all) = exchange(listener.local_addr(), bytes.as_bytes());
        let mut expected = vec![200; before];
        expected.push(status);
        assert_eq!(statuses, expected, "{head:?} after {before}: {all}");
        assert!(all.contains("Connection: close"));
    }
    let counted = listener.counters().read();
    assert_eq!((counted.poisoned, counted.failed_answers), (4, 0));
    listener.stop();
}

#[test]
fn nothing_after_a_length_that_is_no_number_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nContent-Length: abc\r\n\r\n", 400);
}

#[test]
fn nothing_after_a_negative_length_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nContent-Length: -5\r\n\r\n", 400);
}

#[test]
fn nothing_after_a_repeated_length_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400);
}

#[test]
fn nothing_after_a_chunked_body_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 501);
}

#[test]
fn nothing_after_a_post_without_length_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nHost: h\r\n\r\n", 411);
}

#[test]
fn nothing_after_an_oversized_body_is_served() {
    assert_poisoned("POST /p HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413);
}

#[test]
fn a_client_that_sends_an_oversized_body_whole_can_read_why_it_was_refused() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    let body = vec![b'x'; 3 * 1024 * 1024];
    stream.write_all(format!("POST /p HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    assert_eq!(read_answer(&mut stream).0, 413);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn connection_close_is_honoured_after_the_answers_before_it() {
    let listener = start(ListenerLimits::default());
    let last = "GET /last HTTP/1.1\r\nConnection: close\r\n\r\n";
    let (statuses, all) = exchange(listener.local_addr(), format!("{GOOD}{GOOD}{last}{GOOD}").as_bytes());
    assert_eq!(statuses, [200, 200, 200]);
    assert!(all.ends_with("/last  0 None None None 127.0.0.1"), "{all}");
    let (statuses, _) = exchange(listener.local_addr(), b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(statuses, [200]);
}

#[test]
fn expect_100_continue_is_answered_before_the_body() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    for _ in 0..3 {
        stream.write_all(b"POST /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").unwrap();
        let mut interim = [0; 25];
        stream.read_exact(&mut interim).unwrap();
        assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
        stream.write_all(b"hello").unwrap();
        assert!(read_answer(&mut stream).1.starts_with("/p  5 "));
    }
    stream.write_all(b"POST /p HTTP/1.1\r\nContent-Length: x\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).0, 400);
}

#[test]
fn a_second_listener_on_the_port_is_refused() {
    let listener = start(ListenerLimits::default());
    let second = FastListener::start(listener.local_addr(), ListenerLimits::default(), &Arc::new(Echo));
    assert!(matches!(second, Err(ListenError::InUse { address }) if address == listener.local_addr()));
    let address = listener.local_addr();
    listener.stop();
    FastListener::start(address, ListenerLimits::default(), &Arc::new(Echo)).unwrap().stop();
}

#[test]
fn ipv6_loopback_works() {
    let Ok(listener) = FastListener::start("[::1]:0".parse().unwrap(), ListenerLimits::default(), &Arc::new(Echo)) else {
        eprintln!("no IPv6 here: skipped");
        return;
    };
    let mut stream = connect(listener.local_addr());
    stream.write_all(GOOD.as_bytes()).unwrap();
    assert!(read_answer(&mut stream).1.ends_with("::1"));
}

#[test]
fn a_request_that_arrives_byte_by_byte_is_answered() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    let request =
        "POST /p?a=b HTTP/1.1\r\nContent-Type: a/b\r\nAccept: c/d\r\nAuthorization: Bearer t\r\nContent-Length: 5\r\n\r\nhello";
    for byte in request.bytes() {
        stream.write_all(&[byte]).unwrap();
    }
    assert_eq!(read_answer(&mut stream), (200, r#"/p a=b 5 Some("a/b") Some("c/d") Some("Bearer t") 127.0.0.1"#.to_owned()));
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    for round in 0..50 {
        let requests: String = (0..64).map(|number| post(&format!("/{round}/{number}"), &"x".repeat(number))).collect();
        stream.write_all(requests.as_bytes()).unwrap();
        for number in 0..64 {
            assert!(read_answer(&mut stream).1.starts_with(&format!("/{round}/{number}  {number} ")));
        }
    }
    assert_eq!(listener.counters().read().requests, 50 * 64);
}

#[test]
fn a_body_in_several_packets_and_one_of_a_mebibyte_arrive_whole() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    stream.write_all(b"POST /p HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc").unwrap();
    stream.write_all(b"def").unwrap();
    stream.write_all(b"ghi").unwrap();
    assert!(read_answer(&mut stream).1.starts_with("/p  9 "));
    for _ in 0..3 {
        stream.write_all(post("/m", &"y".repeat(1024 * 1024)).as_bytes()).unwrap();
        assert!(read_answer(&mut stream).1.starts_with("/m  1048576 "));
        stream.write_all(GOOD.as_bytes()).unwrap();
        assert!(read_answer(&mut stream).1.starts_with("/good "));
    }
}

#[test]
fn large_answers_arrive_whole_and_the_largest_end_the_connection() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    for bytes in [10, 100_000, 1024 * 1024, 10] {
        stream.write_all(format!("GET /large/{bytes} HTTP/1.1\r\n\r\n").as_bytes()).unwrap();
        assert_eq!(read_answer(&mut stream).1.len(), bytes);
    }
    let (statuses, all) = exchange(listener.local_addr(), format!("{GOOD}GET /large/8388608 HTTP/1.1\r\n\r\n{GOOD}").as_bytes());
    assert_eq!(statuses, [200, 200]);
    assert!(all.contains("Connection: close") && all.ends_with("xxx"));
}

#[test]
fn a_panicking_answer_is_a_500_and_the_listener_lives() {
    let listener = start(ListenerLimits::default());
    let (statuses, _) = exchange(listener.local_addr(), format!("{GOOD}GET /panic HTTP/1.1\r\n\r\n{GOOD}").as_bytes());
    assert_eq!(statuses, [200, 500]);
    let mut stream = connect(listener.local_addr());
    stream.write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).0, 200);
    assert_eq!(listener.counters().read().failed_answers, 1);
}

#[test]
fn head_and_other_methods_reach_the_answer() {
    let listener = start(ListenerLimits::default());
    let mut stream = connect(listener.local_addr());
    stream.write_all(b"HEAD / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream), (200, String::new()));
    stream.write_all(b"DELETE / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).0, 405);
}

#[test]
fn who_is_told_to_ask_later_is_told_when_also_where_it_is_the_last_answer() {
    let listener = start(ListenerLimits::default());
    let later = "GET /later/7 HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut stream = connect(listener.local_addr());
    stream.write_all(later.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).0, 429);
    // The line counts among the bytes that were answered: what a broken pipeline still gets is found by counting them.
    let last = "GET /later/60 HTTP/1.1\r\nConnection: close\r\n\r\n";
    let (statuses, all) = exchange(listener.local_addr(), format!("{later}{GOOD}{later}{last}{GOOD}").as_bytes());
    assert_eq!(statuses, [429, 200, 429, 429], "{all}");
    let lines: Vec<&str> = all.lines().filter(|line| line.starts_with("Retry-After")).collect();
    assert_eq!(lines, ["Retry-After: 7", "Retry-After: 7", "Retry-After: 60"]);
}

#[test]
fn silent_and_slow_connections_are_swept() {
    let limits = ListenerLimits {
        first_byte_timeout: Duration::from_millis(100),
        head_timeout: Duration::from_millis(100),
        body_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(300),
        ..ListenerLimits::default()
    };
    let listener = start(limits);
    let begins = ["", "GET /", "POST /p HTTP/1.1\r\nContent-Length: 10\r\n\r\nhalf", GOOD];
    let mut streams: Vec<_> = begins.iter().map(|begin| (connect(listener.local_addr()), begin)).collect();
    for (stream, begin) in &mut streams {
        stream.write_all(begin.as_bytes()).unwrap();
    }
    read_answer(&mut streams[3].0);
    for (stream, begin) in &mut streams {
        // A reset or an end, either way before the read times out.
        assert!(!matches!(stream.read(&mut [0]), Ok(1..)), "{begin:?}");
    }
    let counted = listener.counters().read();
    assert_eq!((counted.swept_idle, counted.swept_slow), (2, 2));
}

#[test]
fn at_the_cap_a_newcomer_displaces_who_never_asked() {
    let listener = start(ListenerLimits { connections_max: 8, ..ListenerLimits::default() });
    let mut good = connect(listener.local_addr());
    good.write_all(GOOD.as_bytes()).unwrap();
    read_answer(&mut good);
    let _idle: Vec<_> = (0..40)
        .map(|_| {
            good.write_all(GOOD.as_bytes()).unwrap();
            assert_eq!(read_answer(&mut good).0, 200);
            connect(listener.local_addr())
        })
        .collect();
    let mut late = connect(listener.local_addr());
    late.write_all(GOOD.as_bytes()).unwrap();
    assert_eq!(read_answer(&mut late).0, 200);
    // A connection stands in an acceptor's queue before it is counted, and there are several acceptors.
    let until = Instant::now() + Duration::from_secs(10);
    while listener.counters().read().displaced < 30 && Instant::now() < until {
        std::thread::yield_now();
    }
    let counted = listener.counters().read();
    assert!(counted.connections <= 8 && counted.displaced >= 30, "{counted:?}");
}

#[test]
fn stopping_answers_what_is_under_way_and_ends_the_rest() {
    let listener = start(ListenerLimits::default());
    let address = listener.local_addr();
    let mut idle = connect(address);
    idle.write_all(GOOD.as_bytes()).unwrap();
    read_answer(&mut idle);
    let mut under_way = connect(address);
    under_way.write_all(b"POST /p HTTP/1.1\r\nContent-Length: 4\r\n\r\nha").unwrap();
    while listener.counters().read().requests < 2 {
        std::thread::yield_now();
    }
    let counters = listener.counters();
    let began = Instant::now();
    let stopper = std::thread::spawn(move || listener.stop());
    assert_eq!(idle.read(&mut [0]).unwrap(), 0);
    under_way.write_all(b"lf").unwrap();
    assert!(read_answer(&mut under_way).1.starts_with("/p  4 "));
    under_way.shutdown(Shutdown::Write).unwrap();
    stopper.join().unwrap();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert_eq!(counters.read().connections, 0);
    assert!(TcpStream::connect(address).is_err());
}
