//! The configuration file of `serve`: TOML, every key optional, none unknown.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::schedule::{Schedule, TimeOfDay};
use crate::limits::{
    API_CONNECTIONS_MAX, API_CONNECTIONS_MOST, AUDIT_RETENTION_DAYS, AUDIT_SYNC_MS, AUDIT_WAIT_MS_MAX, FOLLOW_SHARE_PERCENT,
    LOG_RETENTION_DAYS, LOG_RETENTION_DAYS_MAX, MISSES_PER_MINUTE_MAX, SCRUB_PAUSE_S_MAX, SCRUB_PAUSE_S_MIN,
    SNAPSHOT_EVERY_S_MAX, SNAPSHOT_EVERY_S_MIN, SNAPSHOTS_KEPT, SNAPSHOTS_KEPT_MAX, SNAPSHOTS_KEPT_MIN,
};
use crate::sync::jetstream::{BrokerConfig, PublishConfig};

/// What an operator may set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Networks from which look-ups in plain text are accepted, `10.1.0.0/16` or one address. Loopback always is.
    pub plaintext_networks: Vec<Network>,
    /// The age from which data are too old to say "no", hours; no limit when it is not set.
    pub data_age_max_hours: Option<u32>,
    /// The pause between two checks of the log's older segments, seconds.
    #[serde(deserialize_with = "scrub_pause_s")]
    pub scrub_pause_s: Option<u64>,
    /// Whether every look-up leaves an entry in the audit.
    pub audit: bool,
    /// How long the audit is kept, days.
    pub audit_retention_days: u32,
    /// Between two syncs of the audit, ms.
    pub audit_sync_ms: u64,
    /// What a look-up does when the audit cannot take its entry.
    pub audit_when_behind: WhenBehind,
    /// Misses of one token in a minute, above which it is answered 429; 0 is no limit. Loopback is never limited.
    pub misses_per_minute_max: u32,
    /// The server's own snapshots, and how far back the log reaches.
    pub snapshots: SnapshotConfig,
    /// Limits of the fast listener.
    pub listener: ListenerConfig,
    /// The API over TLS.
    pub api: ApiConfig,
    /// Whom this directory follows.
    pub follow: FollowConfig,
    /// The broker that this hub's log is published to, where one is named.
    pub publish: PublishConfig,
}

/// What a look-up does when the audit cannot take its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenBehind {
    /// Wait for room, at most [`AUDIT_WAIT_MS_MAX`], and be refused with 503 then.
    #[default]
    Wait,
    /// Be refused with 503 at once.
    Refuse,
}

impl WhenBehind {
    /// How long a look-up waits for room.
    pub const fn max_wait(self) -> Duration {
        match self {
            WhenBehind::Wait => Duration::from_millis(AUDIT_WAIT_MS_MAX),
            WhenBehind::Refuse => Duration::ZERO,
        }
    }
}

impl Default for Config {
    fn default() -> Config {
        Config {
            plaintext_networks: Vec::new(),
            data_age_max_hours: None,
            scrub_pause_s: None,
            audit: true,
            audit_retention_days: AUDIT_RETENTION_DAYS,
            audit_sync_ms: AUDIT_SYNC_MS,
            audit_when_behind: WhenBehind::default(),
            misses_per_minute_max: MISSES_PER_MINUTE_MAX,
            snapshots: SnapshotConfig::default(),
            listener: ListenerConfig::default(),
            api: ApiConfig::default(),
            follow: FollowConfig::default(),
            publish: PublishConfig::default(),
        }
    }
}

/// The server's own snapshots, and how far back the log reaches.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SnapshotConfig {
    /// Whether the server takes any. Without them the log is never trimmed.
    pub enabled: bool,
    /// When the daily one is taken, in Japan: `02:00`.
    pub at: Option<TimeOfDay>,
    /// Instead: so long after the last, seconds.
    pub every_s: Option<u64>,
    /// How many are kept.
    pub keep: usize,
    /// How long frames stay in the log though snapshots cover them, days.
    pub log_retention_days: u32,
}

