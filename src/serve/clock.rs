//! The time as look-ups read it: a thread asks the system, look-ups read a word.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::domain::day::Day;
use crate::registry::view::today_in_japan;

/// The system's time, ms since 1970.
pub fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A clock that is read without asking the system; as old as its last [`Clock::tick`].
#[derive(Debug)]
pub struct Clock {
    unix_ms: AtomicU64,
    today: AtomicU32,
}

impl Clock {
    /// A clock that shows the time.
    pub fn started() -> Clock {
        let clock = Clock { unix_ms: AtomicU64::new(0), today: AtomicU32::new(0) };
        clock.tick();
        clock
    }

    /// Asks the system.
    pub fn tick(&self) {
        let now = now_unix_ms();
        self.unix_ms.store(now, Ordering::Relaxed);
        self.today.store(today_in_japan(now / 1000).packed(), Ordering::Relaxed);
    }

    /// Seconds since 1970.
    #[inline]
    pub fn unix_s(&self) -> u64 {
        self.unix_ms.load(Ordering::Relaxed) / 1000
    }

    /// Milliseconds since 1970.
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        self.unix_ms.load(Ordering::Relaxed)
    }

    /// Today in Japan.
    #[inline]
    pub fn today(&self) -> Day {
        Day::from_packed_trusted(self.today.load(Ordering::Relaxed))
    }
}
