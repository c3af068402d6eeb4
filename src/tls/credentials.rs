//! Certificates and keys as they lie in files.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};

use super::{PeerCertificate, TlsError};

/// Where somebody's certificate and private key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialFiles {
    /// The certificate in PEM, with the ones between it and its authority behind it if there are any.
    pub certificate: PathBuf,
    /// Its private key in PEM. Other accounts may not read it.
    pub key: PathBuf,
}

impl CredentialFiles {
    /// Reads both.
    pub(super) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        Ok((read_certificates(&self.certificate)?, read_key(&self.key)?))
    }

    /// From when on the certificate is no longer valid, seconds since 1970; 0 where it does not say.
    pub fn expires_unix_s(&self) -> Result<u64, TlsError> {
        let chain = read_certificates(&self.certificate)?;
        Ok(chain.first().and_then(PeerCertificate::read).map_or(0, |certificate| certificate.expires_unix_s))
    }

    /// What cannot be done with them, in words.
    pub(super) fn unusable(&self, why: &rustls::Error) -> TlsError {
        TlsError::Unusable { path: self.certificate.clone(), why: why.to_string() }
    }
}

/// The certificates of a file, at least one.
pub(super) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) | Err(_) => Err(TlsError::NoCertificate { path: path.to_owned() }),
    }
}

/// The authorities of a file, as the only ones that are believed.
pub(super) fn read_authorities(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        let added = roots.add(certificate);
        added.map_err(|error| TlsError::Unusable { path: path.to_owned(), why: error.to_string() })?;
    }
    Ok(roots)
}

/// The lists of revoked certificates of a file, at least one.
pub(super) fn read_revocations(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, TlsError> {
    let lists = CertificateRevocationListDer::pem_slice_iter(&read(path)?).collect::<Result<Vec<_>, _>>();
    match lists {
        Ok(lists) if !lists.is_empty() => Ok(lists),
        Ok(_) | Err(_) => Err(TlsError::NoRevocations { path: path.to_owned() }),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let text = read(path)?;
    let metadata = std::fs::metadata(path).map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    if metadata.permissions().mode() & 0o007 != 0 {
        return Err(TlsError::KeyOpenToOthers { path: path.to_owned() });
    }
    // What the parser says of a key that it does not understand may quote it.
    PrivateKeyDer::from_pem_slice(&text).map_err(|_| TlsError::NoKey { path: path.to_owned() })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::File { path: path.to_owned(), source })
}
