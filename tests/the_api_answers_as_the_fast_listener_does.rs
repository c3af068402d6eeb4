//! The API over TLS answers look-ups by the same code as the fast listener: the same bytes, to the same institution.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::proof::proof;
use common::site::{Site, Tls, https};
use common::{Answer, FAR_HOSPITAL, HOSPITAL, Http, INFANTS, Place, Row, ask_member, day, member_json, program, shikaku};
use serde_json::Value;

/// Rows of several kinds: for this institution, for another, ended, to come, and twins.
fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = (0..40).map(Row::of).collect();
    rows.push(Row::of(100).with("designated_institutions", HOSPITAL));
    rows.push(Row::of(101).with("designated_institutions", FAR_HOSPITAL));
    rows.push(Row::of(102).with("valid_to", day(-1)));
    rows.push(Row::of(103).with("valid_from", day(1)));
    rows.push(Row::of(104).with("not_disclosed", "1"));
    rows.push(Row::of(105).with("card_link", "card-twins"));
    rows.push(Row::of(105).with("branch_number", "01").with("recipient_number", "R105b").with("card_link", "card-twin-b"));
    rows
}

/// A question: target, media type, what is accepted, body.
type Question = (String, Option<&'static str>, Option<&'static str>, Vec<u8>);

fn questions(rows: &[Row]) -> Vec<Question> {
    const JSON: Option<&str> = Some("application/json");
    const TSV: Option<&str> = Some("text/tab-separated-values");
    let (single, batch) = ("/v1/eligibility".to_owned(), "/v1/eligibility/batch".to_owned());
    let mut questions: Vec<Question> = Vec::new();
    for row in rows {
        questions.push((single.clone(), JSON, None, member_json(row, &day(0)).into_bytes()));
        questions.push((format!("{single}?consent=true&on={}", day(0)), Some("text/plain"), TSV, ask_member(row).into_bytes()));
        let certificate = format!("c\t{INFANTS}\t{}", row.value("recipient_number"));
        questions.push((format!("{single}?consent=true"), Some("text/plain"), JSON, certificate.into_bytes()));
    }
    let lines: String = rows.iter().map(|row| ask_member(row) + "\n").chain(["m\tbroken\n".to_owned()]).collect();
    for accept in [None, TSV] {
        questions.push((format!("{batch}?consent=true&on={}", day(0)), TSV, accept, lines.clone().into_bytes()));
        questions.push((format!("{batch}?consent=false"), TSV, accept, lines.clone().into_bytes()));
        questions.push((format!("{batch}?consent=true"), TSV, accept, Vec::new()));
    }
    let of_ten_thousand = "k\tcard-1\n".repeat(10_000);
    questions.push((format!("{batch}?consent=true"), TSV, TSV, of_ten_thousand.clone().into_bytes()));
    questions.push((format!("{batch}?consent=true"), TSV, TSV, (of_ten_thousand + "k\tcard-1\n").into_bytes()));
    // What cannot be answered, and the institution that is not one's own.
    let wrong = [
        (single.clone(), JSON, "{"),
        (single.clone(), JSON, "{\"card_link\":7}"),
        (single.clone(), Some("image/png"), "{}"),
        (format!("{single}?who=me"), JSON, "{\"card_link\":\"card-1\"}"),
        (format!("{single}?on=1999-01-01"), JSON, "{\"card_link\":\"card-1\"}"),
        (format!("{single}?consent=true"), Some("text/plain"), "k\tcard-1\nk\tcard-2"),
        (format!("{batch}?consent=maybe"), TSV, "k\tcard-1"),
        (format!("{batch}?institution={FAR_HOSPITAL}"), TSV, "k\tcard-1"),
        ("/v1/nothing".to_owned(), JSON, "{}"),
        ("/v1/health".to_owned(), JSON, "{}"),
    ];
    questions.extend(wrong.map(|(target, kind, body)| (target, kind, None, body.as_bytes().to_vec())));
    let named = format!("{{\"card_link\":\"card-1\",\"institution\":\"{FAR_HOSPITAL}\",\"consent\":true}}");
    questions.push((single, JSON, None, named.into_bytes()));
    questions
}

