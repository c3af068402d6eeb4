//! The peers: servers that hold the same keys and values of the same lengths, started on loopback for a run and ended with it.
//!
//! A value is the compact answer about the person whose key it is, so that what is right to answer is known from how the person was
//! made, as it is for the appliance.

mod find;
mod keys;
pub(crate) mod memcached;
mod plan;
pub(crate) mod postgres;
pub(crate) mod redis;
mod talk;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::LoadError;
use crate::server::child::Ended;
use crate::work::Work;

pub(crate) use find::program;
pub(crate) use keys::Keys;
pub(crate) use plan::{PeerPlan, ask};

use talk::Talk;

const READY_WITHIN: Duration = Duration::from_secs(60);
const ENDS_WITHIN: Duration = Duration::from_secs(20);
/// Keys that a peer is given at a time.
const BLOCK: u64 = 500;

/// What a peer understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    /// RESP2, as Redis speaks it.
    Resp,
    /// memcached's text protocol.
    Memcached,
    /// PostgreSQL's version 3, in the extended query form.
    Postgres,
}

impl Language {
    /// Who speaks it.
    pub(crate) fn peer(self) -> &'static str {
        match self {
            Language::Resp => "Redis",
            Language::Memcached => "memcached",
            Language::Postgres => "PostgreSQL",
        }
    }

    /// The bytes of the answer that `bytes` begin with, once it is all there.
    fn answer_bytes(self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        let read = match self {
            Language::Resp => redis::resp::answer_bytes(bytes),
            Language::Memcached => memcached::text::answer_bytes(bytes),
            Language::Postgres => postgres::messages::answer_bytes(bytes),
        };
        read.map_err(|what| LoadError::NotUnderstood { peer: self.peer(), what: what.to_owned() })
    }
}

/// A peer that runs. Dropping it ends it and removes its files.
pub(crate) struct Peer {
    pub(crate) language: Language,
    pub(crate) address: SocketAddr,
    /// As the peer itself says it.
    pub(crate) version: String,
    child: Ended,
    work: Work,
}

impl Peer {
    /// Starts a command, and waits until it listens where it was told to.
    fn start(language: Language, command: &mut Command, address: SocketAddr, work: Work) -> Result<Peer, LoadError> {
        command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
        let child = command.spawn().map_err(LoadError::io("starting a peer"))?;
        let mut child = Ended { child, within: ENDS_WITHIN };
        let began = Instant::now();
        while Talk::to(language, address).is_err() {
            if child.has_ended() || began.elapsed() > READY_WITHIN {
                return Err(LoadError::Server(format!("{} did not start", language.peer())));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut peer = Peer { language, address, version: String::new(), child, work };
        peer.version = match language {
            Language::Resp => redis::version(&mut peer.talk()?)?,
            Language::Memcached => memcached::version(&mut peer.talk()?)?,
            Language::Postgres => postgres::version(&mut peer.talk()?)?,
        };
        Ok(peer)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.language.peer()
    }

    /// A directory that it can read, and that vanishes with it.
    pub(crate) fn path(&self) -> &Path {
        self.work.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.child.id()
    }

    /// Gives it all keys and values.
    pub(crate) fn load(&self, keys: &Keys) -> Result<(), LoadError> {
        match self.language {
            Language::Resp => redis::load(&mut self.talk()?, keys),
            Language::Memcached => memcached::load(&mut self.talk()?, keys),
            Language::Postgres => postgres::load(&mut self.talk()?, keys),
        }
    }

    fn talk(&self) -> Result<Talk, LoadError> {
        Talk::to(self.language, self.address)
    }
}
