//! The guard against individual numbers (個人番号, My Number).
//!
//! The appliance must never hold one (domain notes §1.8, §9), so a file that carries them is refused whole and no message
//! repeats them. One in ten arbitrary twelve-digit numbers has a right check digit by chance, so a single hit means something
//! only in a column of text, where twelve digits do not belong; a column of keys is judged by the share of hits. A text column
//! that is full of other twelve-digit numbers is judged by its share as well.
//!
//! Digits are found among undecoded bytes: the second byte of a double-byte character of CP932 is never an ASCII digit, and a
//! value that is no text in the declared encoding is looked at all the same. Only a record whose quotes or number of columns
//! are wrong is not looked at: nothing in it stands in a column.

use super::columns::Column;
use super::encoding::Encoding;
use super::error::IngestError;
use super::values::Values;
use crate::domain::digits::individual_number_check_is_right;

const DIGITS: usize = 12;
/// From so many twelve-digit values on, the share that passes says something.
const VALUES_FOR_A_SHARE: u64 = 20;

/// Columns in which people write text: one hit is enough.
const TEXT_COLUMNS: [Column; 4] = [Column::CertificateName, Column::Segment, Column::IncomeSegment, Column::AdditionalConditions];
/// Columns of keys, where a twelve-digit value is nothing strange.
const KEY_COLUMNS: [Column; 7] = [
    Column::CertificateTypeId,
    Column::Symbol,
    Column::Number,
    Column::RecipientNumber,
    Column::SubKey,
    Column::HistoryKey,
    Column::CardLink,
];

/// What one column was seen to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColumnTally {
    /// Values of twelve digits, half- or full-width: in a text column wherever non-digits bound them, in a key column alone.
    pub twelve_digit_values: u64,
    /// How many of them have the check digit of an individual number.
    pub passing: u64,
    /// The first line with one of those.
    pub first_line_of_passing: Option<u64>,
}

impl ColumnTally {
    fn note(&mut self, value: &[u8; DIGITS], line: u64) {
        self.twelve_digit_values += 1;
        if individual_number_check_is_right(value) {
            self.passing += 1;
            self.first_line_of_passing = Some(self.first_line_of_passing.map_or(line, |first| first.min(line)));
        }
    }

    fn merge(&mut self, other: &ColumnTally) {
        self.twelve_digit_values += other.twelve_digit_values;
        self.passing += other.passing;
        let lines = [self.first_line_of_passing, other.first_line_of_passing];
        self.first_line_of_passing = lines.into_iter().flatten().min();
    }

    /// A text column is cleared only by being full of twelve-digit values most of which are something else.
    const fn condemns_text(&self) -> bool {
        let mostly_others = self.twelve_digit_values >= VALUES_FOR_A_SHARE && self.passing * 2 < self.twelve_digit_values;
        self.passing > 0 && !mostly_others
    }

    const fn condemns_key(&self) -> bool {
        self.twelve_digit_values >= VALUES_FOR_A_SHARE && self.passing * 2 > self.twelve_digit_values
    }
}

/// What the guarded columns of a file were seen to hold. Each worker tallies its own chunks; the sum is judged at the end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndividualNumberTallies {
    text: [ColumnTally; TEXT_COLUMNS.len()],
    key: [ColumnTally; KEY_COLUMNS.len()],
}

impl IndividualNumberTallies {
    /// Adds what another worker saw.
    pub fn merge(&mut self, other: &IndividualNumberTallies) {
        let mine = self.text.iter_mut().chain(&mut self.key);
        for (mine, other) in mine.zip(other.text.iter().chain(&other.key)) {
            mine.merge(other);
        }
    }

    /// What a column was seen to hold; `None` for a column that is not guarded.
    pub fn of(&self, column: Column) -> Option<&ColumnTally> {
        self.tallies().find(|(guarded, _)| *guarded == column).map(|(_, tally)| tally)
    }

    /// Refuses the file if a column condemns it, naming the column of the earliest hit. Nothing can override it.
    pub fn verdict(&self) -> Result<(), IngestError> {
        let text = TEXT_COLUMNS.iter().zip(&self.text).filter(|(_, tally)| tally.condemns_text());
        let key = KEY_COLUMNS.iter().zip(&self.key).filter(|(_, tally)| tally.condemns_key());
        let lines = text.chain(key).filter_map(|(column, tally)| Some((tally.first_line_of_passing?, column)));
        match lines.min() {
            Some((line, column)) => Err(IngestError::IndividualNumber { line, column: column.name() }),
            None => Ok(()),
        }
    }

