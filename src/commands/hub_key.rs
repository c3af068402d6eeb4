//! `shikaku hub-key`: the public half of what a hub signs with, for the configuration of those who follow it.

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use super::{CommandError, Ended, holds_a_register};
use crate::disk::RealDisk;
use crate::registry::Following;
use crate::sync::key::{HubKey, HubSigner};

#[derive(Debug, Args)]
pub(super) struct HubKeyArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
}

pub(super) fn run(arguments: &HubKeyArguments) -> Result<Ended, CommandError> {
    let data = &arguments.data;
    // Whoever follows passes on the key of its hub.
    if let Some(following) = Following::of(&RealDisk, data)? {
        say(&HubKey::from_bytes(&following.hub_key)?.to_string());
        return Ok(Ended::Done);
    }
    if let Some(signer) = HubSigner::read(&RealDisk, data)? {
        say(&signer.public().to_string());
        return Ok(Ended::Done);
    }
    let words = if holds_a_register(data) {
        "has no signing key yet; it is made when `shikaku serve` first hands the log on (with --api, or [api] in the configuration)"
    } else {
        "holds no register"
    };
    Err(CommandError::new(format!("{} {words}", data.display())))
}
