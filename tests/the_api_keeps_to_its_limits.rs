//! What somebody may cost the API: time, bytes, places; and which versions of TLS it speaks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use common::proof::proof;
use common::site::{Site, https, logged, start, timed, tls_to, try_get};
use common::{PATIENCE, connected, eventually};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};
use shikaku::serve::api::remote::RemoteOptions;
use tokio::sync::Semaphore;

/// Short enough not to be waited for, long enough not to be a busy machine's delay.
const SHORT: Duration = Duration::from_millis(300);

const PROMISE: &str = "whoever is slow or greedy over TLS costs little and is cut";

fn replica(site: &Site) -> Arc<ClientConfig> {
    site.client(Some(&site.signed("replica", "urn:shikaku:replica:north", &[])))
}

fn limited(site: &Site, edit: impl FnOnce(&mut RemoteOptions)) -> RemoteOptions {
    let mut options = site.options();
    edit(&mut options);
    options
}

#[test]
fn a_handshake_that_does_not_end_is_cut_and_keeps_nobody_out() {
    let site = Site::new();
    let options = limited(&site, |options| {
        options.limits.handshake_timeout = SHORT;
        options.limits.connections_max = 2;
    });
    let api = start(&options, Router::new());
    // Silent, and sending a hello byte by byte.
    let mut silent = connected(api.local_addr());
    let mut slow = connected(api.local_addr());
    slow.write_all(&[0x16, 0x03, 0x01]).unwrap();
    // Neither has taken one of the two places for those who have shown who they are.
    let client = replica(&site);
    let mut two: Vec<_> = (0..2).map(|_| https(api.local_addr(), &client)).collect();
    for connection in &mut two {
        assert_eq!(connection.ask("GET", "/v1/health", &[], b"").status, 503);
    }
    let ((), took) = timed(|| {
        for stream in [&mut silent, &mut slow] {
            assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "nothing is said");
        }
    });
    assert!(took < PATIENCE / 2, "{took:?}");
    logged(&["turned away", "handshake: it took too long", &format!("127.0.0.1:{}\"", slow.local_addr().unwrap().port())]);
    // A third that shows who it is finds no place.
    let (third, port) = try_get(api.local_addr(), &client, "/v1/health");
    assert!(third.is_err());
    logged(&["as many connections as are allowed", &format!("127.0.0.1:{port}\"")]);
    drop(two);
    eventually("a place is free again", || try_get(api.local_addr(), &client, "/v1/health").0.is_ok());
    api.stop();
    proof(PROMISE, "a handshake that does not end", "a_handshake_that_does_not_end_is_cut_and_keeps_nobody_out", 2);
}

#[test]
fn a_head_that_does_not_end_is_cut_whether_it_is_slow_or_long() {
    let site = Site::new();
    let api = start(&limited(&site, |options| options.limits.head_timeout = SHORT), Router::new());
    let client = replica(&site);
    // Silent after the handshake, and silent in the middle of a head.
    for begun in ["", "GET /v1/health HTTP/1.1\r\nHost: te"] {
        let mut stream = tls_to(api.local_addr(), &client);
        stream.write_all(begun.as_bytes()).unwrap();
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).unwrap();
        }
        let mut said = String::new();
        let (_, took) = timed(|| stream.read_to_string(&mut said));
        assert!(took < PATIENCE / 2 && !said.contains("200"), "{took:?} {said}");
    }
    // One that goes on for ever: a line without an end, and lines without an end.
    for piece in ["x".repeat(4096), "X-More: more\r\n".repeat(256)] {
        let mut stream = tls_to(api.local_addr(), &client);
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: test\r\nX-Long: ").unwrap();
        let mut sent = 0;
        while sent < 64 << 20 && stream.write_all(piece.as_bytes()).is_ok() {
            sent += piece.len();
        }
        assert!(sent < 8 << 20, "{sent} bytes of a head were taken");
    }
    api.stop();
    proof(PROMISE, "a head that does not end", "a_head_that_does_not_end_is_cut_whether_it_is_slow_or_long", 4);
}