    /// Looks at a record's guarded columns.
    pub(super) fn observe(&mut self, values: &Values<'_>, line: u64, encoding: Encoding) {
        for (column, tally) in TEXT_COLUMNS.into_iter().zip(&mut self.text) {
            let value = values.of(column);
            if may_hold_twelve_digits(value, encoding) {
                runs_of_twelve(value, encoding, |digits| tally.note(digits, line));
            }
        }
        for (column, tally) in KEY_COLUMNS.into_iter().zip(&mut self.key) {
            let value = values.of(column);
            if may_hold_twelve_digits(value, encoding)
                && let Some(digits) = whole_value(value, encoding)
            {
                tally.note(&digits, line);
            }
        }
    }

    fn tallies(&self) -> impl Iterator<Item = (Column, &ColumnTally)> {
        TEXT_COLUMNS.into_iter().zip(&self.text).chain(KEY_COLUMNS.into_iter().zip(&self.key))
    }
}

/// A first look that costs next to nothing on nearly every value.
fn may_hold_twelve_digits(value: &[u8], encoding: Encoding) -> bool {
    let wide = match encoding {
        Encoding::Utf8 => 0xef,
        Encoding::Cp932 => 0x82,
    };
    value.len() >= DIGITS && value.iter().filter(|byte| byte.is_ascii_digit() || **byte == wide).count() >= DIGITS
}

fn runs_of_twelve(value: &[u8], encoding: Encoding, mut found: impl FnMut(&[u8; DIGITS])) {
    let mut digits = [0; DIGITS];
    let mut run = 0;
    let characters = Digits { rest: value, encoding };
    for digit in characters {
        if let Some(digit) = digit {
            if let Some(place) = digits.get_mut(run) {
                *place = digit;
            }
            run += 1;
            continue;
        }
        if run == DIGITS {
            found(&digits);
        }
        run = 0;
    }
    if run == DIGITS {
        found(&digits);
    }
}

fn whole_value(value: &[u8], encoding: Encoding) -> Option<[u8; DIGITS]> {
    let mut digits = [0; DIGITS];
    let mut characters = Digits { rest: value, encoding };
    for place in &mut digits {
        *place = characters.next()??;
    }
    characters.next().is_none().then_some(digits)
}

/// A value character by character: the ASCII digit that it is, half- or full-width, or `None` for any other character.
struct Digits<'a> {
    rest: &'a [u8],
    encoding: Encoding,
}

