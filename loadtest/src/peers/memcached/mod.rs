//! memcached, from the distribution's package.

pub(super) mod text;

use std::path::Path;
use std::process::Command;

use super::talk::Talk;
use super::{BLOCK, Keys, Language, Peer, program};
use crate::error::LoadError;
use crate::server::free_address;
use crate::work::Work;

/// More than a key, its value and what memcached keeps about them take; what it does not need it does not take.
const BYTES_PER_KEY: u64 = 512;
const MEGABYTES_MORE: u64 = 64;
/// Whom it becomes where it is started as root.
const NOT_ROOT: &str = "nobody";

/// Starts one with room for that many keys; `None` where it is not installed.
pub(crate) fn start(work: &Path, keys: u64) -> Result<Option<Peer>, LoadError> {
    let Some(binary) = program("memcached") else { return Ok(None) };
    let (address, work) = (free_address()?, Work::below(work)?);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let megabytes = ((keys * BYTES_PER_KEY) >> 20) + MEGABYTES_MORE;
    let mut command = Command::new(binary);
    command.args(["-l", "127.0.0.1", "-U", "0", "-p", &address.port().to_string(), "-c", "1024"]);
    command.args(["-m", &megabytes.to_string(), "-t", &threads.to_string()]);
    if rustix::process::getuid().is_root() {
        command.args(["-u", NOT_ROOT]);
    }
    Peer::start(Language::Memcached, &mut command, address, work).map(Some)
}

pub(super) fn version(talk: &mut Talk) -> Result<String, LoadError> {
    let answer = talk.ask(b"version\r\n")?;
    let text = String::from_utf8_lossy(&answer).trim().to_owned();
    let version = text.strip_prefix("VERSION ").map(|version| format!("memcached {version}"));
    version.ok_or_else(|| talk.unexpected("no version"))
}

pub(super) fn load(talk: &mut Talk, keys: &Keys) -> Result<(), LoadError> {
    keys.each_block(BLOCK, |pairs| {
        let mut request = Vec::new();
        for (key, value) in pairs {
            request.extend_from_slice(format!("set {key} 0 0 {} noreply\r\n{value}\r\n", value.len()).as_bytes());
        }
        // The sets are silent; the question behind them is answered when they are done.
        request.extend_from_slice(b"version\r\n");
        if talk.ask(&request)?.starts_with(b"VERSION ") { Ok(()) } else { Err(talk.unexpected("a value was not taken")) }
    })?;
    while statistic(talk, "hash_is_expanding")? != 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (held, evicted) = (statistic(talk, "curr_items")?, statistic(talk, "evictions")?);
    if held == keys.count() && evicted == 0 { Ok(()) } else { Err(talk.unexpected("not all keys are held")) }
}

fn statistic(talk: &mut Talk, name: &str) -> Result<u64, LoadError> {
    let answer = talk.ask(b"stats\r\n")?;
    let text = String::from_utf8_lossy(&answer);
    let found = text.lines().filter_map(|line| line.strip_prefix("STAT ")?.split_once(' ')).find(|(found, _)| *found == name);
    found.and_then(|(_, value)| value.trim().parse().ok()).ok_or_else(|| talk.unexpected("a statistic is missing"))
}

/// The values of keys, and the answer. Keys asked for twice are answered twice.
pub(super) fn get(pairs: &[(String, String)]) -> (Vec<u8>, Vec<u8>) {
    let (mut request, mut answer) = (b"get".to_vec(), Vec::new());
    for (key, value) in pairs {
        request.push(b' ');
        request.extend_from_slice(key.as_bytes());
        text::value(key, value.as_bytes(), &mut answer);
    }
    request.extend_from_slice(b"\r\n");
    answer.extend_from_slice(b"END\r\n");
    (request, answer)
}
