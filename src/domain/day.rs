//! Calendar days in Japan, birth dates with unknown parts, and dates of the Japanese eras.
//!
//! A day is kept packed as the number `yyyymmdd`: it compares, prints and parses without a calendar, and four bytes hold it in
//! an archived row. Arithmetic, which no look-up needs, goes through a real calendar.

use std::fmt;

use jiff::civil::Date;
use jiff::{Span, ToSpan};

use super::digits::word_is_digits;

/// A calendar day in Japan (JST), from 1868-01-01 to 9999-12-31.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(u32);

/// A birth date (生年月日). Municipal registers know some only by year or month: those parts are zero (§10.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BirthDate(u32);

/// Why a text is not a date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// Neither `YYYY-MM-DD` nor `YYYYMMDD` (nor `GYYMMDD`, where that form was declared).
    #[error("not a date of the expected form")]
    Form,
    /// The form is right, but the calendar has no such day.
    #[error("no such day in the calendar")]
    NoSuchDay,
}

/// How dates are written in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateForm {
    /// `YYYY-MM-DD` or `YYYYMMDD`.
    #[default]
    Iso,
    /// `GYYMMDD`: era (1 明治 … 5 令和), year of the era, month, day (§10.4).
    Gyymmdd,
}

const YEAR_MIN: u32 = 1868;
const YEAR_MAX: u32 = 9999;

impl Day {
    /// "No end": how an open-ended validity is kept and printed.
    pub const OPEN_END: Day = Day(99_991_231);

    /// The day of a year, month and day of the month.
    #[inline]
    pub fn from_ymd(year: u32, month: u32, day: u32) -> Result<Day, DayError> {
        if !(YEAR_MIN..=YEAR_MAX).contains(&year) || !(1..=12).contains(&month) {
            return Err(DayError::NoSuchDay);
        }
        if day == 0 || day > days_in_month(year, month) {
            return Err(DayError::NoSuchDay);
        }
        Ok(Day(year * 10_000 + month * 100 + day))
    }

    /// The day whose packed form is `yyyymmdd`.
    #[inline]
    pub fn from_packed(packed: u32) -> Result<Day, DayError> {
        Day::from_ymd(packed / 10_000, packed / 100 % 100, packed % 100)
    }

    /// Trusts that `packed` was once the packed form of a day; used for archived rows, which were validated on their way in.
    pub const fn from_packed_trusted(packed: u32) -> Day {
        Day(packed)
    }

    /// Reads `YYYY-MM-DD` or `YYYYMMDD`.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Day, DayError> {
        Day::from_packed(parse_iso(text)?)
    }

    /// Reads a date in the declared form.
    pub fn parse_as(text: &[u8], form: DateForm) -> Result<Day, DayError> {
        match form {
            DateForm::Iso => Day::parse(text),
            DateForm::Gyymmdd => Day::from_packed(parse_gyymmdd(text)?),
        }
    }

    /// `yyyymmdd` as a number.
    pub const fn packed(self) -> u32 {
        self.0
    }

    /// The year, 1868 to 9999.
    pub const fn year(self) -> u32 {
        self.0 / 10_000
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u32 {
        self.0 / 100 % 100
    }

    /// The day of the month, 1 to 31.
    pub const fn day_of_month(self) -> u32 {
        self.0 % 100
    }

    /// The first day of this day's month.
    pub const fn first_of_month(self) -> Day {
        Day(self.0 / 100 * 100 + 1)
    }

    /// This day moved by whole days; stops at the ends of the calendar.
    pub fn plus_days(self, days: i64) -> Day {
        self.moved(days.days())
    }

    /// This day moved by whole months; a day that the month lacks becomes its last.
    pub fn plus_months(self, months: i64) -> Day {
        self.moved(months.months())
    }

    /// Whole days from `self` to `later` (negative when `later` is earlier).
    pub fn days_until(self, later: Day) -> i64 {
        let span = self.civil().until(later.civil());
        span.map_or(0, |span| i64::from(span.get_days()))
    }

    /// `YYYY-MM-DD`.
    #[inline]
    pub const fn iso(self) -> [u8; 10] {
        iso(self.0)
    }

    fn moved(self, span: Span) -> Day {
        let civil = self.civil();
        let moved = civil.saturating_add(span);
        let packed = |date: Date| {
            let year = u32::try_from(date.year()).unwrap_or(YEAR_MIN);
            let month = u32::from(date.month().unsigned_abs());
            let day = u32::from(date.day().unsigned_abs());
            year.max(YEAR_MIN) * 10_000 + month * 100 + day
        };
        Day(packed(moved))
    }

    fn civil(self) -> Date {
        let year = i16::try_from(self.year()).unwrap_or(i16::MAX);
        let month = i8::try_from(self.month()).unwrap_or(1);
        let day = i8::try_from(self.day_of_month()).unwrap_or(1);
        Date::new(year, month, day).unwrap_or(Date::MAX)
    }
}

