//! On a warm connection the listener allocates nothing to answer a request.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

#[path = "common/counting.rs"]
mod counting;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use shikaku::serve::fast::{FastListener, ListenerLimits, Reply, Request};

use counting::{Counting, allocations_of_all_threads};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn answering_allocates_nothing() {
    let answer = |request: &Request<'_>, reply: &mut Reply<'_>| {
        reply.body().extend_from_slice(request.body);
    };
    let listener = FastListener::start("127.0.0.1:0".parse().unwrap(), ListenerLimits::default(), &Arc::new(answer)).unwrap();
    let mut stream = TcpStream::connect(listener.local_addr()).unwrap();
    stream.set_nodelay(true).unwrap();
    let request = format!("POST /p?a=b HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: 200\r\n\r\n{}", "x".repeat(200));
    let mut answer = [0; 1024];
    let mut ask = |times: u32| {
        for _ in 0..times {
            stream.write_all(request.as_bytes()).unwrap();
            let bytes = stream.read(&mut answer).unwrap();
            assert!(answer[..bytes].ends_with(b"xxx"));
        }
    };
    ask(2_000);
    let before = allocations_of_all_threads();
    ask(5_000);
    let allocations = allocations_of_all_threads() - before;
    // The engine's run queue takes a block for every 32 times that a connection wakes up, its clock a few each half second.
    assert!(allocations < 5_000 / 16, "{allocations} allocations in 5,000 requests");
}
