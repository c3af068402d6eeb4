//! What a peer's certificate says.

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What of a certificate matters here. Whether anybody should believe it is for the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// The URIs among its alternative names.
    pub uris: Vec<String>,
    /// The BLAKE3 of its DER form.
    pub fingerprint: [u8; 32],
    /// From when on it is no longer valid, seconds since 1970.
    pub expires_unix_s: u64,
}

impl PeerCertificate {
    /// Reads it; `None` where the bytes are no certificate.
    pub fn read(certificate: &CertificateDer<'_>) -> Option<PeerCertificate> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        let names = parsed.subject_alternative_name().ok()?;
        let names = names.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
        let uris = names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
        Some(PeerCertificate {
            uris: uris.collect(),
            fingerprint: *blake3::hash(certificate).as_bytes(),
            expires_unix_s: u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0),
        })
    }
}