impl BirthDate {
    /// Reads `YYYY-MM-DD` or `YYYYMMDD`; day, or month and day, may be `00`.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<BirthDate, DayError> {
        BirthDate::from_packed(parse_iso(text)?)
    }

    /// Reads a birth date in the declared form.
    pub fn parse_as(text: &[u8], form: DateForm) -> Result<BirthDate, DayError> {
        match form {
            DateForm::Iso => BirthDate::parse(text),
            DateForm::Gyymmdd => BirthDate::from_packed(parse_gyymmdd(text)?),
        }
    }

    /// The birth date whose packed form is `yyyymmdd`, unknown parts zero.
    #[inline]
    pub fn from_packed(packed: u32) -> Result<BirthDate, DayError> {
        let (year, month, day) = (packed / 10_000, packed / 100 % 100, packed % 100);
        match (month, day) {
            (0, 0) => Day::from_ymd(year, 1, 1)?,
            (_, 0) => Day::from_ymd(year, month, 1)?,
            _ => Day::from_ymd(year, month, day)?,
        };
        Ok(BirthDate(packed))
    }

    /// Trusts that `packed` was once the packed form of a birth date; see [`Day::from_packed_trusted`].
    pub const fn from_packed_trusted(packed: u32) -> BirthDate {
        BirthDate(packed)
    }

    /// `yyyymmdd` as a number, unknown parts zero.
    pub const fn packed(self) -> u32 {
        self.0
    }

    /// `YYYY-MM-DD`, unknown parts `00`.
    #[inline]
    pub const fn iso(self) -> [u8; 10] {
        iso(self.0)
    }
}

impl From<Day> for BirthDate {
    fn from(day: Day) -> BirthDate {
        BirthDate(day.0)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year(), self.month(), self.day_of_month())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A birth date is personal: it never reaches a log line through `{:?}`.
impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate(…)")
    }
}

