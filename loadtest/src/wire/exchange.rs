//! What the client needs to know of whom it talks to: nothing here says HTTP, so that the peers are driven by the same client.

use std::net::TcpStream;

use super::{Head, HeadReader};
use crate::error::LoadError;
use crate::slices::Slices;

/// Requests, asked in turn, and how their answers are told apart.
pub(crate) trait Script {
    /// Tells answers apart.
    type Framing: Framing;

    /// The bytes of each request.
    fn requests(&self) -> &Slices;

    fn lookups_per_request(&self) -> usize;

    fn framing(&self) -> Self::Framing;

    /// What is said on a new connection before the first request; the stream still blocks.
    fn greet(&self, _stream: &mut TcpStream) -> Result<(), LoadError> {
        Ok(())
    }
}

/// Tells where an answer ends.
pub(crate) trait Framing {
    /// The answer that `bytes` begin with; `None` while it is not all there, which for an answer with a head means all of the head.
    fn read(&self, bytes: &[u8]) -> Result<Option<Head>, LoadError>;
}

/// Looks at answers.
pub(crate) trait Judge {
    /// Looks at the answer to a request.
    fn check(&mut self, request: usize, status: u16, body: &[u8]);
}

impl Framing for HeadReader {
    fn read(&self, bytes: &[u8]) -> Result<Option<Head>, LoadError> {
        HeadReader::read(self, bytes)
    }
}
