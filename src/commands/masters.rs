//! `shikaku masters show|set`: the masters of the log.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::output::say;
use super::{CommandError, Ended, Owner, now, owner_of, owner_of_existing};
use crate::domain::masters::MasterKind;

#[derive(Debug, Args)]
pub(super) struct MastersArguments {
    #[command(subcommand)]
    command: MastersCommand,
}

#[derive(Debug, Subcommand)]
enum MastersCommand {
    /// Show how many lines each table has, or one table whole
    Show {
        /// The data directory
        #[arg(long)]
        data: PathBuf,
        /// Print this table
        #[arg(long, value_parser = ["authorities", "issuers", "schemes", "participation", "payers"])]
        table: Option<String>,
    },
    /// Replace tables; each file is a whole table (CSV, the header as `masters show --table` prints it)
    Set {
        /// The data directory
        #[arg(long)]
        data: PathBuf,
        /// code,prefecture,name,kana,kind
        #[arg(long)]
        authorities: Option<PathBuf>,
        /// payer_number,authority_code,scheme,area,check,valid_from,valid_to
        #[arg(long)]
        payers: Option<PathBuf>,
        /// authority_code,valid_from,valid_to
        #[arg(long)]
        participation: Option<PathBuf>,
        /// code,name
        #[arg(long)]
        issuers: Option<PathBuf>,
    },
}

pub(super) fn run(arguments: &MastersArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        MastersCommand::Show { data, table } => show(data, table.as_deref()),
        MastersCommand::Set { data, authorities, payers, participation, issuers } => {
            // Payers and participation name authorities and issuers, which therefore come first.
            let files = [
                (MasterKind::Authorities, authorities),
                (MasterKind::Issuers, issuers),
                (MasterKind::Participation, participation),
                (MasterKind::Payers, payers),
            ];
            set(data, files.into_iter().filter_map(|(kind, file)| file.as_deref().map(|file| (kind, file))).collect())
        }
    }
}

fn show(data: &Path, table: Option<&str>) -> Result<Ended, CommandError> {
    let texts = match owner_of_existing(data)? {
        Owner::Server(client) => client.masters()?,
        Owner::Local(registry) => {
            MasterKind::ALL.into_iter().filter_map(|kind| registry.master_text(kind).map(|text| (kind as u8, text))).collect()
        }
    };
    for (kind, text) in texts {
        let Some(kind) = MasterKind::from_byte(kind) else { continue };
        match table {
            Some(table) if table == kind.name() => say(text.trim_end()),
            Some(_) => {}
            None => say(&format!("{:14}{:6} lines  {}", kind.name(), text.lines().count().saturating_sub(1), kind.header())),
        }
    }
    Ok(Ended::Done)
}

fn set(data: &Path, files: Vec<(MasterKind, &Path)>) -> Result<Ended, CommandError> {
    if files.is_empty() {
        return Err(CommandError::new("name at least one table, --payers FILE for instance"));
    }
    let mut texts = Vec::new();
    for (kind, file) in files {
        let text = std::fs::read_to_string(file);
        texts.push((kind, file, text.map_err(|error| CommandError::new(format!("{}: {error}", file.display())))?));
    }
    let owner = owner_of(data)?;
    for (kind, file, text) in texts {
        let failed = |error: String| CommandError::new(format!("{}: {error}", file.display()));
        let sequence = match &owner {
            Owner::Server(client) => client.set_master(kind, text).map_err(|error| failed(error.to_string()))?,
            Owner::Local(registry) => registry.set_master(kind, &text, now()).map_err(|error| failed(error.to_string()))?,
        };
        say(&format!("{} replaced at sequence {sequence}", kind.name()));
    }
    if let Owner::Local(registry) = owner {
        registry.close(now())?;
    }
    Ok(Ended::Done)
}
