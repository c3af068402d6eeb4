//! The insured identity (被保険者): insurer number, symbol, number, branch number and birth date, as printed on a card.

use super::Population;
use super::authority::{Residence, Seat};
use super::random::Dice;
use super::text::{Text, wide};
use crate::domain::day::BirthDate;
use crate::domain::digits::check_digit;

/// What stands on an insurance card.
#[derive(Clone, Copy, Debug)]
pub struct Insured {
    pub(super) insurer_number: Text<8>,
    pub(super) symbol: Text<40>,
    pub(super) number: Text<24>,
    /// The card's branch number; `None` where the insurer gives none (後期高齢).
    pub(super) branch: Option<u8>,
    /// Whether the authority registered the branch number.
    pub(super) branch_registered: bool,
    pub(super) birth: BirthDate,
}

/// What decides the kind of insurance.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) seat: &'a Seat,
    pub(super) residence: &'a Residence,
    pub(super) age: u32,
    pub(super) birth: BirthDate,
    /// Whether an elderly person's disability has moved them to the insurance of the old (後期高齢) before 75.
    pub(super) disabled: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Insurance {
    /// 国民健康保険, 6 digits.
    Municipal,
    /// 法別 01 全国健康保険協会, 06 組合, 31–34 共済.
    Employer(u8),
    /// 法別 39 後期高齢者医療: neither symbol nor branch.
    Elderly,
}

/// How many of each ten million numbers one insurer gives out: the last of its three digits names the ten million.
const NUMBERS_OF_A_SLOT: u64 = 10_000_000;

impl Insured {
    /// `member` is the number of the member in the whole population; no two identities may be made from the same one, which is
    /// what makes insurer and number together unique (see [`crate::population`]).
    pub(super) fn make(population: &Population, member: u64, person: Person<'_>, dice: &mut Dice) -> Insured {
        let place = population.members.place(member);
        let (slot, number) = (place / NUMBERS_OF_A_SLOT, place % NUMBERS_OF_A_SLOT);
        let insurance = insurance(&person, dice);
        let wide_symbol = dice.percent(31);
        let symbol = match insurance {
            Insurance::Elderly => Text::new(),
            _ if wide_symbol => wide_symbol_text(person.residence.municipality.name, dice),
            _ => narrow_symbol_text(insurance, dice),
        };
        let branch = match insurance {
            Insurance::Elderly => None,
            _ => Some(dice.pick(&[0, 0, 0, 0, 1, 1, 2, 2, 2, 3])),
        };
        Insured {
            insurer_number: insurer_number(insurance, slot, person.seat.prefecture, dice),
            symbol,
            number: number_text(insurance, number, wide_symbol && dice.percent(50), dice),
            branch,
            branch_registered: branch.is_some() && !dice.permille(10),
            birth: person.birth,
        }
    }

    /// The insurer number (保険者番号) as written: 8 digits, or 6 bare or padded.
    pub fn insurer_number(&self) -> &str {
        self.insurer_number.as_str()
    }

    /// The symbol (記号) as printed; empty where the insurer gives none.
    pub fn symbol(&self) -> &str {
        self.symbol.as_str()
    }

    /// The number (番号) as printed.
    pub fn number(&self) -> &str {
        self.number.as_str()
    }

    /// The branch number (枝番) on the card, which may not have been registered.
    pub fn branch_number(&self) -> Option<u8> {
        self.branch
    }

    /// Whether the authority registered the branch number.
    pub fn branch_is_registered(&self) -> bool {
        self.branch_registered
    }

    /// The birth date.
    pub fn birth_date(&self) -> BirthDate {
        self.birth
    }

    /// The branch number as registered: two digits, or nothing.
    pub(super) fn registered_branch(&self) -> Text<2> {
        let mut text = Text::new();
        if let Some(branch) = self.branch.filter(|_| self.branch_registered) {
            text.push_number(u64::from(branch), 2);
        }
        text
    }
}

