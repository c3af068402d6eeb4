//! Where a figure comes from: without it nobody can get the figure again.

use serde_json::{Value, json};

/// The machine, the system and the command line.
pub(crate) fn fingerprint() -> Value {
    let uname = rustix::system::uname();
    json!({
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": uname.release().to_string_lossy(),
        "version": env!("CARGO_PKG_VERSION"),
        "command_line": std::env::args().collect::<Vec<_>>().join(" "),
    })
}

fn field(file: &str, name: &str) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.split_once(':').filter(|(found, _)| found.trim() == name));
    value.map_or("unknown", |(_, value)| value.trim()).to_owned()
}
