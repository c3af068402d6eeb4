//! `shikaku audit show|verify|review`: who asked about whom. Reads the files themselves, also while a server writes them.

mod about;
mod review;
mod show;
mod time;
mod verify;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::output::complain;
use super::{CommandError, Ended};
use crate::audit::{AUDIT_DIRECTORY, Period, Reading, TokenId};
use crate::domain::identifier::InstitutionCode;
use crate::registry::view::rfc3339_japan;

#[derive(Debug, Args)]
pub(super) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// List look-ups, one a line
    Show(show::ShowArguments),
    /// Read everything and say what was changed, removed or cut
    Verify(verify::VerifyArguments),
    /// Look for mass look-ups, look-ups outside hours, repeated misses, and people asked about by many
    Review(review::ReviewArguments),
}

/// Where, when, by whom.
#[derive(Debug, Args)]
struct Which {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// From: a day or a time in Japan, 2026-11-22 or 2026-11-22T08:30[:15]
    #[arg(long, value_name = "TIME", value_parser = time::parse_from)]
    from: Option<u64>,
    /// To: a day, which belongs to it, or a time, which does not
    #[arg(long, value_name = "TIME", value_parser = time::parse_to)]
    to: Option<u64>,
    /// Only look-ups of this institution
    #[arg(long, value_name = "CODE", value_parser = parse_institution)]
    institution: Option<InstitutionCode>,
    /// Only look-ups with this token, as `token list` names it
    #[arg(long, value_name = "NAME", value_parser = parse_token)]
    token: Option<TokenId>,
}

impl Which {
    /// The audit's directory, which must be there: a mistyped path must not pass for one in which nobody asked.
    fn directory(&self) -> Result<PathBuf, CommandError> {
        let directory = self.data.join(AUDIT_DIRECTORY);
        if directory.is_dir() {
            return Ok(directory);
        }
        Err(CommandError::new(format!("{} holds no audit; `shikaku serve` makes one", self.data.display())))
    }

    fn period(&self) -> Period {
        let all = Period::ALL;
        Period { from_unix_ms: self.from.unwrap_or(all.from_unix_ms), to_unix_ms: self.to.unwrap_or(all.to_unix_ms) }
    }

    fn has(&self, institution: Option<InstitutionCode>, token: Option<TokenId>) -> bool {
        self.institution.is_none_or(|wanted| institution == Some(wanted)) && self.token.is_none_or(|wanted| token == Some(wanted))
    }
}

pub(super) fn run(arguments: &AuditArguments) -> Result<Ended, CommandError> {
    match &arguments.command {
        AuditCommand::Show(arguments) => show::run(arguments),
        AuditCommand::Verify(arguments) => verify::run(arguments),
        AuditCommand::Review(arguments) => review::run(arguments),
    }
}

/// What could not be read, said beside the results.
fn ended_after(reading: &Reading) -> Ended {
    for fault in &reading.faults {
        complain(&format!("{fault}; see `shikaku audit verify`"));
    }
    if reading.faults.is_empty() { Ended::Done } else { Ended::Failed }
}

/// A time in Japan, to the millisecond.
fn time_of(unix_ms: u64) -> String {
    let second = rfc3339_japan(unix_ms / 1000);
    let (until_second, zone) = second.split_at_checked(19).unwrap_or((&second, ""));
    format!("{until_second}.{:03}{zone}", unix_ms % 1000)
}

fn code_of(institution: Option<InstitutionCode>) -> Option<String> {
    institution.map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned())
}

fn asker_json(institution: Option<InstitutionCode>, token: Option<TokenId>) -> Value {
    json!({ "institution": code_of(institution), "token": token.map(|token| token.to_string()) })
}

fn or_hyphen(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn parse_institution(text: &str) -> Result<InstitutionCode, String> {
    InstitutionCode::parse(text.as_bytes()).map_err(|error| format!("{error}; 10 digits are needed"))
}

fn parse_token(text: &str) -> Result<TokenId, String> {
    TokenId::parse(text).ok_or_else(|| "a token's name is eight hex digits; see `shikaku token list`".to_owned())
}

/// Reads a directory's key, which every pseudonym needs.
fn key_of(directory: &Path) -> Result<crate::audit::PseudonymKey, CommandError> {
    crate::audit::PseudonymKey::read(&crate::disk::RealDisk, directory)?
        .ok_or_else(|| CommandError::new(format!("{} has no key: nobody can tell who was asked about", directory.display())))
}
