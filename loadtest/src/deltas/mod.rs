//! Look-ups at a fixed rate while rows stream in: what the one costs the other.

mod report;
mod rows;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use clap::{Args, ValueEnum};
use shikaku::population::Population;

use crate::arguments::{Form, PopulationArguments, Shape};
use crate::check::Checker;
use crate::error::LoadError;
use crate::paced::{Pace, Phase, drive_paced};
use crate::plan::{Plan, population};
use crate::report::{complain, say};
use crate::server::appliance::Appliance;
use crate::server::status;
use crate::threshold::ThresholdArguments;
use crate::trial::{Manner, all_right, check_some, prepare};
use crate::work::{Work, register};

use rows::{Files, Touched};
use stream::{Acknowledged, Stage};

/// A shorter phase says nothing about how busy the client was.
const JUDGED_FROM: Duration = Duration::from_millis(200);
/// A connection with this many bursts under way takes no more.
const BURSTS_UNDER_WAY_MAX: usize = 256;

/// What streams in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Rows {
    /// Registrations of recipients that were not registered before
    New,
    /// A later day's change file: renewals, moves, withdrawals. Asked about is whom it leaves alone
    Changes,
}

#[derive(Debug, Args)]
pub(crate) struct DeltasArguments {
    /// A data directory with the population imported and nobody serving it; the run changes it [default: one made for the run]
    #[arg(long)]
    pub(crate) data: Option<PathBuf>,
    /// Where files for the run are made; they are removed at its end
    #[arg(long, default_value = "/tmp")]
    pub(crate) work: PathBuf,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    /// What streams in
    #[arg(long, value_enum, default_value_t = Rows::New)]
    pub(crate) rows: Rows,
    /// How many recipients are new, with `--rows new`
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(2..=10_000_000))]
    pub(crate) new_recipients: u32,
    /// Rows of a file; each is examined, applied and acknowledged by itself [default: all in one file, acknowledged by the MiB]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub(crate) rows_per_file: u64,
    /// Look-ups a second
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: u32,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
    /// Look-ups sent at the same moment on one connection
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) depth: u16,
    /// How long nothing streams in, to compare with
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) quiet_seconds: u64,
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) warm_up_ms: u64,
    /// How long loading may take
    #[arg(long, default_value_t = 120)]
    pub(crate) ready_within_s: u64,
    /// Fail below this many rows a second
    #[arg(long, value_name = "ROWS_PER_S")]
    pub(crate) rows_at_least: Option<f64>,
    /// Fail when p99.9 while rows stream in is more than this many times the quiet one
    #[arg(long, value_name = "TIMES")]
    pub(crate) p999_times_at_most: Option<f64>,
    /// Report figures though the client was busy all the time
    #[arg(long)]
    pub(crate) allow_saturated_client: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// The parts of the run, in order.
const PHASES: [&str; 4] = ["warm-up", "quiet", "examining", "streaming"];

pub(crate) struct Deltas {
    phases: Vec<Phase>,
    acknowledged: Acknowledged,
    rows: u64,
    checked_afterwards: u64,
}

pub(crate) fn run(arguments: &DeltasArguments) -> Result<(), LoadError> {
    if !arguments.population.recipients.is_multiple_of(2) {
        // The last recipient of an odd number has no twin, and might have one in the larger population.
        return Err(LoadError::Usage("--recipients must be even, so that the population can grow".to_owned()));
    }
    let work = Work::below(&arguments.work)?;
    let data = match &arguments.data {
        Some(data) => data.clone(),
        None => register(&arguments.binary, &arguments.population, &work)?.0,
    };
    let deltas = measured(arguments, &data, &work)?;
    if arguments.json {
        say(&deltas.json(arguments).to_string());
    } else {
        deltas.lines().iter().for_each(|line| say(line));
    }
    let missed = deltas.missed(arguments);
    if missed.is_empty() { Ok(()) } else { Err(LoadError::Missed(missed)) }
}

/// Measures with a population that nobody serves, and sees to it that the client was not what was measured.
pub(crate) fn measured(arguments: &DeltasArguments, data: &Path, work: &Work) -> Result<Deltas, LoadError> {
    let deltas = measure(arguments, data, work)?;
    let thresholds =
        ThresholdArguments { allow_saturated_client: arguments.allow_saturated_client, ..ThresholdArguments::default() };
    let judged = PHASES.iter().zip(&deltas.phases).skip(1).filter(|(_, phase)| phase.lasted() >= JUDGED_FROM);
    for (name, phase) in judged {
        thresholds.trust(name, &phase.figures())?;
    }
    Ok(deltas)
}

