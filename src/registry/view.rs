//! What a look-up reads besides the index: masters, sources, and as of when. Published whole with every frame.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

use crate::domain::day::Day;
use crate::domain::decision::Sources;
use crate::domain::masters::Masters;
use crate::domain::prefectures::Prefectures;

/// The registry at one frame boundary, as far as an answer depends on it.
#[derive(Debug)]
pub struct View {
    /// The masters of the log.
    pub masters: Arc<Masters>,
    /// The authorities as sources of data.
    pub sources: Arc<Sources>,
    /// The sequence answered from.
    pub sequence: u64,
    /// The horizon: a question about an earlier day is an error.
    pub horizon: Day,
    /// The whole state checksum there.
    pub state_checksum: u128,
    /// The time of the newest data at its source, ms since 1970.
    pub data_unix_ms: u64,
    /// The prefectures whose rows are held, besides the national issuers'; `None` where all are.
    pub held: Option<Prefectures>,
    /// `"as_of":{…}` as an answer says it.
    pub as_of_json: String,
}

impl View {
    pub(super) fn new(
        masters: Arc<Masters>,
        sources: Arc<Sources>,
        (sequence, state_checksum): (u64, u128),
        horizon: Day,
        data_unix_ms: u64,
        held: Option<Prefectures>,
    ) -> View {
        let time = rfc3339_japan(data_unix_ms / 1000);
        let as_of_json = format!("\"as_of\":{{\"sequence\":{sequence},\"time\":\"{time}\"}}");
        View { masters, sources, sequence, horizon, state_checksum, data_unix_ms, held, as_of_json }
    }
}

/// A time as Japan writes it, to the second: `2026-11-22T07:58:01+09:00`.
pub fn rfc3339_japan(unix_s: u64) -> String {
    let timestamp = Timestamp::from_second(i64::try_from(unix_s).unwrap_or(0)).unwrap_or_default();
    timestamp.display_with_offset(JAPAN).to_string()
}

/// Today in Japan.
pub fn today_in_japan(unix_s: u64) -> Day {
    let timestamp = Timestamp::from_second(i64::try_from(unix_s).unwrap_or(0)).unwrap_or_default();
    let date = timestamp.to_zoned(TimeZone::fixed(JAPAN)).date();
    let part = |value: i8| u32::from(value.unsigned_abs());
    let year = u32::try_from(date.year()).unwrap_or(1970);
    Day::from_ymd(year, part(date.month()), part(date.day())).unwrap_or(Day::OPEN_END)
}

/// Japan has had no other offset since 1951.
const JAPAN: Offset = Offset::constant(9);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_in_japan_begins_nine_hours_early() {
        // 2026-11-22T00:00:00+09:00 is 15:00 of the day before in Greenwich.
        let midnight = 1_795_273_200;
        assert_eq!(rfc3339_japan(midnight), "2026-11-22T00:00:00+09:00");
        assert_eq!(today_in_japan(midnight).to_string(), "2026-11-22");
        assert_eq!(today_in_japan(midnight - 1).to_string(), "2026-11-21");
    }
}