impl Iterator for Digits<'_> {
    type Item = Option<u8>;

    fn next(&mut self) -> Option<Option<u8>> {
        let (digit, length) = match (self.encoding, self.rest) {
            (_, []) => return None,
            (_, [byte @ 0..=0x7f, ..]) => (byte.is_ascii_digit().then_some(*byte), 1),
            (Encoding::Utf8, [0xef, 0xbc, last @ 0x90..=0x99, ..]) => (Some(last - 0x90 + b'0'), 3),
            // Any other byte of a longer character is passed over by itself: none of those can begin a full-width digit.
            (Encoding::Utf8, _) => (None, 1),
            (Encoding::Cp932, [0x82, last @ 0x4f..=0x58, ..]) => (Some(last - 0x4f + b'0'), 2),
            (Encoding::Cp932, [0x81..=0x9f | 0xe0..=0xfc, 0x40..=0x7e | 0x80..=0xfc, ..]) => (None, 2),
            (Encoding::Cp932, _) => (None, 1),
        };
        self.rest = self.rest.get(length..).unwrap_or_default();
        Some(digit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An individual number that exists in no register: the published vector.
    const RIGHT: &str = "123456789018";
    const WRONG: &str = "210987654321";

    fn wide(text: &str) -> String {
        text.chars().map(|c| c.to_digit(10).and_then(|d| char::from_u32(0xff10 + d)).unwrap_or(c)).collect()
    }

    fn tallies(column: Column, values: &[&str]) -> IndividualNumberTallies {
        let mut tallies = IndividualNumberTallies::default();
        for (place, value) in values.iter().enumerate() {
            let values = Values::with(column, value.as_bytes());
            tallies.observe(&values, 2 + u64::try_from(place).unwrap(), Encoding::Utf8);
        }
        tallies
    }

    fn mixed(right: usize, wrong: usize) -> Vec<&'static str> {
        [vec![WRONG; wrong], vec![RIGHT; right]].concat()
    }

    #[test]
    fn one_number_in_a_text_column_refuses_the_file() {
        let fullwidth = wide(RIGHT);
        let half_and_half = format!("{}{}", &RIGHT[..6], wide(&RIGHT[6..]));
        for text in
            [RIGHT, &fullwidth, &half_and_half, "番号123456789018です", "a123456789018b", "1 123456789018", "x-123456789018"]
        {
            for column in TEXT_COLUMNS {
                let error = tallies(column, &["", "一般", text]).verdict().unwrap_err();
                assert!(matches!(error, IngestError::IndividualNumber { line: 4, column: named } if named == column.name()));
                assert!(!error.to_string().contains(RIGHT));
            }
        }
    }

    #[test]
    fn digits_that_are_no_individual_number_do_not() {
        for text in [WRONG, "1234567890189", "0123456789018", "1234-5678-9018", "１123456789018", "12345678901"] {
            assert!(tallies(Column::Segment, &[text]).verdict().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_text_column_full_of_other_numbers_is_judged_by_its_share() {
        let judge = |right, wrong| tallies(Column::AdditionalConditions, &mixed(right, wrong)).verdict().is_ok();
        assert!(judge(0, 25));
        assert!(judge(1, 19));
        assert!(!judge(1, 18), "nineteen values say nothing yet");
        assert!(judge(9, 11));
        assert!(!judge(10, 10), "half of them is not under half");
    }

    #[test]
    fn a_key_column_is_judged_by_its_share_only() {
        for column in KEY_COLUMNS {
            let judge = |right, wrong| tallies(column, &mixed(right, wrong)).verdict().is_ok();
            assert!(judge(19, 0), "nineteen values say nothing yet");
            assert!(!judge(20, 0));
            assert!(judge(10, 10), "half of them is not more than half");
            assert!(!judge(11, 9));
        }
    }

    #[test]
    fn a_key_counts_only_when_it_is_nothing_but_twelve_digits() {
        let fullwidth = wide(RIGHT);
        let within = vec!["a123456789018"; 30];
        assert_eq!(tallies(Column::Symbol, &within).of(Column::Symbol), Some(&ColumnTally::default()));
        let error = tallies(Column::Number, &vec![fullwidth.as_str(); 20]).verdict().unwrap_err();
        assert!(matches!(error, IngestError::IndividualNumber { line: 2, column: "number" }));
    }

    #[test]
    fn a_column_that_holds_numbers_by_nature_is_not_looked_at() {
        let all = vec![RIGHT; 100];
        let tallies = tallies(Column::DesignatedInstitutions, &all);
        assert!(tallies.verdict().is_ok());
        assert!(tallies.of(Column::DesignatedInstitutions).is_none());
    }

    #[test]
    fn full_width_digits_are_found_in_cp932_and_a_second_byte_is_not_taken_for_one() {
        let mut fullwidth = Vec::new();
        for digit in RIGHT.bytes() {
            fullwidth.extend_from_slice(&[0x82, digit - b'0' + 0x4f]);
        }
        let observe = |bytes: &[u8]| {
            let mut tallies = IndividualNumberTallies::default();
            tallies.observe(&Values::with(Column::Segment, bytes), 7, Encoding::Cp932);
            tallies.of(Column::Segment).unwrap().passing
        };
        assert_eq!(observe(&fullwidth), 1);
        assert_eq!(observe(&[&[0x94, 0xd4][..], &fullwidth, &[0xd4]].concat()), 1);
        // A lead byte before it shifts the pairs: none of those is a digit.
        assert_eq!(observe(&[&[0x94][..], &fullwidth].concat()), 0);
        // Bytes that are no text are looked at all the same.
        assert_eq!(observe(&[&[0xff][..], RIGHT.as_bytes(), &[0xff]].concat()), 1);
    }

    #[test]
    fn tallies_of_two_workers_add_up() {
        let mut one = tallies(Column::Number, &mixed(12, 3));
        let other = tallies(Column::Number, &mixed(8, 0));
        assert!(one.verdict().is_ok() && other.verdict().is_ok());
        one.merge(&other);
        let expected = ColumnTally { twelve_digit_values: 23, passing: 20, first_line_of_passing: Some(2) };
        assert_eq!(one.of(Column::Number), Some(&expected));
        assert!(one.verdict().is_err());
    }
}
