//! `shikaku import`: registers the rows of registration files.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use serde_json::json;

use super::output::{bytes_bar, is_terminal, say};
use super::{CommandError, Ended, Owner, now, owner_of};
use crate::domain::day::DateForm;
use crate::ingest::register::{BlankRegister, LocalRegister, Register};
use crate::ingest::{Encoding, Ending, ImportOptions, ImportReport, ParseOptions, Progress, import};
use crate::registry::Registry;
use crate::registry::view::today_in_japan;

#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// The data directory
    #[arg(long)]
    data: PathBuf,
    /// Encoding of the files; declared, never guessed
    #[arg(long, default_value = "utf-8", value_parser = ["utf-8", "cp932"])]
    encoding: String,
    /// How dates are written: YYYY-MM-DD or YYYYMMDD (iso), or era, year, month, day (gyymmdd)
    #[arg(long, default_value = "iso", value_parser = ["iso", "gyymmdd"])]
    dates: String,
    /// Where rejected rows go [default: FILE.rejects.csv; the reasons beside it]
    #[arg(long)]
    rejects: Option<PathBuf>,
    /// Examine only, register nothing
    #[arg(long)]
    dry_run: bool,
    /// Register what a gate would hold; recorded with the file's hash and your account
    #[arg(long)]
    accept: bool,
    /// Print one JSON object a file
    #[arg(long)]
    json: bool,
    /// Registration files, taken in order
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(super) fn run(arguments: &ImportArguments) -> Result<Ended, CommandError> {
    let options = ImportOptions {
        parse: ParseOptions {
            encoding: if arguments.encoding == "cp932" { Encoding::Cp932 } else { Encoding::Utf8 },
            dates: if arguments.dates == "gyymmdd" { DateForm::Gyymmdd } else { DateForm::Iso },
        },
        rejects: arguments.rejects.clone(),
        dry_run: arguments.dry_run,
        accept: arguments.accept,
        accepted_by: arguments.accept.then(account),
        workers: workers(),
    };
    if arguments.dry_run && Registry::is_blank(&arguments.data) {
        // Taking a turn, or opening, would leave something in a directory that has nothing, or make one.
        return import_all(arguments, &options, &BlankRegister);
    }
    let _turn = ImportTurn::take(&arguments.data)?;
    match owner_of(&arguments.data)? {
        Owner::Server(client) => import_all(arguments, &options, &client),
        Owner::Local(registry) => {
            registry.prune_to(today_in_japan(now() / 1000), now())?;
            let ended = import_all(arguments, &options, &LocalRegister::new(&registry, now));
            let closed = registry.close_with_image(now());
            let ended = ended?;
            closed?;
            Ok(ended)
        }
    }
}

/// Imports files in order; the first that is held or fails ends it.
fn import_all(arguments: &ImportArguments, options: &ImportOptions, register: &dyn Register) -> Result<Ended, CommandError> {
    let mut some_rejected = false;
    for file in &arguments.files {
        let report = import_one(file, options, register)?;
        if arguments.json {
            say(&json_of(file, &report).to_string());
        } else {
            say_report(file, &report);
        }
        if report.ending == Ending::Held {
            return Ok(Ended::Held);
        }
        some_rejected |= report.rejects.rows > 0 || report.examination.rejects > 0;
    }
    Ok(if some_rejected { Ended::SomeRejected } else { Ended::Done })
}

/// Imports one file with progress: a bar on a terminal, a line for each acknowledgement elsewhere.
pub(super) fn import_one(file: &Path, options: &ImportOptions, register: &dyn Register) -> Result<ImportReport, CommandError> {
    let mut bar: Option<(bool, ProgressBar)> = None;
    let mut progress = |progress: Progress| {
        if bar.as_ref().is_none_or(|(applying, _)| *applying != progress.applying) {
            if let Some((_, old)) = bar.take() {
                old.finish_and_clear();
            }
            let what = if progress.applying { "applying" } else { "examining" };
            bar = Some((progress.applying, bytes_bar(progress.bytes_total, what)));
        }
        if let Some((_, bar)) = &bar {
            bar.set_position(progress.bytes_done);
        }
        if let (Some(sequence), false) = (progress.sequence, is_terminal()) {
            say(&format!("durable sequence={sequence} line={}", progress.line));
        }
    };
    let imported = import(file, options, register, &mut progress);
    if let Some((_, bar)) = bar {
        bar.finish_and_clear();
    }
    imported.map_err(|error| CommandError::new(format!("{}: {error}", file.display())))
}

