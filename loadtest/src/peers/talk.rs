//! A conversation with a peer in turns, for everything but the measurement.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Language, postgres};
use crate::error::LoadError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Building an index over ten million keys is one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);
const READ_BYTES: usize = 64 * 1024;

/// A connection that is spoken on in turns.
pub(super) struct Talk {
    stream: TcpStream,
    language: Language,
    heard: Vec<u8>,
}

impl Talk {
    /// Connects, and introduces itself where that is the custom.
    pub(super) fn to(language: Language, address: SocketAddr) -> Result<Talk, LoadError> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(LoadError::io("connecting to a peer"))?;
        let mut talk = Talk::over(language, stream)?;
        if language == Language::Postgres {
            postgres::introduce(&mut talk)?;
        }
        Ok(talk)
    }

    /// Speaks on a stream that is there.
    pub(super) fn over(language: Language, stream: TcpStream) -> Result<Talk, LoadError> {
        stream.set_nodelay(true).map_err(LoadError::io("TCP_NODELAY"))?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).map_err(LoadError::io("a timeout"))?;
        Ok(Talk { stream, language, heard: Vec::new() })
    }

    /// Says something that has no answer yet.
    pub(super) fn say(&mut self, bytes: &[u8]) -> Result<(), LoadError> {
        self.stream.write_all(bytes).map_err(LoadError::io("telling a peer"))
    }

    /// Hears one answer.
    pub(super) fn hear(&mut self) -> Result<Vec<u8>, LoadError> {
        loop {
            if let Some(bytes) = self.language.answer_bytes(&self.heard)? {
                let rest = self.heard.split_off(bytes);
                return Ok(std::mem::replace(&mut self.heard, rest));
            }
            let mut piece = [0; READ_BYTES];
            let count = self.stream.read(&mut piece).map_err(LoadError::io("a peer's answer"))?;
            if count == 0 {
                return Err(LoadError::Closed);
            }
            self.heard.extend_from_slice(piece.get(..count).unwrap_or_default());
        }
    }

    /// Says something and hears the answer.
    pub(super) fn ask(&mut self, bytes: &[u8]) -> Result<Vec<u8>, LoadError> {
        self.say(bytes)?;
        self.hear()
    }

    /// The error for an answer that was not to be expected.
    pub(super) fn unexpected(&self, what: &str) -> LoadError {
        LoadError::NotUnderstood { peer: self.language.peer(), what: what.to_owned() }
    }
}
