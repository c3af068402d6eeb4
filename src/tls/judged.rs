//! A client's certificate, verified and then judged: a right signature is not yet somebody we know.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme};

use super::PeerCertificate;

/// Says why a certificate that was signed by the right authority is turned away all the same. The words are for the operator's log; the
/// peer sees an alert.
pub type Judge = fn(&PeerCertificate) -> Result<(), String>;

/// A verifier, and a judge behind it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    pub(super) judge: Judge,
}

/// Why a judge turned somebody away.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct TurnedAway(String);

fn turned_away(why: String) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(TurnedAway(why)))))
}

impl ClientCertVerifier for Judged {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(end_entity, intermediates, now)?;
        let peer = PeerCertificate::read(end_entity).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        (self.judge)(&peer).map_err(turned_away)?;
        Ok(verified)
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
