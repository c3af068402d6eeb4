//! Time to the nanosecond, and waking at a moment: what `epoll` waits for is whole milliseconds, which is as long as ten answers.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};

use crate::error::LoadError;

const NANOSECONDS: u64 = 1_000_000_000;

/// Nanoseconds of the monotonic clock.
pub(crate) fn now_ns() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let [seconds, nanoseconds] = [time.tv_sec, time.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * NANOSECONDS + nanoseconds
}

/// Wakes a poll at a moment.
pub(crate) struct Alarm {
    timer: OwnedFd,
    set_for_ns: u64,
}

impl Alarm {
    pub(crate) fn new(poll: &Poll, token: Token) -> Result<Alarm, LoadError> {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)
            .map_err(|error| LoadError::io("a timer")(error.into()))?;
        let watched = timer.as_raw_fd();
        poll.registry().register(&mut SourceFd(&watched), token, Interest::READABLE).map_err(LoadError::io("epoll"))?;
        Ok(Alarm { timer, set_for_ns: 0 })
    }

    /// Sets it for a moment of [`now_ns`]; one that has passed wakes at once. It is never read: setting it anew forgets that it rang.
    pub(crate) fn set(&mut self, at_ns: u64) -> Result<(), LoadError> {
        // Zero would turn it off.
        let at_ns = at_ns.max(1);
        if self.set_for_ns == at_ns {
            return Ok(());
        }
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let [tv_sec, tv_nsec] = [at_ns / NANOSECONDS, at_ns % NANOSECONDS].map(|part| i64::try_from(part).unwrap_or(i64::MAX));
        let moment = Itimerspec { it_interval: once, it_value: Timespec { tv_sec, tv_nsec } };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &moment)
            .map_err(|error| LoadError::io("a timer")(error.into()))?;
        self.set_for_ns = at_ns;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::Events;

    #[test]
    fn an_alarm_wakes_not_before_its_moment_and_again_when_set_again() {
        let mut poll = Poll::new().unwrap();
        let mut events = Events::with_capacity(4);
        let mut alarm = Alarm::new(&poll, Token(9)).unwrap();
        for after_ns in [0, 300_000, 2_000_000] {
            let moment = now_ns() + after_ns;
            alarm.set(moment).unwrap();
            poll.poll(&mut events, None).unwrap();
            assert!(now_ns() >= moment && events.iter().all(|event| event.token() == Token(9)), "{after_ns}");
        }
    }
}
