//! The questions that load tests and checks ask, in the fixed proportions, each with its right answer.

use super::Population;
use super::oracle::ExpectedAnswer;
use super::question::{Asked, Kind};
use super::random::{Dice, Purpose};
use super::recipient::Recipient;
use crate::domain::day::Day;

/// Which institution asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asker {
    /// None is named.
    Nobody,
    /// Always this one, as in a batch, where the request names it.
    Always(String),
    /// Of the certificates that name institutions, every second is asked about at one of them; the rest at some other.
    Visited,
}

/// Look-ups in the proportions of a reception's day: member 80 %, certificate 12 %, card 8 %; of all, 8 % about unknown people and
/// 2 % without consent; one in ten back-dated within the 24 months.
#[derive(Clone)]
pub struct Workload {
    population: Population,
    asker: Asker,
    seed: u64,
}

/// A question with its right answer.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is asked.
    pub asked: Asked,
    /// The service date.
    pub day: Day,
    /// The service date, where the batch line must say it because it is not the workload's [`Workload::day`].
    pub own_day: Option<Day>,
    /// Whether consent is given; it is per request, so a batch holds questions of one kind only.
    pub consent: bool,
    /// The institution that asks.
    pub institution: Option<String>,
    /// The right answer, given `consent` and `institution`.
    pub expected: ExpectedAnswer,
}

impl Question {
    /// The line of the batch form, without its line end.
    pub fn line(&self) -> String {
        self.asked.line(self.own_day)
    }

    /// The body of a single question in JSON.
    pub fn json(&self) -> String {
        self.asked.json(self.day, self.consent, self.institution.as_deref())
    }
}

impl Workload {
    /// The workload `seed` on a population.
    pub fn new(population: Population, seed: u64, asker: Asker) -> Workload {
        Workload { population, asker, seed }
    }

    /// The day of all questions without a day of their own: the requests' `on`.
    pub fn day(&self) -> Day {
        self.population.as_of
    }

    /// Question `nth`; any number, in any order.
    pub fn question(&self, nth: u64) -> Question {
        let mut dice = Dice::new(self.seed, Purpose::Question, nth);
        let consent = !dice.percent(2);
        let kind = match dice.small(100) {
            0..80 => Kind::Member,
            80..92 => Kind::Certificate,
            _ => Kind::Card,
        };
        let unknown = dice.percent(8) || self.population.size == 0;
        let own_day = dice.percent(10).then(|| self.earlier_day(&mut dice));
        let day = own_day.unwrap_or(self.day());
        let known = if unknown { None } else { self.known(kind, &mut dice) };
        let (asked, institution, expected) = match known {
            Some((recipient, asked, nth)) => {
                let institution = self.institution(&recipient, nth, &mut dice);
                let expected = expected(&recipient, &asked, nth, day, institution.as_deref());
                (asked, institution, expected)
            }
            None => {
                let asked = self.population.stranger(kind, dice.draw());
                let institution = match &self.asker {
                    Asker::Always(code) => Some(code.clone()),
                    _ => None,
                };
                (asked, institution, ExpectedAnswer::bare('N'))
            }
        };
        let asked = if dice.percent(20) { asked.narrowed() } else { asked };
        let expected = if consent { expected } else { ExpectedAnswer::bare('C') };
        // A certificate's birth date has no place in a batch line without a service date.
        let own_day = if asks_with_birth(&asked) { Some(day) } else { own_day };
        Question { asked, day, own_day, consent, institution, expected }
    }

    /// Questions 0, 1, 2 … without end.
    pub fn questions(&self) -> impl Iterator<Item = Question> {
        (0..).map(|nth| self.question(nth))
    }

    fn earlier_day(&self, dice: &mut Dice) -> Day {
        let months = self.population.month().minus(dice.small(24));
        months.day(1 + dice.small(28)).min(self.population.as_of).max(self.population.horizon)
    }

    /// A recipient who can be asked about in that way. Nearly everybody can; of those without, the next is taken.
    fn known(&self, kind: Kind, dice: &mut Dice) -> Option<(Recipient, Asked, usize)> {
        let start = dice.below(self.population.size);
        let (with_branch, with_birth, lot) = (dice.percent(60), dice.percent(30), dice.below(6));
        (0..self.population.size.min(64)).find_map(|step| {
            let index = (start + step) % self.population.size;
            if kind == Kind::Card && !self.population.has_card(index) {
                return None;
            }
            let recipient = self.population.recipient(index);
            let count = u64::try_from(recipient.certificates.len()).unwrap_or(1).max(1);
            let nth = usize::try_from(lot % count).unwrap_or(0);
            let asked = match kind {
                Kind::Member => Some(recipient.ask_member(with_branch)),
                Kind::Certificate => recipient.ask_certificate(nth, with_birth),
                Kind::Card => recipient.ask_card(),
            }?;
            Some((recipient, asked, nth))
        })
    }

    fn institution(&self, recipient: &Recipient, nth: usize, dice: &mut Dice) -> Option<String> {
        let named = recipient.certificates.get(nth).and_then(|certificate| certificate.designated_institutions().last());
        match (&self.asker, named) {
            (Asker::Nobody, _) => None,
            (Asker::Always(code), _) => Some(code.clone()),
            (Asker::Visited, Some(code)) if dice.percent(50) => Some(code.to_owned()),
            (Asker::Visited, _) => {
                let prefecture = dice.small(47) + 1;
                Some(self.population.institution(prefecture, dice.draw()).as_str().to_owned())
            }
        }
    }
}

fn expected(recipient: &Recipient, asked: &Asked, nth: usize, day: Day, institution: Option<&str>) -> ExpectedAnswer {
    let answer = match asked {
        Asked::Member { with_branch, .. } => Some(recipient.expected_member(*with_branch, day, institution)),
        Asked::Certificate { .. } => recipient.expected_certificate(nth, day, institution),
        Asked::Card { .. } => recipient.expected_card(day, institution),
    };
    answer.unwrap_or(ExpectedAnswer::bare('N'))
}

fn asks_with_birth(asked: &Asked) -> bool {
    matches!(asked, Asked::Certificate { birth: Some(_), .. })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn population() -> Population {
        Population::new(1, 1_000, Day::parse(b"2026-11-22").unwrap()).unwrap()
    }

    #[test]
    fn a_workload_is_the_same_whoever_asks_in_whatever_order() {
        let workload = Workload::new(population(), 5, Asker::Nobody);
        let forward: Vec<String> = workload.questions().take(100).map(|question| question.line()).collect();
        let backward: Vec<String> = (0..100).rev().map(|nth| workload.question(nth).line()).collect();
        assert!(forward.iter().eq(backward.iter().rev()));
    }

    #[test]
    fn without_consent_every_answer_is_the_same() {
        let workload = Workload::new(population(), 5, Asker::Nobody);
        let silent: Vec<Question> = workload.questions().take(5_000).filter(|question| !question.consent).collect();
        assert!(silent.len() > 50);
        assert!(silent.iter().all(|question| question.expected.compact_line() == "C"));
    }

    #[test]
    fn an_empty_population_is_asked_only_about_strangers() {
        let empty = Population::new(1, 0, Day::parse(b"2026-11-22").unwrap()).unwrap();
        let workload = Workload::new(empty, 5, Asker::Nobody);
        assert!(workload.questions().take(500).all(|question| matches!(question.expected.letter, 'N' | 'C')));
    }
}