#[test]
fn every_question_is_answered_with_the_same_bytes_over_tls() {
    let (place, site) = (Place::new(), Site::new());
    let rows = rows();
    place.import("rows.csv", &rows, &[]).ends(0);
    let token = place.run("token add", &["--institution", HOSPITAL, "--role", "institution"]).ends(0).out;
    let server = place.serve_configured(&site.config());
    let own = site.signed("hospital", &format!("urn:shikaku:institution:{HOSPITAL}"), &[]);
    let (mut fast, mut tls) = (server.connect(), https(server.api(), &site.client(Some(&own))));
    let bearer = format!("Bearer {}", token.trim());
    let mut answered = 0;
    for (target, kind, accept, body) in questions(&rows) {
        let headers: Vec<(&str, &str)> =
            kind.map(|kind| ("Content-Type", kind)).into_iter().chain(accept.map(|accept| ("Accept", accept))).collect();
        let by_token: Vec<_> = headers.iter().copied().chain([("Authorization", bearer.as_str())]).collect();
        let plain = fast.ask("POST", &target, &by_token, &body);
        let secret = tls.ask("POST", &target, &headers, &body);
        let said = |answer: &Answer| (answer.status, answer.header("Content-Type").map(str::to_owned), answer.body.clone());
        assert_eq!(said(&secret), said(&plain), "{target}");
        answered += 1;
    }
    assert!(fast.ask("GET", "/v1/eligibility", &[], b"").body == tls.ask("GET", "/v1/eligibility", &[], b"").body);
    // As who the certificate says, whatever a token says beside it.
    let named = format!("{{\"card_link\":\"card-100\",\"consent\":true,\"institution\":\"{HOSPITAL}\"}}");
    let with_token = [("Content-Type", "application/json"), ("Authorization", "Bearer shk_wrong")];
    assert_eq!(tls.ask("POST", "/v1/eligibility", &with_token, named.as_bytes()).json()["verdict"], "eligible");
    pages_are_the_same(&mut fast, &mut tls);
    // On this machine a certificate is optional: a token says who asks, as on the fast listener.
    let mut without = https(server.api(), &site.client(None));
    assert_eq!(without.question(&named).error(), (401, "unauthorized".to_owned()));
    let by_token = [("Content-Type", "application/json"), ("Authorization", bearer.as_str())];
    assert_eq!(without.ask("POST", "/v1/eligibility", &by_token, named.as_bytes()).json()["verdict"], "eligible");
    assert_eq!(server.stop(), 0);
    proof(
        "a look-up over TLS is the fast listener's, byte for byte",
        "none",
        "every_question_is_answered_with_the_same_bytes_over_tls",
        answered,
    );
}

fn pages_are_the_same(fast: &mut Http, tls: &mut Http<Tls>) {
    assert_eq!(tls.ask("GET", "/v1/health", &[], b"").body, fast.ask("GET", "/v1/health", &[], b"").body);
    let status = |answer: Answer| answer.succeeds().json()["state_checksum"].clone();
    assert_eq!(status(tls.ask("GET", "/v1/status", &[], b"")), status(fast.ask("GET", "/v1/status", &[], b"")));
    assert!(tls.ask("GET", "/metrics", &[], b"").succeeds().body.contains("shikaku_ready 1"));
}

#[test]
fn a_clearing_house_asks_for_any_institution_and_the_audit_says_who_asked() {
    let (place, site) = (Place::new(), Site::new());
    place.import("rows.csv", &rows(), &[]).ends(0);
    let server = place.serve_configured(&site.config());
    let house = site.signed("house", "urn:shikaku:clearing_house:kokuho-13", &[]);
    let mut connection = https(server.api(), &site.client(Some(&house)));
    for (institution, verdict) in [(HOSPITAL, "eligible"), (FAR_HOSPITAL, "not_designated")] {
        let body = format!("{{\"card_link\":\"card-100\",\"consent\":true,\"institution\":\"{institution}\"}}");
        assert_eq!(connection.question(&body).succeeds().json()["verdict"], verdict);
    }
    let lines = connection.batch(&format!("consent=true&institution={HOSPITAL}"), "k\tcard-100\nk\tcard-101\n");
    assert!(lines[0].starts_with('E') && lines[1].starts_with('D'), "{lines:?}");
    assert_eq!(server.stop(), 0);
    let said = shikaku(&format!("audit show --data {} --json", place.data().display())).ends(0);
    let entries: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let entries: Vec<&Value> = entries.iter().filter(|entry| entry["verdict"].is_string()).collect();
    let asked: Vec<&Value> = entries.iter().map(|entry| &entry["institution"]).collect();
    assert_eq!(asked, [HOSPITAL, FAR_HOSPITAL, HOSPITAL, HOSPITAL]);
    let der = der_of(&house.certificate);
    let id = blake3::hash(&der).to_hex()[..8].to_owned();
    assert!(entries.iter().all(|entry| entry["via"] == "api" && entry["token"] == id.as_str()), "{entries:?}");
}

