//! The look-ups that are timed. Each pass counts answers that are not what they must be, so that nothing of it can be left out.

use std::time::Instant;

use bytes::BytesMut;
use crossbeam_epoch::Guard;
use shikaku::index::{Found, IndexReader, Place};
use shikaku::record::identity::KeyKind;
use shikaku::registry::{Reader, View};
use shikaku::serve::fast::wire::write_compact;

use super::questions::{Asked, Keyed, Questions};

/// As many as a batch takes through its passes together.
const RUN: usize = 32;

/// How a look-up is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Finding one after the other.
    One,
    /// Finding in runs: slots asked for, dossiers asked for, then all read.
    Many,
    /// One after the other, each decided.
    OneDecided,
    /// In runs, each decided.
    ManyDecided,
}

impl Pass {
    pub(super) const ALL: [Pass; 4] = [Pass::One, Pass::Many, Pass::OneDecided, Pass::ManyDecided];

    /// Its figure's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Pass::One => "one_ns",
            Pass::Many => "many_ns",
            Pass::OneDecided => "one_decided_ns",
            Pass::ManyDecided => "many_decided_ns",
        }
    }
}

/// The register, as a look-up has it.
pub(super) struct Looking<'r> {
    pub(super) reader: &'r Reader,
    pub(super) view: &'r View,
    pub(super) now_unix_s: u64,
}

impl Looking<'_> {
    /// Takes all questions through a pass once: nanoseconds a look-up, and how many answers were wrong.
    #[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
    pub(super) fn time(&self, pass: Pass, questions: &Questions) -> (f64, u64) {
        let began = Instant::now();
        let wrong = match pass {
            Pass::One => self.find_one_by_one(&questions.keyed),
            Pass::Many => self.find_in_runs(&questions.keyed),
            Pass::OneDecided => self.decide_one_by_one(&questions.asked),
            Pass::ManyDecided => self.decide_in_runs(&questions.asked),
        };
        (began.elapsed().as_nanos() as f64 / questions.keyed.len().max(1) as f64, wrong)
    }

    /// Compares every answer, to its last letter, with the right one; not timed.
    pub(super) fn wrong_answers(&self, questions: &Questions) -> u64 {
        let guard = crossbeam_epoch::pin();
        let mut line = BytesMut::new();
        let mut wrong = 0;
        for (asked, expected) in questions.asked.iter().zip(&questions.answers) {
            line.clear();
            let answer =
                self.reader.answer(&guard, self.view, (&asked.inquiry, Place::ToBeFound), asked.institution, self.now_unix_s);
            write_compact(&answer, &mut line);
            wrong += u64::from(line != expected.as_bytes());
        }
        wrong
    }

    #[inline(never)]
    fn find_one_by_one(&self, questions: &[Keyed]) -> u64 {
        let index = self.reader.index();
        let mut wrong = 0;
        for keyed in questions {
            // A request pins once; here each look-up is a request.
            let guard = crossbeam_epoch::pin();
            let mut found = Found::default();
            find(index, &guard, (keyed, Place::ToBeFound), &mut found);
            wrong += u64::from(found.dossiers.is_empty() == keyed.is_known);
        }
        wrong
    }

    #[inline(never)]
    fn find_in_runs(&self, questions: &[Keyed]) -> u64 {
        let index = self.reader.index();
        let mut wrong = 0;
        for run in questions.chunks(RUN) {
            let guard = crossbeam_epoch::pin();
            let mut places = [Place::ToBeFound; RUN];
            index.locate(&guard, run.iter().map(|keyed| keyed.hash), &mut places);
            for (keyed, place) in run.iter().zip(places) {
                let mut found = Found::default();
                find(index, &guard, (keyed, place), &mut found);
                wrong += u64::from(found.dossiers.is_empty() == keyed.is_known);
            }
        }
        wrong
    }

    #[inline(never)]
    fn decide_one_by_one(&self, questions: &[Asked]) -> u64 {
        questions.iter().map(|asked| self.decided_wrong(&crossbeam_epoch::pin(), asked, Place::ToBeFound)).sum()
    }

    #[inline(never)]
    fn decide_in_runs(&self, questions: &[Asked]) -> u64 {
        let mut wrong = 0;
        for run in questions.chunks(RUN) {
            let guard = crossbeam_epoch::pin();
            let mut places = [Place::ToBeFound; RUN];
            self.reader.locate(&guard, run.iter().map(|asked| &asked.inquiry), &mut places);
            wrong += run.iter().zip(places).map(|(asked, place)| self.decided_wrong(&guard, asked, place)).sum::<u64>();
        }
        wrong
    }

    #[inline]
    fn decided_wrong(&self, guard: &Guard, asked: &Asked, place: Place) -> u64 {
        let answer = self.reader.answer(guard, self.view, (&asked.inquiry, place), asked.institution, self.now_unix_s);
        u64::from(answer.verdict.letter() != asked.letter)
    }
}

#[inline]
fn find<'g>(index: &IndexReader, guard: &'g Guard, (keyed, place): (&Keyed, Place), found: &mut Found<'g>) {
    let (key, hash) = (&keyed.key, keyed.hash);
    match hash.kind {
        KeyKind::Member => index.find_at(guard, hash, place, found, |dossier| dossier.has_member_key(key)),
        KeyKind::Certificate => index.find_at(guard, hash, place, found, |dossier| dossier.has_certificate_key(key)),
        _ => index.find_at(guard, hash, place, found, |dossier| dossier.has_card_link(key)),
    }
}
