#![forbid(unsafe_code)]
//! Who a client certificate names.

use super::roles::{Identity, IdentityError};
use crate::audit::TokenId;
use crate::tls::PeerCertificate;

/// A certificate that was believed: whose it is, until when, and how the audit calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Who, and what they are.
    pub identity: Identity,
    /// Its short name, the first eight hex digits of the BLAKE3 of its DER form: certificates in the audit stand where tokens do.
    pub id: TokenId,
    /// From when on it is no longer valid, seconds since 1970.
    pub expires_unix_s: u64,
}

/// Why a certificate names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// It has no URI that this program writes.
    #[error("the certificate names no identity (urn:shikaku:… among its alternative names)")]
    NoIdentity,
    /// It has several.
    #[error("the certificate names more than one identity")]
    SeveralIdentities,
    /// It has one that cannot be.
    #[error("the certificate's identity is not one: {0}")]
    Identity(#[from] IdentityError),
}

impl Credential {
    /// Reads who a certificate names. Exactly one of its URIs is an identity; others are none of our business.
    pub fn of_certificate(certificate: &PeerCertificate) -> Result<Credential, CredentialError> {
        let mut urns = certificate.uris.iter().filter(|uri| Identity::is_urn(uri));
        let identity = Identity::parse_urn(urns.next().ok_or(CredentialError::NoIdentity)?)?;
        if urns.next().is_some() {
            return Err(CredentialError::SeveralIdentities);
        }
        let id = TokenId::of_hash(&certificate.fingerprint);
        Ok(Credential { identity, id, expires_unix_s: certificate.expires_unix_s })
    }

    /// What a handshake judges by: a certificate that names nobody is no better than none.
    pub fn judge(certificate: &PeerCertificate) -> Result<(), String> {
        Credential::of_certificate(certificate).map(|_| ()).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uris: &[&str]) -> Result<Credential, CredentialError> {
        let uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
        Credential::of_certificate(&PeerCertificate { uris, fingerprint: [0xab; 32], expires_unix_s: 9 })
    }

    #[test]
    fn a_certificate_names_exactly_one_identity() {
        let credential = of(&["https://example.jp/", "urn:shikaku:replica:north"]).unwrap();
        assert_eq!(
            (credential.identity.urn().as_str(), credential.id.to_string().as_str()),
            ("urn:shikaku:replica:north", "abababab")
        );
        assert_eq!(of(&["https://example.jp/"]), Err(CredentialError::NoIdentity));
        assert_eq!(of(&["urn:shikaku:replica:a", "urn:shikaku:operator:a"]), Err(CredentialError::SeveralIdentities));
        assert_eq!(of(&["urn:shikaku:king:a"]), Err(CredentialError::Identity(IdentityError::Role)));
    }
}
