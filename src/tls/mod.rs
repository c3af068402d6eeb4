#![forbid(unsafe_code)]
//! Who is at the other end of a line: certificates read, configurations for both ends of it, and the private authority of a small site.
//!
//! TLS 1.3, or 1.2 where the operator says so, and then with ECDHE and an AEAD only. There are no roots of the system anywhere: each end
//! believes the one certificate authority it was given. What a certificate's words mean is for the caller to judge; this room says who
//! signed them and reads them out.

mod client;
mod credentials;
mod error;
mod judged;
mod peer;
pub mod pki;
mod provider;
mod server;

pub use client::{ClientTls, client_config, server_name};
pub use credentials::CredentialFiles;
pub use error::TlsError;
pub use judged::Judge;
pub use peer::PeerCertificate;
pub use server::{ClientCertificates, ServerTls, server_config};
