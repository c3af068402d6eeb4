//! `shikaku pki`: an authority and certificates from the shell, which serve and are served.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::{HOSPITAL, Place, bytes_below, shikaku};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn keys_are_their_owners_alone_and_nothing_is_written_over() {
    let place = Place::new();
    let (ca, hub, ward) = (place.path("ca"), place.path("hub"), place.path("ward"));
    let (ca_text, hub_text) = (ca.display(), hub.display());
    let said = shikaku(&format!("pki init --out {ca_text} --name a-site")).ends(0);
    assert!(said.out.contains("ca.crt") && said.out.contains("ca.key"), "{}", said.out);
    let issue =
        format!("pki issue --ca {ca_text} --role clearing_house --name hub --host hub.example --host 127.0.0.1 --out {hub_text}");
    shikaku(&issue).ends(0);
    for (file, expected) in [
        (ca.join("ca.key"), 0o600),
        (hub.join("clearing_house-hub.key"), 0o600),
        (hub.join("clearing_house-hub.crt"), 0o600),
        (ca.clone(), 0o700),
        (hub.clone(), 0o700),
    ] {
        assert_eq!(mode(&file), expected, "{}", file.display());
    }
    let before = bytes_below(place.0.path());
    for again in [format!("pki init --out {ca_text}"), issue.clone(), format!("{issue} --days 9")] {
        let said = shikaku(&again).ends(1);
        assert!(said.err.contains("is not written over") && said.out.is_empty(), "{said:?}");
    }
    // Another authority's certificates do not go into the same directory: `ca.crt` there is somebody else's.
    let other = place.path("other");
    shikaku(&format!("pki init --out {}", other.display())).ends(0);
    let said = shikaku(&format!("pki issue --ca {} --role replica --name ward --out {hub_text}", other.display())).ends(1);
    assert!(said.err.contains("ca.crt"), "{}", said.err);
    std::fs::remove_dir_all(&other).unwrap();
    assert_eq!(bytes_below(place.0.path()), before, "nothing has changed");

    // One directory may hold several of one authority.
    for role in ["replica", "operator"] {
        shikaku(&format!("pki issue --ca {ca_text} --role {role} --name ward --out {}", ward.display())).ends(0);
    }
    assert_eq!(bytes_below(&ward).len(), 1 + 2 * 2);
    common::proof::proof(
        "keys are their owner's alone, and nothing is written over",
        "the same and other certificates into a directory that has some",
        "keys_are_their_owners_alone_and_nothing_is_written_over",
        4,
    );
}

#[test]
fn a_certificate_says_who_it_is_for_in_words_and_in_json() {
    let place = Place::new();
    let (ca, out) = (place.path("ca").display().to_string(), place.path("out").display().to_string());
    let made = shikaku(&format!("pki init --out {ca} --days 400 --json")).ends(0).json();
    assert!(made["key"].as_str().unwrap().ends_with("/ca.key"), "{made}");
    let issued =
        shikaku(&format!("pki issue --ca {ca} --role institution --institution {HOSPITAL} --days 100 --out {out} --json"));
    let issued = issued.ends(0).json();
    assert_eq!(issued["identity"], format!("urn:shikaku:institution:{HOSPITAL}"));
    assert_eq!((issued["id"].as_str().unwrap().len(), issued["ends"].as_str().unwrap().len()), (8, 10));
    for file in ["certificate", "key", "ca"] {
        assert!(Path::new(issued[file].as_str().unwrap()).exists(), "{issued}");
    }
    let words = shikaku(&format!("pki issue --ca {ca} --role replica --name north --days 100 --out {out}")).ends(0).out;
    assert!(words.contains("replica:north, ends ") && words.contains("the audit calls it "), "{words}");
}

#[test]
fn what_cannot_be_signed_is_refused_in_words() {
    let place = Place::new();
    let (ca, out) = (place.path("ca").display().to_string(), place.path("out").display().to_string());
    let said = shikaku(&format!("pki issue --ca {ca} --role replica --name north --out {out}")).ends(1);
    assert!(said.err.contains("ca.crt"), "{}", said.err);
    shikaku(&format!("pki init --out {ca} --days 50")).ends(0);
    let said = shikaku(&format!("pki revoke --ca {ca} --certificate {ca}/ca.crt")).ends(1);
    assert!(said.err.contains("not a certificate that this authority signed"), "{}", said.err);
    for (arguments, status, words) in [
        ("--role replica --name north --days 51", 1, "the authority itself ends on"),
        ("--role institution --name north --days 9", 1, "institution code of 10 digits"),
        ("--role institution --institution 12345 --days 9", 1, "10 digits"),
        ("--role replica --name no/rth --days 9", 1, "--name"),
        ("--role replica --name north --host no_host! --days 9", 1, "no host name"),
        ("--role king --name north --days 9", 2, "clearing_house"),
        ("--role replica --days 9", 2, "--name"),
        ("--role replica --name north --institution 0110113719 --days 9", 2, "--institution"),
        ("--role replica --name north --days 0", 2, "--days"),
    ] {
        let said = shikaku(&format!("pki issue --ca {ca} --out {out} {arguments}")).ends(status);
        assert!(said.err.contains(words) && said.out.is_empty(), "{arguments}: {}", said.err);
    }
    assert!(!place.path("out").exists(), "nothing is left of what was refused");
}
