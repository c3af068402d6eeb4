//! The periods (有効期間) of a certificate: the latest one laid around the population's day, the earlier ones behind it.
//!
//! Everything is counted in calendar months, so that "covers the day", "ended" and "within 24 months" hold by construction.

use super::month::Month;
use super::random::Dice;
use crate::domain::day::{BirthDate, Day};

/// What a certificate is on the population's day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Its latest period covers the day.
    Active,
    /// Its latest period ended before the day, at most 22 months ago.
    Expired,
    /// Its only period begins within the next three months.
    Future,
}

/// A period, first and last day inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// The first day covered.
    pub from: Day,
    /// The last day covered; [`Day::OPEN_END`] for no end.
    pub to: Day,
}

/// The periods of a certificate, the oldest first; they never overlap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    count: usize,
    periods: [Period; PERIODS_MAX],
}

/// What a certificate's periods are laid by.
#[derive(Clone, Copy)]
pub(super) struct Timing {
    pub(super) now: Month,
    /// Months a period runs.
    pub(super) length: u32,
    /// No period begins before it.
    pub(super) birth: BirthDate,
    /// Whether an active certificate runs without end.
    pub(super) open: bool,
}

/// How a certificate came to its latest period. The shares keep half of the history within 24 months and half before.
#[derive(Clone, Copy)]
enum Past {
    /// It is the first.
    None,
    /// So many annual renewals, each beginning the day after the one before it ended.
    Renewed(u32),
    /// A gap of so many months, then one period.
    Gap(u32),
    /// One period that ended more than two years ago.
    LongAgo(u32),
}

/// Four renewals, the latest period, and the one that a change file may add.
const PERIODS_MAX: usize = 6;

impl Periods {
    pub(super) fn lay(case: Case, timing: Timing, dice: &mut Dice) -> Periods {
        let Timing { now, birth, .. } = timing;
        let (past, length) = past(case, timing.length, dice);
        let birth_month = Month::of(Day::from_packed_trusted(birth.packed().max(101)));
        let (start, end) = match case {
            Case::Active => {
                let start = now.minus(dice.small(length));
                (start, start.plus(length - 1))
            }
            Case::Expired => {
                let end = now.minus(1 + dice.small(21)).max(birth_month);
                (end.minus(length - 1), end)
            }
            Case::Future => {
                let start = now.plus(1 + dice.small(3));
                (start, start.plus(length - 1))
            }
        };
        let mut months = [(start, end); PERIODS_MAX];
        let mut count = 1;
        for (slot, earlier) in months.iter_mut().skip(1).zip(past.before(start, now, length)) {
            if earlier.1 < birth_month {
                break;
            }
            *slot = earlier;
            count += 1;
        }
        let mut periods = Periods { count: 0, periods: [Period { from: Day::OPEN_END, to: Day::OPEN_END }; PERIODS_MAX] };
        // An application in mid-month counts from its day, as long as that keeps the period on its side of today.
        let first_day = if dice.percent(25) { 2 + dice.small(27) } else { 1 };
        for (nth, (start, end)) in months.iter().take(count).rev().enumerate() {
            let from = match nth {
                0 if *start <= birth_month => Day::from_packed_trusted(birth.packed()).max(birth_month.first()),
                0 if *start < now => start.day(first_day),
                _ => start.first(),
            };
            periods.push(Period { from, to: end.last() });
        }
        if timing.open && case == Case::Active {
            periods.reopen();
        }
        periods
    }

    pub(super) fn all(&self) -> &[Period] {
        self.periods.get(..self.count).unwrap_or_default()
    }

    pub(super) fn latest(&self) -> Option<Period> {
        self.all().last().copied()
    }

    /// Adds the renewal that follows the latest period.
    pub(super) fn renew(&mut self, length: u32) {
        if let Some(latest) = self.latest() {
            let start = Month::of(latest.to).plus(1);
            self.push(Period { from: start.first(), to: start.plus(length - 1).last() });
        }
    }

    /// Takes the latest period away, as if it had never been registered.
    pub(super) fn withdraw_latest(&mut self) {
        self.count = self.count.saturating_sub(1);
    }

    fn push(&mut self, period: Period) {
        if let Some(free) = self.periods.get_mut(self.count) {
            *free = period;
            self.count += 1;
        }
    }

    fn reopen(&mut self) {
        if let Some(latest) = self.count.checked_sub(1).and_then(|last| self.periods.get_mut(last)) {
            latest.to = Day::OPEN_END;
        }
    }

    #[cfg(test)]
    pub(super) fn of(periods: &[Period]) -> Periods {
        let mut made = Periods { count: 0, periods: [Period { from: Day::OPEN_END, to: Day::OPEN_END }; PERIODS_MAX] };
        for period in periods {
            made.push(*period);
        }
        made
    }
}

impl Past {
    /// The earlier periods, the latest first.
    fn before(self, start: Month, now: Month, length: u32) -> impl Iterator<Item = (Month, Month)> {
        let (count, end) = match self {
            Past::None => (0, start),
            Past::Renewed(count) => (count, start.minus(1)),
            Past::Gap(months) => (1, start.minus(1 + months)),
            Past::LongAgo(months) => (1, start.minus(2).min(now.minus(26 + months))),
        };
        (0..count).map(move |nth| (end.minus((nth + 1) * length - 1), end.minus(nth * length)))
    }
}

fn past(case: Case, length: u32, dice: &mut Dice) -> (Past, u32) {
    if case == Case::Future {
        return (Past::None, length);
    }
    match dice.small(1000) {
        0..162 => (Past::Renewed(4), 12),
        162..252 => (Past::Renewed(1), length),
        252..308 => (Past::Gap(1 + dice.small(6)), length),
        308..440 => (Past::LongAgo(dice.small(24)), length),
        _ => (Past::None, length),
    }
}
