#![forbid(unsafe_code)]
//! `Retry-After`: when somebody who was refused may ask again. The engine takes header lines that live as long as the program, so there is
//! one for each second of a minute.

/// A number of seconds, with its header line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RetryAfter(&'static str);

macro_rules! lines {
    ($($seconds:literal)*) => { [$(concat!("Retry-After: ", $seconds)),*] };
}

/// The line of each number of seconds, from 1 on.
const LINES: [&str; 60] = lines!(
    1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30
    31 32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60
);

/// The line of what is not in the table: the longest wait there is.
const A_MINUTE: &str = LINES[59];

impl RetryAfter {
    /// After this many seconds; none counts as one, more than a minute as a minute.
    pub(super) fn seconds(seconds: u64) -> RetryAfter {
        let place = usize::try_from(seconds.saturating_sub(1)).ok();
        RetryAfter(place.and_then(|place| LINES.get(place)).copied().unwrap_or(A_MINUTE))
    }

    /// The header line, as the engine wants it.
    pub(super) const fn header(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_of_a_minute_has_its_line_and_what_is_outside_of_it_the_nearest() {
        for seconds in 1..=60 {
            assert_eq!(RetryAfter::seconds(seconds).header(), format!("Retry-After: {seconds}"));
        }
        assert_eq!(RetryAfter::seconds(0).header(), "Retry-After: 1");
        for seconds in [61, 3600, u64::MAX] {
            assert_eq!(RetryAfter::seconds(seconds).header(), "Retry-After: 60");
        }
    }
}
