//! Health, status and metrics: written by the owner's housekeeping, so that asking for them costs a look-up's worker nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use arc_swap::Guard;
use serde_json::json;

use super::api::counters::ApiCounted;
use super::clock::now_unix_ms;
use super::exposition::Exposition;
use super::fast::{Counted, Counters};
use crate::audit::{AuditCondition, AuditStatus};
use crate::registry::view::rfc3339_japan;
use crate::registry::{Registry, Trouble, View};
use crate::sync::station::Travels;

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
    pub fn of(
        registry: &Registry,
        counters: Option<&Counters>,
        api: Option<ApiCounted>,
        audit: Option<AuditStatus>,
        travels: Travels,
        started: Instant,
    ) -> Pages {
        let moment = Moment { api, travels, ..Moment::of(registry, counters, audit, started) };
        Pages { health: moment.health(), status: moment.status(), metrics: moment.metrics() }
    }
}

/// What the pages are written from: one moment, so that they do not contradict each other.
struct Moment<'r> {
    registry: &'r Registry,
    view: Guard<Arc<View>>,
    troubles: Vec<(Trouble, String)>,
    counted: Option<Counted>,
    api: Option<ApiCounted>,
    audit: Option<AuditStatus>,
    travels: Travels,
    uptime_s: u64,
    resident_bytes: u64,
    now_unix_s: u64,
}

