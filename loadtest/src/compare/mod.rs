//! The appliance beside its floors and beside peers that hold the same keys: everything is measured one after the other, several
//! rounds, and ratios are taken within a round, because what the machine does besides changes from minute to minute.

mod contenders;
mod full;
mod judged;
mod memory;
mod page;
mod rest;
mod results;
mod run_all;
mod second_opinion;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::arguments::{ClockArguments, PopulationArguments};
use crate::error::LoadError;
use crate::peers::{Keys, Language};
use crate::plan::population;
use crate::report::{complain, say};
use crate::server::appliance::Appliance;
use crate::targets::Target;
use crate::trial::Manner;
use crate::work::{Work, register};

pub(crate) use run_all::run_all;

use contenders::Contenders;
use full::Full;
use memory::Memory;
use rest::{Rest, RestArguments};
use results::Results;

/// Whom to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PeerName {
    Redis,
    Memcached,
    Postgres,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArguments {
    /// The data directory, with the population imported and nobody serving it [default: one made for the run]
    #[arg(long, conflicts_with = "full")]
    pub(crate) data: Option<PathBuf>,
    /// Where files for the run are made; they are removed at its end
    #[arg(long, default_value = "/tmp")]
    pub(crate) work: PathBuf,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    #[command(flatten)]
    pub(crate) clock: ClockArguments,
    /// How often everything is measured; medians count
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) rounds: u16,
    /// Connections of single look-ups
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) connections: u16,
    /// Requests under way on each connection, pipelined
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(2..=4096))]
    pub(crate) depth: u16,
    /// Connections of batches
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) batch_connections: u16,
    /// Look-ups, or keys, of a batch
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(2..=10_000))]
    pub(crate) lines: u16,
    /// Keys that the peers hold [default: as many as there are recipients]
    #[arg(long)]
    pub(crate) peer_keys: Option<u64>,
    /// Peers to leave out
    #[arg(long, value_enum, value_delimiter = ',')]
    pub(crate) without: Vec<PeerName>,
    /// Also ask the peers' own clients, redis-benchmark and pgbench, for one key over and over
    #[arg(long)]
    pub(crate) second_opinion: bool,
    /// Also measure the import, the index in process and restarts, and then a morning, rows that stream in, and growth
    #[arg(long)]
    pub(crate) full: bool,
    #[command(flatten)]
    pub(crate) rest: RestArguments,
    /// How long loading may take
    #[arg(long, default_value_t = 300)]
    pub(crate) ready_within_s: u64,
    /// Fail when a target is missed
    #[arg(long)]
    pub(crate) meet_targets: bool,
    /// Report figures though the client was busy all the time
    #[arg(long)]
    pub(crate) allow_saturated_client: bool,
    /// Also write everything as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

impl CompareArguments {
    fn wants(&self, language: Language) -> bool {
        let name = match language {
            Language::Resp => PeerName::Redis,
            Language::Memcached => PeerName::Memcached,
            Language::Postgres => PeerName::Postgres,
        };
        !self.without.contains(&name)
    }

    fn ready_within(&self) -> Duration {
        Duration::from_secs(self.ready_within_s)
    }
}

/// Everything that a run measured.
struct Measured {
    results: Results,
    /// How everybody was asked.
    manners: Vec<Manner>,
    memory: Memory,
    full: Option<Full>,
    rest: Option<Rest>,
    opinions: Vec<(String, f64)>,
    /// Peers that run, as they name themselves.
    versions: Vec<String>,
    /// Who was left out, and why.
    absent: Vec<String>,
    keys: u64,
}

pub(crate) fn run(arguments: &CompareArguments) -> Result<(), LoadError> {
    // Written at the end of a long run: better to know at its beginning that it cannot be.
    let file = arguments.json.as_ref().map(std::fs::File::create).transpose().map_err(LoadError::io("the file for --json"))?;
    let work = Work::below(&arguments.work)?;
    let measured = measure(arguments, &work)?;
    let targets = judged::targets(&measured);
    page::lines(arguments, &measured, &targets).iter().for_each(|line| say(line));
    if let Some(file) = file {
        let written = serde_json::to_writer_pretty(file, &page::json(arguments, &measured, &targets));
        written.map_err(|error| LoadError::io("the file for --json")(error.into()))?;
    }
    ended(arguments, &measured, &targets)
}

fn ended(arguments: &CompareArguments, measured: &Measured, targets: &[Target]) -> Result<(), LoadError> {
    if let Some((what, busy)) = measured.results.saturated().first().filter(|_| !arguments.allow_saturated_client) {
        return Err(LoadError::SaturatedClient { what: what.clone(), busy_percent: busy * 100.0 });
    }
    let missed: Vec<String> = targets.iter().filter_map(Target::complaint).collect();
    if arguments.meet_targets && !missed.is_empty() { Err(LoadError::Missed(missed)) } else { Ok(()) }
}

fn measure(arguments: &CompareArguments, work: &Work) -> Result<Measured, LoadError> {
    let (data, imported) = match &arguments.data {
        Some(data) => (data.clone(), None),
        None => {
            complain("making and registering the population …");
            let (data, imported) = register(&arguments.binary, &arguments.population, work)?;
            (data, Some(imported))
        }
    };
    let full = match imported {
        Some(imported) if arguments.full => Some(Full::measure(arguments, &data, imported)?),
        _ => None,
    };
    let keys = Keys::of(population(&arguments.population)?, arguments.peer_keys.unwrap_or(u64::MAX));
    let appliance = Appliance::start(&arguments.binary, &data, arguments.ready_within())?;
    let mut contenders = Contenders::prepare(arguments, &appliance, &keys, work)?;
    let mut results = Results::new(arguments.allow_saturated_client);
    for round in 1..=arguments.rounds {
        complain(&format!("round {round} of {} …", arguments.rounds));
        contenders.round(arguments, &mut results)?;
    }
    let opinions = if arguments.second_opinion { contenders.opinions(arguments, &keys)? } else { Vec::new() };
    let (versions, absent) = contenders.presence();
    let manners = contenders.manners();
    // The peers end first, so that another Redis has the memory to be weighed in.
    drop(contenders);
    let memory = Memory::weigh(arguments, &appliance, &keys, work)?;
    drop(appliance);
    let rest = if full.is_some() { Some(Rest::measure(arguments, &data, work)?) } else { None };
    Ok(Measured { results, manners, memory, full, rest, opinions, versions, absent, keys: keys.count() })
}
