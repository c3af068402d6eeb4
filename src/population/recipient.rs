//! One recipient: who they are insured as, and the certificates they hold.

use super::authority::{Residence, Seat};
use super::certificate::{Certificate, Place};
use super::insured::{Insured, Person};
use super::random::{Dice, Purpose, mix};
use super::registration::RegistrationRow;
use super::scheme::{Law, Local, SCHEMES, Scheme};
use super::text::Text;
use super::{CERTIFICATES_OF_A_PLACE, FAMILIES_MAX, PLACES_OF_A_SEAT, Population};
use crate::domain::day::{BirthDate, Day};

/// A recipient as the authorities registered them.
#[derive(Clone, Debug)]
pub struct Recipient {
    pub(super) insured: Insured,
    pub(super) sex: u8,
    pub(super) not_disclosed: bool,
    /// Whether a twin shares insurer, symbol, number and birth date.
    pub(super) twin: bool,
    pub(super) card: Option<Text<20>>,
    pub(super) certificates: Vec<Certificate>,
    pub(super) horizon: Day,
}

impl Population {
    /// The recipient `index`, which must be less than the population's size.
    pub fn recipient(&self, index: u64) -> Recipient {
        debug_assert!(index < self.size, "beyond the size there are only strangers");
        let family = self.family(index);
        let twin = self.is_twin(index);
        let mut shared = Dice::new(self.seed, Purpose::Family, family);
        let mut own = Dice::new(self.seed, Purpose::Person, index);

        let scheme = if twin { children() } else { Scheme::first(&mut own) };
        let female = own.percent(50) || scheme.law == Law::Local(Local::Maternity);
        // Twins are old enough for every past, so that both can share one birth date.
        let age = if twin { 6 + shared.small(12) } else { scheme.age(&mut own) };
        let (place, seat, residence) = self.home(family, &mut shared);
        let birth = self.birth(age, &mut shared);
        let disabled = scheme.law == Law::Local(Local::Disability);
        let person = Person { seat, residence, age, birth, disabled };
        let mut insured = Insured::make(self, family, person, &mut shared);
        if twin {
            insured.branch = Some(if index == family { 1 } else { 2 });
            insured.branch_registered = true;
        }

        let own_serials = Place { serial: place.serial + (index - family) * (CERTIFICATES_OF_A_PLACE / 2) };
        let count: u64 = match own.small(100) {
            0..72 => 1,
            72..93 => 2,
            _ => 3,
        };
        let mut certificates: Vec<Certificate> = Vec::with_capacity(3);
        let mut held = [Some(scheme.law), None, None];
        for nth in 0..count {
            let mut dice = Dice::new(self.seed, Purpose::Certificate, index * 4 + nth);
            let next = match nth {
                0 => Some(scheme),
                _ => Scheme::further(&mut dice, age, female, |law| held.contains(&Some(law))),
            };
            let Some(next) = next else { break };
            if let Some(slot) = usize::try_from(nth).ok().and_then(|nth| held.get_mut(nth)) {
                *slot = Some(next.law);
            }
            certificates.push(Certificate::make(self, next, (own_serials, nth), person, &mut dice));
        }
        Recipient {
            insured,
            sex: if female { 2 } else { 1 },
            not_disclosed: own.permille(2),
            twin,
            card: self.has_card(index).then(|| self.card_link(index)),
            certificates,
            horizon: self.horizon,
        }
    }

    /// Where a family lives and stands in the registers.
    pub(super) fn home(&self, family: u64, dice: &mut Dice) -> (Place, &'static Seat, &'static Residence) {
        debug_assert!(family < FAMILIES_MAX);
        let place = self.places.place(family);
        let seat = usize::try_from(place / PLACES_OF_A_SEAT).ok().and_then(|seat| self.seats.get(seat));
        let residence = seat.and_then(|seat| seat.residence(dice.draw()));
        #[expect(clippy::panic, reason = "the places are as many as the seats hold, and no seat is empty")]
        let (Some(seat), Some(residence)) = (seat, residence) else { panic!("a place without a seat") };
        (Place { serial: place % PLACES_OF_A_SEAT * CERTIFICATES_OF_A_PLACE }, seat, residence)
    }

