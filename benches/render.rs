//! Answers on their way out, in the compact form and as JSON; they are decided beforehand.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

mod common;

use bytes::BytesMut;
use common::{Asking, NOW_UNIX_MS, Register, criterion, today};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shikaku::domain::decision::Answer;
use shikaku::index::Place;
use shikaku::record::ArchivedRow;
use shikaku::registry::lookup::Inquiry;
use shikaku::serve::fast::wire::{Parameters, parse_line, write_compact, write_json};

const RECIPIENTS: u64 = 20_000;
const QUESTIONS: usize = 4_096;

fn rendering(criterion: &mut Criterion) {
    let register = Register::of(RECIPIENTS);
    let questions = register.questions(QUESTIONS);
    let reader = register.registry.reader();
    let view = reader.view();
    let guard = crossbeam_epoch::pin();
    let parameters = Parameters { on: Some(today()), consent: true, institution: None };
    let answer = |asking: &Asking| {
        let mut inquiry = Inquiry::blank();
        parse_line(asking.question.line().as_bytes(), &parameters, today(), &mut inquiry).unwrap();
        reader.answer(&guard, &view, (&inquiry, Place::ToBeFound), None, NOW_UNIX_MS / 1000)
    };
    let answers: Vec<Answer<'_, ArchivedRow>> = questions.iter().map(answer).collect();
    let mut out = BytesMut::new();
    for (answer, asking) in answers.iter().zip(&questions) {
        out.clear();
        write_compact(answer, &mut out);
        assert_eq!(out, asking.expected().as_bytes(), "a wrong answer");
        out.clear();
        write_json(answer, &view, &mut out);
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["verdict"], answer.verdict.word());
        assert_eq!(json["entitlements"].as_array().unwrap().len(), answer.entitlements.len());
    }
    let mut group = criterion.benchmark_group("render");
    group.throughput(Throughput::Elements(QUESTIONS as u64));
    group.bench_function("compact", |bencher| {
        bencher.iter(|| {
            out.clear();
            answers.iter().for_each(|answer| write_compact(answer, &mut out));
        });
    });
    group.bench_function("json", |bencher| {
        bencher.iter(|| {
            out.clear();
            answers.iter().for_each(|answer| write_json(answer, &view, &mut out));
        });
    });
    group.finish();
}

criterion_group!(name = benches; config = criterion(); targets = rendering);
criterion_main!(benches);
