//! `shikaku pki init|issue|revoke`: certificates for a small site that has no authority of its own.

use std::path::{Path, PathBuf};

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::json;

use super::output::say;
use super::who::WhoArguments;
use super::{CommandError, Ended, now};
use crate::audit::TokenId;
use crate::limits::{PKI_CA_DAYS, PKI_CERTIFICATE_DAYS, PKI_DAYS_MAX};
use crate::serve::roles::{Identity, Role};
use crate::tls::pki::{NewFile, Order, SiteAuthority, write_new};

#[derive(Debug, Args)]
pub(super) struct PkiArguments {
    #[command(subcommand)]
    command: PkiCommand,
}

#[derive(Debug, Subcommand)]
enum PkiCommand {
    /// Make a site's authority: `ca.crt` for everybody, `ca.key` to be kept where nobody else comes
    Init {
        /// The directory for it
        #[arg(long)]
        out: PathBuf,
        /// What a person reads in its certificate
        #[arg(long, default_value = "shikaku site authority")]
        name: String,
        /// How long it is valid
        #[arg(long, default_value_t = PKI_CA_DAYS, value_parser = days())]
        days: u32,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Sign a certificate, and make its key
    Issue {
        /// The authority's directory
        #[arg(long)]
        ca: PathBuf,
        #[command(flatten)]
        who: WhoArguments,
        /// What it is for
        #[arg(long, value_parser = PossibleValuesParser::new(Role::ALL.map(Role::word)))]
        role: String,
        /// A name or address under which it is called; once for each. Without any it cannot be a server's
        #[arg(long)]
        host: Vec<String>,
        /// How long it is valid
        #[arg(long, default_value_t = PKI_CERTIFICATE_DAYS, value_parser = days())]
        days: u32,
        /// The directory for certificate, key and the authority's certificate
        #[arg(long)]
        out: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take a certificate back: the authority's list of those that are no longer believed
    Revoke {
        /// The authority's directory; the list is `ca.crl` in it
        #[arg(long)]
        ca: PathBuf,
        /// The certificate
        #[arg(long)]
        certificate: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: &PkiArguments) -> Result<Ended, CommandError> {
    let now_unix_s = now() / 1000;
    match &arguments.command {
        PkiCommand::Init { out, name, days, json } => {
            SiteAuthority::create(out, name, *days, now_unix_s)?;
            let (certificate, key) = (out.join("ca.crt"), out.join("ca.key"));
            if *json {
                say(&json!({ "certificate": certificate, "key": key }).to_string());
            } else {
                say(&format!("{}: give it to every machine of the site", certificate.display()));
                say(&format!("{}: keep it where nobody else comes; whoever has it can be anybody", key.display()));
            }
        }
        PkiCommand::Issue { ca, who, role, host, days, out, json } => {
            let identity = who.identity(role)?;
            let order = Order { name: identity.to_string(), uri: identity.urn(), hosts: host.clone(), days: *days };
            issue(&SiteAuthority::read(ca)?, &identity, &order, out, *json)?;
        }
        PkiCommand::Revoke { ca, certificate, json } => {
            let revoked = SiteAuthority::read(ca)?.revoke(ca, certificate, now_unix_s)?;
            let list = ca.join("ca.crl");
            if *json {
                say(&json!({ "list": list, "revoked": revoked }).to_string());
            } else {
                say(&format!("{}: {revoked} revoked; carry it to every server that is to turn them away", list.display()));
            }
        }
    }
    Ok(Ended::Done)
}

fn issue(authority: &SiteAuthority, identity: &Identity, order: &Order, out: &Path, json: bool) -> Result<(), CommandError> {
    let signed = authority.issue(order, now() / 1000)?;
    let stem = format!("{}-{}", identity.role(), identity.who());
    let (certificate, key) = (format!("{stem}.crt"), format!("{stem}.key"));
    let file = |name: &str, content: &str, is_secret| NewFile { name: name.to_owned(), content: content.to_owned(), is_secret };
    let files = [
        file("ca.crt", &authority.certificate, false),
        file(&certificate, &signed.certificate, false),
        file(&key, &signed.key, true),
    ];
    write_new(out, &files)?;
    let (id, last_day) = (TokenId::of_hash(&signed.fingerprint).to_string(), &signed.last_day);
    let (certificate, key) = (out.join(certificate), out.join(key));
    if json {
        let made = json!({
            "identity": identity.urn(), "id": id, "ends": last_day, "hosts": order.hosts,
            "certificate": certificate, "key": key, "ca": out.join("ca.crt"),
        });
        say(&made.to_string());
    } else {
        say(&format!("{}: {identity}, ends {last_day}; the audit calls it {id}", certificate.display()));
        say(&format!("{}: its key", key.display()));
    }
    Ok(())
}

fn days() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=i64::from(PKI_DAYS_MAX))
}
