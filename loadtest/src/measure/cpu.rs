//! Processor time.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::error::LoadError;

/// User and system time of a process, all its threads and its children, to the kernel's tick (10 ms).
pub(crate) fn process_cpu(pid: u32) -> Result<Duration, LoadError> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(LoadError::io("the server's CPU time"))?;
    let times = Times::read(&stat).ok_or_else(|| LoadError::Server("its CPU time cannot be read".to_owned()))?;
    let ticks = times.own + times.waited_for + children_ticks(pid);
    let ticks_per_s = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / ticks_per_s)))
}

/// Time of this thread on a processor.
pub(crate) fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// What children that live have used: PostgreSQL answers each connection with a process of its own.
fn children_ticks(pid: u32) -> u64 {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
    let times = processes.filter_map(|entry| Times::read(&std::fs::read_to_string(entry.path().join("stat")).ok()?));
    times.filter(|times| times.parent == pid).map(|times| times.own + times.waited_for).sum()
}

/// Of `/proc/PID/stat`, times in ticks.
#[derive(Debug, PartialEq, Eq)]
struct Times {
    parent: u32,
    own: u64,
    /// Of children that have ended and were waited for.
    waited_for: u64,
}

impl Times {
    /// Fields 4 and 14 to 17. The second, the command, may hold spaces and brackets, so that counting begins after its end.
    fn read(stat: &str) -> Option<Times> {
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let parent = fields.get(1)?.parse().ok()?;
        Some(Times { parent, own: ticks(14)? + ticks(15)?, waited_for: ticks(16)? + ticks(17)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_after_a_command_with_brackets() {
        let times = Times::read("12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 40 2 5 6 0");
        assert_eq!(times, Some(Times { parent: 1, own: 42, waited_for: 11 }));
        assert_eq!(Times::read("12 (a"), None);
    }

    #[test]
    fn the_time_of_a_child_counts() {
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let before = children_ticks(std::process::id());
        let began = std::time::Instant::now();
        while children_ticks(std::process::id()) <= before && began.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        let after = children_ticks(std::process::id());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(after > before);
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