impl<'r> Moment<'r> {
    fn of(registry: &'r Registry, counters: Option<&Counters>, audit: Option<AuditStatus>, started: Instant) -> Moment<'r> {
        let reader = registry.reader();
        let view = reader.view();
        let now_unix_s = now_unix_ms() / 1000;
        let mut troubles = registry.troubles().list();
        troubles.extend(old_data(&view, reader.data_age_max_s(), now_unix_s));
        let counted = counters.map(Counters::read);
        let uptime_s = started.elapsed().as_secs();
        Moment {
            registry,
            view,
            troubles,
            counted,
            api: None,
            audit,
            travels: Travels::default(),
            uptime_s,
            resident_bytes: resident_bytes(),
            now_unix_s,
        }
    }

    fn health(&self) -> String {
        let own = self.troubles.iter().map(|(trouble, _)| trouble.word());
        let words: Vec<&str> = own.chain(self.audit_trouble().map(|(word, _)| word)).collect();
        format!("{}\n", json!({ "status": "ok", "troubles": words }))
    }

    fn status(&self) -> String {
        let (figures, view) = (self.registry.figures(), &self.view);
        let own = self.troubles.iter().map(|(trouble, detail)| (trouble.word(), detail.clone()));
        let troubles = own.chain(self.audit_trouble()).map(|(word, detail)| json!({ "trouble": word, "detail": detail }));
        let troubles: Vec<_> = troubles.collect();
        let status = json!({
            "status": "ok",
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_s": self.uptime_s,
            "recipients": figures.dossiers.load(Ordering::Relaxed),
            "rows": figures.rows.load(Ordering::Relaxed),
            "stream": format!("{:?}", self.registry.stream()),
            "sequence": view.sequence,
            "store_sequence": figures.store_sequence.load(Ordering::Relaxed),
            "state_checksum": format!("{:032x}", view.state_checksum),
            "horizon": view.horizon.to_string(),
            "newest_data": rfc3339_japan(view.data_unix_ms / 1000),
            "memory": {
                "resident_bytes": self.resident_bytes,
                "index_bytes": figures.index_bytes.load(Ordering::Relaxed),
                "dossier_bytes": figures.live_bytes.load(Ordering::Relaxed),
            },
            "connections": self.counted.as_ref().map(|counted| counted.connections),
            "troubles": troubles,
            "audit": self.audit.as_ref().map(audit_json),
            "snapshots": self.snapshots(),
            "log_first_sequence": self.registry.shelf_standing().log_first_sequence,
            "following": self.following(),
            "publishing": self.publishing(),
            "feeds": self.feeds(),
        });
        format!("{status}\n")
    }

    /// What is wrong with the audit, as a trouble.
    fn audit_trouble(&self) -> Option<(&'static str, String)> {
        let audit = self.audit.as_ref()?;
        let word = match audit.condition {
            AuditCondition::OutOfSpace => "audit_out_of_space",
            AuditCondition::Poisoned => "audit_poisoned",
            AuditCondition::Recording | AuditCondition::Closed => return None,
        };
        Some((word, audit.why.clone().unwrap_or_default()))
    }

    /// The server's own snapshots; the newest is one that was read back whole.
    fn snapshots(&self) -> serde_json::Value {
        let standing = self.registry.shelf_standing();
        let newest = standing.newest.map(|newest| {
            let time = rfc3339_japan(newest.unix_ms / 1000);
            json!({ "sequence": newest.sequence, "time": time, "bytes": newest.bytes })
        });
        json!({ "newest": newest, "kept": standing.kept })
    }

    /// Whom the directory follows, and how far behind it is.
    fn following(&self) -> serde_json::Value {
        let Some(following) = self.registry.following() else { return serde_json::Value::Null };
        let prefectures = following.prefectures.map(|prefectures| prefectures.numbers().collect::<Vec<_>>());
        // A directory that is fed by hand has no line to speak of.
        let Some(standing) = &self.travels.following else { return json!({ "hub": null, "prefectures": prefectures }) };
        let now_unix_ms = self.now_unix_s * 1000;
        let contact = (standing.last_contact_unix_ms > 0).then(|| rfc3339_japan(standing.last_contact_unix_ms / 1000));
        json!({
            "hub": standing.hub,
            "prefectures": prefectures,
            "hub_sequence": standing.hub_sequence,
            "lag_sequences": standing.lag_sequences(self.view.sequence),
            "lag_s": standing.lag_s(now_unix_ms),
            "state_age_s": standing.state_age_s(now_unix_ms),
            "last_contact": contact,
            "failure": standing.failure,
            "quarantine": standing.quarantine,
            "refused": standing.refused,
            "pulled_bytes": standing.pulled_bytes,
            "broker": self.travels.broker.map(|broker| json!({
                "connected": broker.connected,
                "taken": broker.taken,
                "doubled": broker.doubled,
                "forged": broker.forged,
                "gaps": broker.gaps,
            })),
        })
    }

    /// How far the log is at the broker that is published to.
    fn publishing(&self) -> Option<serde_json::Value> {
        let published = self.travels.publishing?;
        let checkpoint = (published.checkpoint_unix_ms > 0).then(|| rfc3339_japan(published.checkpoint_unix_ms / 1000));
        Some(json!({
            "connected": published.connected,
            "sequence": published.sequence,
            "behind_sequences": self.view.sequence.saturating_sub(published.sequence),
            "checkpoint": checkpoint,
            "breaks": published.breaks,
            "out_of_step": published.out_of_step,
        }))
    }

    /// The authorities' feeds, by code.
    fn feeds(&self) -> Vec<serde_json::Value> {
        let mut feeds: Vec<_> = self
            .view
            .sources
            .iter()
            .filter_map(|(authority, source)| {
                let last = source.last_feed_unix_s?;
                let code = String::from_utf8_lossy(authority.as_bytes()).into_owned();
                let name = self.view.masters.authority(authority).map(|authority| authority.name.clone());
                let (time, age_s) = (rfc3339_japan(last), self.now_unix_s.saturating_sub(last));
                Some((code.clone(), json!({ "authority_code": code, "authority_name": name, "time": time, "age_s": age_s })))
            })
            .collect();
        feeds.sort_by(|one, other| one.0.cmp(&other.0));
        feeds.into_iter().map(|(_, feed)| feed).collect()
    }

    fn metrics(&self) -> String {
        let (figures, view) = (self.registry.figures(), &self.view);
        let mut page = Exposition::default();
        let mut gauge = |name: &str, help: &str, value: u64| page.gauge(name, help, value);
        gauge("ready", "Whether look-ups are answered.", 1);
        gauge("uptime_seconds", "Seconds since the start.", self.uptime_s);
        gauge("recipients", "Insured identities with a current row.", figures.dossiers.load(Ordering::Relaxed));
        gauge("rows", "Current rows.", figures.rows.load(Ordering::Relaxed));
        gauge("sequence", "The last durable sequence.", view.sequence);
        gauge("store_sequence", "The sequence the store stands at.", figures.store_sequence.load(Ordering::Relaxed));
        gauge("resident_bytes", "Resident memory.", self.resident_bytes);
        gauge("index_bytes", "Memory of the index.", figures.index_bytes.load(Ordering::Relaxed));
        gauge("dossier_bytes", "Memory of dossiers that are alive.", figures.live_bytes.load(Ordering::Relaxed));
        let oldest = view.sources.oldest_feed_unix_s().map_or(0, |last| self.now_unix_s.saturating_sub(last));
        gauge("oldest_feed_age_seconds", "Age of the oldest authority's last feed.", oldest);
        gauge("troubles", "Troubles that do not stop look-ups.", self.troubles.len() as u64);
        let standing = self.registry.shelf_standing();
        gauge("log_first_sequence", "The oldest sequence the log still holds.", standing.log_first_sequence);
        if let Some(newest) = standing.newest {
            let age_s = self.now_unix_s.saturating_sub(newest.unix_ms / 1000);
            gauge("snapshot_sequence", "The sequence of the newest snapshot that was read back.", newest.sequence);
            gauge("snapshot_bytes", "Its length.", newest.bytes);
            gauge("snapshot_age_seconds", "Its age.", age_s);
        }
        if let Some(standing) = &self.travels.following {
            let now_unix_ms = self.now_unix_s * 1000;
            let silent_s = now_unix_ms.saturating_sub(standing.last_contact_unix_ms) / 1000;
            let silent_s = silent_s.min(self.uptime_s);
            gauge("follow_hub_sequence", "The highest sequence that the hub signed.", standing.hub_sequence);
            gauge("follow_lag_sequences", "Sequences that are not applied yet.", standing.lag_sequences(view.sequence));
            gauge("follow_lag_seconds", "For how long some have been missing.", standing.lag_s(now_unix_ms));
            gauge("follow_silent_seconds", "Seconds since the hub last answered.", silent_s);
            if let Some(age_s) = standing.state_age_s(now_unix_ms) {
                gauge("follow_state_age_seconds", "Age of the newest checkpoint of which everything is applied.", age_s);
            }
            gauge("follow_quarantine", "Whether nothing is taken from the hub.", standing.quarantine.is_some().into());
            gauge("follow_refused", "How often what came was refused.", standing.refused);
            gauge("follow_pulled_bytes", "Bytes of frames that came.", standing.pulled_bytes);
        }
        if let Some(broker) = self.travels.broker {
            gauge("broker_connected", "Whether the broker that is followed is there.", broker.connected.into());
            gauge("broker_taken", "Frames that were taken from its messages.", broker.taken);
            gauge("broker_doubled", "Messages that had come before.", broker.doubled);
            gauge("broker_forged", "Messages that the hub had not signed.", broker.forged);
            gauge("broker_gaps", "Gaps among its messages that were to be healed.", broker.gaps);
        }
        if let Some(published) = self.travels.publishing {
            let behind = view.sequence.saturating_sub(published.sequence);
            gauge("publish_connected", "Whether the broker that is published to is there.", published.connected.into());
            gauge("publish_sequence", "The last sequence that the broker acknowledged.", published.sequence);
            gauge("publish_behind_sequences", "Sequences that it has not acknowledged.", behind);
            gauge("publish_breaks", "How often publishing was broken off.", published.breaks);
            gauge(
                "publish_out_of_step",
                "How often somebody else's message stood in the broker's stream.",
                published.out_of_step,
            );
        }
        if let Some(audit) = &self.audit {
            gauge("audit_written_entry", "The last entry of the audit that was written.", audit.written_entry);
            gauge("audit_durable_entry", "The last entry of the audit that survives a power failure.", audit.durable_entry);
            gauge("audit_waiting_words", "Words that wait for the audit's thread.", audit.waiting_words);
            gauge("audit_refused", "Look-ups refused because the audit had no room.", audit.refused);
            gauge("audit_lost", "Entries that were taken and could not be written.", audit.lost);
        }
        if let Some(counted) = &self.counted {
            counted.each(|name, help, value| gauge(name, help, value));
        }
        if let Some(api) = &self.api {
            expose_api(api, &mut page);
        }
        page.into_text()
    }
}

/// The figures of the API over TLS, beside the fast listener's.
fn expose_api(api: &ApiCounted, page: &mut Exposition) {
    page.gauge("api_connections", "Connections of the API being served.", api.connections);
    page.counter("api_connections_accepted_total", "Connections of the API ever accepted.", api.accepted);
    page.counter("api_connections_refused_total", "Connections of the API shut for want of room.", api.refused);
    let help = "TLS handshakes without a certificate that is believed, or without an end in time.";
    page.counter("api_handshakes_refused_total", help, api.handshakes_refused);
    let help = "Requests that the API answered, by the class of the status.";
    page.counter_by("api_requests_total", help, "status", &api.requests);
}

fn audit_json(audit: &AuditStatus) -> serde_json::Value {
    json!({
        "condition": audit.condition.word(),
        "why": audit.why,
        "segment": audit.segment,
        "written_entry": audit.written_entry,
        "durable_entry": audit.durable_entry,
        "durable_chain": audit.durable_chain.to_string(),
        "refused": audit.refused,
        "lost": audit.lost,
    })
}

fn old_data(view: &View, age_max_s: Option<u64>, now_unix_s: u64) -> Option<(Trouble, String)> {
    let age_s = now_unix_s.saturating_sub(view.sources.oldest_feed_unix_s()?);
    (age_s > age_max_s?).then(|| (Trouble::OldData, format!("the oldest feed is {} hours old", age_s / 3600)))
}

/// Resident memory of this process, bytes; 0 where the system does not say.
pub fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_ascii_whitespace().next()).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