const fn days_in_month(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

const fn iso(packed: u32) -> [u8; 10] {
    let [a, b, c, d, e, f, g, h] = ascii_digits(packed);
    [a, b, c, d, b'-', e, f, b'-', g, h]
}

/// The eight digits of a number below 100,000,000, all at once in one word: an answer has a date or two for each certificate.
const fn ascii_digits(number: u32) -> [u8; 8] {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    // What joins when digits are read comes apart: fours, then pairs, then digits, the first in the lowest byte. The multipliers are
    // 2^20/100 and 2^10/10, exact for what they divide.
    let fours = (number / 10_000) as u64 | ((number % 10_000) as u64) << 32;
    let hundreds = (fours * 10_486) >> 20 & 0x0000_007f_0000_007f;
    let pairs = hundreds | (fours - hundreds * 100) << 16;
    let tens = (pairs * 103) >> 10 & 0x000f_000f_000f_000f;
    let digits = tens | (pairs - tens * 10) << 8;
    (digits + ZEROS).to_le_bytes()
}

fn parse_iso(text: &[u8]) -> Result<u32, DayError> {
    match *text {
        [a, b, c, d, b'-', e, f, b'-', g, h] | [a, b, c, d, e, f, g, h] => eight_digits([a, b, c, d, e, f, g, h]),
        _ => Err(DayError::Form),
    }
}

/// The number that eight digits are, all eight at once in one word: every look-up reads two dates.
const fn eight_digits(digits: [u8; 8]) -> Result<u32, DayError> {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let word = u64::from_le_bytes(digits);
    if !word_is_digits(word) {
        return Err(DayError::Form);
    }
    let values = word.wrapping_sub(ZEROS);
    // Neighbours join, first digits to pairs, then pairs to fours, then fours to the whole; the first digit lies in the lowest byte.
    let pairs = (values.wrapping_mul(10) + (values >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
    let whole = fours.wrapping_mul(10_000) + (fours >> 32);
    Ok((whole & 0xffff_ffff) as u32)
}

fn parse_gyymmdd(text: &[u8]) -> Result<u32, DayError> {
    if text.len() != 7 {
        return Err(DayError::Form);
    }
    let packed = number(text)?;
    // Each era's first year; a date written in the old era after the change is taken as the same day (§10.4).
    let first_year = match packed / 1_000_000 {
        1 => 1868,
        2 => 1912,
        3 => 1926,
        4 => 1989,
        5 => 2019,
        _ => return Err(DayError::Form),
    };
    let year_of_era = packed / 10_000 % 100;
    if year_of_era == 0 {
        return Err(DayError::NoSuchDay);
    }
    Ok((first_year + year_of_era - 1) * 10_000 + packed % 10_000)
}

fn number(digits: &[u8]) -> Result<u32, DayError> {
    digits.iter().try_fold(0u32, |sum, digit| {
        if digit.is_ascii_digit() { Ok(sum * 10 + u32::from(digit - b'0')) } else { Err(DayError::Form) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vectors;

    #[test]
    fn every_number_of_eight_digits_is_written_as_a_plain_writer_does() {
        let ends = [0, 9, 10, 99, 100, 999, 1000, 9_999, 10_000, 99_991_231, 99_999_999];
        for number in (0..100_000_000).step_by(7_919).chain(0..20_000).chain(ends) {
            assert_eq!(ascii_digits(number).as_slice(), format!("{number:08}").as_bytes());
        }
    }

    #[test]
    fn both_written_forms_read_as_the_same_day() {
        assert_eq!(Day::parse(b"2026-11-22"), Day::parse(b"20261122"));
        assert_eq!(Day::parse(b"2026-11-22").unwrap().to_string(), "2026-11-22");
        assert_eq!(&Day::OPEN_END.iso(), b"9999-12-31");
    }

    #[test]
    fn days_that_no_calendar_has_are_refused() {
        for text in ["2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "1867-12-31"] {
            assert_eq!(Day::parse(text.as_bytes()), Err(DayError::NoSuchDay), "{text}");
        }
        for text in ["", "2026/11/22", "2026-1-22", "２０２６１１２２", "202611220"] {
            assert_eq!(Day::parse(text.as_bytes()), Err(DayError::Form), "{text}");
        }
        assert!(Day::parse(b"2024-02-29").is_ok());
        assert!(Day::parse(b"2100-02-29").is_err());
    }

    #[test]
    fn eight_digits_are_their_number_and_nothing_else_is_a_digit() {
        for number in [0, 1, 19_800_131, 20_261_122, 99_991_231, 99_999_999, 12_345_678] {
            let digits: [u8; 8] = format!("{number:08}").into_bytes().try_into().unwrap();
            assert_eq!(eight_digits(digits), Ok(number));
            for place in 0..8 {
                for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                    let mut wrong = digits;
                    wrong[place] = byte;
                    assert_eq!(eight_digits(wrong), Err(DayError::Form), "{byte} at {place}");
                }
            }
        }
    }

    #[test]
    fn era_dates_read_as_the_published_days() {
        for (era, iso) in vectors::map("gyymmdd") {
            let day = Day::parse_as(era.as_bytes(), DateForm::Gyymmdd).unwrap();
            assert_eq!(day.to_string(), iso, "{era}");
        }
        assert_eq!(Day::parse_as(b"6010101", DateForm::Gyymmdd), Err(DayError::Form));
        assert_eq!(Day::parse_as(b"5000101", DateForm::Gyymmdd), Err(DayError::NoSuchDay));
    }

    #[test]
    fn a_birth_date_may_lack_its_day_or_month_but_not_only_its_month() {
        assert_eq!(BirthDate::parse(b"19800000").unwrap().packed(), 19_800_000);
        assert_eq!(BirthDate::parse(b"1980-01-00").unwrap().packed(), 19_800_100);
        assert!(BirthDate::parse(b"19800001").is_err());
        assert!(Day::parse(b"19800000").is_err());
    }

    #[test]
    fn moving_by_months_keeps_to_the_calendar() {
        let day = Day::parse(b"2026-03-31").unwrap();
        assert_eq!(day.plus_months(-1).to_string(), "2026-02-28");
        assert_eq!(day.plus_days(1).to_string(), "2026-04-01");
        assert_eq!(day.first_of_month().to_string(), "2026-03-01");
        assert_eq!(day.days_until(Day::parse(b"2027-03-31").unwrap()), 365);
    }
}
