//! `shikaku follow resume|resnapshot`: an operator's word about a hub from which nothing more is taken.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};

use super::output::say;
use super::{CommandError, Ended, now};
use crate::disk::{Disk, RealDisk};
use crate::registry::{DirectoryLock, Following};
use crate::sync::remembered::{INTAKE_DIRECTORY, Remembered};

#[derive(Debug, Args)]
pub(super) struct FollowArguments {
    #[command(subcommand)]
    command: FollowCommand,
}

#[derive(Debug, Subcommand)]
enum FollowCommand {
    /// End the quarantine: the hub was put right, and is asked again. A running server notices
    Resume {
        /// The data directory
        #[arg(long)]
        data: PathBuf,
    },
    /// Begin anew from the hub's snapshot at the next start: what is held is moved aside, and nothing is removed. The server must not run
    Resnapshot {
        /// The data directory
        #[arg(long)]
        data: PathBuf,
    },
}

/// What makes up a directory that follows. Who asked (`audit`), the tokens and the configuration stay.
const HELD: [&str; 6] = ["follows", "log", "store", "snapshots", "image", INTAKE_DIRECTORY];

/// The same, with something behind the name.
const HELD_PREFIX: &str = "store.";

pub(super) fn run(arguments: &FollowArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        FollowCommand::Resume { data } => resume(data),
        FollowCommand::Resnapshot { data } => resnapshot(data),
    }
}

fn resume(data: &Path) -> Result<Ended, CommandError> {
    follows(data)?;
    let remembered = Remembered::of(Arc::new(RealDisk), data);
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", remembered.path("").display()));
    let Some(quarantine) = remembered.quarantine().map_err(failed)? else {
        say("there is no quarantine");
        return Ok(Ended::Done);
    };
    // Without it the hub is judged by the own log alone. It goes first: where only this happens, the command is given again.
    remembered.forget_checkpoint().map_err(failed)?;
    remembered.end_quarantine().map_err(failed)?;
    say(&format!("the quarantine for {} is over; the hub is asked again", quarantine.trouble));
    Ok(Ended::Done)
}

fn resnapshot(data: &Path) -> Result<Ended, CommandError> {
    follows(data)?;
    let _lock = DirectoryLock::take(&RealDisk, data)?;
    let aside = data.join(format!("set-aside-{}", now()));
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", aside.display()));
    RealDisk.create_directory(&aside).map_err(failed)?;
    let names = RealDisk.list(data).map_err(failed)?;
    // What says that the directory follows goes last: until then the same can be done again.
    let mut held: Vec<&String> =
        names.iter().filter(|name| HELD.contains(&name.as_str()) || name.starts_with(HELD_PREFIX)).collect();
    held.sort_by_key(|name| name.as_str() == "follows");
    for name in held {
        RealDisk.rename(&data.join(name), &aside.join(name)).map_err(failed)?;
    }
    RealDisk.sync_directory(&aside).and_then(|()| RealDisk.sync_directory(data)).map_err(failed)?;
    say(&format!("what was held lies in {}; the next start begins with the hub's snapshot", aside.display()));
    Ok(Ended::Done)
}

/// A register of one's own must not be moved away by mistake.
fn follows(data: &Path) -> Result<(), CommandError> {
    match Following::of(&RealDisk, data)? {
        Some(_) => Ok(()),
        None => Err(CommandError::new(format!("{} follows nobody", data.display()))),
    }
}
