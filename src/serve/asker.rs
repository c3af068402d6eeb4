#![forbid(unsafe_code)]
//! Who asks, and by which door.

use super::credential::Credential;
use super::fast::wire::WireError;
use super::roles::Identity;
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
    pub(super) const fn via(self) -> Via {
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
    pub(super) const fn anybody(via: Via) -> Asker {
        Asker { institution: None, credential: None, is_limited: false, via }
    }

    pub(super) fn of(identity: &Identity, credential: TokenId, via: Via, is_limited: bool) -> Asker {
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
