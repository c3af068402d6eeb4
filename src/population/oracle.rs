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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::population::Population;
    use crate::population::period::{Period, Periods};
    use crate::population::random::mix;
    use crate::population::registration::RegistrationRow;

    fn day(text: &str) -> Day {
        Day::parse(text.as_bytes()).unwrap()
    }

    fn population(size: u64) -> Population {
        Population::new(1, size, day("2026-11-22")).unwrap()
    }

    fn certificate(law: u8, payer: Option<&str>, recipient: &str, periods: &[(&str, &str)]) -> Certificate {
        let [mut made, ..] = population(10).recipient(0).certificates()[..] else { panic!("nobody has no certificate") };
        let periods: Vec<_> = periods.iter().map(|(from, to)| Period { from: day(from), to: day(to) }).collect();
        made.scheme_law = law;
        made.payer = payer.map(Text::of);
        made.recipient = Text::of(recipient);
        made.periods = Periods::of(&periods);
        made.always_reimbursement = false;
        made.institutions = Text::new();
        made
    }

    fn holder(certificates: Vec<Certificate>) -> Recipient {
        Recipient { certificates, twin: false, ..population(10).recipient(0) }
    }

    fn asked(holder: &Recipient, on: &str) -> String {
        holder.expected_member(true, day(on), None).compact_line()
    }

    #[test]
    fn a_certificate_is_read_along_its_periods() {
        // The first period ended before the horizon, 2024-11-01, and is out of sight; then come a gap, a renewal and another gap.
        let periods = [
            ("2022-04-01", "2023-03-31"),
            ("2025-01-01", "2025-12-31"),
            ("2026-01-01", "2026-06-30"),
            ("2026-12-01", "9999-12-31"),
        ];
        let holder = holder(vec![certificate(88, Some("88138243"), "1234566", &periods)]);
        for (on, answer) in [
            ("2024-10-31", "!\tbefore_retention"),
            ("2024-11-01", "F\t88138243/1234566/2025-12-31/F"),
            ("2025-01-01", "E\t88138243/1234566/2025-12-31/E"),
            ("2025-12-31", "E\t88138243/1234566/2025-12-31/E"),
            ("2026-01-01", "E\t88138243/1234566/2026-06-30/E"),
            ("2026-11-22", "X\t88138243/1234566/2026-06-30/X"),
            ("2026-12-01", "E\t88138243/1234566/9999-12-31/E"),
        ] {
            assert_eq!(asked(&holder, on), answer, "{on}");
        }
    }

    #[test]
    fn a_person_whose_rows_all_ended_before_the_horizon_is_not_registered() {
        let ended = certificate(88, Some("88138243"), "1234566", &[("2022-04-01", "2024-10-31")]);
        assert_eq!(asked(&holder(vec![ended]), "2026-11-22"), "N");
        let in_sight = certificate(88, Some("88138243"), "1234566", &[("2022-04-01", "2024-11-01")]);
        assert_eq!(asked(&holder(vec![in_sight]), "2026-11-22"), "X\t88138243/1234566/2024-11-01/X");
    }

    #[test]
    fn entries_stand_by_verdict_then_by_rank_then_by_number() {
        let now = [("2026-04-01", "2027-03-31")];
        let future = [("2026-12-01", "2027-03-31")];
        let ended = [("2025-04-01", "2026-03-31")];
        let mut pays_first = certificate(54, Some("54136015"), "0000006", &now);
        pays_first.always_reimbursement = true;
        let mut elsewhere = certificate(10, Some("10136019"), "0000007", &now);
        elsewhere.institutions = Text::of("0110113719;3618010015");
        let holder = holder(vec![
            certificate(13, Some("13000001"), "0000001", &future),
            certificate(18, Some("18000001"), "0000002", &ended),
            certificate(88, None, "0000003", &now),
            certificate(88, Some("88138243"), "0000004", &now),
            certificate(80, Some("80138243"), "0000005", &now),
            pays_first,
            elsewhere,
            certificate(21, Some("21136017"), "0000008", &now),
        ]);
        let order = |institution| {
            let answer = holder.expected_member(true, day("2026-11-22"), institution);
            answer
                .entitlements
                .iter()
                .map(|entry| format!("{}{}", &entry.recipient_number[6..], entry.letter))
                .collect::<String>()
        };
        assert_eq!(order(None), "8E5E4E3E6R7D2X1F");
        assert_eq!(order(Some("3618010015")), "7E8E5E4E3E6R2X1F");
        assert_eq!(order(Some("1312345678")), order(None));
        assert!(asked(&holder, "2026-11-22").contains("\t/0000003/2027-03-31/E\t"), "an absent payer number is empty");
    }

    #[test]
    fn twins_are_told_apart_only_by_their_branch_numbers() {
        let population = population(1_000);
        let first = (0..1_000).find(|index| population.is_twin(*index)).unwrap();
        let (one, other) = (population.recipient(first), population.recipient(first + 1));
        let card = |recipient: &Recipient, with_branch| recipient.ask_member(with_branch).line(None);
        assert_eq!(card(&one, false), card(&other, false));
        assert_ne!(card(&one, true), card(&other, true));
        assert_eq!(one.expected_member(false, population.as_of(), None).compact_line(), "A");
        let answers = [&one, &other].map(|twin| twin.expected_member(true, population.as_of(), None).compact_line());
        assert!(answers[0] != answers[1] && answers[0].len() > 1 && answers[1].len() > 1);
        assert_eq!(one.expected_certificate(0, population.as_of(), None).unwrap().entitlements.len(), 1);
    }

    #[test]
    fn what_was_withdrawn_is_answered_no_more() {
        let population = population(5_000);
        let withdrawn = (0..5_000).filter(|index| population.fate(*index) == crate::population::Fate::Withdrawn);
        let nobody = withdrawn.filter(|index| {
            let after = population.recipient_after_changes(*index);
            population.recipient(*index).rows().count() == 1
                && after.expected_member(true, population.as_of(), None).compact_line() == "N"
        });
        assert!(nobody.count() > 3);
    }

    /// A plain reading of the contract over the rows that the file carries, with nothing of how they were made.
    fn second_opinion(recipient: &Recipient, horizon: Day, day: Day, institution: &str) -> BTreeMap<String, (char, Day)> {
        let mut certificates: BTreeMap<String, Vec<RegistrationRow<'_>>> = BTreeMap::new();
        for row in recipient.rows().filter(|row| row.valid_to >= horizon) {
            certificates.entry(format!("{}/{}", row.payer_number, row.recipient_number)).or_default().push(row);
        }
        let answer = |rows: Vec<RegistrationRow<'_>>| {
            let covering =
                rows.iter().filter(|row| row.valid_from <= day && day <= row.valid_to).max_by_key(|row| row.valid_from);
            if let Some(row) = covering {
                let elsewhere = !row.designated_institutions.is_empty()
                    && !row.designated_institutions.split(';').any(|code| code == institution);
                let letter = if elsewhere {
                    'D'
                } else if row.always_reimbursement {
                    'R'
                } else {
                    'E'
                };
                return (letter, row.valid_to);
            }
            match rows.iter().map(|row| row.valid_to).filter(|to| *to < day).max() {
                Some(to) => ('X', to),
                None => ('F', rows.iter().min_by_key(|row| row.valid_from).unwrap().valid_to),
            }
        };
        certificates.into_iter().map(|(numbers, rows)| (numbers, answer(rows))).collect()
    }

    #[test]
    fn the_right_answers_agree_with_a_plain_reading_of_the_registered_rows() {
        let population = population(20_000);
        let mut letters = BTreeMap::new();
        for index in 0..20_000 {
            let recipient = match index % 3 {
                0 => population.recipient_after_changes(index),
                _ => population.recipient(index),
            };
            let on = population.horizon().plus_days(i64::try_from(mix(index) % 800).unwrap());
            let named = recipient.certificates().iter().flat_map(Certificate::designated_institutions).next();
            let institution = named.unwrap_or("0110113719");
            let expected = recipient.expected_member(true, on, Some(institution));
            let entries: BTreeMap<_, _> = expected
                .entitlements
                .iter()
                .map(|entry| (format!("{}/{}", entry.payer_number, entry.recipient_number), (entry.letter, entry.valid_to)))
                .collect();
            assert_eq!(entries, second_opinion(&recipient, population.horizon(), on, institution), "{index} on {on}");
            *letters.entry(expected.letter).or_insert(0) += 1;
        }
        assert!("ERDXFN".chars().all(|letter| letters.contains_key(&letter)), "{letters:?}");
    }
}
