//! What an operator says of following through a broker.

use super::config::BrokerConfig;
use crate::registry::Prefectures;
use crate::serve::config::FollowConfig;
use crate::sync::follow::FollowOptionsError;
use crate::sync::follow::options::{held, hub_key, share};
use crate::sync::intake::Share;
use crate::sync::key::HubKey;

/// Through which broker to follow, and how.
#[derive(Clone, Debug)]
pub struct BrokerFollowOptions {
    /// The broker.
    pub broker: BrokerConfig,
    /// The hub's key, whoever keeps what it signed.
    pub hub_key: HubKey,
    /// The prefectures whose rows are held; all where nothing is said.
    pub prefectures: Option<Prefectures>,
    /// How much of a processor applying may take.
    pub share: Share,
}

impl BrokerFollowOptions {
    /// Whether an address to follow is a broker's, or several.
    pub fn are_for(urls: &str) -> bool {
        urls.starts_with("nats://") || urls.starts_with("tls://")
    }

    /// What the configuration and the command line say; the command line goes first. `None` where neither names a broker.
    pub fn of(
        config: &FollowConfig,
        urls: Option<&str>,
        prefectures: Option<&str>,
    ) -> Result<Option<BrokerFollowOptions>, FollowOptionsError> {
        let broker = match urls {
            Some(urls) if BrokerFollowOptions::are_for(urls) => config.broker.clone().at(urls),
            // A hub that is named on the command line is followed itself.
            Some(_) => return Ok(None),
            None if config.broker.urls.is_empty() => return Ok(None),
            None => config.broker.clone(),
        };
        broker.servers()?;
        let (hub_key, prefectures, share) = (hub_key(config)?, held(config, prefectures)?, share(config));
        Ok(Some(BrokerFollowOptions { broker, hub_key, prefectures, share }))
    }
}
