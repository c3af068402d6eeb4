//! Questions folded and hashed before the clock starts, with what is known about their answers.

use shikaku::domain::day::BirthDate;
use shikaku::domain::identifier::{InstitutionCode, InsurerNumber, PayerNumber};
use shikaku::population::workload::{Question, Workload};
use shikaku::record::identity::{KeyBytes, KeyHash, KeyKind};
use shikaku::registry::lookup::Inquiry;
use shikaku::serve::fast::wire::{Parameters, parse_line};

use crate::error::LoadError;

/// A question for the index alone.
pub(super) struct Keyed {
    pub(super) hash: KeyHash,
    pub(super) key: KeyBytes,
    /// Whether anybody is to be found.
    pub(super) is_known: bool,
}

/// A question for the look-up with its decision.
pub(super) struct Asked {
    pub(super) inquiry: Inquiry,
    pub(super) institution: Option<InstitutionCode>,
    /// The overall verdict's letter.
    pub(super) letter: u8,
}

/// All questions, in both forms and in the same order.
pub(super) struct Questions {
    pub(super) keyed: Vec<Keyed>,
    pub(super) asked: Vec<Asked>,
    /// The right answers, compact, with their line ends.
    pub(super) answers: Vec<String>,
}

impl Questions {
    /// The workload's first questions that are looked up at all: without consent nothing is.
    pub(super) fn prepare(workload: &Workload, count: u32) -> Result<Questions, LoadError> {
        let mut questions = Questions { keyed: Vec::new(), asked: Vec::new(), answers: Vec::new() };
        for question in (0..u64::from(count)).map(|number| workload.question(number)).filter(|question| question.consent) {
            let refused = || LoadError::Usage("a question of the workload cannot be read".to_owned());
            let line = question.line();
            let key = key(&line).ok_or_else(refused)?;
            let is_known = question.expected.letter != 'N';
            questions.keyed.push(Keyed { hash: KeyHash::of(key.0, key.1.as_bytes()), key: key.1, is_known });
            questions.asked.push(asked(&question, &line).ok_or_else(refused)?);
            questions.answers.push(format!("{}\n", question.expected.compact_line()));
        }
        Ok(questions)
    }
}

fn asked(question: &Question, line: &str) -> Option<Asked> {
    let mut inquiry = Inquiry::blank();
    let parameters = Parameters { on: Some(question.day), consent: true, institution: None };
    parse_line(line.as_bytes(), &parameters, question.day, &mut inquiry).ok()?;
    let institution = match &question.institution {
        Some(code) => Some(InstitutionCode::parse(code.as_bytes()).ok()?),
        None => None,
    };
    Some(Asked { inquiry, institution, letter: u8::try_from(question.expected.letter).ok()? })
}

/// The key that a batch line asks by.
fn key(line: &str) -> Option<(KeyKind, KeyBytes)> {
    let mut fields = line.split('\t');
    let (kind, mut key) = (fields.next()?, KeyBytes::empty());
    match kind {
        "m" => {
            let (identifier, birth) = (fields.next()?, fields.next()?);
            let (insurer, rest) = identifier.split_once(':')?;
            let (rest, _branch) = rest.rsplit_once(':')?;
            let (symbol, number) = rest.rsplit_once(':')?;
            let insurer = InsurerNumber::parse_padded(insurer.as_bytes()).ok()?;
            let birth = BirthDate::parse(birth.as_bytes()).ok()?;
            key.set_member(&insurer, birth, symbol.as_bytes(), number.as_bytes()).ok()?;
            Some((KeyKind::Member, key))
        }
        "c" => {
            let payer = PayerNumber::parse(fields.next()?.as_bytes()).ok()?;
            key.set_certificate(&payer, fields.next()?.as_bytes()).ok()?;
            Some((KeyKind::Certificate, key))
        }
        "k" => {
            key.set_card(fields.next()?.as_bytes()).ok()?;
            Some((KeyKind::Card, key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shikaku::domain::day::Day;
    use shikaku::population::Population;
    use shikaku::population::workload::Asker;

    #[test]
    fn both_forms_of_a_question_have_the_same_key() {
        let population = Population::new(1, 1_000, Day::parse(b"2026-11-22").unwrap()).unwrap();
        let questions = Questions::prepare(&Workload::new(population, 1, Asker::Visited), 3_000).unwrap();
        assert!(questions.keyed.len() > 2_800 && questions.keyed.len() < 3_000, "those without consent are left out");
        assert_eq!(questions.keyed.len(), questions.asked.len());
        for (keyed, asked) in questions.keyed.iter().zip(&questions.asked) {
            assert_eq!(keyed.hash.hash, asked.inquiry.key_hash().hash);
        }
        assert!(questions.keyed.iter().filter(|keyed| !keyed.is_known).count() > 100, "strangers are asked about too");
    }

    #[test]
    fn what_is_no_line_has_no_key() {
        for line in ["", "x\ty", "m\t06132013:1:2\t1980-01-01", "m\t06132013:1:2:00", "c\t123\t4", "k"] {
            assert!(key(line).is_none(), "{line}");
        }
    }
}
