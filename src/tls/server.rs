//! The listening end.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};

use super::credentials::{read_authorities, read_revocations};
use super::judged::{Judge, Judged};
use super::provider::{provider, versions};
use super::{CredentialFiles, TlsError};

/// Whether those who connect must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They must.
    Required,
    /// They may; a certificate that is shown must be a right one.
    Optional,
}

/// What a listening end is made of.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// Its own certificate and key.
    pub own: CredentialFiles,
    /// The authorities whose clients it believes; without them no client can show who it is.
    pub client_ca: Option<PathBuf>,
    /// What those authorities have taken back: a list of each of them, whoever signed a client. Without it nothing was.
    pub client_crl: Option<PathBuf>,
    /// Whether clients must show who they are. Without authorities that cannot be asked for.
    pub clients: ClientCertificates,
    /// Whether TLS 1.2 is spoken too.
    pub tls12: bool,
}

/// Reads the files and makes the configuration of a listening end, for HTTP/1.1. Every certificate that a client shows and the authorities
/// vouch for is then shown to `judge`.
///
/// Nothing is resumed: each connection shows its certificate anew, so that one that has expired or whose authority was taken away is not
/// carried on by a ticket.
pub fn server_config(tls: &ServerTls, judge: Judge) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = tls.own.read()?;
    let provider = provider();
    let failed = |error: rustls::Error| TlsError::Configuration(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_protocol_versions(versions(tls.tls12)).map_err(failed)?;
    let builder = match (&tls.client_ca, tls.clients) {
        (None, ClientCertificates::Required) => {
            return Err(TlsError::Configuration(
                "client certificates are required, but no authority of theirs is named".to_owned(),
            ));
        }
        (None, ClientCertificates::Optional) => builder.with_no_client_auth(),
        (Some(path), clients) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(read_authorities(path)?), provider);
            let verifier = match &tls.client_crl {
                Some(path) => verifier.with_crls(read_revocations(path)?).only_check_end_entity_revocation(),
                None => verifier,
            };
            let verifier = match clients {
                ClientCertificates::Required => verifier,
                ClientCertificates::Optional => verifier.allow_unauthenticated(),
            };
            let verifier = verifier.build().map_err(|error| TlsError::Configuration(error.to_string()))?;
            builder.with_client_cert_verifier(Arc::new(Judged { verifier, judge }))
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| tls.own.unusable(&error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}
