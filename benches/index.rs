//! The index by itself: dossiers found one at a time and in runs of 32, inserted, and replaced by a newer version.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Asking, Register, criterion};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rkyv::util::AlignedVec;
use shikaku::index::{Found, IndexOptions, IndexReader, IndexWriter, Place, Position, create};
use shikaku::record::DossierRef;

/// More than the caches near a core hold.
const RECIPIENTS: u64 = 50_000;
const QUESTIONS: usize = 8_192;
/// As many as a batch takes through its passes together.
const RUN: usize = 32;
const DOSSIERS: usize = 10_000;

fn looking_up(criterion: &mut Criterion) {
    let register = Register::of(RECIPIENTS);
    let questions = register.questions(QUESTIONS);
    let reader = register.registry.reader();
    let index = reader.index();
    let known = questions.iter().filter(|asking| asking.question.expected.letter != 'N').count();
    assert_eq!((find_one_by_one(index, &questions), find_in_runs(index, &questions)), (known, known));
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(QUESTIONS as u64));
    group.bench_function("find, one at a time", |bencher| bencher.iter(|| find_one_by_one(index, &questions)));
    group.bench_function("find, in runs of 32", |bencher| bencher.iter(|| find_in_runs(index, &questions)));
    group.finish();
}

/// How many of the questions find somebody; each pins for itself, as a request does.
fn find_one_by_one(index: &IndexReader, questions: &[Asking]) -> usize {
    let finds = |asking: &&Asking| {
        let guard = crossbeam_epoch::pin();
        let mut found = Found::default();
        asking.find_at(index, &guard, Place::ToBeFound, &mut found);
        !found.dossiers.is_empty()
    };
    questions.iter().filter(finds).count()
}

/// The same for a run together.
fn find_in_runs(index: &IndexReader, questions: &[Asking]) -> usize {
    let mut known = 0;
    for run in questions.chunks(RUN) {
        let guard = crossbeam_epoch::pin();
        let mut places = [Place::ToBeFound; RUN];
        index.locate(&guard, run.iter().map(|asking| asking.hash), &mut places);
        for (asking, place) in run.iter().zip(places) {
            let mut found = Found::default();
            asking.find_at(index, &guard, place, &mut found);
            known += usize::from(!found.dossiers.is_empty());
        }
    }
    known
}

fn writing(criterion: &mut Criterion) {
    let register = Register::of(DOSSIERS as u64 * 2);
    let dossiers = dossiers_of(&register);
    let dossiers: Vec<DossierRef<'_>> = dossiers.iter().map(|bytes| DossierRef::validated(bytes).unwrap()).collect();
    let (writer, reader, positions) = filled(&dossiers);
    assert_eq!(positions.len(), DOSSIERS);
    assert_eq!(writer.positions().count(), DOSSIERS);
    drop((writer, reader));
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(DOSSIERS as u64));
    group.bench_function("insert, into a table that grows", |bencher| {
        bencher.iter_batched(empty, |index| insert_all(index, &dossiers), BatchSize::PerIteration);
    });
    group.bench_function("replace", |bencher| {
        bencher.iter_batched(|| filled(&dossiers), |index| replace_all(index, &dossiers), BatchSize::PerIteration);
    });
    group.finish();
}

fn empty() -> (IndexWriter, IndexReader) {
    create(IndexOptions::default()).unwrap()
}

fn filled(dossiers: &[DossierRef<'_>]) -> (IndexWriter, IndexReader, Vec<Position>) {
    insert_all(empty(), dossiers)
}

fn insert_all(
    (mut writer, reader): (IndexWriter, IndexReader),
    dossiers: &[DossierRef<'_>],
) -> (IndexWriter, IndexReader, Vec<Position>) {
    let positions = dossiers.iter().map(|dossier| writer.insert(*dossier).unwrap()).collect();
    (writer, reader, positions)
}

/// Gives back what it worked on, so that giving memory back is not measured.
fn replace_all(
    (mut writer, reader, positions): (IndexWriter, IndexReader, Vec<Position>),
    dossiers: &[DossierRef<'_>],
) -> (IndexWriter, IndexReader) {
    for (position, dossier) in positions.into_iter().zip(dossiers) {
        writer.replace(position, *dossier).unwrap();
    }
    writer.tidy().unwrap();
    (writer, reader)
}

/// Different dossiers, as they lie in memory.
fn dossiers_of(register: &Register) -> Vec<AlignedVec<8>> {
    let reader = register.registry.reader();
    let guard = crossbeam_epoch::pin();
    let mut seen = std::collections::HashSet::new();
    let mut dossiers = Vec::new();
    for asking in register.questions(DOSSIERS * 8) {
        let mut found = Found::default();
        asking.find_at(reader.index(), &guard, Place::ToBeFound, &mut found);
        for dossier in &found.dossiers {
            if dossiers.len() < DOSSIERS && seen.insert(dossier.number()) {
                let mut bytes = AlignedVec::new();
                bytes.extend_from_slice(dossier.as_bytes());
                dossiers.push(bytes);
            }
        }
    }
    dossiers
}

criterion_group!(name = benches; config = criterion(); targets = looking_up, writing);
criterion_main!(benches);