fn insurance(person: &Person<'_>, dice: &mut Dice) -> Insurance {
    let lot = dice.small(100);
    match person.age {
        75.. => Insurance::Elderly,
        65..75 if person.disabled && lot < 20 => Insurance::Elderly,
        65..75 if lot < 80 => Insurance::Municipal,
        _ if lot < 28 => Insurance::Municipal,
        _ if lot < 64 => Insurance::Employer(1),
        _ if lot < 90 => Insurance::Employer(6),
        _ => Insurance::Employer(dice.pick(&[31, 32, 32, 33, 34])),
    }
}

/// 8 digits; a municipal insurer's 6 are written as they are, or padded with zeros or with spaces.
fn insurer_number(insurance: Insurance, slot: u64, prefecture: u32, dice: &mut Dice) -> Text<8> {
    let serial = dice.below(100) * 10 + slot;
    let mut body: Text<8> = Text::new();
    match insurance {
        Insurance::Municipal => body.push_str(dice.pick(&["", "00", "  "])),
        Insurance::Employer(law) => body.push_number(u64::from(law), 2),
        Insurance::Elderly => body.push_str("39"),
    }
    body.push_number(u64::from(prefecture), 2);
    body.push_number(serial, 3);
    let digits = body.as_bytes().trim_ascii_start();
    let check = check_digit(digits).unwrap_or(b'0');
    body.push(char::from(check));
    body
}

/// A symbol (記号) written in full width throughout, with the town's name or without.
fn wide_symbol_text(town: &str, dice: &mut Dice) -> Text<40> {
    let mut text = Text::new();
    match dice.small(6) {
        0 => {
            text.push_str(town);
            text.push_str("・第");
            text.push_wide_number(dice.below(90) + 10, 2);
        }
        1 | 2 => {
            text.push_str(town.trim_end_matches(['市', '区', '町', '村']));
            text.push_wide_number(dice.below(900) + 100, 3);
        }
        3 => {
            text.push_wide_number(dice.below(900) + 100, 3);
            text.push('－');
            text.push_wide_number(dice.below(900), 3);
        }
        4 => {
            text.push(wide(dice.pick(&['A', 'B', 'C', 'K', 'M', 'S'])));
            text.push_wide_number(dice.below(100_000), 5);
        }
        _ => {
            text.push(dice.pick(&['国', '公', '健', '組', 'あ', 'い', 'ト', 'ミ']));
            text.push_wide_number(dice.below(10_000), 4);
        }
    }
    text
}

fn narrow_symbol_text(insurance: Insurance, dice: &mut Dice) -> Text<40> {
    let mut text = Text::new();
    if insurance == Insurance::Employer(1) {
        text.push_number(10_000_000 + dice.below(80_000_000), 8);
        return text;
    }
    match dice.small(6) {
        0 => {
            text.push(dice.pick(&['A', 'B', 'C', 'K', 'M', 'S']));
            text.push('-');
            text.push_number(dice.below(1_000), 3);
        }
        1 => {
            text.push_number(dice.below(90) + 10, 2);
            text.push('-');
            text.push_number(dice.below(100), 2);
        }
        2 => text.push_number(dice.below(900_000) + 100_000, 6),
        _ => text.push_number(dice.below(90_000) + 10_000, 5),
    }
    text
}

/// The number (番号). All forms differ in length, so that each keeps the seven digits it came from apart.
fn number_text(insurance: Insurance, number: u64, wide_digits: bool, dice: &mut Dice) -> Text<24> {
    let (value, width) = match insurance {
        Insurance::Elderly => (number, 8),
        // Some insurers drop the leading zero, so some add a digit of their own.
        _ if number < 1_000_000 && dice.percent(60) => (number, 6),
        _ if dice.percent(4) => (number + NUMBERS_OF_A_SLOT * (1 + dice.below(9)), 8),
        _ => (number, 7),
    };
    let mut text = Text::new();
    if wide_digits {
        text.push_wide_number(value, width);
    } else {
        text.push_number(value, width);
    }
    text
}
