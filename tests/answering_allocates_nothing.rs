//! On a warm connection the listener allocates nothing to answer a request.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use shikaku::serve::fast::{FastListener, ListenerLimits, Reply, Request};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the system allocator's contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

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
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    ask(5_000);
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    // The engine's run queue takes a block for every 32 times that a connection wakes up, its clock a few each half second.
    assert!(allocations < 5_000 / 16, "{allocations} allocations in 5,000 requests");
}
