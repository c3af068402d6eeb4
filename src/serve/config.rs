//! The configuration file of `serve`: TOML, every key optional, none unknown.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::limits::{SCRUB_PAUSE_S_MAX, SCRUB_PAUSE_S_MIN};

/// What an operator may set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Networks from which look-ups in plain text are accepted, `10.1.0.0/16` or one address. Loopback always is.
    pub plaintext_networks: Vec<Network>,
    /// The age from which data are too old to say "no", hours; no limit when it is not set.
    pub data_age_max_hours: Option<u32>,
    /// The pause between two checks of the log's older segments, seconds.
    #[serde(deserialize_with = "scrub_pause_s")]
    pub scrub_pause_s: Option<u64>,
    /// Limits of the fast listener.
    pub listener: ListenerConfig,
}

/// Limits of the fast listener.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListenerConfig {
    /// Connections at once.
    pub connections_max: Option<usize>,
    /// A connection without traffic, ms.
    pub idle_timeout_ms: Option<u64>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It does not say what a configuration may say.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        toml::from_str(&text).map_err(|source| ConfigError::Content { path: path.to_owned(), source: Box::new(source) })
    }

    /// Whether a peer's network is one from which plain text is accepted.
    pub fn accepts_plaintext_from(&self, peer: IpAddr) -> bool {
        peer.to_canonical().is_loopback() || self.plaintext_networks.iter().any(|network| network.has(peer))
    }
}

/// An address range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether an address lies in the range.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                same_prefix(u128::from(u32::from(network)) << 96, u128::from(u32::from(address)) << 96, self.prefix)
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => same_prefix(network.into(), address.into(), self.prefix),
            _ => false,
        }
    }
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || format!("{text} is not an address range such as 10.1.0.0/16");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| wrong())?;
        if prefix > bits { Err(wrong()) } else { Ok(Network { address, prefix }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Network, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn scrub_pause_s<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    let pause_s = u64::deserialize(deserializer)?;
    if (SCRUB_PAUSE_S_MIN..=SCRUB_PAUSE_S_MAX).contains(&pause_s) {
        return Ok(Some(pause_s));
    }
    let words = format!("a pause of {SCRUB_PAUSE_S_MIN} to {SCRUB_PAUSE_S_MAX} seconds is needed between two checks of the log");
    Err(serde::de::Error::custom(words))
}

fn same_prefix(one: u128, other: u128, prefix: u8) -> bool {
    let shift = 128 - u32::from(prefix);
    one.checked_shr(shift).unwrap_or(0) == other.checked_shr(shift).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let network: Network = "10.1.0.0/16".parse().unwrap();
        assert!(network.has("10.1.255.1".parse().unwrap()) && network.has("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!network.has("10.2.0.1".parse().unwrap()) && !network.has("::1".parse().unwrap()));
        let everything: Network = "0.0.0.0/0".parse().unwrap();
        assert!(everything.has("203.0.113.9".parse().unwrap()));
        assert!("10.1.0.0/33".parse::<Network>().is_err() && "ten".parse::<Network>().is_err());
    }

    #[test]
    fn an_unknown_key_is_refused_rather_than_ignored() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shikaku.toml");
        std::fs::write(&path, "plaintext_network = [\"10.0.0.0/8\"]\n").unwrap();
        assert!(Config::read(&path).unwrap_err().to_string().contains("plaintext_network"));
        std::fs::write(&path, "plaintext_networks = [\"10.0.0.0/8\"]\ndata_age_max_hours = 72\n").unwrap();
        let config = Config::read(&path).unwrap();
        assert!(config.accepts_plaintext_from("10.9.9.9".parse().unwrap()));
        assert!(!config.accepts_plaintext_from("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_scrubber_that_never_pauses_is_refused_in_words() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shikaku.toml");
        let read = |pause_s: u64| {
            std::fs::write(&path, format!("scrub_pause_s = {pause_s}\n")).unwrap();
            Config::read(&path)
        };
        for pause_s in [0, SCRUB_PAUSE_S_MAX + 1, i64::MAX.unsigned_abs()] {
            let error = read(pause_s).unwrap_err().to_string();
            assert!(error.contains("scrub_pause_s = ") && error.contains("between two checks of the log"), "{error}");
        }
        for pause_s in [SCRUB_PAUSE_S_MIN, SCRUB_PAUSE_S_MAX] {
            assert_eq!(read(pause_s).unwrap().scrub_pause_s, Some(pause_s));
        }
        std::fs::write(&path, "").unwrap();
        assert_eq!(Config::read(&path).unwrap().scrub_pause_s, None);
    }
}
