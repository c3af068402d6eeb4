//! Rows of a small world: a few people, a few certificates, three periods of each, so that everything meets again and again.

use shikaku::disk::simulated::Chance;
use shikaku::domain::day::{BirthDate, Day};
use shikaku::domain::identifier::{AuthorityCode, BranchNumber, InsurerNumber, PayerNumber, Sex};
use shikaku::domain::registration::{Operation, Registration};
use shikaku::ingest::blank_registration;
use shikaku::record::payload::Changes;
use shikaku::record::row::Row as ArchivedForm;

pub(crate) const PEOPLE: u8 = 5;
pub(crate) const CERTIFICATES: u8 = 8;
/// The last year, this and the next.
pub(crate) const PERIODS: u8 = 3;
const FIRST_DAYS: [&str; PERIODS as usize] = ["2024-01-01", "2026-01-01", "2027-04-01"];
/// Where a period may end: as it should, or earlier.
pub(crate) const LAST_DAYS: [[&str; 3]; PERIODS as usize] = [
    ["2025-12-31", "2024-12-15", "2025-03-31"],
    ["2027-03-31", "2026-06-30", "2026-11-22"],
    ["9999-12-31", "2028-03-31", "2027-12-31"],
];

/// One row, in small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) certificate: u8,
    pub(crate) period: u8,
    pub(crate) person: u8,
    pub(crate) ends: u8,
    pub(crate) segment: u8,
}

/// A row, registered or withdrawn.
pub(crate) type RowChange = (Operation, Row);

impl Row {
    pub(crate) const fn of(certificate: u8, period: u8, person: u8) -> Row {
        Row { certificate, period, person, ends: 0, segment: 0 }
    }

    pub(crate) fn drawn(chance: &mut Chance) -> Row {
        let mut below = |end: u8| chance.below(u64::from(end)) as u8;
        Row { certificate: below(CERTIFICATES), period: below(PERIODS), person: below(PEOPLE), ends: below(3), segment: below(2) }
    }

    pub(crate) fn first_day(self) -> Day {
        day(FIRST_DAYS[usize::from(self.period)])
    }

    pub(crate) fn last_day(self) -> Day {
        day(LAST_DAYS[usize::from(self.period)][usize::from(self.ends)])
    }

    /// As an authority registers it.
    pub(crate) fn registration(self) -> Registration {
        Registration {
            authority: authority(),
            certificate_type: "CH01".to_owned(),
            certificate_name: "子ども医療費受給者証".to_owned(),
            insurer: insurer(),
            symbol: SYMBOL.to_owned(),
            number: number_of(self.person),
            branch: branch(),
            birth_date: birth_date(),
            sex: Sex::parse(b"1").ok(),
            payer: Some(payer()),
            recipient_number: recipient_of(self.certificate),
            history_key: self.period.to_string(),
            segment: self.segment.to_string(),
            valid_from: self.first_day(),
            valid_to: self.last_day(),
            card_link: card_of(self.person),
            ..blank_registration()
        }
    }
}

/// A row of every identity there can be: of every certificate, every period.
pub(crate) fn identities() -> impl Iterator<Item = Row> {
    (0..CERTIFICATES).flat_map(|certificate| (0..PERIODS).map(move |period| Row::of(certificate, period, 0)))
}

pub(crate) fn changes(rows: &[RowChange]) -> Changes {
    let mut changes = Changes::new();
    for (operation, row) in rows {
        changes.push(*operation, &ArchivedForm::of(&row.registration())).unwrap();
    }
    changes
}

pub(crate) const SYMBOL: &str = "品１";

pub(crate) fn number_of(person: u8) -> String {
    format!("{:07}", 1000 + u32::from(person))
}

pub(crate) fn recipient_of(certificate: u8) -> String {
    format!("{certificate:07}")
}

pub(crate) fn card_of(person: u8) -> String {
    format!("card{person}")
}

pub(crate) fn authority() -> AuthorityCode {
    AuthorityCode::parse(b"131016").unwrap()
}

pub(crate) fn insurer() -> InsurerNumber {
    InsurerNumber::parse_padded(b"138057").unwrap()
}

pub(crate) fn branch() -> Option<BranchNumber> {
    Some(BranchNumber::parse(b"01").unwrap())
}

pub(crate) fn birth_date() -> BirthDate {
    BirthDate::parse(b"2019-05-04").unwrap()
}

pub(crate) fn payer() -> PayerNumber {
    PayerNumber::parse(b"88131016").unwrap()
}

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

pub(crate) fn today() -> Day {
    day("2026-11-22")
}