#[test]
fn a_body_that_is_too_long_or_does_not_come_is_refused() {
    let site = Site::new();
    let options = limited(&site, |options| {
        options.limits.body_timeout = SHORT;
        options.limits.body_bytes_max = 1 << 16;
        options.limits.large_requests_max = 1;
    });
    let api = start(&options, Router::new());
    let institution = site.signed("one", &format!("urn:shikaku:institution:{}", common::HOSPITAL), &[]);
    let client = site.client(Some(&institution));
    let mut connection = https(api.local_addr(), &client);
    let tsv = [("Content-Type", "text/tab-separated-values")];
    let answer = connection.ask("POST", "/v1/eligibility/batch", &tsv, &[b'k'; (1 << 16) + 1]);
    assert_eq!(answer.error(), (413, "body_too_large".to_owned()));
    // Said to be long, and never sent: the one place for large requests is free again afterwards.
    let mut late = https(api.local_addr(), &client);
    late.send(b"POST /v1/eligibility/batch HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
    assert_eq!(late.receive().error(), (408, "body_timeout".to_owned()));
    let answer = https(api.local_addr(), &client).ask("POST", "/v1/eligibility/batch", &tsv, b"k\tcard-1\n");
    assert_eq!(answer.error(), (503, "loading".to_owned()));
    api.stop();
    proof(PROMISE, "a body too long or never sent", "a_body_that_is_too_long_or_does_not_come_is_refused", 2);
}

#[test]
fn who_may_not_ask_keeps_nobody_who_may_out() {
    let site = Site::new();
    let api = start(&limited(&site, |options| options.limits.large_requests_max = 1), Router::new());
    // Neither is waited for: the refusal comes before a byte of the body.
    let stranger = replica(&site);
    let mut strangers: Vec<_> = (0..2).map(|_| https(api.local_addr(), &stranger)).collect();
    for stranger in &mut strangers {
        stranger.send(b"POST /v1/eligibility/batch HTTP/1.1\r\nHost: test\r\nContent-Length: 60000\r\n\r\n");
        assert_eq!(stranger.receive().error(), (403, "forbidden".to_owned()));
    }
    let client = site.client(Some(&site.signed("one", &format!("urn:shikaku:institution:{}", common::HOSPITAL), &[])));
    let tsv = [("Content-Type", "text/tab-separated-values")];
    let answer = https(api.local_addr(), &client).ask("POST", "/v1/eligibility/batch", &tsv, b"k\tcard-1\n");
    assert_eq!(answer.error(), (503, "loading".to_owned()));
    api.stop();
    proof(PROMISE, "a certificate of the wrong role that sends no body", "who_may_not_ask_keeps_nobody_who_may_out", 2);
}

#[test]
fn a_request_that_takes_too_long_is_given_up() {
    let site = Site::new();
    let never = Router::new().route("/v1/log/checkpoint", get(std::future::pending::<()>));
    let api = start(&limited(&site, |options| options.limits.request_timeout = SHORT), never);
    let answer = https(api.local_addr(), &replica(&site)).ask("GET", "/v1/log/checkpoint", &[], b"");
    assert_eq!(answer.status, 408);
    api.stop();
}

#[test]
fn tls_1_2_is_spoken_only_where_the_operator_says_so() {
    let site = Site::new();
    let own = site.signed("replica", "urn:shikaku:replica:north", &[]);
    let old = client_of(&site, &own, &TLS12);
    let new = client_of(&site, &own, &TLS13);
    for tls12 in [false, true] {
        let api = start(&limited(&site, |options| options.tls.tls12 = tls12), Router::new());
        let (refused, port) = try_get(api.local_addr(), &old, "/v1/health");
        assert_eq!(refused.is_ok(), tls12, "{refused:?}");
        if !tls12 {
            logged(&["turned away", "handshake", &format!("127.0.0.1:{port}\"")]);
        }
        assert_eq!(try_get(api.local_addr(), &new, "/v1/health").0.unwrap().status, 503);
        let mut stream = tls_to(api.local_addr(), if tls12 { &old } else { &new });
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        let suite = format!("{:?}", stream.conn.negotiated_cipher_suite().unwrap().suite());
        assert!(!tls12 || suite.starts_with("TLS_ECDHE_ECDSA_WITH_") && !suite.contains("CBC"), "{suite}");
        api.stop();
    }
}

fn client_of(
    site: &Site,
    own: &shikaku::tls::CredentialFiles,
    version: &'static rustls::SupportedProtocolVersion,
) -> Arc<ClientConfig> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
    let chain = vec![CertificateDer::from_pem_file(&own.certificate).unwrap()];
    let key = PrivateKeyDer::from_pem_file(&own.key).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap())
}

