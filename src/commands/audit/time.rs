//! Times as an operator says them: in Japan, to the day, minute or second.

use crate::domain::day::Day;

const DAY_MS: i64 = 86_400_000;
const JAPAN_MS: i64 = 9 * 3_600_000;

/// Where a period begins, ms since 1970.
pub(super) fn parse_from(text: &str) -> Result<u64, String> {
    parse(text, 0)
}

/// Where a period ends: a day belongs to it to its end.
pub(super) fn parse_to(text: &str) -> Result<u64, String> {
    parse(text, DAY_MS)
}

/// `08:00-19:00` as minutes of the day; the end may be 24:00, or lie before the beginning.
pub(super) fn parse_hours(text: &str) -> Result<(u64, u64), String> {
    let wrong = || "hours are written 08:00-19:00".to_owned();
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    let minutes = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute) = (two_digits(hour)?, two_digits(minute)?);
        let total = hour * 60 + minute;
        (minute < 60 && total <= 24 * 60).then_some(total)
    };
    let (from, to) = (minutes(from).ok_or_else(wrong)?, minutes(to).ok_or_else(wrong)?);
    Ok((from.unsigned_abs(), to.unsigned_abs()))
}

fn parse(text: &str, whole_day_ms: i64) -> Result<u64, String> {
    let wrong = || "a time is 2026-11-22 or 2026-11-22T08:30 or 2026-11-22T08:30:15, in Japan".to_owned();
    let (day, time) = text.split_once('T').map_or((text, None), |(day, time)| (day, Some(time)));
    let day = Day::parse(day.as_bytes()).map_err(|_| wrong())?;
    let beginning = Day::from_ymd(1970, 1, 1).map_err(|_| wrong())?.days_until(day) * DAY_MS - JAPAN_MS;
    let within = match time {
        None => whole_day_ms,
        Some(time) => time_ms(time).ok_or_else(wrong)?,
    };
    u64::try_from(beginning + within).map_err(|_| wrong())
}

fn time_ms(time: &str) -> Option<i64> {
    let mut parts = time.split(':');
    let (hour, minute) = (two_digits(parts.next()?)?, two_digits(parts.next()?)?);
    let second = parts.next().map_or(Some(0), two_digits)?;
    let is_time = hour < 24 && minute < 60 && second < 60 && parts.next().is_none();
    is_time.then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

fn two_digits(text: &str) -> Option<i64> {
    let is_plain = text.len() == 2 && text.bytes().all(|digit| digit.is_ascii_digit());
    is_plain.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22, midnight in Japan.
    const MIDNIGHT: u64 = 1_795_273_200_000;

    #[test]
    fn a_day_begins_and_ends_in_japan_and_a_time_is_itself() {
        assert_eq!(parse_from("2026-11-22"), Ok(MIDNIGHT));
        assert_eq!(parse_to("2026-11-22"), Ok(MIDNIGHT + 86_400_000));
        assert_eq!(parse_from("20261122T08:30"), Ok(MIDNIGHT + 30_600_000));
        assert_eq!(parse_to("2026-11-22T08:30:15"), Ok(MIDNIGHT + 30_615_000));
        for wrong in
            ["", "2026-11-31", "2026-11-22T", "2026-11-22T24:00", "2026-11-22T8:30", "2026-11-22T08:30:15:1", "1950-01-01"]
        {
            assert!(parse_from(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn hours_are_minutes_of_the_day() {
        assert_eq!(parse_hours("08:00-19:30"), Ok((480, 1_170)));
        assert_eq!(parse_hours("22:00-06:00"), Ok((1_320, 360)));
        assert_eq!(parse_hours("00:00-24:00"), Ok((0, 1_440)));
        for wrong in ["", "08:00", "8:00-19:00", "08:60-19:00", "08:00-24:01", "08:00-19:00-20:00"] {
            assert!(parse_hours(wrong).is_err(), "{wrong}");
        }
    }
}
