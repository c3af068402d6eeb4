//! The right answers, from how each recipient was constructed.
//!
//! This is no second decision: it never looks for people, never compares keys and knows nothing of masters or of other recipients.
//! A certificate was laid out as a line of periods and made for certain institutions or for all; where the service
//! date falls on that line is all that is read off here.

use super::certificate::Certificate;
use super::recipient::Recipient;
use super::text::Text;
use crate::domain::day::Day;

/// An entry of an expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedEntitlement {
    /// Empty where the certificate has none.
    pub payer_number: String,
    /// As registered.
    pub recipient_number: String,
    /// The last day of the period that answers.
    pub valid_to: Day,
    /// `E`, `R`, `D`, `X` or `F`.
    pub letter: char,
}

/// What a correct appliance answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// The overall verdict's letter; `!` for a question about a day before the horizon.
    pub letter: char,
    /// In the order of the answer.
    pub entitlements: Vec<ExpectedEntitlement>,
}

impl ExpectedAnswer {
    /// The answer without entitlements: `A`, `N`, `C`.
    pub(super) const fn bare(letter: char) -> ExpectedAnswer {
        ExpectedAnswer { letter, entitlements: Vec::new() }
    }

    /// The line of the compact form, without its line end.
    pub fn compact_line(&self) -> String {
        if self.letter == '!' {
            return "!\tbefore_retention".to_owned();
        }
        let mut line = String::from(self.letter);
        for entitlement in &self.entitlements {
            let ExpectedEntitlement { payer_number, recipient_number, valid_to, letter } = entitlement;
            line.push_str(&format!("\t{payer_number}/{recipient_number}/{valid_to}/{letter}"));
        }
        line
    }

    fn of<'a>(certificates: impl Iterator<Item = &'a Certificate>, horizon: Day, day: Day, institution: Option<&str>) -> Self {
        if day < horizon {
            return ExpectedAnswer::bare('!');
        }
        let mut entries: Vec<_> = certificates
            .filter_map(|certificate| {
                let (letter, valid_to) = read_off(certificate, horizon, day, institution)?;
                let entitlement = ExpectedEntitlement {
                    payer_number: certificate.payer_number().unwrap_or_default().to_owned(),
                    recipient_number: certificate.recipient_number().to_owned(),
                    valid_to,
                    letter,
                };
                Some((place_in_answer(certificate, letter), entitlement))
            })
            .collect();
        entries.sort_by(|(left, _), (right, _)| left.cmp(right));
        let letter = entries.first().map_or('N', |(_, first)| first.letter);
        ExpectedAnswer { letter, entitlements: entries.into_iter().map(|(_, entry)| entry).collect() }
    }
}

impl Recipient {
    /// The answer to a question by insurer, symbol, number and birth date, with the card's branch number or without one.
    pub fn expected_member(&self, with_branch: bool, day: Day, institution: Option<&str>) -> ExpectedAnswer {
        if self.twin && !with_branch && day >= self.horizon {
            return ExpectedAnswer::bare('A');
        }
        ExpectedAnswer::of(self.certificates.iter(), self.horizon, day, institution)
    }

    /// The answer to a question by payer and recipient number of the certificate `nth`; `None` if there is no such certificate or
    /// it has no payer number to ask by.
    pub fn expected_certificate(&self, nth: usize, day: Day, institution: Option<&str>) -> Option<ExpectedAnswer> {
        let certificate = self.certificates.get(nth).filter(|certificate| certificate.payer.is_some())?;
        Some(ExpectedAnswer::of(std::iter::once(certificate), self.horizon, day, institution))
    }

    /// The answer to a question by card link; `None` if the recipient has none.
    pub fn expected_card(&self, day: Day, institution: Option<&str>) -> Option<ExpectedAnswer> {
        self.card.map(|_| ExpectedAnswer::of(self.certificates.iter(), self.horizon, day, institution))
    }
}

/// Where the day falls on the certificate's line of periods, those before the horizon being out of sight.
fn read_off(certificate: &Certificate, horizon: Day, day: Day, institution: Option<&str>) -> Option<(char, Day)> {
    let mut seen = None;
    for period in certificate.periods.all().iter().filter(|period| period.to >= horizon) {
        if period.to < day {
            seen = Some(('X', period.to));
        } else if period.from <= day {
            return Some((covered(certificate, institution), period.to));
        } else {
            return seen.or(Some(('F', period.to)));
        }
    }
    seen
}

fn covered(certificate: &Certificate, institution: Option<&str>) -> char {
    let here = !certificate.is_designated() || institution.is_some_and(|code| certificate.designates(code));
    match (here, certificate.always_reimbursement) {
        (false, _) => 'D',
        (true, true) => 'R',
        (true, false) => 'E',
    }
}

/// By verdict; then the national law's rank, local ones next, those without payer number last; then the numbers.
fn place_in_answer(certificate: &Certificate, letter: char) -> (usize, usize, String, String) {
    let verdict = "ERDXF".find(letter).unwrap_or(usize::MAX);
    let rank = match (certificate.payer, national_rank(certificate.scheme_law)) {
        (None, _) => usize::MAX,
        (Some(_), Some(rank)) => rank,
        (Some(_), None) => usize::MAX - 1,
    };
    let payer = certificate.payer.as_ref().map_or("", Text::as_str);
    (verdict, rank, payer.to_owned(), certificate.recipient_number().to_owned())
}

/// The order in which public payers apply (domain notes §2.1), written out here so that a wrong table elsewhere is noticed.
fn national_rank(law: u8) -> Option<usize> {
    const ORDER: [u8; 27] =
        [13, 14, 18, 29, 30, 10, 11, 20, 21, 15, 16, 24, 22, 28, 17, 79, 19, 23, 52, 54, 51, 38, 53, 66, 62, 25, 12];
    ORDER.iter().position(|listed| *listed == law)
}
