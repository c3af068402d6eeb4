//! What an operator says of following.

use super::{FollowOptions, HubAddress, LineError};
use crate::limits::FOLLOW_SHARE_PERCENT;
use crate::registry::{NotPrefectures, Prefectures};
use crate::serve::config::FollowConfig;
use crate::sync::intake::Share;
use crate::sync::jetstream::BrokerConfigError;
use crate::sync::key::{HubKey, KeyError};
use crate::tls::{ClientTls, CredentialFiles};

/// Why nobody can be followed as it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FollowOptionsError {
    /// The address.
    #[error(transparent)]
    Address(#[from] LineError),
    /// Nothing says whose signature counts.
    #[error(
        "whoever is followed is known by a key: run `shikaku hub-key` at the hub, and name what it prints as `hub_key` under [follow] in the configuration"
    )]
    NoHubKey,
    /// The key is none.
    #[error(transparent)]
    HubKey(#[from] KeyError),
    /// Nothing says whose servers are believed.
    #[error("name the authority that signed the hub's certificate as `ca` under [follow] in the configuration")]
    NoCa,
    /// One without the other.
    #[error("`certificate` and `key` under [follow] go together")]
    HalfACertificate,
    /// The prefectures.
    #[error(transparent)]
    Prefectures(#[from] NotPrefectures),
    /// The broker.
    #[error(transparent)]
    Broker(#[from] BrokerConfigError),
}

impl FollowOptions {
    /// What the configuration and the command line say; the command line goes first. `None` where neither names an address.
    pub fn of(
        config: &FollowConfig,
        url: Option<&str>,
        prefectures: Option<&str>,
    ) -> Result<Option<FollowOptions>, FollowOptionsError> {
        let Some(url) = url.or(config.url.as_deref()) else { return Ok(None) };
        let hub: HubAddress = url.parse()?;
        let hub_key = hub_key(config)?;
        let ca = config.ca.clone().ok_or(FollowOptionsError::NoCa)?;
        let own = match (config.certificate.clone(), config.key.clone()) {
            (Some(certificate), Some(key)) => Some(CredentialFiles { certificate, key }),
            (None, None) => None,
            (Some(_), None) | (None, Some(_)) => return Err(FollowOptionsError::HalfACertificate),
        };
        let (prefectures, share) = (held(config, prefectures)?, share(config));
        Ok(Some(FollowOptions { hub, hub_key, tls: ClientTls { ca, own }, prefectures, share }))
    }
}

/// The key that is pinned.
pub(in crate::sync) fn hub_key(config: &FollowConfig) -> Result<HubKey, FollowOptionsError> {
    Ok(config.hub_key.as_deref().ok_or(FollowOptionsError::NoHubKey)?.parse()?)
}

/// The prefectures whose rows are held; the command line goes first.
pub(in crate::sync) fn held(config: &FollowConfig, prefectures: Option<&str>) -> Result<Option<Prefectures>, FollowOptionsError> {
    Ok(match prefectures {
        Some(text) => Some(Prefectures::parse(text)?),
        None if config.prefectures.is_empty() => None,
        None => Some(Prefectures::of(config.prefectures.iter().copied())?),
    })
}

/// How much of a processor applying may take.
pub(in crate::sync) fn share(config: &FollowConfig) -> Share {
    Share::of_percent(config.share_percent.unwrap_or(FOLLOW_SHARE_PERCENT)).unwrap_or(Share::WHOLE)
}