    /// A birth date that is `age` whole years and at least a month back; of some of the oldest only the year is known (§10.4).
    pub(super) fn birth(&self, age: u32, dice: &mut Dice) -> BirthDate {
        let month = self.month().minus(age * 12 + 1 + dice.small(12));
        let day = month.day(1 + dice.small(28));
        match age {
            85.. if dice.percent(3) => BirthDate::from_packed_trusted(day.year() * 10_000),
            _ => day.into(),
        }
    }

    /// Whether the recipient has a card link; cheaper than making the recipient.
    pub fn has_card(&self, index: u64) -> bool {
        Dice::new(self.seed, Purpose::Card, index).percent(60)
    }

    /// Twenty characters, thirteen of which are a bijection of the index.
    pub(super) fn card_link(&self, index: u64) -> Text<20> {
        const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let unique = mix(index ^ mix(self.seed));
        let rest = Dice::new(self.seed, Purpose::Card, index ^ u64::MAX).draw();
        let mut link = Text::new();
        for (bits, letters) in [(unique, 13), (rest, 7)] {
            for nth in 0..letters {
                let letter = usize::try_from(bits >> (nth * 5) & 31).ok().and_then(|place| LETTERS.get(place));
                link.push(letter.map_or('a', |letter| char::from(*letter)));
            }
        }
        link
    }

    pub(super) fn is_twin(&self, index: u64) -> bool {
        let first = index & !1;
        first + 1 < self.size && Dice::new(self.seed, Purpose::Twins, first).percent(1)
    }

    fn family(&self, index: u64) -> u64 {
        if self.is_twin(index) { index & !1 } else { index }
    }
}

impl Recipient {
    /// Every registered row, certificate by certificate, the oldest period first.
    pub fn rows(&self) -> impl Iterator<Item = RegistrationRow<'_>> {
        self.certificates.iter().flat_map(|certificate| self.rows_of(certificate))
    }

    /// The certificates held.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The insurance card.
    pub fn insured(&self) -> &Insured {
        &self.insured
    }

    /// Whether a twin shares insurer, symbol, number and birth date.
    pub fn is_twin(&self) -> bool {
        self.twin
    }

    /// The link to the person's card, where one is registered.
    pub fn card_link(&self) -> Option<&str> {
        self.card.as_ref().map(Text::as_str)
    }

    pub(super) fn rows_of<'a>(&'a self, certificate: &'a Certificate) -> impl Iterator<Item = RegistrationRow<'a>> {
        let insured = &self.insured;
        certificate.periods.all().iter().map(move |period| RegistrationRow {
            authority_code: certificate.authority_code,
            certificate_type_id: certificate.type_id.as_str(),
            certificate_name: certificate.name,
            insurer_number: insured.insurer_number.as_str(),
            symbol: insured.symbol.as_str(),
            number: insured.number.as_str(),
            branch_number: insured.branch.filter(|_| insured.branch_registered),
            birth_date: insured.birth,
            sex: self.sex,
            payer_number: certificate.payer_number().unwrap_or_default(),
            recipient_number: certificate.recipient_number(),
            sub_key: certificate.sub_key,
            history_key: period.from.packed(),
            segment: certificate.segment,
            income_segment: certificate.income_segment,
            additional_conditions: certificate.conditions,
            designated_institutions: certificate.institutions.as_str(),
            always_reimbursement: certificate.always_reimbursement,
            not_disclosed: self.not_disclosed,
            copay: certificate.copay,
            valid_from: period.from,
            valid_to: period.to,
            card_link: self.card_link().unwrap_or_default(),
        })
    }
}

fn children() -> &'static Scheme {
    let [first, ..] = &SCHEMES;
    SCHEMES.iter().find(|scheme| scheme.law == Law::Local(Local::Children)).unwrap_or(first)
}
