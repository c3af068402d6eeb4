//! What a running appliance says of itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use shikaku::domain::day::Day;

use crate::error::LoadError;

const TIMEOUT: Duration = Duration::from_secs(5);

/// What of `/v1/status` bears on the questions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// Questions about days before it are errors.
    pub(crate) horizon: Day,
    /// Insured identities with a current row.
    pub(crate) recipients: u64,
    /// The last durable change.
    pub(crate) sequence: u64,
}

/// Asks for the status.
pub(crate) fn status(address: SocketAddr) -> Result<Status, LoadError> {
    let no_status = || LoadError::Server(format!("{address} has no /v1/status"));
    let (_, body) = page(address, "/v1/status").map_err(LoadError::io("asking for /v1/status"))?;
    let body: Value = serde_json::from_str(&body).map_err(|_| no_status())?;
    let horizon = body.get("horizon").and_then(Value::as_str).and_then(|day| Day::parse(day.as_bytes()).ok());
    let number = |name| body.get(name).and_then(Value::as_u64).ok_or_else(no_status);
    Ok(Status { horizon: horizon.ok_or_else(no_status)?, recipients: number("recipients")?, sequence: number("sequence")? })
}

/// Whether look-ups are answered.
pub(super) fn is_healthy(address: SocketAddr) -> bool {
    page(address, "/v1/health").is_ok_and(|(status, _)| status == 200)
}

/// Status and body of a page.
fn page(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(1 << 24).read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
    Ok((status, body.to_owned()))
}

/// Bytes of all dossiers in memory, as the appliance counts them.
pub(crate) fn dossier_bytes(address: SocketAddr) -> Result<u64, LoadError> {
    let (_, body) = page(address, "/v1/status").map_err(LoadError::io("asking for /v1/status"))?;
    let found = serde_json::from_str::<Value>(&body).ok().and_then(|status| status.get("memory")?.get("dossier_bytes")?.as_u64());
    found.ok_or_else(|| LoadError::Server(format!("{address} does not say the bytes of its dossiers")))
}
