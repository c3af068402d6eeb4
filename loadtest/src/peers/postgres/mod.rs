//! PostgreSQL, from the distribution's package: one table, one primary key, nothing synced.

pub(super) mod messages;

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::talk::Talk;
use super::{BLOCK, Keys, Language, Peer, program};
use crate::error::LoadError;
use crate::server::free_address;
use crate::work::Work;

const USER: &str = "loadtest";
const DATABASE: &str = "postgres";
const SELECT: &str = "SELECT answer FROM answers WHERE key = $1";
/// Whom it runs as where the harness is root, which it refuses.
const NOT_ROOT: &str = "postgres";
/// Table and index, with room: everything stays in its own memory.
const BYTES_PER_KEY: u64 = 320;
const BUFFERS_MEGABYTES: std::ops::RangeInclusive<u64> = 128..=6_144;

/// Starts one with room for that many keys; `None` where it is not installed.
pub(crate) fn start(work: &Path, keys: u64) -> Result<Option<Peer>, LoadError> {
    let (Some(initdb), Some(postgres)) = (program("initdb"), program("postgres")) else { return Ok(None) };
    let account = account()?;
    let (address, work) = (free_address()?, Work::below(work)?);
    if let Some((user, group)) = account {
        let given = std::os::unix::fs::chown(work.path(), Some(user), Some(group));
        given.map_err(LoadError::io("giving PostgreSQL its directory"))?;
    }
    make_cluster(&initdb, &work, account)?;
    let megabytes = ((keys * BYTES_PER_KEY) >> 20).clamp(*BUFFERS_MEGABYTES.start(), *BUFFERS_MEGABYTES.end());
    let mut command = as_account(&postgres, &work, account);
    command.arg("-D").arg(work.path().join("data"));
    for setting in [
        "listen_addresses=127.0.0.1",
        &format!("port={}", address.port()),
        "unix_socket_directories=",
        "max_connections=600",
        &format!("shared_buffers={megabytes}MB"),
        "fsync=off",
        "synchronous_commit=off",
        "full_page_writes=off",
        "wal_level=minimal",
        "max_wal_senders=0",
        "autovacuum=off",
        "plan_cache_mode=force_generic_plan",
        "log_min_messages=fatal",
    ] {
        command.arg("-c").arg(setting);
    }
    command.stderr(Stdio::null());
    Peer::start(Language::Postgres, &mut command, address, work).map(Some)
}

fn make_cluster(initdb: &Path, work: &Work, account: Option<(u32, u32)>) -> Result<(), LoadError> {
    let mut command = as_account(initdb, work, account);
    command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C"]);
    command.arg(format!("--username={USER}")).arg("-D").arg(work.path().join("data"));
    let output = command.stdin(Stdio::null()).output().map_err(LoadError::io("starting initdb"))?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LoadError::Server(format!("PostgreSQL's directory could not be made: {why}")))
}

fn as_account(program: &Path, work: &Work, account: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(work.path());
    if let Some((user, group)) = account {
        command.uid(user).gid(group);
    }
    command
}

/// Whom it has to run as, if not as whoever we are.
fn account() -> Result<Option<(u32, u32)>, LoadError> {
    if !rustix::process::getuid().is_root() {
        return Ok(None);
    }
    let accounts = std::fs::read_to_string("/etc/passwd").map_err(LoadError::io("the accounts"))?;
    let found = account_of(&accounts, NOT_ROOT);
    found.map(Some).ok_or_else(|| LoadError::Server(format!("PostgreSQL does not run as root, and there is no {NOT_ROOT}")))
}

fn account_of(accounts: &str, name: &str) -> Option<(u32, u32)> {
    let mut lines = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let fields = lines.find(|fields| fields.first() == Some(&name))?;
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
}

/// Says who is there.
pub(super) fn introduce(talk: &mut Talk) -> Result<(), LoadError> {
    run(talk, &messages::startup(USER, DATABASE)).map(drop)
}

/// What a connection of the measurement says before its first request.
pub(super) fn greet(stream: &mut TcpStream) -> Result<(), LoadError> {
    let mut talk = Talk::over(Language::Postgres, stream.try_clone().map_err(LoadError::io("a second handle"))?)?;
    introduce(&mut talk)?;
    run(&mut talk, &messages::prepare(SELECT)).map(drop)
}

pub(super) fn version(talk: &mut Talk) -> Result<String, LoadError> {
    let answer = run(talk, &messages::query("SHOW server_version"))?;
    let version = messages::first_value(&answer).ok_or_else(|| talk.unexpected("no version"))?;
    Ok(format!("PostgreSQL {}", version.split(' ').next().unwrap_or_default()))
}

pub(super) fn load(talk: &mut Talk, keys: &Keys) -> Result<(), LoadError> {
    run(talk, &messages::query("CREATE UNLOGGED TABLE answers (key text NOT NULL, answer text NOT NULL)"))?;
    run(talk, &messages::query("COPY answers FROM STDIN"))?;
    keys.each_block(BLOCK, |pairs| {
        let mut rows = Vec::new();
        pairs.iter().for_each(|(key, value)| messages::copy_row([key, value], &mut rows));
        talk.say(&messages::copy_data(&rows))
    })?;
    run(talk, &messages::copy_done())?;
    run(talk, &messages::query("ALTER TABLE answers ADD PRIMARY KEY (key)"))?;
    run(talk, &messages::query("VACUUM (FREEZE, ANALYZE) answers"))?;
    let answer = run(talk, &messages::query("SELECT count(*) FROM answers"))?;
    if messages::first_value(&answer) == Some(keys.count().to_string()) {
        Ok(())
    } else {
        Err(talk.unexpected("not all keys are held"))
    }
}

/// The select of one key, and the answer. A request of several keys is not asked.
pub(super) fn select(pairs: &[(String, String)]) -> (Vec<u8>, Vec<u8>) {
    debug_assert!(pairs.len() == 1, "one key a request");
    let mut asked = (Vec::new(), Vec::new());
    for (key, value) in pairs.iter().take(1) {
        asked = (messages::execute(key), messages::found(value));
    }
    asked
}

fn run(talk: &mut Talk, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
    let answer = talk.ask(bytes)?;
    match messages::error(&answer) {
        None => Ok(answer),
        Some(error) => Err(talk.unexpected(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_found_by_its_whole_name() {
        let accounts = "root:x:0:0::/root:/bin/sh\npostgresx:x:7:7::/:/bin/sh\npostgres:x:101:104::/var:/bin/sh\n";
        assert_eq!(account_of(accounts, "postgres"), Some((101, 104)));
        assert_eq!(account_of(accounts, "nobody"), None);
    }
}