#[test]
fn stopping_lets_a_request_under_way_be_answered_and_takes_no_other() {
    let site = Site::new();
    let (entered, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (inside, way_out) = (entered.clone(), leave.clone());
    let held = move || async move {
        inside.add_permits(1);
        let _ = way_out.acquire().await;
        "answered all the same"
    };
    let api =
        start(&limited(&site, |options| options.limits.stop_timeout = PATIENCE), Router::new().route("/v1/log/held", get(held)));
    let (address, client) = (api.local_addr(), replica(&site));
    // Somebody idle does not keep it from stopping.
    let mut idle = https(address, &client);
    assert_eq!(idle.ask("GET", "/v1/health", &[], b"").status, 503);
    let mut under_way = https(address, &client);
    under_way.send(b"GET /v1/log/held HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request is under way", || entered.available_permits() == 1);
    let stopping = std::thread::spawn(move || timed(|| api.stop()).1);
    eventually("nobody else is let in", || std::net::TcpStream::connect(address).is_err());
    assert!(!stopping.is_finished());
    leave.add_permits(1);
    let answer = under_way.receive();
    assert_eq!((answer.status, answer.body.as_str()), (200, "answered all the same"));
    assert!(stopping.join().unwrap() < PATIENCE / 2, "nothing was waited for beyond the request");
    assert!(idle.try_receive().is_err());
}

#[test]
fn a_request_that_does_not_end_keeps_nobody_from_stopping() {
    let site = Site::new();
    let never = Router::new().route("/v1/log/held", get(std::future::pending::<()>));
    let api = start(&limited(&site, |options| options.limits.stop_timeout = SHORT), never);
    let mut under_way = https(api.local_addr(), &replica(&site));
    under_way.send(b"GET /v1/log/held HTTP/1.1\r\nHost: test\r\n\r\n");
    let ((), took) = timed(|| api.stop());
    assert!(took < PATIENCE / 2, "{took:?}");
    assert!(under_way.try_receive().is_err());
}

#[test]
fn renewed_certificates_are_shown_without_a_restart_and_unusable_ones_change_nothing() {
    let site = Site::new();
    let api = start(&site.options(), Router::new());
    logged(&["the API's own certificate ends"]);
    let client = replica(&site);
    let shown = || {
        let mut stream = tls_to(api.local_addr(), &client);
        stream.write_all(b"GET /v1/health HTTP/1.1\r\nHost: test\r\n\r\n").unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let (hub, before) = (site.hub(), shown());
    let certificate = std::fs::read(&hub.certificate).unwrap();
    // Renewal is two files, and between them nothing fits.
    let renewed = site.signed("renewed", "urn:shikaku:clearing_house:hub", &[common::site::HOST]);
    std::fs::copy(&renewed.certificate, &hub.certificate).unwrap();
    logged(&["the API's certificates stay as they were", "hub/crt"]);
    assert_eq!(shown(), before);
    std::fs::copy(&renewed.key, &hub.key).unwrap();
    eventually("the renewed certificate is shown", || shown() != before);
    // And back, to a file that is none.
    std::fs::write(&hub.certificate, "no certificate").unwrap();
    logged(&["the API's certificates stay as they were", "no certificate in PEM form"]);
    assert_ne!(shown(), before);
    std::fs::write(&hub.certificate, certificate).unwrap();
    api.stop();
}
