//! A timer that wakes the poll to the microsecond: the poll's own timeout knows milliseconds only.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime};

pub(super) struct Timer {
    file: OwnedFd,
}

impl Timer {
    pub(super) fn every(interval: Duration) -> io::Result<Timer> {
        let file = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        let interval = Timespec {
            tv_sec: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(interval.subsec_nanos()),
        };
        timerfd_settime(&file, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: interval, it_value: interval })?;
        Ok(Timer { file })
    }

    pub(super) fn register(&self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut SourceFd(&self.file.as_raw_fd()), token, Interest::READABLE)
    }

    /// Until this is called the timer does not wake again.
    pub(super) fn acknowledge(&self) {
        let mut count = [0; 8];
        // Nothing to read means that it has not expired since, which is as good.
        let _ = rustix::io::read(&self.file, &mut count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mio::{Events, Poll};
    use std::time::Instant;

    #[test]
    fn a_timer_wakes_the_poll_again_and_again() {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(4));
        let timer = Timer::every(Duration::from_micros(500)).unwrap();
        timer.register(poll.registry(), Token(7)).unwrap();
        let began = Instant::now();
        for _ in 0..4 {
            poll.poll(&mut events, Some(Duration::from_secs(10))).unwrap();
            assert_eq!(events.iter().map(|event| event.token()).collect::<Vec<_>>(), [Token(7)]);
            timer.acknowledge();
        }
        assert!(began.elapsed() >= Duration::from_millis(2) && began.elapsed() < Duration::from_secs(10));
    }
}
