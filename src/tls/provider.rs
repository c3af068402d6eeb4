//! Which versions and cipher suites are spoken.

use std::sync::Arc;

use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::{cipher_suite, default_provider};
use rustls::version::{TLS12, TLS13};

/// The cryptography of both ends: named here, so that no other crate's choice for the process matters. Of 1.2 only what has forward
/// secrecy and an AEAD is listed; rustls knows nothing else, and it stays so if that changes.
pub(super) fn provider() -> Arc<CryptoProvider> {
    let cipher_suites = vec![
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
        cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    ];
    Arc::new(CryptoProvider { cipher_suites, ..default_provider() })
}

static ONLY_1_3: [&SupportedProtocolVersion; 1] = [&TLS13];
static ALSO_1_2: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// The versions of the protocol.
pub(super) fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    if tls12 { &ALSO_1_2 } else { &ONLY_1_3 }
}
