//! An authority over a broker, as the broker's own tools make one: an operator signs accounts, an account signs users, and who connects
//! shows what was signed and proves that he holds the key. The server knows the operator alone.

use std::path::{Path, PathBuf};

use data_encoding::BASE64URL_NOPAD;
use nkeys::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

/// The name of the stream that houses may read.
const STREAM: &str = "shikaku";

/// An operator with one account for the log.
pub(crate) struct Operator {
    operator: KeyPair,
    system: KeyPair,
    account: KeyPair,
    files: TempDir,
}

/// What a user may say to the broker and hear from it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Rights<'n> {
    /// Make the stream, and publish.
    Hub,
    /// Read the stream through the one consumer of this name, and nothing else.
    House(&'n str),
}

/// How long credentials hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    /// For ever.
    Always,
    /// Seconds since 1970.
    Second(u64),
}

impl Operator {
    pub(crate) fn new() -> Operator {
        let files = tempfile::tempdir().unwrap();
        Operator { operator: KeyPair::new_operator(), system: KeyPair::new_account(), account: KeyPair::new_account(), files }
    }

    /// What stands in the server's configuration.
    pub(crate) fn configuration(&self) -> String {
        let operator = claim(&self.operator, &self.operator, "site", &json!({ "type": "operator", "version": 2 }));
        let (system, account) = (self.account("SYS", &self.system, 0), self.account("LOG", &self.account, -1));
        let (of_system, of_account) = (self.system.public_key(), self.account.public_key());
        format!(
            "operator: {operator}\nsystem_account: {of_system}\nresolver: MEMORY\n\
             resolver_preload: {{\n{of_system}: {system}\n{of_account}: {account}\n}}\n"
        )
    }

    /// An account that may store so much; -1 is without a limit.
    fn account(&self, name: &str, key: &KeyPair, storage: i64) -> String {
        let limits = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1, "leaf": -1,
            "mem_storage": storage, "disk_storage": storage, "streams": storage, "consumer": storage,
        });
        claim(&self.operator, key, name, &json!({ "type": "account", "version": 2, "limits": limits }))
    }

    /// A file of credentials for a user, readable by its owner alone.
    pub(crate) fn credentials(&self, name: &str, rights: Rights<'_>, until: Until) -> PathBuf {
        let path = self.files.path().join(format!("{name}.creds"));
        let user = KeyPair::new_user();
        let (says, hears) = rights.subjects();
        let content = json!({
            "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1,
            "pub": { "allow": says }, "sub": { "allow": hears },
        });
        let mut claims = claims(&self.account, &user, name, &content);
        if let Until::Second(second) = until {
            claims["exp"] = json!(second);
        }
        write_credentials(&path, &signed(&claims, &self.account), &user.seed().unwrap());
        path
    }
}

impl Rights<'_> {
    fn subjects(self) -> (Vec<String>, [&'static str; 1]) {
        let says = match self {
            Rights::Hub => vec!["shikaku.>".to_owned(), "$JS.API.STREAM.>".to_owned()],
            // As docs/replication.md lists them.
            Rights::House(name) => vec![
                format!("$JS.API.STREAM.INFO.{STREAM}"),
                format!("$JS.API.STREAM.MSG.GET.{STREAM}"),
                format!("$JS.API.CONSUMER.*.{STREAM}.{name}"),
                format!("$JS.API.CONSUMER.CREATE.{STREAM}.{name}.>"),
                format!("$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{name}"),
                format!("$JS.ACK.{STREAM}.{name}.>"),
            ],
        };
        (says, ["_INBOX.>"])
    }
}

/// What of a file of credentials must never be shown: what was signed, and the key's seed.
pub(crate) fn secrets_of(credentials: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(credentials).unwrap();
    let secrets: Vec<String> = text.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect();
    assert_eq!(secrets.len(), 2, "a token and a seed");
    secrets
}

fn write_credentials(path: &Path, token: &str, seed: &str) {
    let part = |what: &str, content: &str| format!("-----BEGIN {what}-----\n{content}\n------END {what}------\n");
    let text = part("NATS USER JWT", token) + &part("USER NKEY SEED", seed);
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

fn claim(issuer: &KeyPair, subject: &KeyPair, name: &str, content: &Value) -> String {
    signed(&claims(issuer, subject, name, content), issuer)
}

fn claims(issuer: &KeyPair, subject: &KeyPair, name: &str, content: &Value) -> Value {
    let (issuer, subject) = (issuer.public_key(), subject.public_key());
    json!({ "jti": subject, "iat": 1_795_273_200, "iss": issuer, "sub": subject, "name": name, "nats": content })
}

/// A token: header, claims and an Ed25519 signature over both.
fn signed(claims: &Value, issuer: &KeyPair) -> String {
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let header = encode(json!({ "typ": "JWT", "alg": "ed25519-nkey" }).to_string().as_bytes());
    let content = format!("{header}.{}", encode(claims.to_string().as_bytes()));
    let signature = issuer.sign(content.as_bytes()).unwrap();
    format!("{content}.{}", encode(&signature))
}
