//! Memory for the arena and the table: mapped in one piece, with huge pages where the system gives them, or from the heap for
//! tests and tools that cannot map.

#[cfg(not(feature = "loom"))]
use std::sync::atomic::AtomicU64;

use memmap2::{Advice, MmapMut};

/// From this size on, memory is mapped rather than taken from the heap.
const MAP_FROM_BYTES: usize = 1 << 20;

/// A fixed run of zeroed words that several threads reach by raw pointer.
pub(super) struct Words {
    base: *mut u64,
    #[cfg_attr(feature = "loom", expect(dead_code, reason = "the model's tables are not made of words"))]
    count: usize,
    /// Keeps the memory alive, and is never used for reaching it.
    _owner: Owner,
}

enum Owner {
    Mapped { _map: MmapMut },
    Heap { _words: Box<[u64]> },
}

// SAFETY: `Words` owns its memory, and hands out only raw pointers and atomics; who dereferences them says why it may.
unsafe impl Send for Words {}
// SAFETY: as above; `&Words` gives no access of its own to the memory but through atomics.
unsafe impl Sync for Words {}

impl Words {
    /// Zeroed memory of `count` words.
    pub(super) fn zeroed(count: usize) -> std::io::Result<Words> {
        let bytes = count.checked_mul(8).ok_or(std::io::ErrorKind::OutOfMemory)?;
        if bytes >= MAP_FROM_BYTES {
            let mut map = MmapMut::map_anon(bytes)?;
            // Without huge pages every look-up would miss the translation cache; where the system refuses them, it is only slower.
            let _ = map.advise(Advice::HugePage);
            let base = map.as_mut_ptr().cast::<u64>();
            return Ok(Words { base, count, _owner: Owner::Mapped { _map: map } });
        }
        let mut words = vec![0u64; count].into_boxed_slice();
        let base = words.as_mut_ptr();
        Ok(Words { base, count, _owner: Owner::Heap { _words: words } })
    }

    /// The first word.
    pub(super) fn base(&self) -> *mut u64 {
        self.base
    }

    /// All words, as atomics.
    #[cfg(not(feature = "loom"))]
    #[inline]
    pub(super) fn as_atomics(&self) -> &[AtomicU64] {
        // SAFETY: the memory is `count` initialised words, aligned for them, alive as long as `self`; `AtomicU64` has the layout of
        // `u64`; a table reaches its words by this method only, so no plain access races with the atomic ones.
        unsafe { std::slice::from_raw_parts(self.base.cast::<AtomicU64>(), self.count) }
    }
}

/// Asks the processor for the cache line at an address; any address will do.
#[inline]
pub(super) fn prefetch(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(feature = "loom")))]
    // SAFETY: a prefetch reads nothing the program can see and faults on no address.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(feature = "loom"))))]
    let _ = address;
}