impl Default for SnapshotConfig {
    fn default() -> SnapshotConfig {
        let (keep, log_retention_days) = (SNAPSHOTS_KEPT, LOG_RETENTION_DAYS);
        SnapshotConfig { enabled: true, at: None, every_s: None, keep, log_retention_days }
    }
}

impl SnapshotConfig {
    /// When snapshots are taken.
    pub fn schedule(&self) -> Schedule {
        match (self.enabled, self.every_s, self.at) {
            (false, ..) => Schedule::Never,
            (true, Some(seconds), _) => Schedule::Every { seconds },
            (true, None, Some(at)) => Schedule::Daily { minutes: at.minutes },
            (true, None, None) => Schedule::default(),
        }
    }
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

/// The API over TLS, for other machines. It listens when an address is named here or with `--api`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Where it listens.
    pub listen: Option<SocketAddr>,
    /// Its certificate, PEM.
    pub certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    pub key: Option<PathBuf>,
    /// The authority that signs the certificates of those who ask, PEM. Off loopback it must be there.
    pub client_ca: Option<PathBuf>,
    /// What that authority has taken back, PEM.
    pub client_crl: Option<PathBuf>,
    /// Whether TLS 1.2 is spoken too.
    pub tls12: bool,
    /// Connections at once.
    pub connections_max: Option<usize>,
}

/// A hub that is followed. It is when an address is named here or with `--follow`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowConfig {
    /// Where it is, or a relay of it: `https://hub.example:8471`.
    pub url: Option<String>,
    /// The hub's key, as `shikaku hub-key` prints it there, whoever passes on what it signed.
    pub hub_key: Option<String>,
    /// The authority whose servers are believed, PEM.
    pub ca: Option<PathBuf>,
    /// The certificate that is shown, PEM.
    pub certificate: Option<PathBuf>,
    /// The certificate's key, PEM.
    pub key: Option<PathBuf>,
    /// The prefectures whose rows are held, 1 to 47; all where none is named. It is settled when a directory begins to follow.
    pub prefectures: Vec<usize>,
    /// How much of a processor applying may take, percent.
    pub share_percent: Option<u32>,
    /// The broker through which the hub is followed, where one is named; what it lost is fetched from `url`.
    pub broker: BrokerConfig,
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
    /// Two keys of which only one can be meant.
    #[error("{}: {one} and {other} exclude each other", path.display())]
    OneOfTwo {
        /// The file.
        path: PathBuf,
        /// The one.
        one: &'static str,
        /// The other.
        other: &'static str,
    },
    /// A value that cannot be meant.
    #[error("{}: {key} must be between {min} and {max}", path.display())]
    OutOfRange {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
        /// The least that is allowed.
        min: u64,
        /// The most.
        max: u64,
    },
}

