//! `shikaku serve`, started for a run.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::child::Ended;
use super::free_address;
use super::pages::is_healthy;
use crate::error::LoadError;

/// It promises to end within 10 s.
const ENDS_WITHIN: Duration = Duration::from_secs(15);

/// A running appliance; dropping it ends it in order.
pub(crate) struct Appliance {
    child: Ended,
    pub(crate) address: SocketAddr,
    pub(crate) ready_after: Duration,
}

impl Appliance {
    /// Starts it on a free port and waits until it answers look-ups.
    pub(crate) fn start(binary: &Path, data: &Path, ready_within: Duration) -> Result<Appliance, LoadError> {
        let address = free_address()?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--data").arg(data).arg("--listen").arg(address.to_string());
        command.env("SHIKAKU_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        let began = Instant::now();
        let child = command.spawn().map_err(LoadError::io("starting the appliance"))?;
        let mut child = Ended { child, within: ENDS_WITHIN };
        while !is_healthy(address) {
            if child.has_ended() {
                return Err(LoadError::Server("the appliance ended before it answered".to_owned()));
            }
            if began.elapsed() > ready_within {
                return Err(LoadError::Server(format!("the appliance did not answer within {} s", ready_within.as_secs())));
            }
            std::thread::sleep(Duration::from_millis(20));
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
