//! Noting a look-up allocates nothing on the thread that answers it.
#![allow(clippy::unwrap_used)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use shikaku::audit::{AuditOptions, Auditor, BatchHead, Entry, TokenId, Via};
use shikaku::domain::day::Day;
use shikaku::domain::decision::Verdict;
use shikaku::domain::identifier::InstitutionCode;
use shikaku::record::identity::{KeyHash, KeyKind};

struct Counting;

thread_local! {
    /// Of this thread alone: the audit's own threads may allocate.
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the system allocator's contract, which is this one's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn noting_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let auditor = Auditor::open(&directory.path().join("audit"), &AuditOptions::default()).unwrap();
    let institution = Some(InstitutionCode::parse(b"0110113719").unwrap());
    let (token, day) = (TokenId::parse("0000beef"), Day::parse(b"2026-11-22").unwrap());
    let key = |number: u64| KeyHash::of(KeyKind::Member, &number.to_le_bytes());
    let (unix_ms, consent, sequence, via) = (1_795_273_200_000, true, 1, Via::Fast);
    let head = BatchHead { unix_ms, institution, token, consent, sequence, via };
    let before = ALLOCATIONS.with(Cell::get);
    for number in 0..20_000 {
        let verdict = Verdict::Eligible;
        let entry = Entry { unix_ms, institution, token, key: key(number), service_date: day, consent, verdict, sequence, via };
        auditor.note(&entry).unwrap();
    }
    let mut batch = auditor.batch(head, Duration::from_secs(10));
    (0..10_000).for_each(|line| batch.line(key(line), day, Verdict::Expired).unwrap());
    batch.finish().unwrap();
    assert_eq!(ALLOCATIONS.with(Cell::get), before);
    auditor.close().unwrap();
}
