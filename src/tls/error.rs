//! Why a line cannot be secured as it was asked for.

use std::path::PathBuf;

/// What is wrong with certificates, keys, or what was asked of them. None carries anything of a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no certificate.
    #[error("{}: no certificate in PEM form stands there", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no list of revoked certificates.
    #[error("{}: no list of revoked certificates in PEM form stands there", path.display())]
    NoRevocations {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no private key.
    #[error("{}: no private key in PEM form stands there", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// A private key that is not private.
    #[error("{}: other accounts may read this private key; `chmod 600` it", path.display())]
    KeyOpenToOthers {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not go together, or the key is of a kind that is not used.
    #[error("{} and its key cannot be used: {why}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Something else cannot be configured.
    #[error("TLS cannot be configured: {0}")]
    Configuration(String),
    /// Not a host's name or address.
    #[error("{0} is no host name and no IP address")]
    Host(String),
}
