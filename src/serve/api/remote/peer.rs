//! Who is at the other end of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::serve::Door;
use crate::serve::credential::Credential;

/// The other end of a connection. It stands among each request's extensions.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Where it calls from.
    pub address: SocketAddr,
    /// The certificate that it showed.
    pub credential: Option<Arc<Credential>>,
}

impl Peer {
    /// The door by which its requests come.
    pub(super) fn door(&self) -> Door<'_> {
        Door::Api(self.credential.as_deref())
    }

    /// Whether its certificate has ended since it was shown. A connection may live as long as somebody asks.
    pub(super) fn has_expired(&self, now_unix_s: u64) -> bool {
        self.credential.as_ref().is_some_and(|credential| credential.expires_unix_s <= now_unix_s)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.credential {
            Some(credential) => write!(f, "{} (certificate {}) at {}", credential.identity, credential.id, self.address),
            None => write!(f, "somebody without a certificate at {}", self.address),
        }
    }
}