/// Threads that parse: all cores.
pub(super) fn workers() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

fn say_report(file: &Path, report: &ImportReport) {
    let name = file.display();
    let examination = &report.examination;
    match report.ending {
        Ending::Held => {
            say(&format!("{name}: held, nothing was applied"));
            for gate in &examination.gates {
                say(&format!("  {gate}"));
            }
            say("  if this is meant, say --accept");
        }
        Ending::DryRun => {
            say(&format!(
                "{name}: {} rows examined, {} would be rejected; nothing was applied",
                examination.rows, examination.rejects
            ));
        }
        Ending::AppliedBefore => {
            say(&format!("{name}: applied before; its {} rows stand, and its authorities count as fresh", examination.rows));
        }
        Ending::Applied => {
            let counts = &report.counts;
            say(&format!(
                "{name}: {} rows: {} new, {} replaced, {} unchanged, {} kept as history only, {} withdrawn, {} repeated in the file, {} rejected",
                examination.rows,
                counts.registered,
                counts.superseded,
                counts.unchanged,
                counts.history_only,
                counts.withdrawn,
                examination.replaced.len(),
                report.rejects.rows,
            ));
            for gate in &report.overridden {
                say(&format!("  accepted: {gate}"));
            }
        }
    }
    if let Some(paths) = &report.rejects.written {
        say(&format!("  rejected rows: {}", paths.rows.display()));
        say(&format!("  reasons: {}", paths.reasons.display()));
    }
}

fn json_of(file: &Path, report: &ImportReport) -> serde_json::Value {
    let examination = &report.examination;
    let ending = match report.ending {
        Ending::Applied => "applied",
        Ending::AppliedBefore => "applied_before",
        Ending::DryRun => "dry_run",
        Ending::Held => "held",
    };
    json!({
        "file": file.display().to_string(),
        "ending": ending,
        "rows": examination.rows,
        "replaced_in_file": examination.replaced.len(),
        "rejected": report.rejects.rows.max(examination.rejects),
        "counts": report.counts,
        "sequence": report.sequence,
        "file_hash": examination.summary.hash.to_hex().to_string(),
        "gates": examination.gates.iter().map(|gate| json!({ "gate": gate.word(), "detail": gate.to_string() })).collect::<Vec<_>>(),
        "warnings": {
            "insurer_check_digits": examination.warnings.insurer_check_digits,
            "payer_check_digits": examination.warnings.payer_check_digits,
            "recipient_check_digits": examination.warnings.recipient_check_digits,
            "private_use_characters": examination.warnings.private_use_characters,
        },
        "rejects_file": report.rejects.written.as_ref().map(|paths| paths.rows.display().to_string()),
        "reasons_file": report.rejects.written.as_ref().map(|paths| paths.reasons.display().to_string()),
    })
}

/// The account that says `--accept`, for the record in the log.
fn account() -> String {
    let name = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).or_else(|_| std::env::var("LOGNAME"));
    name.unwrap_or_else(|_| format!("uid {}", rustix::process::getuid().as_raw()))
}

/// One import at a time into a directory, alone or through its owner.
struct ImportTurn {
    _file: std::fs::File,
}

impl ImportTurn {
    fn take(directory: &Path) -> Result<ImportTurn, CommandError> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let path = directory.join("IMPORT");
        let failed = |error: std::io::Error| CommandError::new(format!("{}: {error}", path.display()));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(failed)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| CommandError::new("another import into this directory is under way; wait for it"))?;
        Ok(ImportTurn { _file: file })
    }
}
