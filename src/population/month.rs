//! Months as numbers: certificates begin and end with them, and counting in months needs no calendar.

use crate::domain::day::Day;

/// A calendar month, counted from year 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Month(u32);

impl Month {
    pub(super) const fn of(day: Day) -> Month {
        Month(day.year() * 12 + day.month() - 1)
    }

    pub(super) const fn plus(self, months: u32) -> Month {
        Month(self.0.saturating_add(months))
    }

    pub(super) const fn minus(self, months: u32) -> Month {
        Month(self.0.saturating_sub(months))
    }

    /// The first day.
    pub(super) const fn first(self) -> Day {
        self.day(1)
    }

    /// The day of this month with that number, which must be at most 28.
    pub(super) const fn day(self, day_of_month: u32) -> Day {
        debug_assert!(1 <= day_of_month && day_of_month <= 28);
        Day::from_packed_trusted(self.packed() + day_of_month)
    }

    /// The last day.
    pub(super) const fn last(self) -> Day {
        let year = self.0 / 12;
        let days = match self.0 % 12 + 1 {
            4 | 6 | 9 | 11 => 30,
            2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
            2 => 28,
            _ => 31,
        };
        Day::from_packed_trusted(self.packed() + days)
    }

    const fn packed(self) -> u32 {
        self.0 / 12 * 10_000 + (self.0 % 12 + 1) * 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_agree_with_the_calendar() {
        let mut month = Month::of(Day::from_ymd(1999, 12, 31).unwrap());
        for _ in 0..600 {
            assert_eq!(month.last().plus_days(1), month.plus(1).first());
            assert_eq!(Month::of(month.last()), Month::of(month.first()));
            month = month.plus(1);
        }
        assert!(month.minus(600).first() == Day::from_ymd(1999, 12, 1).unwrap());
    }
}
