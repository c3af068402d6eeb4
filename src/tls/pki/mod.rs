//! A private certificate authority for a small site that has none: one key that signs, and the certificates it signs.
//!
//! Everything is ECDSA over P-256, which every TLS library of the last ten years speaks. A certificate carries who it is for as a URI among
//! its alternative names, beside the host names under which a server is called. Keys are written for their owner alone, and nothing is ever
//! written over.

mod files;
mod revoking;
mod site;

use std::path::PathBuf;

pub use files::{NewFile, write_new};
pub use site::{Order, Signed, SiteAuthority};

/// What keeps a certificate from being made.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file is there already.
    #[error("{} is there already, and is not written over; move it away or name another directory", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The authority's files are none.
    #[error("{}: not an authority's certificate and key: {why}", directory.display())]
    NoAuthority {
        /// The directory.
        directory: PathBuf,
        /// Why.
        why: String,
    },
    /// The certificate would outlive the authority, whose end ends everything it signed.
    #[error("the authority itself ends on {end}; ask for fewer days, or make a new authority")]
    OutlivesAuthority {
        /// The authority's last day.
        end: String,
    },
    /// Not a host's name or address.
    #[error("{0} is no host name and no IP address")]
    Host(String),
    /// A certificate that this authority did not sign, or its own.
    #[error("{}: not a certificate that this authority signed", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// What stands where the list was is none.
    #[error("{}: not a list of revoked certificates; put back the copy that a server has, beside {beside}", path.display())]
    NoList {
        /// The file.
        path: PathBuf,
        /// The authority's certificate.
        beside: &'static str,
    },
    /// The days do not make a time.
    #[error("so many days are no time")]
    Days,
    /// Signing failed.
    #[error("the certificate cannot be made: {0}")]
    Making(String),
    /// The system gave no randomness.
    #[error("no randomness: {0}")]
    Random(String),
}
