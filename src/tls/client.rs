//! The calling end.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;

use super::credentials::read_authorities;
use super::provider::{provider, versions};
use super::{CredentialFiles, TlsError};

/// What a calling end is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientTls {
    /// The authorities whose servers it believes, in PEM.
    pub ca: PathBuf,
    /// Its own certificate and key, where the server asks who is calling.
    pub own: Option<CredentialFiles>,
}

/// Reads the files and makes the configuration of a calling end, for HTTP/1.1 over TLS 1.3. The server's certificate must be of one of the
/// authorities, valid now, and for the name that is called (see [`server_name`]). Reading is cheap beside a handshake: whoever connects
/// anew may read anew, and notices certificates that were renewed.
pub fn client_config(tls: &ClientTls) -> Result<Arc<ClientConfig>, TlsError> {
    let failed = |error: rustls::Error| TlsError::Configuration(error.to_string());
    let builder = ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions(false)).map_err(failed)?;
    let builder = builder.with_root_certificates(read_authorities(&tls.ca)?);
    let mut config = match &tls.own {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let (chain, key) = own.read()?;
            builder.with_client_auth_cert(chain, key).map_err(|error| own.unusable(&error))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// The name under which a host is called: its DNS name, or its address. It must stand among the names in the host's certificate.
pub fn server_name(host: &str) -> Result<ServerName<'static>, TlsError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_owned()).map_err(|_| TlsError::Host(host.to_owned()))
}
