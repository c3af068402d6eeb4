//! `shikaku synth`: the synthetic population as a registration file.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{bytes_bar, say};
use super::{CommandError, Ended};
use crate::domain::day::Day;
use crate::population::Population;
use crate::population::synth::{self, Encoding, Progress};

#[derive(Debug, Args)]
pub(super) struct SynthArguments {
    /// How many recipients
    #[arg(long)]
    recipients: u64,
    /// Another seed, another population
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The day as of which it is registered
    #[arg(long, default_value = "2026-11-22", value_parser = day)]
    as_of: Day,
    /// Encoding of the files
    #[arg(long, default_value = "utf-8", value_parser = ["utf-8", "cp932"])]
    encoding: String,
    /// The registration file to write
    #[arg(long)]
    out: PathBuf,
    /// Also write what a later day's change file would say: renewals, moves, withdrawals
    #[arg(long)]
    changes: Option<PathBuf>,
}

/// Reads a day from the command line.
pub(super) fn day(text: &str) -> Result<Day, String> {
    Day::parse(text.as_bytes()).map_err(|error| format!("{error}; write YYYY-MM-DD"))
}

pub(super) fn run(arguments: &SynthArguments) -> Result<Ended, CommandError> {
    let population = Population::new(arguments.seed, arguments.recipients, arguments.as_of)?;
    let encoding = if arguments.encoding == "cp932" { Encoding::Cp932 } else { Encoding::Utf8 };
    let written = write(&population, encoding, &arguments.out, false)?;
    say(&format!("{}: {} lines, {} bytes", arguments.out.display(), written.lines, written.bytes));
    if let Some(changes) = &arguments.changes {
        let written = write(&population, encoding, changes, true)?;
        say(&format!("{}: {} lines, {} bytes", changes.display(), written.lines, written.bytes));
    }
    Ok(Ended::Done)
}

/// Writes registrations or changes to a file.
pub(super) fn write(population: &Population, encoding: Encoding, path: &Path, changes: bool) -> Result<Progress, CommandError> {
    let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", path.display()));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path).map_err(failed)?);
    let bar = bytes_bar(population.size(), "writing");
    let mut progress = |progress: Progress| bar.set_position(progress.recipients);
    let written = if changes {
        synth::write_changes(population, &mut out, encoding, &mut progress)
    } else {
        synth::write_registrations(population, &mut out, encoding, &mut progress)
    };
    let written = written.map_err(failed)?;
    out.flush().map_err(failed)?;
    bar.finish_and_clear();
    Ok(written)
}