fn der_of(certificate: &std::path::Path) -> Vec<u8> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    CertificateDer::from_pem_file(certificate).unwrap().to_vec()
}

#[test]
fn the_shell_asks_over_tls_as_who_its_certificate_names() {
    let (place, site) = (Place::new(), Site::new());
    place.import("rows.csv", &rows(), &[]).ends(0);
    let server = place.serve_configured(&site.config());
    let url = format!("https://{}", server.api());
    let look_up = |own: Option<&shikaku::tls::CredentialFiles>, more: &[&str]| {
        let mut command = program();
        command.args(["lookup", "--url", &url, "--card", "card-100", "--consent"]).args(more).arg("--ca").arg(site.ca());
        if let Some(own) = own {
            command.arg("--client-certificate").arg(&own.certificate).arg("--client-key").arg(&own.key);
        }
        common::Said::of(&command.output().unwrap())
    };
    let hospital = site.signed("hospital", &format!("urn:shikaku:institution:{HOSPITAL}"), &[]);
    let elsewhere = site.signed("elsewhere", &format!("urn:shikaku:institution:{FAR_HOSPITAL}"), &[]);
    assert_eq!(look_up(Some(&hospital), &[]).ends(0).json()["verdict"], "eligible");
    assert_eq!(look_up(Some(&elsewhere), &[]).ends(0).json()["verdict"], "not_designated");
    let other = Site::new();
    let stranger = other.signed("stranger", &format!("urn:shikaku:institution:{HOSPITAL}"), &[]);
    let turned_away = look_up(Some(&stranger), &[]).ends(1);
    assert!(turned_away.out.is_empty(), "{turned_away:?}");
    // Without an authority nobody is believed.
    let mut command = program();
    let said = common::Said::of(&command.args(["lookup", "--url", &url, "--card", "card-100"]).output().unwrap()).ends(1);
    assert!(said.err.contains("--ca"), "{}", said.err);
}

#[test]
fn off_loopback_the_api_wants_an_authority_and_everywhere_a_certificate() {
    let (place, site) = (Place::new(), Site::new());
    let without_certificate = place.run("serve", &["--listen", "127.0.0.1:0", "--api", "127.0.0.1:0"]).ends(1);
    assert!(without_certificate.err.contains("certificate and key under [api]"), "{}", without_certificate.err);
    let without_ca: String =
        site.config().lines().filter(|line| !line.starts_with("client_ca")).map(|line| format!("{line}\n")).collect();
    let config = place.write("without-ca.toml", without_ca);
    let said =
        place.run("serve", &["--listen", "127.0.0.1:0", "--api", "0.0.0.0:0", "--config", config.to_str().unwrap()]).ends(1);
    assert!(said.err.contains("client_ca"), "{}", said.err);
    // A key that others may read is not used, and neither is one of another certificate.
    let hub = site.hub();
    let config = place.write("whole.toml", site.config());
    let refused = |why: &str| {
        let said = place.run("serve", &["--listen", "127.0.0.1:0", "--config", config.to_str().unwrap()]).ends(1);
        assert!(said.err.contains(why) && !said.err.contains("PRIVATE"), "{}", said.err);
    };
    let key = std::fs::read(&hub.key).unwrap();
    std::fs::copy(site.signed("other", "urn:shikaku:replica:other", &[]).key, &hub.key).unwrap();
    refused("and its key cannot be used");
    std::fs::write(&hub.key, key).unwrap();
    std::fs::set_permissions(&hub.key, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    refused("chmod 600");
}
