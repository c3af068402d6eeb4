//! `shikaku verify`: reads everything and says what is wrong.

use std::path::PathBuf;

use clap::Args;

use super::output::say;
use super::{CommandError, Ended};
use crate::registry::verify;
use crate::serve::api::client::Client;

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<Ended, CommandError> {
    let report = match Client::of_owner(&arguments.data)? {
        Some(client) => client.verify()?,
        None => verify::verify(&arguments.data)?,
    };
    if arguments.json {
        say(&serde_json::to_string(&report)?);
    } else {
        for note in &report.notes {
            say(&format!("note: {note}"));
        }
        match &report.fault {
            Some(fault) => {
                let offset = fault.offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default();
                say(&format!("{}: damaged{offset}: {}", fault.path.display(), fault.what));
            }
            None => say(&format!(
                "verified: {} segments, sequence {}, {} rows, state checksum {}",
                report.segments, report.sequence, report.rows, report.state_checksum
            )),
        }
    }
    Ok(if report.fault.is_some() { Ended::Failed } else { Ended::Done })
}
