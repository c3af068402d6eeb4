//! Processor time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::LoadError;

/// User and system time of a process, all its threads, to the kernel's tick (10 ms).
pub(crate) fn process_cpu(pid: u32) -> Result<Duration, LoadError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(LoadError::io("the server's CPU time"))?;
    let ticks = ticks(&stat).ok_or_else(|| LoadError::Server("its CPU time cannot be read".to_owned()))?;
    let ticks_per_s = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / ticks_per_s)))
}

/// Time of this thread on a processor.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Fields 14 and 15 of `/proc/PID/stat`. The second, the command, may hold spaces and brackets, so that counting begins after its end.
fn ticks(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_after_a_command_with_brackets() {
        assert_eq!(ticks("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 40 2 0 0"), Some(42));
        assert_eq!(ticks("12 (a"), None);
    }

    #[test]
    fn time_on_a_processor_grows_with_work() {
        let before = (process_cpu(std::process::id()).unwrap(), thread_cpu());
        while thread_cpu() - before.1 < Duration::from_millis(30) {
            std::hint::spin_loop();
        }
        assert!(process_cpu(std::process::id()).unwrap() > before.0);
    }
}
