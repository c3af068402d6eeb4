//! Questions as they go over the wire, and the workload that load tests and checks ask.

use super::Population;
use super::insured::Insured;
use super::oracle::ExpectedAnswer;
use super::random::{Dice, Purpose};
use super::recipient::Recipient;
use super::text::{Text, narrow};
use crate::domain::day::{BirthDate, Day};

/// What a question is asked by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Insurer, symbol, number and birth date.
    Member,
    /// Payer and recipient number.
    Certificate,
    /// Card link.
    Card,
}

/// What is asked, without the day.
#[derive(Clone, Copy, Debug)]
pub enum Asked {
    /// About an insured person.
    Member {
        /// The card.
        insured: Insured,
        /// Whether the clerk enters the branch number.
        with_branch: bool,
    },
    /// About a certificate.
    Certificate {
        /// 公費負担者番号.
        payer: Text<8>,
        /// 公費受給者番号.
        recipient: Text<16>,
        /// Given or not.
        birth: Option<BirthDate>,
    },
    /// About the holder of a card.
    Card {
        /// The link.
        link: Text<20>,
    },
}

impl Recipient {
    /// The question by insurance card. Where the insurer gives no branch number, none is asked with.
    pub fn ask_member(&self, with_branch: bool) -> Asked {
        Asked::Member { insured: self.insured, with_branch }
    }

    /// The question by certificate `nth`, if it has a payer number.
    pub fn ask_certificate(&self, nth: usize, with_birth: bool) -> Option<Asked> {
        let certificate = self.certificates.get(nth)?;
        let birth = with_birth.then_some(self.insured.birth);
        Some(Asked::Certificate { payer: certificate.payer?, recipient: certificate.recipient, birth })
    }

    /// The question by card link, if there is one.
    pub fn ask_card(&self) -> Option<Asked> {
        self.card.map(|link| Asked::Card { link })
    }
}

impl Asked {
    /// What it is asked by.
    pub fn kind(&self) -> Kind {
        match self {
            Asked::Member { .. } => Kind::Member,
            Asked::Certificate { .. } => Kind::Certificate,
            Asked::Card { .. } => Kind::Card,
        }
    }

    /// The same question as a system writes it that knows only half-width letters and digits; the right answer is the same.
    #[must_use]
    pub fn narrowed(mut self) -> Asked {
        if let Asked::Member { insured, .. } = &mut self {
            insured.symbol = narrowed(&insured.symbol);
            insured.number = narrowed(&insured.number);
        }
        self
    }

    /// The line of the batch form, without its line end; `day` where it is not the request's own.
    pub fn line(&self, day: Option<Day>) -> String {
        let mut line = match self {
            Asked::Member { insured, with_branch } => {
                let Insured { symbol, number, .. } = insured;
                let (insurer, branch) = (insured.padded_insurer(), insured.shown_branch(*with_branch));
                format!("m\t{insurer}:{symbol}:{number}:{branch}\t{}", iso(insured.birth))
            }
            Asked::Certificate { payer, recipient, .. } => format!("c\t{payer}\t{recipient}"),
            Asked::Card { link } => format!("k\t{link}"),
        };
        let birth = match self {
            Asked::Certificate { birth, .. } => *birth,
            _ => None,
        };
        if let Some(day) = day {
            line.push_str(&format!("\t{day}"));
            // The birth date has its place after the service date, and so needs one.
            if let Some(birth) = birth {
                line.push_str(&format!("\t{}", iso(birth)));
            }
        }
        line
    }

    /// The body of a single question in JSON.
    pub fn json(&self, day: Day, consent: bool, institution: Option<&str>) -> String {
        let mut body = match self {
            Asked::Member { insured, with_branch } => {
                let Insured { insurer_number, symbol, number, .. } = insured;
                let branch = insured.shown_branch(*with_branch);
                let branch = if branch.as_bytes().is_empty() { String::new() } else { format!(r#""branch_number":"{branch}","#) };
                let symbol = if symbol.as_bytes().is_empty() { String::new() } else { format!(r#""symbol":"{symbol}","#) };
                let birth = iso(insured.birth);
                format!(
                    r#"{{"member":{{"insurer_number":"{insurer_number}",{symbol}"number":"{number}",{branch}"birth_date":"{birth}"}}"#
                )
            }
            Asked::Certificate { payer, recipient, birth } => {
                let birth = birth.map_or(String::new(), |birth| format!(r#","birth_date":"{}""#, iso(birth)));
                format!(r#"{{"certificate":{{"payer_number":"{payer}","recipient_number":"{recipient}"{birth}}}"#)
            }
            Asked::Card { link } => format!(r#"{{"card_link":"{link}""#),
        };
        body.push_str(&format!(r#","service_date":"{day}","consent":{consent}"#));
        if let Some(institution) = institution {
            body.push_str(&format!(r#","institution":"{institution}""#));
        }
        body.push('}');
        body
    }
}

impl Insured {
    /// Eight characters, padded with zeros, as 被保険者個人識別子 has it.
    fn padded_insurer(&self) -> String {
        format!("{:0>8}", self.insurer_number.as_str().trim_start())
    }

    /// The branch number as the card shows it.
    fn shown_branch(&self, with_branch: bool) -> Text<2> {
        Insured { branch_registered: with_branch, ..*self }.registered_branch()
    }
}

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
        months.day(1 + dice.small(28)).min(self.population.as_of)
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

fn iso(birth: BirthDate) -> String {
    birth.iso().map(char::from).iter().collect()
}

fn narrowed<const N: usize>(text: &Text<N>) -> Text<N> {
    let mut made = Text::new();
    text.as_str().chars().for_each(|character| made.push(narrow(character)));
    made
}
