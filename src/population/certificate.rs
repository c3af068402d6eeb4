//! One certificate (受給者証): who issued it under which numbers, and what it says.

use super::Population;
use super::authority::Rank;
use super::copay::Copay;
use super::insured::Person;
use super::period::{Case, Periods, Timing};
use super::random::Dice;
use super::scheme::{Issuer, Law, Scheme};
use super::text::Text;
use crate::domain::digits::check_digit;

/// A certificate with all its periods.
#[derive(Clone, Copy, Debug)]
pub struct Certificate {
    pub(super) scheme_law: u8,
    pub(super) authority_code: &'static str,
    pub(super) type_id: Text<8>,
    pub(super) name: &'static str,
    /// Absent where the patient always pays first: such schemes need no payer number (§1.2).
    pub(super) payer: Option<Text<8>>,
    pub(super) recipient: Text<16>,
    pub(super) sub_key: &'static str,
    pub(super) segment: &'static str,
    pub(super) income_segment: &'static str,
    pub(super) conditions: &'static str,
    /// Ten digits each, joined by `;`; empty where any institution will do.
    pub(super) institutions: Text<32>,
    pub(super) always_reimbursement: bool,
    pub(super) copay: Copay,
    pub(super) case: Case,
    pub(super) periods: Periods,
}

/// Where a recipient stands in the registers: no other recipient has the same seat and serial.
#[derive(Clone, Copy)]
pub(super) struct Place {
    /// Less than [`super::SERIALS_OF_A_SEAT`]; the place keeps [`super::CERTIFICATES_OF_A_PLACE`] serials from there on.
    pub(super) serial: u64,
}

impl Certificate {
    /// The certificate number `nth` of the place.
    pub(super) fn make(
        population: &Population,
        scheme: &'static Scheme,
        (place, nth): (Place, u64),
        person: Person<'_>,
        dice: &mut Dice,
    ) -> Certificate {
        let law = scheme.law.code(person.seat.prefecture);
        let local = matches!(scheme.law, Law::Local(_));
        let (authority_code, issuer) = issuer(scheme.issuer, &person);
        let body = payer_body(law, person.seat.prefecture, issuer);
        let timing =
            Timing { now: population.month(), length: scheme.months, birth: person.birth, open: local && dice.percent(6) };
        let case = match dice.small(1000) {
            0..80 => Case::Expired,
            80..90 => Case::Future,
            _ => Case::Active,
        };
        let always_reimbursement = dice.permille(30);
        let without_payer = always_reimbursement && local && dice.percent(20);
        let segmented = dice.percent(scheme.segment_percent);
        let (copay, band) = Copay::by(scheme.copay, dice);
        let mut type_id = body;
        type_id.push(scheme.letter);
        Certificate {
            scheme_law: law,
            authority_code,
            type_id,
            name: dice.pick(&scheme.names),
            payer: (!without_payer).then(|| checked(body)),
            recipient: recipient_number(place.serial + nth, local, dice),
            sub_key: if dice.percent(4) { dice.pick(&["1", "2", "A"]) } else { "" },
            segment: if segmented { segment(local, dice) } else { "" },
            income_segment: if segmented { band } else { "" },
            conditions: if dice.percent(4) { dice.pick(&["K01-1", "K01-2;K03-1", "K02-9"]) } else { "" },
            institutions: institutions(population, scheme, person.seat.prefecture, dice),
            always_reimbursement,
            copay,
            case,
            periods: Periods::lay(case, timing, dice),
        }
    }

    /// The payer number (公費負担者番号), where there is one.
    pub fn payer_number(&self) -> Option<&str> {
        self.payer.as_ref().map(Text::as_str)
    }

    /// The recipient number (公費受給者番号).
    pub fn recipient_number(&self) -> &str {
        self.recipient.as_str()
    }

    /// The case it was made as, seen from the population's day.
    pub fn case(&self) -> Case {
        self.case
    }

    /// Whether it may be used only at the institutions it names.
    pub fn is_designated(&self) -> bool {
        !self.institutions.as_bytes().is_empty()
    }

    /// Whether it names this institution.
    pub fn designates(&self, institution: &str) -> bool {
        self.designated_institutions().any(|code| code == institution)
    }