impl Config {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| ConfigError::File { path: path.to_owned(), source })?;
        let read = toml::from_str(&text);
        let config: Config = read.map_err(|source| ConfigError::Content { path: path.to_owned(), source: Box::new(source) })?;
        // A retention of no days would take away what the law asks to keep, and a sync at once would never rest.
        let ranges = [
            ("audit_retention_days", u64::from(config.audit_retention_days), 1, 36_500),
            ("audit_sync_ms", config.audit_sync_ms, 10, 60_000),
            (
                "snapshots.every_s",
                config.snapshots.every_s.unwrap_or(SNAPSHOT_EVERY_S_MIN),
                SNAPSHOT_EVERY_S_MIN,
                SNAPSHOT_EVERY_S_MAX,
            ),
            ("snapshots.keep", config.snapshots.keep as u64, SNAPSHOTS_KEPT_MIN as u64, SNAPSHOTS_KEPT_MAX as u64),
            (
                "api.connections_max",
                config.api.connections_max.unwrap_or(API_CONNECTIONS_MAX) as u64,
                1,
                API_CONNECTIONS_MOST as u64,
            ),
            ("snapshots.log_retention_days", config.snapshots.log_retention_days.into(), 1, LOG_RETENTION_DAYS_MAX.into()),
            ("follow.share_percent", config.follow.share_percent.unwrap_or(FOLLOW_SHARE_PERCENT).into(), 1, 100),
        ];
        if config.snapshots.at.is_some() && config.snapshots.every_s.is_some() {
            return Err(ConfigError::OneOfTwo { path: path.to_owned(), one: "snapshots.at", other: "snapshots.every_s" });
        }
        match ranges.into_iter().find(|(_, value, min, max)| !(min..=max).contains(&value)) {
            Some((key, _, min, max)) => Err(ConfigError::OutOfRange { path: path.to_owned(), key, min, max }),
            None => Ok(config),
        }
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

    fn read(text: &str) -> Result<Config, ConfigError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shikaku.toml");
        std::fs::write(&path, text).unwrap();
        Config::read(&path)
    }

    #[test]
    fn the_audit_is_on_and_kept_for_five_years_unless_the_operator_says_otherwise() {
        for config in [read("").unwrap(), Config::default()] {
            assert!(config.audit && config.audit_when_behind == WhenBehind::Wait);
            assert_eq!((config.audit_retention_days, config.audit_sync_ms, config.misses_per_minute_max), (1_827, 1_000, 600));
            assert_eq!(config.audit_when_behind.max_wait(), Duration::from_secs(2));
        }
        let text = "audit = false\naudit_retention_days = 400\naudit_sync_ms = 50\naudit_when_behind = \"refuse\"\n\
                    misses_per_minute_max = 0\n";
        let config = read(text).unwrap();
        assert!(!config.audit && config.audit_when_behind.max_wait().is_zero());
        assert_eq!((config.audit_retention_days, config.audit_sync_ms, config.misses_per_minute_max), (400, 50, 0));
    }

    #[test]
    fn a_snapshot_is_taken_daily_at_two_unless_the_operator_says_otherwise() {
        for config in [read("").unwrap(), Config::default()] {
            let snapshots = config.snapshots;
            assert_eq!(snapshots.schedule(), Schedule::Daily { minutes: 120 });
            assert_eq!((snapshots.keep, snapshots.log_retention_days), (3, 90));
        }
        let schedule = |text: &str| read(&format!("[snapshots]\n{text}\n")).unwrap().snapshots.schedule();
        assert_eq!(schedule("at = \"23:30\""), Schedule::Daily { minutes: 1410 });
        assert_eq!(schedule("every_s = 3600"), Schedule::Every { seconds: 3600 });
        assert_eq!(schedule("enabled = false"), Schedule::Never);
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_refused_with_its_key() {
        for (text, key) in [
            ("audit_retention_days = 0", "audit_retention_days"),
            ("audit_sync_ms = 0", "audit_sync_ms"),
            ("audit_sync_ms = 600000", "audit_sync_ms"),
            ("audit_when_behind = \"drop\"", "audit_when_behind"),
            ("[snapshots]\nat = \"25:00\"", "25:00 is not a time of day"),
            ("[snapshots]\nat = \"02:00\"\nevery_s = 60", "snapshots.at and snapshots.every_s exclude each other"),
            ("[snapshots]\nevery_s = 0", "snapshots.every_s"),
            ("[snapshots]\nkeep = 1", "snapshots.keep must be between 2"),
            ("[snapshots]\nlog_retention_days = 0", "snapshots.log_retention_days"),
            ("[api]\nconnections_max = 0", "api.connections_max"),
            ("[follow]\nshare_percent = 0", "follow.share_percent"),
            ("[follow]\nshare_percent = 101", "follow.share_percent"),
            ("[publish.broker]\nurl = \"nats://127.0.0.1\"", "url"),
            ("[follow.broker]\nserver = \"nats://127.0.0.1\"", "server"),
            ("[api]\nclient_certificate = \"x\"", "client_certificate"),
        ] {
            assert!(read(text).unwrap_err().to_string().contains(key), "{text}");
        }
    }
}
