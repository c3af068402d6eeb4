//! What the system permits a process, changed while it runs.

use std::process::Command;

/// Sets a limit of a running process, soft and hard; `name` is one of `prlimit`'s. Says why where that cannot be done.
pub fn limit(process: u32, name: &str, value: u64) -> Result<(), String> {
    let said = Command::new("prlimit").args([format!("--pid={process}"), format!("--{name}={value}:{value}")]).output();
    let said = said.map_err(|error| format!("prlimit: {error}"))?;
    if said.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&said.stderr).trim().to_owned()) }
}

/// The limit under which so many descriptors are left to a process. They need not be behind those it has open.
pub fn descriptors_leaving(process: u32, left: usize) -> u64 {
    let entries = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open: Vec<u64> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    (0..).filter(|number| !open.contains(number)).nth(left).unwrap()
}

/// The address space of a process, bytes.
pub fn address_space_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// The processor time that a process has used, hundredths of a second.
pub fn processor_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
