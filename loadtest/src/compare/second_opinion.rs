//! What the peers' own clients make of them, asking for one key over and over: the best that a peer can look.

use std::process::{Command, Stdio};

use super::CompareArguments;
use crate::error::LoadError;
use crate::peers::{Keys, Language, Peer, program};

/// redis-benchmark counts requests, not seconds.
const REDIS_REQUESTS: &str = "1000000";

/// Look-ups a second, with the name of the client; nothing where it is not installed.
pub(super) fn ask(arguments: &CompareArguments, peer: &Peer, keys: &Keys) -> Result<Vec<(String, f64)>, LoadError> {
    let key = keys.key(0);
    match peer.language {
        Language::Resp => redis(arguments, peer, &key),
        Language::Postgres => postgres(arguments, peer, &key),
        // The package brings no client that measures.
        Language::Memcached => Ok(Vec::new()),
    }
}

fn redis(arguments: &CompareArguments, peer: &Peer, key: &str) -> Result<Vec<(String, f64)>, LoadError> {
    let Some(binary) = program("redis-benchmark") else { return Ok(Vec::new()) };
    let mut command = Command::new(binary);
    command.args(["-h", "127.0.0.1", "-p", &peer.address.port().to_string(), "--csv", "-n", REDIS_REQUESTS]);
    command.args(["-c", &arguments.connections.to_string(), "-P", &arguments.depth.to_string(), "GET", key]);
    let text = output(&mut command, "redis-benchmark")?;
    let name = format!("redis-benchmark GET, pipeline {} × {}", arguments.connections, arguments.depth);
    let speed = redis_speed(&text).ok_or_else(|| LoadError::Server("redis-benchmark says no speed".to_owned()))?;
    Ok(vec![(name, speed)])
}

/// The second column of the last line: the first may hold commas, but every column is quoted.
fn redis_speed(csv: &str) -> Option<f64> {
    csv.lines().last()?.split("\",\"").nth(1)?.trim_matches('"').parse().ok()
}

fn postgres(arguments: &CompareArguments, peer: &Peer, key: &str) -> Result<Vec<(String, f64)>, LoadError> {
    let Some(binary) = program("pgbench") else { return Ok(Vec::new()) };
    let script = peer.path().join("one-key.sql");
    let quoted = key.replace('\'', "''");
    std::fs::write(&script, format!("SELECT answer FROM answers WHERE key = '{quoted}';\n"))
        .map_err(LoadError::io("pgbench's script"))?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from).to_string();
    let mut command = Command::new(binary);
    command.args(["-h", "127.0.0.1", "-p", &peer.address.port().to_string(), "-U", "loadtest", "-n", "-M", "prepared"]);
    command.args(["-c", &arguments.connections.to_string(), "-j", &threads, "-T", &arguments.clock.seconds.to_string()]);
    command.arg("-f").arg(&script).arg("postgres");
    let text = output(&mut command, "pgbench")?;
    let speed = postgres_speed(&text).ok_or_else(|| LoadError::Server("pgbench says no speed".to_owned()))?;
    Ok(vec![(format!("pgbench select, single {}", arguments.connections), speed)])
}

/// Of the line `tps = 12345.6 (without initial connection time)`.
fn postgres_speed(text: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
}

fn output(command: &mut Command, what: &'static str) -> Result<String, LoadError> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().map_err(LoadError::io(what))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(LoadError::Server(format!("{what} ended with {}", output.status)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_from_what_the_clients_print() {
        let csv = "\"test\",\"rps\",\"avg_latency_ms\"\n\"GET a,b\",\"123456.78\",\"0.1\"\n";
        assert_eq!(redis_speed(csv), Some(123_456.78));
        assert_eq!(redis_speed(""), None);
        let text = "number of clients: 32\nlatency average = 0.8 ms\ntps = 40123.4 (without initial connection time)\n";
        assert_eq!(postgres_speed(text), Some(40_123.4));
        assert_eq!(postgres_speed("tps: none"), None);
    }
}
