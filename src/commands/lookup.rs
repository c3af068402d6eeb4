//! `shikaku lookup`: one look-up from the shell.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use bytes::BytesMut;
use clap::{ArgGroup, Args};
use hyper::Method as HttpMethod;
use serde_json::{Map, Value, json};

use super::output::say;
use super::{CommandError, Ended, Owner, owner_of_existing};
use crate::audit::{AUDIT_DIRECTORY, AuditOptions, Auditor};
use crate::serve::Door;
use crate::serve::api::client::Client;
use crate::serve::config::Config;
use crate::serve::fast::{Method, Reply, Request};
use crate::serve::service::Service;
use crate::serve::tokens::Tokens;
use crate::tls::{ClientTls, CredentialFiles};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("where").required(true).args(["data", "url"])))]
#[command(group(ArgGroup::new("who").required(true).args(["member", "certificate", "card", "stdin"])))]
pub(super) struct LookupArguments {
    /// The data directory, or
    #[arg(long)]
    data: Option<PathBuf>,
    /// a server: http://HOST:PORT or https://HOST:PORT (a token from SHIKAKU_TOKEN)
    #[arg(long)]
    url: Option<String>,
    /// The authority that signed the server's certificate, for https
    #[arg(long, requires = "url")]
    ca: Option<PathBuf>,
    /// One's own certificate, for https
    #[arg(long, requires_all = ["ca", "client_key"])]
    client_certificate: Option<PathBuf>,
    /// Its key
    #[arg(long, requires = "client_certificate")]
    client_key: Option<PathBuf>,
    /// A member: INSURER:SYMBOL:NUMBER:BRANCH
    #[arg(long, requires = "born")]
    member: Option<String>,
    /// The birth date
    #[arg(long)]
    born: Option<String>,
    /// A certificate: PAYER/RECIPIENT
    #[arg(long)]
    certificate: Option<String>,
    /// A card link
    #[arg(long)]
    card: Option<String>,
    /// Read the question, as JSON or as a line of the batch form, from standard input: it then stands in no process list
    #[arg(long)]
    stdin: bool,
    /// The service date [default: today in Japan]
    #[arg(long)]
    on: Option<String>,
    /// The patient consents
    #[arg(long)]
    consent: bool,
    /// The institution that asks
    #[arg(long)]
    institution: Option<String>,
}

pub(super) fn run(arguments: &LookupArguments) -> Result<Ended, CommandError> {
    let (content_type, body) = question(arguments)?;
    let mut target = "/v1/eligibility?".to_owned();
    if let Some(on) = &arguments.on {
        target.push_str(&format!("on={on}&"));
    }
    if let Some(institution) = &arguments.institution {
        target.push_str(&format!("institution={institution}&"));
    }
    target.push_str(&format!("consent={}", arguments.consent));
    let (status, answer) = match (&arguments.data, &arguments.url) {
        (_, Some(url)) => {
            let client = Client::of_url(url, tls(arguments).as_ref())?;
            let token = std::env::var("SHIKAKU_TOKEN").map(|token| format!("Bearer {token}")).ok();
            ask(&client, &target, content_type, token.as_deref(), body)?
        }
        (Some(data), None) => match owner_of_existing(data)? {
            Owner::Server(client) => ask(&client, &target, content_type, None, body)?,
            Owner::Local(registry) => {
                let service = Service::new(Config::default(), Tokens::default());
                let audit = Auditor::open(&data.join(AUDIT_DIRECTORY), &AuditOptions::default());
                let _ = service.audit.set(audit.map_err(|error| CommandError::new(error.to_string()))?);
                let _ = service.reader.set(registry.reader());
                let answer = answer_here(&service, &target, content_type, &body);
                let closed = service.audit.get().map_or(Ok(()), Auditor::close);
                closed.map_err(|error| CommandError::new(error.to_string()))?;
                answer
            }
        },
        (None, None) => return Err(CommandError::new("say --data or --url")),
    };
    say(String::from_utf8_lossy(&answer).trim_end());
    Ok(if status == 200 { Ended::Done } else { Ended::Failed })
}

/// What https is spoken with.
fn tls(arguments: &LookupArguments) -> Option<ClientTls> {
    let own = arguments.client_certificate.clone().zip(arguments.client_key.clone());
    let own = own.map(|(certificate, key)| CredentialFiles { certificate, key });
    arguments.ca.clone().map(|ca| ClientTls { ca, own })
}

fn ask(
    client: &Client,
    target: &str,
    content_type: &str,
    authorization: Option<&str>,
    body: Vec<u8>,
) -> Result<(u16, Vec<u8>), CommandError> {
    let mut headers = vec![("content-type", content_type)];
    headers.extend(authorization.map(|token| ("authorization", token)));
    let answer = client.call(HttpMethod::POST, target, &headers, body)?;
    Ok((answer.status, answer.body))
}

fn answer_here(service: &Service, target: &str, content_type: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = Request {
        method: Method::Post,
        path,
        query,
        content_type: Some(content_type),
        accept: None,
        authorization: None,
        peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
        body,
    };
    let mut out = BytesMut::new();
    let mut reply = Reply::new(&mut out);
    service.respond(&request, Door::Command, &mut reply);
    (reply.status_code(), out.to_vec())
}

/// The question's media type and bytes.
fn question(arguments: &LookupArguments) -> Result<(&'static str, Vec<u8>), CommandError> {
    if arguments.stdin {
        let mut text = String::new();
        let read = std::io::stdin().take(64 << 10).read_to_string(&mut text);
        read.map_err(|error| CommandError::new(format!("standard input: {error}")))?;
        let is_json = text.trim_start().starts_with('{');
        return Ok((if is_json { "application/json" } else { "text/plain" }, text.into_bytes()));
    }
    let mut body = Map::new();
    if let Some(member) = &arguments.member {
        let wrong = || CommandError::new("--member is INSURER:SYMBOL:NUMBER:BRANCH, with all three colons");
        let (insurer, rest) = member.split_once(':').ok_or_else(wrong)?;
        let (rest, branch) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let (symbol, number) = rest.rsplit_once(':').ok_or_else(wrong)?;
        let born = arguments.born.as_deref().unwrap_or_default();
        body.insert(
            "member".to_owned(),
            json!({ "insurer_number": insurer, "symbol": symbol, "number": number, "branch_number": branch, "birth_date": born }),
        );
    } else if let Some(certificate) = &arguments.certificate {
        let (payer, recipient) =
            certificate.split_once('/').ok_or_else(|| CommandError::new("--certificate is PAYER/RECIPIENT"))?;
        let mut named = json!({ "payer_number": payer, "recipient_number": recipient });
        if let (Some(born), Some(named)) = (&arguments.born, named.as_object_mut()) {
            named.insert("birth_date".to_owned(), json!(born));
        }
        body.insert("certificate".to_owned(), named);
    } else if let Some(card) = &arguments.card {
        body.insert("card_link".to_owned(), json!(card));
    }
    Ok(("application/json", Value::Object(body).to_string().into_bytes()))
}
