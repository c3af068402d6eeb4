//! Noting a look-up allocates nothing on the thread that answers it.
#![allow(clippy::unwrap_used)]

#[path = "common/counting.rs"]
mod counting;

use std::time::Duration;

use shikaku::audit::{AuditOptions, Auditor, BatchHead, Entry, TokenId, Via};
use shikaku::domain::day::Day;
use shikaku::domain::decision::Verdict;
use shikaku::domain::identifier::InstitutionCode;
use shikaku::record::identity::{KeyHash, KeyKind};

use counting::{Counting, allocations_of_this_thread};

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
    let before = allocations_of_this_thread();
    for number in 0..20_000 {
        let verdict = Verdict::Eligible;
        let entry = Entry { unix_ms, institution, token, key: key(number), service_date: day, consent, verdict, sequence, via };
        auditor.note(&entry).unwrap();
    }
    let mut batch = auditor.batch(head, Duration::from_secs(10));
    (0..10_000).for_each(|line| batch.line(key(line), day, Verdict::Expired).unwrap());
    batch.finish().unwrap();
    assert_eq!(allocations_of_this_thread(), before);
    auditor.close().unwrap();
}
