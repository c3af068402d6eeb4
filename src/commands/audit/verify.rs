//! `shikaku audit verify`: reads everything and says what was changed, removed or cut.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::audit::verify::{AuditReport, Kept, verify};
use crate::audit::{AUDIT_DIRECTORY, AuditChain};
use crate::commands::output::say;
use crate::commands::{CommandError, Ended};

#[derive(Debug, Args)]
pub(super) struct VerifyArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// What an earlier verification printed to be kept elsewhere: the audit must still contain it
    #[arg(long, value_name = "ENTRY:CHAIN", value_parser = parse_kept)]
    expect: Option<Kept>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<Ended, CommandError> {
    let report = verify(&arguments.data.join(AUDIT_DIRECTORY), arguments.expect)?;
    if arguments.json {
        say(&as_json(&report).to_string());
    } else {
        for note in &report.notes {
            say(&format!("note: {note}"));
        }
        for fault in &report.faults {
            say(&fault.to_string());
        }
        if let (true, Some(chain)) = (report.faults.is_empty(), report.chain) {
            let (segments, first, last) = (report.segments, report.first_entry, report.last_entry);
            say(&format!("verified: {segments} segments, entries {first} to {last}"));
            say(&format!("to be kept elsewhere, for --expect: {last}:{chain}"));
        }
    }
    Ok(if report.faults.is_empty() { Ended::Done } else { Ended::Failed })
}

fn as_json(report: &AuditReport) -> serde_json::Value {
    let faults: Vec<_> = report
        .faults
        .iter()
        .map(|fault| json!({ "path": fault.path, "offset": fault.offset, "what": fault.what.to_string() }))
        .collect();
    json!({
        "faults": faults,
        "notes": report.notes,
        "segments": report.segments,
        "first_entry": report.first_entry,
        "last_entry": report.last_entry,
        "chain": report.chain.map(|chain| chain.to_string()),
    })
}

fn parse_kept(text: &str) -> Result<Kept, String> {
    let parsed = text
        .split_once(':')
        .and_then(|(entry, chain)| Some(Kept { entry: entry.parse().ok()?, chain: AuditChain::parse(chain)? }));
    parsed.ok_or_else(|| "ENTRY:CHAIN is a number, a colon and 64 hex digits".to_owned())
}
