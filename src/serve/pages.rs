//! Health, status and metrics: written by the owner's housekeeping, so that asking for them costs a look-up's worker nothing.

use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;

use super::clock::now_unix_ms;
use super::fast::{Counted, Counters};
use crate::registry::view::rfc3339_japan;
use crate::registry::{Reader, Registry, Trouble};

/// The pages as they are answered.
#[derive(Debug, Default)]
pub struct Pages {
    /// `/v1/health`.
    pub health: String,
    /// `/v1/status`.
    pub status: String,
    /// `/metrics`.
    pub metrics: String,
}

impl Pages {
    /// While loading.
    pub fn loading() -> Pages {
        let loading = "{\"status\":\"loading\",\"troubles\":[]}\n";
        Pages { health: loading.to_owned(), status: loading.to_owned(), metrics: "shikaku_ready 0\n".to_owned() }
    }

    /// Of a registry that answers.
    pub fn of(registry: &Registry, counters: Option<&Counters>, started: Instant) -> Pages {
        let reader = registry.reader();
        let mut troubles = registry.troubles().list();
        if let Some(trouble) = old_data(&reader) {
            troubles.push(trouble);
        }
        let counted = counters.map(Counters::read);
        Pages {
            health: health(&troubles),
            status: status(registry, &reader, &troubles, counted.as_ref(), started),
            metrics: metrics(registry, &reader, &troubles, counted.as_ref(), started),
        }
    }
}

fn old_data(reader: &Reader) -> Option<(Trouble, String)> {
    let age_max_s = reader.data_age_max_s()?;
    let view = reader.view();
    let oldest = view.sources.oldest_feed_unix_s()?;
    let age_s = (now_unix_ms() / 1000).saturating_sub(oldest);
    (age_s > age_max_s).then(|| (Trouble::OldData, format!("the oldest feed is {} hours old", age_s / 3600)))
}

fn health(troubles: &[(Trouble, String)]) -> String {
    let words: Vec<&str> = troubles.iter().map(|(trouble, _)| trouble.word()).collect();
    format!("{}\n", json!({ "status": "ok", "troubles": words }))
}

fn status(
    registry: &Registry,
    reader: &Reader,
    troubles: &[(Trouble, String)],
    counted: Option<&Counted>,
    started: Instant,
) -> String {
    let figures = registry.figures();
    let view = reader.view();
    let now_s = now_unix_ms() / 1000;
    let mut feeds: Vec<_> = view
        .sources
        .iter()
        .filter_map(|(authority, source)| {
            let last = source.last_feed_unix_s?;
            let code = String::from_utf8_lossy(authority.as_bytes()).into_owned();
            let name = view.masters.authority(authority).map(|authority| authority.name.clone());
            let age_s = now_s.saturating_sub(last);
            Some((
                code.clone(),
                json!({ "authority_code": code, "authority_name": name, "time": rfc3339_japan(last), "age_s": age_s }),
            ))
        })
        .collect();
    feeds.sort_by(|one, other| one.0.cmp(&other.0));
    let troubles: Vec<_> =
        troubles.iter().map(|(trouble, detail)| json!({ "trouble": trouble.word(), "detail": detail })).collect();
    let status = json!({
        "status": "ok",
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": started.elapsed().as_secs(),
        "recipients": figures.dossiers.load(Ordering::Relaxed),
        "rows": figures.rows.load(Ordering::Relaxed),
        "stream": format!("{:?}", registry.stream()),
        "sequence": view.sequence,
        "store_sequence": figures.store_sequence.load(Ordering::Relaxed),
        "state_checksum": format!("{:032x}", view.state_checksum),
        "horizon": view.horizon.to_string(),
        "newest_data": rfc3339_japan(view.data_unix_ms / 1000),
        "memory": {
            "resident_bytes": resident_bytes(),
            "index_bytes": figures.index_bytes.load(Ordering::Relaxed),
            "dossier_bytes": figures.live_bytes.load(Ordering::Relaxed),
        },
        "connections": counted.map(|counted| counted.connections),
        "troubles": troubles,
        "feeds": feeds.into_iter().map(|(_, feed)| feed).collect::<Vec<_>>(),
    });
    format!("{status}\n")
}

fn metrics(
    registry: &Registry,
    reader: &Reader,
    troubles: &[(Trouble, String)],
    counted: Option<&Counted>,
    started: Instant,
) -> String {
    let figures = registry.figures();
    let view = reader.view();
    let now_s = now_unix_ms() / 1000;
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, value: u64| {
        // Writing to a string cannot fail.
        let _ = write!(out, "# HELP shikaku_{name} {help}\n# TYPE shikaku_{name} gauge\nshikaku_{name} {value}\n");
    };
    gauge("ready", "Whether look-ups are answered.", 1);
    gauge("uptime_seconds", "Seconds since the start.", started.elapsed().as_secs());
    gauge("recipients", "Insured identities with a current row.", figures.dossiers.load(Ordering::Relaxed));
    gauge("rows", "Current rows.", figures.rows.load(Ordering::Relaxed));
    gauge("sequence", "The last durable sequence.", view.sequence);
    gauge("store_sequence", "The sequence the store stands at.", figures.store_sequence.load(Ordering::Relaxed));
    gauge("resident_bytes", "Resident memory.", resident_bytes());
    gauge("index_bytes", "Memory of the index.", figures.index_bytes.load(Ordering::Relaxed));
    gauge("dossier_bytes", "Memory of dossiers that are alive.", figures.live_bytes.load(Ordering::Relaxed));
    let oldest = view.sources.oldest_feed_unix_s().map_or(0, |last| now_s.saturating_sub(last));
    gauge("oldest_feed_age_seconds", "Age of the oldest authority's last feed.", oldest);
    gauge("troubles", "Troubles that do not stop look-ups.", troubles.len() as u64);
    if let Some(counted) = counted {
        counted.each(|name, help, value| gauge(name, help, value));
    }
    out
}

/// Resident memory of this process, bytes; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
