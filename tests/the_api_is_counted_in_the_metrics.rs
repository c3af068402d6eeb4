//! What comes of the API's connections, handshakes and requests stands in the metrics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::site::{Site, https, tls_to, try_get};
use common::{HOSPITAL, Place, Row, Server, eventually, member_json};

/// Waits until the metrics say this.
#[track_caller]
fn say(server: &Server, expected: &[(&str, u64)]) {
    let lines: Vec<String> = expected.iter().map(|(name, value)| format!("\nshikaku_api_{name} {value}\n")).collect();
    eventually(&format!("{lines:?}"), || {
        let metrics = server.get("/metrics").succeeds().body;
        lines.iter().all(|line| metrics.contains(line))
    });
}

#[test]
fn connections_refused_handshakes_and_answers_are_counted() {
    let (place, site, other) = (Place::new(), Site::new(), Site::new());
    place.import("rows.csv", &[Row::of(1)], &[]).ends(0);
    let server = place.serve_configured(&site.config());
    let api = server.api();
    say(&server, &[("connections", 0), ("connections_accepted_total", 0), ("handshakes_refused_total", 0)]);

    let watch = site.signed("watch", "urn:shikaku:operator:watch", &[]);
    let mut connection = https(api, &site.client(Some(&watch)));
    assert_eq!(connection.ask("GET", "/v1/health", &[], b"").status, 200);
    assert_eq!(connection.question(&member_json(&Row::of(1), "2026-11-25")).status, 403, "whoever watches looks nobody up");
    say(&server, &[("connections", 1), ("connections_accepted_total", 1), ("handshakes_refused_total", 0)]);
    say(&server, &[("requests_total{status=\"2xx\"}", 1), ("requests_total{status=\"4xx\"}", 1)]);

    // A certificate of another authority, and somebody who goes before the handshake.
    let stranger = other.signed("stranger", &format!("urn:shikaku:institution:{HOSPITAL}"), &[]);
    assert!(try_get(api, &site.client(Some(&stranger)), "/v1/health").0.is_err());
    say(&server, &[("connections", 1), ("connections_accepted_total", 2), ("handshakes_refused_total", 1)]);
    drop(tls_to(api, &site.client(Some(&watch))));
    say(&server, &[("connections", 1), ("connections_accepted_total", 3), ("handshakes_refused_total", 2)]);

    drop(connection);
    say(&server, &[("connections", 0), ("connections_accepted_total", 3), ("connections_refused_total", 0)]);
    say(&server, &[("requests_total{status=\"2xx\"}", 1), ("requests_total{status=\"5xx\"}", 0)]);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_server_without_the_api_has_no_figures_of_it() {
    let place = Place::new();
    place.import("rows.csv", &[Row::of(1)], &[]).ends(0);
    let server = place.serve();
    let metrics = server.get("/metrics").succeeds().body;
    assert!(metrics.contains("\nshikaku_connections ") && !metrics.contains("shikaku_api_"), "{metrics}");
}
