//! When a snapshot is due, worked out from when the last one was taken: a machine that was off at the time catches up.

use serde::Deserialize;

use crate::limits::SNAPSHOT_AT_MINUTES;

/// When snapshots are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// Never: somebody else's work.
    Never,
    /// Once a day, so many minutes after midnight in Japan.
    Daily {
        /// Minutes after midnight.
        minutes: u32,
    },
    /// So long after the last.
    Every {
        /// Seconds.
        seconds: u64,
    },
}

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule::Daily { minutes: SNAPSHOT_AT_MINUTES }
    }
}

const DAY_MS: u64 = 24 * 3600 * 1000;
/// Midnight in Japan comes so long before midnight of the clock that counts from 1970.
const JAPAN_MS: u64 = 9 * 3600 * 1000;

impl Schedule {
    /// When the next one is due, ms since 1970, after one taken at `last_unix_ms`; `None` where none ever is. A last one that lies
    /// ahead of the clock was taken while the clock was wrong, and counts as none: one is due now.
    pub fn next_unix_ms(self, last_unix_ms: u64, now_unix_ms: u64) -> Option<u64> {
        if self != Schedule::Never && last_unix_ms > now_unix_ms {
            return Some(now_unix_ms);
        }
        match self {
            Schedule::Never => None,
            Schedule::Every { seconds } => Some(last_unix_ms.saturating_add(seconds.saturating_mul(1000))),
            Schedule::Daily { minutes } => {
                let into_the_day = u64::from(minutes) * 60_000;
                let local = last_unix_ms + JAPAN_MS;
                let todays = local - local % DAY_MS + into_the_day;
                let next = if todays > local { todays } else { todays + DAY_MS };
                Some(next.saturating_sub(JAPAN_MS))
            }
        }
    }
}

/// A time of day as a configuration says it: `02:00`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeOfDay {
    /// Minutes after midnight.
    pub minutes: u32,
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TimeOfDay, D::Error> {
        let text = String::deserialize(deserializer)?;
        time_of_day(&text).ok_or_else(|| serde::de::Error::custom(format!("{text} is not a time of day such as 02:00")))
    }
}

fn time_of_day(text: &str) -> Option<TimeOfDay> {
    let (hours, minutes) = text.split_once(':')?;
    let two_digits = |part: &str| -> Option<u32> {
        let is_number = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { part.parse().ok() } else { None }
    };
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(TimeOfDay { minutes: hours * 60 + minutes })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 00:00 in Japan.
    const MIDNIGHT: u64 = 1_795_273_200_000;
    const HOUR_MS: u64 = 3_600_000;
    const AT_TWO: Schedule = Schedule::Daily { minutes: 120 };

    #[test]
    fn a_daily_snapshot_is_due_at_the_next_time_of_day_in_japan() {
        let (two, next_two) = (MIDNIGHT + 2 * HOUR_MS, MIDNIGHT + 26 * HOUR_MS);
        for (last, due) in [
            (MIDNIGHT, two),
            (two - 1, two),
            (two, next_two),
            (MIDNIGHT + 10 * HOUR_MS, next_two),
            (MIDNIGHT - 1, two),
            (MIDNIGHT - 22 * HOUR_MS - 1, MIDNIGHT - 22 * HOUR_MS),
        ] {
            assert_eq!(AT_TWO.next_unix_ms(last, last), Some(due), "{last}");
            // However late it is by now: a machine that was off catches up at once.
            assert_eq!(AT_TWO.next_unix_ms(last, last + 90 * DAY_MS), Some(due));
        }
    }

    #[test]
    fn one_at_an_interval_is_due_so_long_after_the_last_and_never_is_never() {
        assert_eq!(Schedule::Every { seconds: 60 }.next_unix_ms(MIDNIGHT, MIDNIGHT + 5), Some(MIDNIGHT + 60_000));
        assert_eq!(Schedule::Never.next_unix_ms(MIDNIGHT, MIDNIGHT), None);
        assert_eq!(Schedule::Never.next_unix_ms(MIDNIGHT + 1, MIDNIGHT), None);
    }

    #[test]
    fn one_that_was_taken_while_the_clock_was_ahead_does_not_hold_the_next_back() {
        for schedule in [AT_TWO, Schedule::Every { seconds: 3600 }] {
            assert_eq!(schedule.next_unix_ms(MIDNIGHT + 365 * DAY_MS, MIDNIGHT), Some(MIDNIGHT));
        }
    }

    #[test]
    fn a_time_of_day_is_two_digits_twice_and_nothing_else() {
        assert_eq!(time_of_day("02:00").map(|time| time.minutes), Some(120));
        assert_eq!(time_of_day("23:59").map(|time| time.minutes), Some(1439));
        for wrong in ["", "2:00", "02", "24:00", "02:60", "02:00:00", "+2:00", "０２:00"] {
            assert_eq!(time_of_day(wrong), None, "{wrong}");
        }
    }
}
