//! `shikaku token add|list|revoke`: who may ask. A running server rereads the file.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::output::say;
use super::who::WhoArguments;
use super::{CommandError, Ended, holds_a_register};
use crate::serve::roles::Role;
use crate::serve::tokens::Tokens;

#[derive(Debug, Args)]
pub(super) struct TokenArguments {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Args)]
struct TokenFile {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// The file of tokens [default: DATA/tokens]
    #[arg(long)]
    tokens: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token and show it, once
    Add {
        #[command(flatten)]
        file: TokenFile,
        #[command(flatten)]
        who: WhoArguments,
        /// What it is for; `lookup`, `register`, `follow` and `monitor` are still understood
        #[arg(long, value_parser = PossibleValuesParser::new(Role::words()))]
        role: String,
    },
    /// List tokens by name, institution or machine, and role
    List {
        #[command(flatten)]
        file: TokenFile,
    },
    /// Take a token away
    Revoke {
        #[command(flatten)]
        file: TokenFile,
        /// Its name, as `token list` shows it
        name: String,
    },
}

impl TokenFile {
    fn path(&self) -> PathBuf {
        self.tokens.clone().unwrap_or_else(|| self.data.join("tokens"))
    }

    /// The file for a command that only asks: a register may have no tokens yet, but a mistyped path is not one without tokens.
    fn existing(&self) -> Result<PathBuf, CommandError> {
        let path = self.path();
        if path.exists() || (self.tokens.is_none() && holds_a_register(&self.data)) {
            return Ok(path);
        }
        Err(CommandError::new(format!("{}: there is no such file; `shikaku token add` makes one", path.display())))
    }
}

pub(super) fn run(arguments: &TokenArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        TokenCommand::Add { file, who, role } => {
            let identity = who.identity(role)?;
            let path = file.path();
            if let Some(directory) = path.parent() {
                use std::os::unix::fs::DirBuilderExt;
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
                made.map_err(|error| CommandError::new(format!("{}: {error}", directory.display())))?;
            }
            say(&Tokens::read(&path)?.add(&path, identity)?);
        }
        TokenCommand::List { file } => {
            for token in Tokens::read(&file.existing()?)?.list() {
                say(&format!("{} {} {}", token.name, token.identity.who(), token.identity.role()));
            }
        }
        TokenCommand::Revoke { file, name } => {
            let path = file.path();
            Tokens::read(&path)?.revoke(&path, name)?;
            say(&format!("{name} is revoked"));
        }
    }
    Ok(Ended::Done)
}
