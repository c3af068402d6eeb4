//! `shikaku token add|list|revoke`: who may ask. A running server rereads the file.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::output::say;
use super::{CommandError, Ended, holds_a_register};
use crate::domain::identifier::InstitutionCode;
use crate::serve::tokens::{Role, Tokens};

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
        /// The institution it belongs to, 10 digits
        #[arg(long)]
        institution: String,
        /// What it may do
        #[arg(long, value_parser = ["lookup", "register", "follow", "monitor"])]
        role: String,
    },
    /// List tokens by name, institution and role
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
        TokenCommand::Add { file, institution, role } => {
            let institution = InstitutionCode::parse(institution.as_bytes())
                .map_err(|error| CommandError::new(format!("--institution: {error}; 10 digits are needed")))?;
            let role = Role::from_word(role).ok_or_else(|| CommandError::new("--role: no such role"))?;
            let path = file.path();
            if let Some(directory) = path.parent() {
                use std::os::unix::fs::DirBuilderExt;
                let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
                made.map_err(|error| CommandError::new(format!("{}: {error}", directory.display())))?;
            }
            say(&Tokens::read(&path)?.add(&path, institution, role)?);
        }
        TokenCommand::List { file } => {
            for token in Tokens::read(&file.existing()?)?.list() {
                let institution = String::from_utf8_lossy(token.institution.as_bytes()).into_owned();
                say(&format!("{} {institution} {}", token.name, token.role.word()));
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
