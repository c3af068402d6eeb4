//! Whoever shows no certificate, or a wrong one, is turned away; why stands in the operator's log and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use common::proof::proof;
use common::site::{Site, https, logged, now_unix_s, start, try_get};
use common::{HOSPITAL, eventually};
use rustls::ClientConfig;
use shikaku::serve::api::remote::Peer;
use shikaku::tls::CredentialFiles;

/// What an operator reads who finds a reason in the log.
const GUIDE: &str = include_str!("../docs/operations/tls.md");

const DAY_S: u64 = 86_400;

/// Routes that stand for the log's.
fn log() -> Router {
    let who = |peer: axum::Extension<Peer>| async move { peer.credential.as_ref().unwrap().identity.to_string() };
    Router::new().route("/v1/log/checkpoint", get(who))
}

/// What the client of a failed handshake is told: an alert's name, and nothing that the log says.
#[track_caller]
fn assert_cut(result: std::io::Result<common::Answer>, reason: &str) {
    let error = result.expect_err("nothing is answered").to_string();
    let is_alert =
        error.contains("fatal alert") || error.contains("reset") || error.contains("closed") || error.contains("ended");
    assert!(is_alert && !error.contains(reason), "{error}");
}

#[test]
fn a_certificate_that_is_missing_or_wrong_never_gets_past_the_handshake() {
    let (site, other) = (Site::new(), Site::new());
    let api = start(&site.options(), log());
    let institution = format!("urn:shikaku:institution:{HOSPITAL}");
    let now = now_unix_s();
    let self_signed = {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.subject_alt_names = vec![rcgen::SanType::URI(institution.as_str().try_into().unwrap())];
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.self_signed(&key).unwrap();
        site.write("self-signed", &certificate.pem(), &key.serialize_pem())
    };
    let client = |own: &CredentialFiles| site.client(Some(own));
    let strangers: Vec<(&str, &str, Arc<ClientConfig>)> = vec![
        ("no certificate", "peer sent no certificates", site.client(None)),
        ("an expired one", "certificate expired: ", client(&site.signed_at("expired", &institution, &[], now - 2 * DAY_S))),
        ("one of tomorrow", "certificate not valid yet: ", client(&site.signed_at("early", &institution, &[], now + 2 * DAY_S))),
        ("a self-signed one", "UnknownIssuer", client(&self_signed)),
        ("one of another authority", "UnknownIssuer", client(&other.signed("other", &institution, &[]))),
        ("one that names nobody", "names no identity", client(&site.signed("nobody", "https://example.jp/", &[]))),
        ("one of a role there is not", "identity is not one: ", client(&site.signed("king", "urn:shikaku:king:hub", &[]))),
    ];
    let count = strangers.len();
    for (what, reason, config) in strangers {
        let (result, port) = try_get(api.local_addr(), &config, "/v1/health");
        assert_cut(result, reason);
        let line = logged(&["turned away", "handshake", &format!("127.0.0.1:{port}\"")]);
        assert!(line.contains(reason), "{what}: {line}");
        assert!(GUIDE.contains(reason), "{reason} is not in the guide");
    }
    // A right one is let in, so that the others were turned away for what they are.
    let right = client(&site.signed("right", &institution, &[]));
    assert_eq!(try_get(api.local_addr(), &right, "/v1/health").0.unwrap().status, 503, "it is still loading");
    api.stop();
    proof(
        "nobody without a right certificate is heard, and why stands in the operator's log only",
        "no certificate, an expired, early, self-signed or nameless one, one of another authority",
        "a_certificate_that_is_missing_or_wrong_never_gets_past_the_handshake",
        count,
    );
}

#[test]
fn a_certificate_of_the_wrong_role_is_told_no_more_than_403() {
    const PLAIN: &str = "{\"error\":{\"code\":\"forbidden\",\"message\":\"this is not permitted\"}}";
    let site = Site::new();
    let api = start(&site.options(), log());
    let institution = format!("institution:{HOSPITAL}");
    let may = [
        (institution.as_str(), [true, true, false]),
        ("authority:hachioji", [false, true, false]),
        ("clearing_house:kokuho-13", [true, true, false]),
        ("replica:north", [false, true, true]),
        ("operator:watch", [false, true, false]),
    ];
    let mut refused = 0;
    for (identity, allowed) in may {
        let own = site.signed(identity, &format!("urn:shikaku:{identity}"), &[]);
        let mut connection = https(api.local_addr(), &site.client(Some(&own)));
        let question = |connection: &mut common::Http<_>| connection.question("{\"card_link\":\"1\"}");
        let answers = [
            question(&mut connection),
            connection.ask("GET", "/v1/status", &[], b""),
            connection.ask("GET", "/v1/log/checkpoint", &[], b""),
        ];
        for ((answer, allowed), deed) in answers.iter().zip(allowed).zip(["look up", "read status", "follow the log"]) {
            if allowed {
                // Loading, or answered.
                assert!(matches!(answer.status, 200 | 503), "{identity} may {deed}: {}", answer.body);
                continue;
            }
            refused += 1;
            assert_eq!((answer.status, answer.body.trim_end()), (403, PLAIN), "{identity} may not {deed}");
            let role = identity.split(':').next().unwrap();
            logged(&["turned away", &format!("{identity} (certificate "), &format!("the role {role} may not {deed}")]);
        }
        if allowed[2] {
            assert_eq!(answers[2].body, identity, "the log's routes are told who follows");
        }
    }
    api.stop();
    proof(
        "nobody without a right certificate is heard, and why stands in the operator's log only",
        "a right certificate of a role that may not",
        "a_certificate_of_the_wrong_role_is_told_no_more_than_403",
        refused,
    );
}

