//! A broker that asks for TLS, and for the own certificate.

use crate::houses::{Hub, Replica, broker, publish_to};
use crate::or_skip;
use crate::proof::proof;
use crate::servers::{Servers, await_that};

/// An authority and two certificates of it, as files.
fn certificates(directory: &std::path::Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let authority_key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    std::fs::write(directory.join("ca.pem"), authority.pem()).unwrap();
    let issuer = Issuer::new(params, authority_key);
    for name in ["server", "house"] {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), params.signed_by(&key, &issuer).unwrap().pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn a_broker_with_tls_is_reached_by_a_certificate_of_its_authority_and_not_without() {
    if !crate::servers::is_installed() {
        println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
        return;
    }
    let files = tempfile::tempdir().unwrap();
    certificates(files.path());
    let path = |name: &str| files.path().join(name);
    let more = format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}",
        path("server.pem").display(),
        path("server.key").display(),
        path("ca.pem").display()
    );
    let servers = or_skip!(Servers::one_with(&more));
    let mut secured = broker(&servers.tls_url());
    (secured.ca, secured.certificate, secured.key) = (Some(path("ca.pem")), Some(path("house.pem")), Some(path("house.key")));
    let mut without = secured.clone();
    (without.certificate, without.key) = (None, None);

    let mut hub = Hub::new();
    hub.register(10, 5);
    let mut config = publish_to("", 1);
    config.broker = without.clone();
    hub.publish(config.clone());
    await_that("it is turned away", || {
        hub.registry().troubles().list().iter().any(|(trouble, _)| trouble.word() == "broker_away")
    });
    hub.stop();
    hub.restart();
    config.broker = secured.clone();
    hub.publish(config);
    let mut replica = Replica::of(&hub);
    replica.follow(without, None);
    await_that("it is turned away", || replica.troubles().contains(&"hub_unreachable"));
    replica.restart();
    replica.follow(secured, None);
    replica.await_equal(&hub);
    let test = "a_broker_with_tls_is_reached_by_a_certificate_of_its_authority_and_not_without";
    proof("a broker is reached over TLS with the own certificate", "the certificate missing", test, 2);
}
