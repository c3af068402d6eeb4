//! `shikaku serve`, started for a run.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::child::Ended;
use super::pages::is_healthy;
use crate::error::LoadError;
use crate::report::complain;

/// It promises to end within 10 s.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// Warnings, and the word that it is ready.
const LOG: &str = "warn,shikaku::commands::serve=info";

/// A running appliance; dropping it ends it in order.
pub(crate) struct Appliance {
    child: Ended,
    pub(crate) address: SocketAddr,
    pub(crate) ready_after: Duration,
}

impl Appliance {
    /// Starts it and waits until it answers look-ups. It chooses its port itself and says which: one that was free a moment ago may be
    /// somebody else's by the time it is listened on.
    pub(crate) fn start(binary: &Path, data: &Path, ready_within: Duration) -> Result<Appliance, LoadError> {
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]);
        command.env("SHIKAKU_LOG", LOG).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let began = Instant::now();
        let mut child = command.spawn().map_err(LoadError::io("starting the appliance"))?;
        let said = child.stderr.take();
        let child = Ended { child, within: ENDS_WITHIN };
        let said = said.ok_or_else(|| LoadError::Server("the appliance has no standard error".to_owned()))?;
        let late = || LoadError::Server(format!("the appliance did not answer within {} s", ready_within.as_secs()));
        let address = match listen_to(said).recv_timeout(ready_within) {
            Ok(address) => address,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(LoadError::Server("the appliance ended before it answered".to_owned()));
            }
            Err(RecvTimeoutError::Timeout) => return Err(late()),
        };
        while !is_healthy(address) {
            if began.elapsed() > ready_within {
                return Err(late());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(Appliance { child, address, ready_after: began.elapsed() })
    }

    /// Ends it as a power cut would, and takes note of its end.
    pub(crate) fn kill(mut self) -> Result<(), LoadError> {
        let process = &mut self.child.child;
        process.kill().and_then(|()| process.wait()).map_err(LoadError::io("killing the appliance"))?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.child.id()
    }
}

/// Reads what the appliance says to its end, and passes complaints on; the channel gives the address once it is ready.
fn listen_to(said: impl Read + Send + 'static) -> Receiver<SocketAddr> {
    let (ready, address) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            hear(&line, &ready);
        }
    });
    address
}

fn hear(line: &str, ready: &Sender<SocketAddr>) {
    let entry: Value = serde_json::from_str(line).unwrap_or_default();
    match entry.get("level").and_then(Value::as_str) {
        Some("INFO") => {
            // Only the first is waited for; whoever waited may be gone.
            let _ = address_in(&entry).map(|address| ready.send(address));
        }
        _ => complain(line),
    }
}

/// The address, where the entry says that the appliance is ready.
fn address_in(entry: &Value) -> Option<SocketAddr> {
    let fields = entry.get("fields").filter(|fields| fields.get("message").and_then(Value::as_str) == Some("ready"))?;
    fields.get("address")?.as_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_taken_from_the_word_that_it_is_ready_and_from_nothing_else() {
        let lines = concat!(
            "not JSON\n",
            "{\"level\":\"INFO\",\"fields\":{\"message\":\"loaded\",\"address\":\"127.0.0.1:1\"}}\n",
            "{\"level\":\"WARN\",\"fields\":{\"message\":\"ready\",\"address\":\"127.0.0.1:2\"}}\n",
            "{\"level\":\"INFO\",\"fields\":{\"message\":\"ready\",\"address\":\"127.0.0.1:3\",\"recipients\":7}}\n",
        );
        let address = listen_to(lines.as_bytes());
        assert_eq!(address.recv().unwrap().port(), 3);
        assert!(address.recv().is_err(), "it says so once, and ends");
    }
}
