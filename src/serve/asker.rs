#![forbid(unsafe_code)]
//! Who asks, and whether they may: the one place where doors, certificates, tokens and roles meet.

use super::credential::Credential;
use super::fast::Request;
use super::fast::wire::WireError;
use super::roles::{Deed, Identity};
use super::service::Service;
use crate::audit::{TokenId, Via};
use crate::domain::identifier::InstitutionCode;

/// How a request came in.
#[derive(Clone, Copy, Debug)]
pub enum Door<'c> {
    /// The fast listener: whoever asks shows a token, or sits on this machine.
    Fast,
    /// The API over TLS, with the certificate that the connection showed.
    Api(Option<&'c Credential>),
    /// The owner's socket: whoever can open it has the directory.
    Control,
    /// A command on the directory itself.
    Command,
}

impl Door<'_> {
    const fn via(self) -> Via {
        match self {
            Door::Fast => Via::Fast,
            Door::Api(_) => Via::Api,
            Door::Control => Via::Control,
            Door::Command => Via::Command,
        }
    }
}

/// Somebody who may ask.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The institution as which they ask, where that is not for them to say.
    pub institution: Option<InstitutionCode>,
    /// The short name of their token or certificate.
    pub credential: Option<TokenId>,
    /// Whether their misses count.
    pub is_limited: bool,
    /// By which door.
    pub via: Via,
}

impl Asker {
    /// Somebody of whom nothing is known but the door.
    const fn anybody(via: Via) -> Asker {
        Asker { institution: None, credential: None, is_limited: false, via }
    }

    fn of(identity: &Identity, credential: TokenId, via: Via, is_limited: bool) -> Asker {
        Asker { institution: identity.bound_institution(), credential: Some(credential), is_limited, via }
    }

    /// The institution of a look-up: one's own, and where one has none, the one named. Another than one's own is refused.
    pub(super) fn agreed(&self, named: Option<InstitutionCode>) -> Result<Option<InstitutionCode>, WireError> {
        match (self.institution, named) {
            (Some(own), Some(named)) if own != named => Err(WireError {
                status: 403,
                code: "institution_mismatch",
                message: "the institution is not the asker's own",
                field: Some("institution"),
            }),
            (own, named) => Ok(own.or(named)),
        }
    }
}

impl Service {
    /// Who asks, if they may do the deed.
    ///
    /// A certificate is who asks, whatever token stands beside it. Otherwise it is the token's bearer. Without any token configured, this
    /// machine alone may look up, and says itself for which institution; and it may always read the status. A token or certificate from
    /// elsewhere that found nobody too often in this minute waits for the next.
    pub fn admit(&self, request: &Request<'_>, door: Door<'_>, deed: Deed) -> Result<Asker, WireError> {
        let via = door.via();
        let is_loopback = request.peer.to_canonical().is_loopback();
        let asker = match door {
            Door::Control | Door::Command => return Ok(Asker::anybody(via)),
            Door::Api(Some(credential)) if credential.identity.may(deed) => {
                Asker::of(&credential.identity, credential.id, via, !is_loopback)
            }
            Door::Api(Some(_)) => return Err(FORBIDDEN),
            Door::Api(None) if !is_loopback => return Err(UNAUTHORIZED),
            Door::Fast | Door::Api(None) => self.admit_by_token(request, via, deed)?,
        };
        if matches!(deed, Deed::LookUp | Deed::LookUpMany) {
            self.check_misses(&asker)?;
        }
        Ok(asker)
    }

    fn admit_by_token(&self, request: &Request<'_>, via: Via, deed: Deed) -> Result<Asker, WireError> {
        let is_loopback = request.peer.to_canonical().is_loopback();
        if deed == Deed::ReadStatus && is_loopback {
            return Ok(Asker::anybody(via));
        }
        if !self.config().accepts_plaintext_from(request.peer) {
            return Err(NETWORK_NOT_ACCEPTED);
        }
        let tokens = self.tokens.load();
        if tokens.is_empty() && is_loopback && matches!(deed, Deed::LookUp | Deed::LookUpMany) {
            return Ok(Asker::anybody(via));
        }
        let token = request.authorization.and_then(|header| tokens.bearer(header)).ok_or(UNAUTHORIZED)?;
        if token.identity.may(deed) { Ok(Asker::of(&token.identity, token.id, via, !is_loopback)) } else { Err(FORBIDDEN) }
    }
}

const UNAUTHORIZED: WireError = WireError::refused(401, "unauthorized", "a valid token is needed: Authorization: Bearer …");
pub(super) const FORBIDDEN: WireError = WireError::refused(403, "forbidden", "this is not permitted");
const NETWORK_NOT_ACCEPTED: WireError =
    WireError::refused(403, "network_not_accepted", "plain text is not accepted from this network");
