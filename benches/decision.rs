//! The decision by itself: the dossiers are found beforehand.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use bytes::BytesMut;
use common::{Asking, NOW_UNIX_MS, Register, criterion};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use shikaku::domain::decision::{Answer, Knowledge, Question, Subject, decide};
use shikaku::domain::fold::Folded;
use shikaku::domain::identifier::{BranchNumber, PayerNumber};
use shikaku::index::{Found, Place};
use shikaku::population::question::{Asked, Kind};
use shikaku::record::{ArchivedRow, DossierRef};
use shikaku::serve::fast::wire::write_compact;

const RECIPIENTS: u64 = 20_000;
const QUESTIONS: usize = 8_192;

/// A question and the dossiers under its key.
struct Case<'g> {
    asking: &'g Asking,
    found: Vec<DossierRef<'g>>,
    recipient: Option<Folded>,
}

impl<'g> Case<'g> {
    fn decide(&self, knowledge: &Knowledge<'_>) -> Answer<'g, ArchivedRow> {
        let subject = match &self.asking.question.asked {
            Asked::Member { insured, with_branch } => {
                let branch = insured.branch_number().filter(|_| *with_branch);
                Subject::Member { branch: branch.and_then(BranchNumber::from_value) }
            }
            Asked::Certificate { payer, birth, .. } => {
                let payer = PayerNumber::parse(payer.as_bytes()).unwrap();
                Subject::Certificate { payer, recipient: self.recipient.as_ref().unwrap().as_bytes(), birth: *birth }
            }
            Asked::Card { .. } => Subject::Card,
        };
        let question = Question { subject, service_date: self.asking.question.day, institution: None };
        decide(&self.found, true, &question, knowledge)
    }
}

fn deciding(criterion: &mut Criterion) {
    let register = Register::of(RECIPIENTS);
    let questions = register.questions(QUESTIONS);
    let reader = register.registry.reader();
    let view = reader.view();
    let knowledge = Knowledge {
        masters: &view.masters,
        sources: &view.sources,
        now_unix_s: NOW_UNIX_MS / 1000,
        data_age_max_s: None,
        held: None,
    };
    let guard = crossbeam_epoch::pin();
    let case = |asking| case(asking, reader.index(), &guard);
    let cases: Vec<Case<'_>> = questions.iter().map(case).collect();
    let mut line = BytesMut::new();
    for case in &cases {
        line.clear();
        write_compact(&case.decide(&knowledge), &mut line);
        assert_eq!(line, case.asking.expected().as_bytes(), "a wrong answer");
    }
    let mut group = criterion.benchmark_group("decision");
    for (name, kind) in [("by member", Kind::Member), ("by certificate", Kind::Certificate), ("by card", Kind::Card)] {
        let cases: Vec<&Case<'_>> = cases.iter().filter(|case| case.asking.question.asked.kind() == kind).collect();
        group.throughput(Throughput::Elements(cases.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| cases.iter().map(|case| case.decide(&knowledge).entitlements.len()).sum::<usize>());
        });
    }
    group.finish();
}

fn case<'g>(asking: &'g Asking, index: &shikaku::index::IndexReader, guard: &'g crossbeam_epoch::Guard) -> Case<'g> {
    let mut found = Found::default();
    asking.find_at(index, guard, Place::ToBeFound, &mut found);
    let recipient = match &asking.question.asked {
        Asked::Certificate { recipient, .. } => Folded::of_recipient_number(recipient.as_str()).ok(),
        _ => None,
    };
    Case { asking, found: found.dossiers.to_vec(), recipient }
}

criterion_group!(name = benches; config = criterion(); targets = deciding);
criterion_main!(benches);
