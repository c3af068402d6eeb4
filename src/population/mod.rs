//! Deterministic synthetic recipients, for the demo, tests and load tests.
//!
//! A [`Population`] is a seed, a size and a day. Recipient *i* is a pure function of those three, so any thread on any machine
//! makes the same one without making the others, and a question about it comes with the right answer: the one it was
//! *constructed* to have, never one that the deciding code gave (see [`oracle`]).
//!
//! **Nobody is mistaken for somebody else, by construction.**
//!
//! - *Members.* A bijection sends each member's number to a slot and seven digits. The slot is a digit of the insurer number and the
//!   seven digits are in the number (番号), so insurer and number together occur once. Twins share one on purpose, and differ in
//!   their branch numbers. Who moves to another insurer gets the number of a member that nobody was.
//! - *Certificates.* A second bijection sends each recipient (each pair of twins) to a seat, see `authority.rs`, and a place in it; the
//!   place holds six serials, three for each twin. The payer number names the seat, the recipient number is the serial
//!   scattered over its six digits and a check digit. So payer and recipient number together occur once, and so do
//!   authority, certificate type and recipient number.
//! - *Card links* are a bijection of the recipient's number.
//! - *Strangers* come out of the same bijections, from numbers that no recipient reaches.

mod authority;
mod certificate;
mod changes;
mod copay;
mod encoding;
mod insured;
mod month;
pub mod oracle;
mod period;
pub mod question;
mod random;
mod recipient;
mod registration;
mod scheme;
mod stranger;
pub mod synth;
mod text;
pub mod workload;

#[cfg(test)]
mod mix_tests;

pub use certificate::Certificate;
pub use changes::Fate;
pub use copay::Copay;
pub use insured::Insured;
pub use period::{Case, Period};
pub use recipient::Recipient;
pub use registration::{HEADER, RegistrationRow};
pub use text::Text;

use crate::domain::day::Day;
use crate::domain::digits::check_digit;
use month::Month;
use random::{Dice, Permutation, Purpose};

/// The largest population.
pub const RECIPIENTS_MAX: u64 = 40_000_000;
/// How many strangers can be asked about before they repeat.
pub const STRANGERS_MAX: u64 = 10_000_000;

const FAMILIES_MAX: u64 = RECIPIENTS_MAX + STRANGERS_MAX;
/// The serials that fit the six free digits of a recipient number.
const SERIALS_OF_A_SEAT: u64 = 1_000_000;
/// Three certificates for each of two twins.
const CERTIFICATES_OF_A_PLACE: u64 = 6;
const PLACES_OF_A_SEAT: u64 = SERIALS_OF_A_SEAT / CERTIFICATES_OF_A_PLACE;
/// Ten slots of ten million numbers: a number for every family and stranger, and another for each recipient's move.
const MEMBERS_MAX: u64 = 100_000_000;
const _: () = assert!(FAMILIES_MAX + RECIPIENTS_MAX <= MEMBERS_MAX);

/// Why a population cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PopulationError {
    /// More recipients than the identifiers have room for.
    #[error("a population has at most {RECIPIENTS_MAX} recipients")]
    TooLarge,
    /// Periods reach a century back and a few years on; they must stay in the calendar.
    #[error("a population's day lies between 1990-01-01 and 2999-12-31")]
    Day,
}

/// Synthetic recipients, each made when asked for. Small, and shared freely between threads.
#[derive(Clone)]
pub struct Population {
    seed: u64,
    size: u64,
    as_of: Day,
    horizon: Day,
    seats: &'static [authority::Seat],
    members: Permutation,
    places: Permutation,
}

impl Population {
    /// The population of `size` recipients as it stands on the day `as_of`.
    pub fn new(seed: u64, size: u64, as_of: Day) -> Result<Population, PopulationError> {
        if size > RECIPIENTS_MAX {
            return Err(PopulationError::TooLarge);
        }
        if !(1990..3000).contains(&as_of.year()) {
            return Err(PopulationError::Day);
        }
        let seats = authority::seats();
        let places = seats.iter().map(|_| PLACES_OF_A_SEAT).sum();
        debug_assert!(places >= FAMILIES_MAX, "every family needs a place");
        Ok(Population {
            seed,
            size,
            as_of,
            horizon: Month::of(as_of).minus(24).first(),
            seats,
            members: Permutation::new(seed, Purpose::MemberOrder, MEMBERS_MAX),
            places: Permutation::new(seed, Purpose::PlaceOrder, places),
        })
    }

    /// The same population asked of a registry with another horizon, for one that was pruned on another day.
    #[must_use]
    pub fn with_horizon(mut self, horizon: Day) -> Population {
        self.horizon = horizon;
        self
    }

    /// How many recipients there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The day it is anchored to.
    pub fn as_of(&self) -> Day {
        self.as_of
    }

    /// The first day that questions are answered for: the first of the month, 24 months before [`Population::as_of`].
    pub fn horizon(&self) -> Day {
        self.horizon
    }

    /// Appends the registration lines of these recipients, in order; the header is [`HEADER`].
    pub fn write_registrations(&self, recipients: std::ops::Range<u64>, lines: &mut Vec<u8>) {
        for index in recipients {
            self.recipient(index).rows().for_each(|row| row.write_upsert(lines));
        }
    }

    /// A medical institution of the prefecture (1 to 47), ten digits with their check digit. The institutions that certificates
    /// name are `nth` = 0 to 399, after which they repeat.
    pub fn institution(&self, prefecture: u32, nth: u64) -> Text<10> {
        let nth = nth % certificate::INSTITUTIONS_OF_A_PREFECTURE;
        let mut dice = Dice::new(self.seed, Purpose::Institution, u64::from(prefecture) * 1_000 + nth);
        let mut code = Text::new();
        code.push_number(u64::from(prefecture), 2);
        code.push_str(dice.pick(&["1", "1", "1", "3", "4", "4", "6"]));
        code.push_number(dice.below(100), 2);
        code.push_number(nth * 20 + dice.below(20), 4);
        let check = check_digit(code.as_bytes()).unwrap_or(b'0');
        code.push(char::from(check));
        code
    }

    fn month(&self) -> Month {
        Month::of(self.as_of)
    }
}