fn measure(arguments: &DeltasArguments, data: &Path, work: &Work) -> Result<Deltas, LoadError> {
    let registered = population(&arguments.population)?;
    let larger = grown(&arguments.population, arguments.new_recipients);
    let mut files = Files::new(work.path(), arguments.rows_per_file);
    match arguments.rows {
        Rows::New => files.write_new(&population(&larger)?, registered.size())?,
        Rows::Changes => files.write_changes(&registered)?,
    }
    let appliance = Appliance::start(&arguments.binary, data, Duration::from_secs(arguments.ready_within_s))?;
    let horizon = status(appliance.address)?.horizon;
    let manner = Manner::usual(Shape::Pipeline, Form::Compact);
    let untouched = |population: &PopulationArguments, registered: &Population| {
        let plan = prepare(population, Some(horizon), manner)?;
        Ok::<_, LoadError>(if arguments.rows == Rows::Changes { left_alone(plan, registered) } else { plan })
    };
    let plan = untouched(&arguments.population, &registered)?;
    let (phases, acknowledged) = stream(arguments, &plan, &appliance, data, &files)?;
    // What was acknowledged has to be answered from, the new and the old.
    let afterwards = if arguments.rows == Rows::New { untouched(&larger, &registered)? } else { plan };
    let checked_afterwards = check_some(&afterwards, appliance.address)?;
    Ok(Deltas { phases, acknowledged, rows: files.rows, checked_afterwards })
}

/// The population with the new recipients.
fn grown(arguments: &PopulationArguments, new_recipients: u32) -> PopulationArguments {
    PopulationArguments { recipients: arguments.recipients + u64::from(new_recipients), ..arguments.clone() }
}

/// The questions whose answers the changes leave as they are.
fn left_alone(plan: Plan, registered: &Population) -> Plan {
    let touched = Touched::by_changes(registered);
    let concerned = |plan: &Plan, number: u64| touched.concerns(&plan.workload.question(number).asked);
    let keep: Vec<bool> = plan.numbers.iter().map(|number| !concerned(&plan, *number)).collect();
    plan.retaining(&keep)
}

/// Asks, quietly at first; then imports, and asks on until the import has ended.
fn stream(
    arguments: &DeltasArguments,
    plan: &Plan,
    appliance: &Appliance,
    data: &Path,
    files: &Files,
) -> Result<(Vec<Phase>, Acknowledged), LoadError> {
    let warm = Duration::from_millis(arguments.warm_up_ms);
    let quiet_until = warm + Duration::from_secs(arguments.quiet_seconds);
    let pace = Pace {
        address: appliance.address,
        connections: arguments.connections,
        rate_per_s: f64::from(arguments.rate),
        together: arguments.depth,
        under_way_max: usize::from(arguments.depth) * BURSTS_UNDER_WAY_MAX,
        server_pid: Some(appliance.pid()),
    };
    let stage = &Stage::default();
    let (start, started) = channel();
    std::thread::scope(|scope| {
        let importing = scope.spawn(move || match started.recv() {
            Ok(()) => stream::import(&arguments.binary, data, &files.paths, stage).map(Some),
            // The look-ups failed before it was time.
            Err(_) => Ok(None),
        });
        let mut start = Some(start);
        let mut checker = Checker::new(plan);
        let driven = drive_paced(plan, &pace, &mut checker, PHASES.len(), |elapsed| match stage.now() {
            Stage::WAITING if elapsed < warm => Some(0),
            Stage::WAITING if elapsed < quiet_until => Some(1),
            Stage::WAITING => {
                if let Some(start) = start.take() {
                    complain("importing …");
                    // Nobody to hear it means that the thread has ended, and its result says why.
                    let _ = start.send(());
                }
                Some(2)
            }
            Stage::EXAMINING => Some(2),
            Stage::STREAMING => Some(3),
            _ => None,
        });
        drop(start.take());
        let imported = importing.join().unwrap_or_else(|_| Err(LoadError::Server("the import's thread failed".to_owned())));
        all_right(&checker)?;
        let phases = driven?;
        let acknowledged = imported?.ok_or_else(|| LoadError::Server("nothing was imported".to_owned()))?;
        Ok((phases, acknowledged))
    })
}
