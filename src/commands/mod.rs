//! What a person can ask for, one file each.

mod audit;
mod bundle;
mod demo;
mod follow;
mod hub_key;
mod import;
mod lookup;
mod masters;
mod output;
mod pki;
mod serve;
mod snapshot;
mod synth;
mod token;
mod verify;
mod who;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::registry::{OpenOptions, Registry, RegistryError};
use crate::serve::api::client::{Client, ClientError};
use crate::serve::clock::now_unix_ms;

/// shikaku (資格): which medical subsidies is this patient entitled to today? Answered on your own machine.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 done but some rows were rejected, 4 held by a gate and nothing applied.
#[derive(Debug, Parser)]
#[command(version, about, long_about, max_term_width = 100)]
pub struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a synthetic population, import it, serve it, and print look-ups to try
    Demo(demo::DemoArguments),
    /// Write the synthetic population as a registration file
    Synth(synth::SynthArguments),
    /// Register the rows of registration files
    Import(import::ImportArguments),
    /// Answer look-ups
    Serve(serve::ServeArguments),
    /// Look one person, certificate or card up
    Lookup(lookup::LookupArguments),
    /// Read everything in a data directory and say what is wrong
    Verify(verify::VerifyArguments),
    /// Back up and restore
    Snapshot(snapshot::SnapshotArguments),
    /// Show and replace the masters: authorities, payers, participation, issuers
    Masters(masters::MastersArguments),
    /// Make, list and revoke tokens
    Token(token::TokenArguments),
    /// Make certificates for a small site: its private authority, and what that signs
    Pki(pki::PkiArguments),
    /// Print the key that a hub's followers know it by
    HubKey(hub_key::HubKeyArguments),
    /// Say what becomes of a directory whose hub is no longer believed
    Follow(follow::FollowArguments),
    /// Carry a part of the log by hand: export and import
    Bundle(bundle::BundleArguments),
    /// Who asked about whom: show, verify and review the audit
    Audit(audit::AuditArguments),
}

/// How a command ends, when it does not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Done,
    /// Something was found wrong, and said.
    Failed,
    SomeRejected,
    Held,
}

/// Why a command failed, in words that say what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct CommandError(String);

impl CommandError {
    fn new(words: impl Into<String>) -> CommandError {
        CommandError(words.into())
    }
}

macro_rules! command_error_from {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for CommandError {
            fn from(error: $error) -> CommandError {
                CommandError(error.to_string())
            }
        })*
    };
}

command_error_from!(
    RegistryError,
    ClientError,
    crate::audit::AuditError,
    crate::serve::tokens::TokenError,
    crate::serve::api::remote::RemoteError,
    crate::serve::config::ConfigError,
    crate::population::PopulationError,
    crate::sync::bundle::BundleError,
    crate::sync::follow::FollowError,
    crate::sync::follow::FollowOptionsError,
    crate::sync::intake::IntakeError,
    crate::sync::jetstream::BrokerBeginError,
    crate::sync::jetstream::BrokerConfigError,
    crate::sync::key::KeyError,
    crate::sync::station::StationError,
    crate::tls::TlsError,
    crate::tls::pki::PkiError,
    serde_json::Error,
);

/// Runs a command and says how it ended.
pub fn run(line: CommandLine) -> ExitCode {
    // Whatever a command makes is its owner's alone: the store's engine asks for no mode of its own.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    output::start_logging();
    let ended = match line.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Lookup(arguments) => lookup::run(&arguments),
        Command::Verify(arguments) => verify::run(&arguments),
        Command::Snapshot(arguments) => snapshot::run(&arguments),
        Command::Masters(arguments) => masters::run(&arguments),
        Command::Token(arguments) => token::run(&arguments),
        Command::Pki(arguments) => pki::run(&arguments),
        Command::HubKey(arguments) => hub_key::run(&arguments),
        Command::Follow(arguments) => follow::run(&arguments),
        Command::Bundle(arguments) => bundle::run(&arguments),
        Command::Audit(arguments) => audit::run(&arguments),
    };
    match ended {
        Ok(Ended::Done) => ExitCode::SUCCESS,
        Ok(Ended::Failed) => ExitCode::from(1),
        Ok(Ended::SomeRejected) => ExitCode::from(3),
        Ok(Ended::Held) => ExitCode::from(4),
        Err(error) => {
            output::complain(&format!("shikaku: {error}"));
            ExitCode::from(1)
        }
    }
}

/// Who works on a data directory: its owner behind the socket, or this process.
enum Owner {
    Server(Client),
    Local(Box<Registry>),
}

/// Finds the owner of a directory, or becomes it.
fn owner_of(directory: &Path) -> Result<Owner, CommandError> {
    if let Some(client) = Client::of_owner(directory)? {
        return Ok(Owner::Server(client));
    }
    let registry = Registry::open(directory, &OpenOptions::at(now_unix_ms()))?;
    for note in registry.notes() {
        tracing::info!("{note}");
    }
    Ok(Owner::Local(Box::new(registry)))
}

/// The same for a command that only asks.
fn owner_of_existing(directory: &Path) -> Result<Owner, CommandError> {
    if !holds_a_register(directory) {
        return Err(CommandError::new(format!(
            "{} holds no register; `shikaku import` or `shikaku serve` makes one",
            directory.display()
        )));
    }
    owner_of(directory)
}

/// Whether anything was ever registered in a directory. Where nothing was there is nothing to ask, and a mistyped path must not become
/// a register that knows nobody. A directory that lost its log and store still has what it was restored from: opening it says so.
fn holds_a_register(directory: &Path) -> bool {
    ["log", "store", "snapshots"].iter().any(|part| directory.join(part).exists())
}

/// The time, ms since 1970.
fn now() -> u64 {
    now_unix_ms()
}
