//! Questions on their way in: symbols and numbers folded, the line form and JSON parsed.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{criterion, population, today};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use shikaku::domain::fold::Folded;
use shikaku::population::workload::{Asker, Question, Workload};
use shikaku::registry::lookup::Inquiry;
use shikaku::serve::fast::wire::{Parameters, parse_json, parse_line};

const RECIPIENTS: u64 = 20_000;
const QUESTIONS: usize = 4_096;

fn folding(criterion: &mut Criterion) {
    let population = population(RECIPIENTS);
    let symbols: Vec<String> = (0..RECIPIENTS).map(|index| population.recipient(index).insured().symbol().to_owned()).collect();
    let (ascii, wide): (Vec<&String>, Vec<&String>) =
        symbols.iter().filter(|symbol| !symbol.is_empty()).partition(|symbol| symbol.is_ascii());
    let mut group = criterion.benchmark_group("fold");
    for (name, symbols) in [("ascii symbols", ascii), ("full-width and kanji symbols", wide)] {
        assert!(symbols.len() > 1_000 && symbols.iter().all(|symbol| folds_once(symbol)));
        group.throughput(Throughput::Elements(symbols.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), &symbols, |bencher, symbols| {
            bencher.iter(|| symbols.iter().map(|symbol| Folded::of(symbol).unwrap().as_bytes().len()).sum::<usize>());
        });
    }
    group.finish();
}

/// What is folded folds to itself.
fn folds_once(symbol: &str) -> bool {
    let folded = Folded::of(symbol).unwrap();
    let again = Folded::of(std::str::from_utf8(folded.as_bytes()).unwrap()).unwrap();
    !folded.as_bytes().is_empty() && again.as_bytes() == folded.as_bytes()
}

fn parsing(criterion: &mut Criterion) {
    let workload = Workload::new(population(RECIPIENTS), 7, Asker::Nobody);
    let questions: Vec<Question> = workload.questions().filter(|question| question.consent).take(QUESTIONS).collect();
    let lines: Vec<String> = questions.iter().map(Question::line).collect();
    let bodies: Vec<String> = questions.iter().map(Question::json).collect();
    let parameters = Parameters { on: Some(today()), consent: true, institution: None };
    let (mut by_line, mut by_json) = (Inquiry::blank(), Inquiry::blank());
    for (line, body) in lines.iter().zip(&bodies) {
        parse_line(line.as_bytes(), &parameters, today(), &mut by_line).unwrap();
        parse_json(body.as_bytes(), &Parameters::default(), today(), &mut by_json).unwrap();
        assert_eq!(by_line.key_hash(), by_json.key_hash(), "both forms ask about the same person");
        assert_eq!(by_line.service_date, by_json.service_date);
    }
    let mut group = criterion.benchmark_group("parse");
    group.throughput(Throughput::Elements(QUESTIONS as u64));
    group.bench_function("line", |bencher| {
        let parse = |line: &String| parse_line(line.as_bytes(), &parameters, today(), &mut by_line).unwrap();
        let mut parse = parse;
        bencher.iter(|| lines.iter().for_each(&mut parse));
    });
    group.bench_function("json", |bencher| {
        let mut parse = |body: &String| {
            let said = parse_json(body.as_bytes(), &Parameters::default(), today(), &mut by_json).unwrap();
            assert!(said.consent);
        };
        bencher.iter(|| bodies.iter().for_each(&mut parse));
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = folding, parsing);
criterion_main!(benches);
