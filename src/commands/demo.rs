//! `shikaku demo`: from nothing to an answered look-up.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::output::say;
use super::serve::{Serving, serve};
use super::synth::{self, day};
use super::{CommandError, Ended, now};
use crate::domain::day::{DateForm, Day};
use crate::ingest::register::LocalRegister;
use crate::ingest::{Encoding, ImportOptions, ParseOptions};
use crate::population::question::Kind;
use crate::population::{Population, synth::Encoding as SynthEncoding};
use crate::registry::view::today_in_japan;
use crate::registry::{OpenOptions, Registry};
use crate::serve::config::{Config, SnapshotConfig};
use crate::sync::station::Ways;

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// How many recipients
    #[arg(long, default_value_t = 1_000_000)]
    recipients: u64,
    /// Where look-ups are answered
    #[arg(long, default_value = "127.0.0.1:8470")]
    listen: SocketAddr,
    /// The data directory; kept, and served at once by the next start
    #[arg(long, default_value = "shikaku-demo-data")]
    data: PathBuf,
    /// Another seed, another population
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day as of which the population is registered [default: today, or the day the kept data were made]
    #[arg(long, value_parser = day)]
    as_of: Option<Day>,
}

/// What the demo's data are, kept beside them.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct DemoData {
    recipients: u64,
    seed: u64,
    as_of: String,
    complete: bool,
}

pub(super) fn run(arguments: &DemoArguments) -> Result<Ended, CommandError> {
    let note = arguments.data.join("demo.json");
    let data = match std::fs::read(&note) {
        Ok(bytes) => kept(arguments, &bytes)?,
        Err(_) => made(arguments, &note)?,
    };
    let as_of = Day::parse(data.as_of.as_bytes()).map_err(|error| CommandError::new(format!("demo.json: {error}")))?;
    let population = Population::new(data.seed, data.recipients, as_of)?;
    if !data.complete {
        fill(arguments, &population)?;
        write_note(&note, &DemoData { complete: true, ..data })?;
    }
    let serving = Serving {
        data: &arguments.data,
        listen: arguments.listen,
        tokens: arguments.data.join("tokens"),
        api: None,
        ways: Ways::default(),
        // What is made up can be made again.
        config: Config { snapshots: SnapshotConfig { enabled: false, ..SnapshotConfig::default() }, ..Config::default() },
    };
    serve(&serving, |_, address| print_questions(&population, address))
}

fn kept(arguments: &DemoArguments, bytes: &[u8]) -> Result<DemoData, CommandError> {
    let data: DemoData = serde_json::from_slice(bytes)?;
    let same_day = arguments.as_of.is_none_or(|day| day.to_string() == data.as_of);
    if data.recipients != arguments.recipients || data.seed != arguments.seed || !same_day {
        return Err(CommandError::new(format!(
            "{} holds another demo ({} recipients, seed {}, as of {}); name another directory with --data, or remove it",
            arguments.data.display(),
            data.recipients,
            data.seed,
            data.as_of,
        )));
    }
    Ok(data)
}

fn made(arguments: &DemoArguments, note: &Path) -> Result<DemoData, CommandError> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", arguments.data.display()));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&arguments.data).map_err(failed)?;
    if std::fs::read_dir(&arguments.data).map_err(failed)?.next().is_some() {
        return Err(CommandError::new(format!(
            "{} is not empty and holds no demo; name another directory with --data",
            arguments.data.display()
        )));
    }
    let as_of = arguments.as_of.unwrap_or_else(|| today_in_japan(now() / 1000)).to_string();
    let data = DemoData { recipients: arguments.recipients, seed: arguments.seed, as_of, complete: false };
    write_note(note, &data)?;
    Ok(data)
}

fn write_note(note: &Path, data: &DemoData) -> Result<(), CommandError> {
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", note.display()));
    std::fs::write(note, serde_json::to_vec_pretty(data)?).map_err(failed)
}

/// Makes the population and imports it by the same way as any registration file.
fn fill(arguments: &DemoArguments, population: &Population) -> Result<(), CommandError> {
    let file = arguments.data.join("population.csv");
    tracing::info!(recipients = population.size(), "making the population");
    synth::write(population, SynthEncoding::Utf8, &file, false)?;
    tracing::info!("importing it");
    let registry = Registry::open(&arguments.data, &OpenOptions::at(now()))?;
    let options = ImportOptions {
        parse: ParseOptions { encoding: Encoding::Utf8, dates: DateForm::Iso },
        rejects: None,
        dry_run: false,
        accept: false,
        accepted_by: None,
        workers: super::import::workers(),
    };
    let mut progress = |_| {};
    let report = crate::ingest::import(&file, &options, &LocalRegister::new(&registry, now), &mut progress);
    let report = report.map_err(|error| CommandError::new(format!("{}: {error}", file.display())))?;
    registry.close(now())?;
    let removed = std::fs::remove_file(&file);
    removed.map_err(|error| CommandError::new(format!("{}: {error}", file.display())))?;
    tracing::info!(rows = report.examination.rows, "imported");
    Ok(())
}

/// One eligible, one expired, one unknown, each as a line to paste.
fn print_questions(population: &Population, address: SocketAddr) {
    let day = population.as_of();
    let curl = |json: String| {
        say(&format!(
            "curl -s http://{address}/v1/eligibility -H 'Content-Type: application/json' -d '{}'",
            json.replace('\'', "'\\''")
        ));
    };
    for letter in ['E', 'X'] {
        let recipient = (0..population.size()).map(|index| population.recipient(index));
        let mut of_letter = recipient.filter(|recipient| recipient.expected_member(true, day, None).letter == letter);
        if let Some(recipient) = of_letter.next() {
            curl(recipient.ask_member(true).json(day, true, None));
        }
    }
    curl(population.stranger(Kind::Member, 0).json(day, true, None));
}
