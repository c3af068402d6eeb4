//! An allocator that counts, for tests of what takes no memory. Each such test is a program of its own and installs it:
//!
//! ```ignore
//! #[global_allocator]
//! static ALLOCATOR: Counting = Counting;
//! ```
#![allow(dead_code, unreachable_pub)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

thread_local! {
    static OF_THIS_THREAD: Cell<u64> = const { Cell::new(0) };
}

static OF_ALL_THREADS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting how often memory is taken.
pub struct Counting;

impl Counting {
    fn count() {
        OF_THIS_THREAD.with(|count| count.set(count.get() + 1));
        OF_ALL_THREADS.fetch_add(1, Ordering::Relaxed);
    }
}

/// How often this thread has taken memory: the threads of what is tested may do as they like.
pub fn allocations_of_this_thread() -> u64 {
    OF_THIS_THREAD.with(Cell::get)
}

/// How often any thread has.
pub fn allocations_of_all_threads() -> u64 {
    OF_ALL_THREADS.load(Ordering::Relaxed)
}

// SAFETY: every call is passed on to the system's allocator as it came; what counts takes no memory itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::count();
        // SAFETY: the caller keeps the system allocator's contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        Counting::count();
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}
