//! Where the API listens, and with which certificates.

use std::net::SocketAddr;

use super::RemoteLimits;
use crate::serve::config::ApiConfig;
use crate::tls::{ClientCertificates, CredentialFiles, ServerTls, TlsError};

/// What the API is started with.
#[derive(Clone, Debug)]
pub struct RemoteOptions {
    /// Where it listens.
    pub listen: SocketAddr,
    /// By which certificates.
    pub tls: ServerTls,
    /// Within which limits.
    pub limits: RemoteLimits,
}

/// Why the API does not listen.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Nothing says with which certificate.
    #[error("the API speaks TLS only: name its certificate and key under [api] in the configuration (`shikaku pki` makes them)")]
    NoCertificate,
    /// Nobody could tell who asks from elsewhere.
    #[error(
        "{address} is not loopback: the API asks other machines for certificates, so name the authority that signs them as \
         `client_ca` under [api] in the configuration, or listen on 127.0.0.1"
    )]
    NoClientCa {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// A list of nobody's.
    #[error("client_crl under [api] needs the authority whose list it is, as client_ca")]
    ListWithoutCa,
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system refused.
    #[error("the API cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

impl RemoteOptions {
    /// What the configuration and the command line say; the command line goes first. `None` where neither names an address.
    pub fn of(config: &ApiConfig, listen: Option<SocketAddr>) -> Result<Option<RemoteOptions>, RemoteError> {
        let Some(listen) = listen.or(config.listen) else { return Ok(None) };
        let (Some(certificate), Some(key)) = (config.certificate.clone(), config.key.clone()) else {
            return Err(RemoteError::NoCertificate);
        };
        let clients = if is_loopback(listen) { ClientCertificates::Optional } else { ClientCertificates::Required };
        let own = CredentialFiles { certificate, key };
        let (client_ca, client_crl) = (config.client_ca.clone(), config.client_crl.clone());
        let tls = ServerTls { own, client_ca, client_crl, clients, tls12: config.tls12 };
        let mut limits = RemoteLimits::default();
        limits.connections_max = config.connections_max.unwrap_or(limits.connections_max);
        Ok(Some(RemoteOptions { listen, tls, limits }))
    }

    /// Off loopback somebody must vouch for whoever asks.
    pub(super) fn check(&self) -> Result<(), RemoteError> {
        if self.tls.client_crl.is_some() && self.tls.client_ca.is_none() {
            return Err(RemoteError::ListWithoutCa);
        }
        let asks = self.tls.client_ca.is_some() && self.tls.clients == ClientCertificates::Required;
        if asks || is_loopback(self.listen) { Ok(()) } else { Err(RemoteError::NoClientCa { address: self.listen }) }
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}