#[test]
fn a_connection_is_heard_no_longer_than_its_certificate_is_valid() {
    let site = Site::new();
    let api = start(&site.options(), log());
    let own = site.signed_at("ending", "urn:shikaku:replica:ending", &[], now_unix_s() - DAY_S + 3);
    let mut connection = https(api.local_addr(), &site.client(Some(&own)));
    assert_eq!(connection.ask("GET", "/v1/log/checkpoint", &[], b"").status, 200);
    let mut last = None;
    eventually("the certificate ends", || {
        last = Some(connection.ask("GET", "/v1/log/checkpoint", &[], b""));
        last.as_ref().unwrap().status == 403
    });
    assert_eq!(last.unwrap().header("connection"), Some("close"));
    logged(&["turned away", "replica:ending", "the certificate has expired since it was shown"]);
    api.stop();
}

#[test]
fn a_certificate_that_was_taken_back_is_turned_away_as_soon_as_the_list_is_read() {
    let site = Site::new();
    let signed = |name: &str| site.signed(name, &format!("urn:shikaku:replica:{name}"), &[]);
    let (kept, lost, late) = (signed("kept"), signed("lost"), signed("late"));
    let mut options = site.options();
    options.tls.client_crl = Some(site.revoke(&lost));
    let api = start(&options, log());
    let get = |own: &CredentialFiles| try_get(api.local_addr(), &site.client(Some(own)), "/v1/log/checkpoint");
    assert_eq!(get(&kept).0.unwrap().body, "replica:kept");
    let (refused, port) = get(&lost);
    assert_cut(refused, "lost");
    assert!(logged(&["turned away", &format!("127.0.0.1:{port}\"")]).contains("invalid peer certificate: Revoked"));
    assert!(GUIDE.contains("invalid peer certificate: Revoked"));
    // The list grows under the running server.
    assert!(get(&late).0.is_ok());
    site.revoke(&late);
    eventually("the longer list is read", || get(&late).0.is_err());
    assert!(get(&kept).0.is_ok());
    api.stop();
}

#[test]
fn without_a_certificate_this_machine_shows_a_token_or_only_looks_up() {
    let site = Site::new();
    let mut options = site.options();
    options.tls.clients = shikaku::tls::ClientCertificates::Optional;
    let api = start(&options, log());
    let nobody = site.client(None);
    let mut connection = https(api.local_addr(), &nobody);
    assert_eq!(connection.question("{\"card_link\":\"1\"}").status, 503, "it may ask, and is told that it is loading");
    assert_eq!(connection.ask("GET", "/v1/status", &[], b"").status, 200);
    assert_eq!(connection.ask("GET", "/v1/log/checkpoint", &[], b"").error(), (401, "unauthorized".to_owned()));
    logged(&["turned away", "somebody without a certificate", "follow the log"]);
    // One that is shown must be right even here.
    let other = Site::new();
    let wrong = other.signed("other", "urn:shikaku:replica:other", &[]);
    assert!(try_get(api.local_addr(), &site.client(Some(&wrong)), "/v1/status").0.is_err());
    api.stop();
}

#[test]
fn a_server_that_is_not_the_one_called_is_not_believed() {
    let (site, other) = (Site::new(), Site::new());
    let api = start(&site.options(), log());
    let own = site.signed("right", "urn:shikaku:replica:right", &[]);
    // Of another authority.
    let believing_others = other.client(Some(&own));
    assert!(try_get(api.local_addr(), &believing_others, "/v1/health").0.unwrap_err().to_string().contains("UnknownIssuer"));
    api.stop();
    // Of the right authority, but for another name; and one that may only call.
    for (name, hosts, why) in [("elsewhere", &["hub.example"][..], "not valid for name"), ("caller", &[], "extended key usage")] {
        let mut options = site.options();
        options.tls.own = site.signed(name, "urn:shikaku:replica:elsewhere", hosts);
        let api = start(&options, log());
        let error = try_get(api.local_addr(), &site.client(Some(&own)), "/v1/health").0.unwrap_err().to_string();
        assert!(error.contains(why), "{name}: {error}");
        api.stop();
    }
}