    /// The institutions it names, 10 digits each.
    pub fn designated_institutions(&self) -> impl Iterator<Item = &str> {
        self.institutions.as_str().split(';').filter(|code| !code.is_empty())
    }
}

/// The number of a certificate that nobody in the population holds, under a payer number that many do.
pub(super) fn foreign_numbers(place: Place, person: &Person<'_>, dice: &mut Dice) -> (Text<8>, Text<16>) {
    let scheme = Scheme::first(dice);
    let (_, issuer) = issuer(scheme.issuer, person);
    let body = payer_body(scheme.law.code(person.seat.prefecture), person.seat.prefecture, issuer);
    let local = matches!(scheme.law, Law::Local(_));
    (checked(body), recipient_number(place.serial, local, dice))
}

fn issuer(issuer: Issuer, person: &Person<'_>) -> (&'static str, u32) {
    let (seat, residence) = (person.seat, person.residence);
    let by_town = match issuer {
        Issuer::Municipality => true,
        Issuer::Prefecture | Issuer::National(_) => false,
        Issuer::PrefectureOrDesignated => residence.municipality.rank >= Rank::Designated,
        Issuer::PrefectureOrCore => residence.municipality.rank >= Rank::Core,
    };
    match issuer {
        _ if by_town => (residence.municipality.code, residence.issuer),
        Issuer::National(code) => (code, seat.prefecture_issuer),
        _ => (seat.prefecture_code, seat.prefecture_issuer),
    }
}

/// The seven digits that a payer number and a certificate type share: within an authority, one type has one payer number.
fn payer_body(law: u8, prefecture: u32, issuer: u32) -> Text<8> {
    let mut body = Text::new();
    body.push_number(u64::from(law) * 100_000 + u64::from(prefecture) * 1_000 + u64::from(issuer), 7);
    body
}

fn checked(body: Text<8>) -> Text<8> {
    let mut number = body;
    number.push(char::from(check_digit(body.as_bytes()).unwrap_or(b'0')));
    number
}

/// Seven digits, the last a check digit; one local certificate in nine has a longer form (§1.3) around the same seven.
///
/// The serial is scattered over the six digits by a step that has no factor in common with a million, so neighbours look unrelated
/// and no two serials meet. Twelve digits are avoided: one in eleven would look like an individual number.
fn recipient_number(serial: u64, local: bool, dice: &mut Dice) -> Text<16> {
    let scattered = (serial * 741_457 + 214_013) % 1_000_000;
    let mut seven: Text<16> = Text::new();
    seven.push_number(scattered, 6);
    seven.push(char::from(check_digit(seven.as_bytes()).unwrap_or(b'0')));
    if !local || !dice.permille(107) {
        return seven;
    }
    let (before, after) = dice.pick(&[("第", "号"), ("A-", ""), ("", "-01"), ("2", ""), ("100", ""), ("ｺ-", "-1"), ("こ", "")]);
    let mut longer = Text::new();
    longer.push_str(before);
    longer.push_str(seven.as_str());
    longer.push_str(after);
    longer
}

fn segment(local: bool, dice: &mut Dice) -> &'static str {
    if local {
        dice.pick(&["一般", "区分１", "区分２", "課税", "非課税", "就学前", "全額助成", "一部負担あり"])
    } else {
        // The comma makes a reader of CSV prove that it knows quoted fields.
        dice.pick(&["一般", "重度かつ継続", "高額かつ長期", "人工呼吸器等", "一般", "経過的特例", "一般,世帯按分", "軽症高額"])
    }
}

fn institutions(population: &Population, scheme: &Scheme, prefecture: u32, dice: &mut Dice) -> Text<32> {
    let mut codes = Text::new();
    if !dice.percent(scheme.designated_percent) {
        return codes;
    }
    let count = dice.below(3) + 1;
    let start = dice.below(INSTITUTIONS_OF_A_PREFECTURE);
    for nth in 0..count {
        if nth > 0 {
            codes.push(';');
        }
        codes.push_str(population.institution(prefecture, start + nth).as_str());
    }
    codes
}

/// How many institutions of a prefecture certificates name.
pub(super) const INSTITUTIONS_OF_A_PREFECTURE: u64 = 400;
