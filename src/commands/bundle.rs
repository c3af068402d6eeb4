//! `shikaku bundle export|import`: carries a part of the log by hand, for a house without a line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::{ArgGroup, Args, Subcommand};

use super::output::say;
use super::{CommandError, Ended, Owner, now, owner_of, owner_of_existing};
use crate::disk::{Disk, RealDisk};
use crate::registry::{Following, FollowingError, OpenOptions, Prefectures, Registry, RegistryError};
use crate::serve::api::client::Client;
use crate::sync::bundle::{self, BundleError, BundleSummary, ExportOptions, Imported};
use crate::sync::intake::{Intake, Share};
use crate::sync::key::HubKey;

#[derive(Debug, Args)]
pub(super) struct BundleArguments {
    #[command(subcommand)]
    command: BundleCommand,
}

#[derive(Debug, Subcommand)]
enum BundleCommand {
    /// Write the frames behind a sequence, or a snapshot, into one signed file
    Export(ExportArguments),
    /// Verify such a file, and take what is new of it
    Import(ImportArguments),
}

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("beginning").required(true).args(["since", "with_snapshot"])))]
struct ExportArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// The sequence where the one who is to take it stands; 0 for everything. `shikaku bundle import` and `/v1/status` say it there
    #[arg(long)]
    since: Option<u64>,
    /// A snapshot of this moment instead, from which an empty directory can begin; only the hub can sign one
    #[arg(long)]
    with_snapshot: bool,
    /// The file to write
    #[arg(long)]
    out: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ImportArguments {
    /// The data directory: one that follows, or an empty one
    #[arg(long)]
    data: PathBuf,
    /// The hub's key, as `shikaku hub-key` prints it there; needed for an empty directory
    #[arg(long)]
    hub_key: Option<String>,
    /// Of which prefectures rows are held, where the directory is empty: 13,14 [default: all]
    #[arg(long, requires = "hub_key")]
    prefectures: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// The bundle
    file: PathBuf,
}

pub(super) fn run(arguments: &BundleArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        BundleCommand::Export(arguments) => export(arguments),
        BundleCommand::Import(arguments) => import(arguments),
    }
}

fn export(arguments: &ExportArguments) -> Result<Ended, CommandError> {
    let file = absolute(&arguments.out)?;
    let summary = match owner_of_existing(&arguments.data)? {
        Owner::Server(client) => client.export_bundle(file, arguments.since)?,
        Owner::Local(registry) => {
            let options = arguments.since.map_or(ExportOptions::WithSnapshot, ExportOptions::Since);
            let exported = bundle::export(&registry, &disk(), &file, options, None);
            registry.close(now())?;
            exported?
        }
    };
    if arguments.json {
        say(&serde_json::to_string(&summary)?);
    } else {
        say(&format!("wrote {}: {}", arguments.out.display(), words(&summary)));
    }
    Ok(Ended::Done)
}

fn import(arguments: &ImportArguments) -> Result<Ended, CommandError> {
    let file = absolute(&arguments.file)?;
    let imported = match Client::of_owner(&arguments.data)? {
        Some(client) => client.import_bundle(file)?,
        None => import_alone(arguments, &file)?,
    };
    if arguments.json {
        say(&serde_json::to_string(&imported)?);
    } else {
        say_imported(&arguments.file, &imported);
    }
    Ok(Ended::Done)
}

/// Takes a bundle into a directory that nobody serves; makes it one that follows first where nothing is there.
fn import_alone(arguments: &ImportArguments, file: &Path) -> Result<Imported, CommandError> {
    let data = &arguments.data;
    let key = arguments.hub_key.as_deref().map(str::parse::<HubKey>).transpose()?;
    // What came to nothing is begun again.
    let (followed, is_unfinished) = match Following::of(&RealDisk, data) {
        Err(RegistryError::Following(FollowingError::Unfinished { .. })) => (None, true),
        followed => (followed?, false),
    };
    match followed {
        Some(following) if key.is_some_and(|key| key.as_bytes() != &following.hub_key) => {
            return Err(BundleError::OtherKey { path: data.clone() }.into());
        }
        Some(_) => {}
        None if is_unfinished || Registry::is_blank(data) => {
            let key = key.ok_or_else(|| BundleError::NoKey { path: data.clone() })?;
            let prefectures = arguments.prefectures.as_deref().map(Prefectures::parse).transpose();
            let prefectures = prefectures.map_err(|error| CommandError::new(format!("--prefectures: {error}")))?;
            bundle::begin_from(&disk(), data, file, &key, prefectures)?;
        }
        None => {
            let Owner::Local(registry) = owner_of(data)? else {
                return Err(CommandError::new("a server has just started; try again"));
            };
            let refused = BundleError::RegistersItself { path: data.clone(), stream: registry.stream() };
            registry.close(now())?;
            return Err(refused.into());
        }
    }
    let registry = Arc::new(Registry::open(data, &OpenOptions::at(now()))?);
    for note in registry.notes() {
        tracing::info!("{note}");
    }
    let never = Arc::new(AtomicBool::new(false));
    let imported = Intake::open(registry.clone(), disk(), Share::WHOLE, never).map_err(CommandError::from);
    let imported = imported.and_then(|mut intake| Ok(bundle::import(&mut intake, file)?));
    registry.finish(now())?;
    imported
}

fn say_imported(file: &Path, imported: &Imported) {
    let name = file.display();
    say(&format!("{name}: {}", words(&imported.bundle)));
    if imported.stands == imported.stood {
        say(&format!("it holds nothing new: this directory stands at {}", imported.stands));
    } else {
        say(&format!("verified and taken: this directory stood at {} and stands at {}", imported.stood, imported.stands));
    }
}

fn words(summary: &BundleSummary) -> String {
    let frames = if summary.begins > summary.through {
        format!("sequence {}", summary.through)
    } else {
        format!("sequences {} to {}", summary.begins, summary.through)
    };
    let snapshot = summary.snapshot.map_or(String::new(), |sequence| format!(", a snapshot of sequence {sequence}"));
    let signed = crate::registry::view::rfc3339_japan(summary.signed_unix_ms / 1000);
    format!("stream {}, {frames}{snapshot}, signed {signed}, {} bytes", summary.stream, summary.bytes)
}

fn absolute(path: &Path) -> Result<PathBuf, CommandError> {
    std::path::absolute(path).map_err(|error| CommandError::new(format!("{}: {error}", path.display())))
}

fn disk() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}
