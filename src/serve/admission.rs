#![forbid(unsafe_code)]
//! Whether somebody may ask: the one place where doors, certificates, tokens, roles and misses meet.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::asker::{Asker, Door};
use super::config::Config;
use super::fast::Request;
use super::fast::wire::WireError;
use super::misses::Misses;
use super::roles::Deed;
use super::tokens::Tokens;
use crate::audit::Via;

/// Who is known, and who found nobody too often.
pub struct Admission {
    /// The tokens; without any, only loopback may ask.
    pub tokens: ArcSwap<Tokens>,
    misses: Misses,
    config: Arc<Config>,
}

impl Admission {
    pub(super) fn new(config: Arc<Config>, tokens: Tokens) -> Admission {
        Admission { tokens: ArcSwap::from_pointee(tokens), misses: Misses::new(config.misses_per_minute_max), config }
    }

    /// Who asks, if they may do the deed.
    ///
    /// A certificate is who asks, whatever token stands beside it. Otherwise it is the token's bearer. Without any token configured, this
    /// machine alone may look up, and says itself for which institution; and it may always read the status. A token or certificate from
    /// elsewhere that found nobody too often in this minute waits for the next.
    pub(super) fn admit(&self, request: &Request<'_>, door: Door<'_>, deed: Deed, now_unix_s: u64) -> Result<Asker, WireError> {
        let via = door.via();
        let is_loopback = request.peer.to_canonical().is_loopback();
        let asker = match door {
            Door::Control | Door::Command => return Ok(Asker::anybody(via)),
            Door::Api(Some(credential)) if credential.identity.may(deed) => {
                Asker::of(&credential.identity, credential.id, via, !is_loopback)
            }
            Door::Api(Some(_)) => return Err(FORBIDDEN),
            Door::Api(None) if !is_loopback => return Err(UNAUTHORIZED),
            Door::Fast | Door::Api(None) => self.by_token(request, is_loopback, via, deed)?,
        };
        if matches!(deed, Deed::LookUp | Deed::LookUpMany) {
            self.check_misses(&asker, now_unix_s)?;
        }
        Ok(asker)
    }

    fn by_token(&self, request: &Request<'_>, is_loopback: bool, via: Via, deed: Deed) -> Result<Asker, WireError> {
        if deed == Deed::ReadStatus && is_loopback {
            return Ok(Asker::anybody(via));
        }
        if !is_loopback && !self.config.accepts_plaintext_from(request.peer) {
            return Err(NETWORK_NOT_ACCEPTED);
        }
        let tokens = self.tokens.load();
        if tokens.is_empty() && is_loopback && matches!(deed, Deed::LookUp | Deed::LookUpMany) {
            return Ok(Asker::anybody(via));
        }
        let token = request.authorization.and_then(|header| tokens.bearer(header)).ok_or(UNAUTHORIZED)?;
        if token.identity.may(deed) { Ok(Asker::of(&token.identity, token.id, via, !is_loopback)) } else { Err(FORBIDDEN) }
    }

    #[inline]
    fn check_misses(&self, asker: &Asker, now_unix_s: u64) -> Result<(), WireError> {
        match asker.credential {
            Some(credential) if asker.is_limited && !self.misses.allows(credential, now_unix_s) => Err(TOO_MANY_MISSES),
            _ => Ok(()),
        }
    }

    /// Counts what somebody asked about and nobody knew.
    #[inline]
    pub(super) fn count_misses(&self, asker: &Asker, misses: u32, now_unix_s: u64) {
        if let (Some(token), true) = (asker.credential, asker.is_limited && misses > 0) {
            self.misses.count(token, misses, now_unix_s);
        }
    }
}

const UNAUTHORIZED: WireError = WireError::refused(401, "unauthorized", "a valid token is needed: Authorization: Bearer …");
pub(super) const FORBIDDEN: WireError = WireError::refused(403, "forbidden", "this is not permitted");
const NETWORK_NOT_ACCEPTED: WireError =
    WireError::refused(403, "network_not_accepted", "plain text is not accepted from this network");
pub(super) const TOO_MANY_MISSES: WireError = WireError::refused(
    429,
    "too_many_misses",
    "this token asked about too many unknown people; it may ask again in the next minute",
);
