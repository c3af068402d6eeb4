//! Redis, from the distribution's package, with persistence off.

pub(super) mod resp;

use std::path::Path;
use std::process::Command;

use super::talk::Talk;
use super::{BLOCK, Keys, Language, Peer, program};
use crate::error::LoadError;
use crate::server::free_address;
use crate::work::Work;

/// Starts one; `None` where it is not installed.
pub(crate) fn start(work: &Path) -> Result<Option<Peer>, LoadError> {
    let Some(binary) = program("redis-server") else { return Ok(None) };
    let (address, work) = (free_address()?, Work::below(work)?);
    let mut command = Command::new(binary);
    command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--daemonize", "no"]);
    command.args(["--save", "", "--appendonly", "no", "--loglevel", "warning", "--dir"]).arg(work.path());
    Peer::start(Language::Resp, &mut command, address, work).map(Some)
}

pub(super) fn version(talk: &mut Talk) -> Result<String, LoadError> {
    let mut request = Vec::new();
    resp::command(&["INFO", "server"], &mut request);
    let answer = talk.ask(&request)?;
    let text = String::from_utf8_lossy(&answer).into_owned();
    let version = text.lines().find_map(|line| line.strip_prefix("redis_version:"));
    version.map(|version| format!("Redis {}", version.trim())).ok_or_else(|| talk.unexpected("no version"))
}

pub(super) fn load(talk: &mut Talk, keys: &Keys) -> Result<(), LoadError> {
    keys.each_block(BLOCK, |pairs| {
        let mut request = Vec::new();
        let mut words = vec!["MSET"];
        words.extend(pairs.iter().flat_map(|(key, value)| [key.as_str(), value.as_str()]));
        resp::command(&words, &mut request);
        match talk.ask(&request)?.as_slice() {
            b"+OK\r\n" => Ok(()),
            _ => Err(talk.unexpected("MSET was not answered with OK")),
        }
    })?;
    let mut request = Vec::new();
    resp::command(&["DBSIZE"], &mut request);
    let held = talk.ask(&request)?;
    if held == format!(":{}\r\n", keys.count()).as_bytes() { Ok(()) } else { Err(talk.unexpected("not all keys are held")) }
}

/// GET of one key, MGET of several, and the answer.
pub(super) fn get(pairs: &[(String, String)]) -> (Vec<u8>, Vec<u8>) {
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    let mut words = vec![if pairs.len() == 1 { "GET" } else { "MGET" }];
    words.extend(pairs.iter().map(|(key, _)| key.as_str()));
    resp::command(&words, &mut request);
    if pairs.len() > 1 {
        resp::array(pairs.len(), &mut answer);
    }
    pairs.iter().for_each(|(_, value)| resp::bulk(value.as_bytes(), &mut answer));
    (request, answer)
}
