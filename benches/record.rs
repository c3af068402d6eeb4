//! The archived shapes: rows archived, validated on the way in, and read in place afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{changes, criterion, population, registrations};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rkyv::util::AlignedVec;
use shikaku::domain::decision::Row as _;
use shikaku::domain::registration::Operation;
use shikaku::record::dossier::HeldRow;
use shikaku::record::payload::Changes;
use shikaku::record::row::{self, Row};
use shikaku::record::{DossierBatch, DossierRef};

const RECIPIENTS: u64 = 1_000;

fn rows(criterion: &mut Criterion) {
    let registrations = registrations(&population(RECIPIENTS), 0..RECIPIENTS);
    let payload = changes(registrations.clone());
    assert_eq!(Changes::validated(payload.as_bytes()).unwrap().as_bytes(), payload.as_bytes());
    let archived: Vec<AlignedVec<8>> = payload.iter().map(|change| aligned(change.bytes)).collect();
    let rows: Vec<Row<'_>> = registrations.iter().map(Row::of).collect();
    let mut group = criterion.benchmark_group("row");
    group.throughput(Throughput::Elements(rows.len() as u64));
    let mut out = Changes::new();
    group.bench_function("archive", |bencher| {
        bencher.iter(|| {
            out.clear();
            rows.iter().for_each(|row| out.push(Operation::Upsert, row).unwrap());
        });
    });
    assert_eq!(out.as_bytes(), payload.as_bytes(), "archiving again gives the same bytes");
    group.bench_function("validate", |bencher| bencher.iter(|| archived.iter().all(|bytes| row::validated(bytes).is_ok())));
    group.bench_function("validate, in a frame's payload", |bencher| {
        bencher.iter(|| Changes::validated(payload.as_bytes()).unwrap().count());
    });
    group.finish();
}

fn dossiers(criterion: &mut Criterion) {
    let population = population(RECIPIENTS);
    let mut batch = DossierBatch::default();
    let mut row_count = 0;
    for recipient in 0..RECIPIENTS {
        let rows = changes(registrations(&population, recipient..recipient + 1));
        let held: Vec<HeldRow<'_>> =
            rows.iter().map(|change| HeldRow { row: change.row, bytes: change.bytes, sequence: 9, time_unix_s: 7 }).collect();
        row_count += held.len();
        batch.push(recipient, &held).unwrap();
    }
    let dossiers: Vec<DossierRef<'_>> = (0..).map_while(|place| batch.dossier(place)).collect();
    let bytes: Vec<AlignedVec<8>> = dossiers.iter().map(|dossier| aligned(dossier.as_bytes())).collect();
    assert_eq!((dossiers.len() as u64, dossiers.iter().map(|dossier| dossier.row_count()).sum()), (RECIPIENTS, row_count));
    assert!(bytes.iter().all(|bytes| DossierRef::validated(bytes).is_ok()) && touch_all(&dossiers) > 0);
    let mut group = criterion.benchmark_group("dossier");
    group.throughput(Throughput::Elements(RECIPIENTS));
    group.bench_function("validate", |bencher| {
        bencher.iter(|| bytes.iter().all(|bytes| DossierRef::validated(bytes).is_ok()));
    });
    group.bench_function("read in place", |bencher| bencher.iter(|| touch_all(&dossiers)));
    group.finish();
}

/// Reads of every row what a decision reads of it, and adds it up so that nothing can be left out.
fn touch_all(dossiers: &[DossierRef<'_>]) -> u64 {
    let mut sum = 0;
    for held in dossiers.iter().flat_map(|dossier| dossier.held_rows()) {
        let row = held.row;
        sum += u64::from(row.valid_from().packed()) + u64::from(row.valid_to().packed()) + held.sequence;
        sum += u64::from(row.payer_number().is_some()) + row.recipient_number().len() as u64;
        sum += row.history_key().len() as u64 + row.designated_institutions().len() as u64;
    }
    sum
}

fn aligned(bytes: &[u8]) -> AlignedVec<8> {
    let mut copy = AlignedVec::new();
    copy.extend_from_slice(bytes);
    copy
}

criterion_group!(name = benches; config = criterion(); targets = rows, dossiers);
criterion_main!(benches);
