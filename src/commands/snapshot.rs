//! `shikaku snapshot create|restore`: back up and restore.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output::say;
use super::{CommandError, Ended, Owner, now, owner_of_existing};
use crate::disk::{Disk, RealDisk};
use crate::registry::snapshot::{SnapshotSummary, restore};

#[derive(Debug, Args)]
pub(super) struct SnapshotArguments {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(Debug, Subcommand)]
enum SnapshotCommand {
    /// Write everything, as of this moment, into one file
    Create {
        /// The data directory
        #[arg(long)]
        data: PathBuf,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Restore a snapshot into an empty directory, as a new stream
    Restore {
        /// The data directory; it must be empty
        #[arg(long)]
        data: PathBuf,
        /// The snapshot
        file: PathBuf,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
}

pub(super) fn run(arguments: &SnapshotArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        SnapshotCommand::Create { data, out, json } => {
            let summary = create(data, out)?;
            say_summary(&summary, &format!("wrote {}", out.display()), *json)
        }
        SnapshotCommand::Restore { data, file, json } => {
            let summary = restore(&(Arc::new(RealDisk) as Arc<dyn Disk>), data, file, now())?;
            say_summary(&summary, &format!("restored into {}", data.display()), *json)
        }
    }
}

fn create(data: &Path, out: &Path) -> Result<SnapshotSummary, CommandError> {
    let absolute = std::path::absolute(out);
    let absolute = absolute.map_err(|error| CommandError::new(format!("{}: {error}", out.display())))?;
    match owner_of_existing(data)? {
        Owner::Server(client) => Ok(client.snapshot(absolute)?),
        Owner::Local(registry) => {
            let summary = registry.create_snapshot(&absolute)?;
            registry.close(now())?;
            Ok(summary)
        }
    }
}

fn say_summary(summary: &SnapshotSummary, what: &str, json: bool) -> Result<Ended, CommandError> {
    if json {
        say(&serde_json::to_string(summary)?);
    } else {
        say(&format!(
            "{what}: sequence {}, {} recipients, {} rows, {} entries of history, {} bytes",
            summary.sequence, summary.recipients, summary.rows, summary.history, summary.bytes
        ));
    }
    Ok(Ended::Done)
}
