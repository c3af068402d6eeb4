//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use shikaku::domain::day::Day;

use crate::compare::CompareArguments;
use crate::deltas::DeltasArguments;
use crate::growth::GrowthArguments;
use crate::index::IndexArguments;
use crate::restart::RestartArguments;
use crate::saturate::SaturateArguments;
use crate::threshold::ThresholdArguments;

/// Asks a shikaku server many questions, checks every answer, and measures. Loopback only.
#[derive(Debug, Parser)]
#[command(name = "loadtest")]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) mode: Mode,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Mode {
    /// Single look-ups, many under way on each connection
    Pipeline(PipelineArguments),
    /// Single look-ups, one at a time on each connection, with latencies
    Single(SingleArguments),
    /// Look-ups in batches
    Batch(BatchArguments),
    /// The same requests to a bare server that looks nothing up
    Floor(FloorArguments),
    /// From kill -9 to ready, with answers checked after every start
    Restart(RestartArguments),
    /// Look-ups at a fixed rate while rows stream in
    Deltas(DeltasArguments),
    /// The highest rate of single look-ups, sent when due whatever the server does, that still meets a stated p99
    Saturate(SaturateArguments),
    /// What more recipients cost: processor, memory, disk, time to import
    Growth(GrowthArguments),
    /// The appliance beside its floors, Redis, memcached and PostgreSQL with the same keys, and the targets
    Compare(CompareArguments),
    /// The index in process: nanoseconds a look-up, without the network
    Index(IndexArguments),
    /// Everything, each beside its floor, on a server started for it
    RunAll(RunAllArguments),
    /// The morning of a region, with the clock running whether anybody keeps up or not
    Reception(Box<crate::reception::ReceptionArguments>),
    /// A saved result as a page
    Page(crate::page::PageArguments),
    /// The bare server itself
    #[command(hide = true)]
    FloorServer(FloorServerArguments),
}

/// How answers are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// Compact lines
    Compact,
    /// JSON; in a batch, a line each
    #[value(alias = "ndjson")]
    Json,
}

/// What the requests are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shape {
    /// Single look-ups, many under way
    Pipeline,
    /// Single look-ups, one at a time
    Single,
    /// Batches
    Batch,
}

/// The population that the server has registered, and what is asked about it.
#[derive(Clone, Debug, Args)]
pub(crate) struct PopulationArguments {
    /// How many recipients are registered
    #[arg(long)]
    pub(crate) recipients: u64,
    /// The population's seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The day the population is anchored to; also the service date of most questions
    #[arg(long, default_value = "2026-11-22", value_parser = day)]
    pub(crate) as_of: Day,
    /// How many distinct questions are prepared; they are asked in turn
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    pub(crate) questions: u32,
    /// Another seed, other questions
    #[arg(long, default_value_t = 1)]
    pub(crate) question_seed: u64,
    /// Name no institution, neither the one visited nor, in a batch, the request's
    #[arg(long)]
    pub(crate) no_institution: bool,
    /// Everybody is asked about with equal probability (the only distribution so far)
    #[arg(long, default_value_t = true)]
    pub(crate) uniform: bool,
}

impl PopulationArguments {
    /// For a report: without it nobody can ask the same questions again.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "recipients": self.recipients,
            "seed": self.seed,
            "as_of": self.as_of.to_string(),
            "questions": self.questions,
            "question_seed": self.question_seed,
            "institution_named": !self.no_institution,
            "keys": "uniform",
        })
    }
}

/// The clock.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ClockArguments {
    /// How long is measured
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) seconds: u64,
    /// How long is asked before, unmeasured but checked
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub(crate) warm_up_ms: u64,
}

/// A server that runs already.
#[derive(Clone, Debug, Args)]
pub(crate) struct TargetArguments {
    /// Where it listens
    #[arg(long, default_value = "127.0.0.1:8470")]
    pub(crate) url: SocketAddr,
    /// Its process, to read its CPU time
    #[arg(long)]
    pub(crate) server_pid: Option<u32>,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    #[command(flatten)]
    pub(crate) clock: ClockArguments,
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArguments,
    /// How answers are asked for
    #[arg(long, value_enum, default_value_t = Form::Compact)]
    pub(crate) form: Form,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PipelineArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
    /// Requests under way on each connection
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) depth: u16,
}

#[derive(Debug, Args)]
pub(crate) struct SingleArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
}

#[derive(Debug, Args)]
pub(crate) struct BatchArguments {
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
    /// Look-ups a request
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) lines: u16,
}

#[derive(Debug, Args)]
pub(crate) struct FloorArguments {
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    #[command(flatten)]
    pub(crate) clock: ClockArguments,
    /// What the requests are like
    #[arg(long, value_enum, default_value_t = Shape::Pipeline)]
    pub(crate) mode: Shape,
    #[arg(long, value_enum, default_value_t = Form::Compact)]
    pub(crate) form: Form,
    /// Connections [default: 32; 4 for batches]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: Option<u16>,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) depth: u16,
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) lines: u16,
    /// Bytes of one answer with its line end, as a run against the appliance reported them [default: the mean of the right answers
    /// when compact, 607 for JSON]
    #[arg(long)]
    pub(crate) answer_bytes: Option<usize>,
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArguments,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunAllArguments {
    /// The data directory, with the population imported and nobody serving it
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    #[command(flatten)]
    pub(crate) clock: ClockArguments,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) runs: u16,
    /// How long loading may take
    #[arg(long, default_value_t = 120)]
    pub(crate) ready_within_s: u64,
    /// Report figures though the client was busy all the time, so that the server might do more
    #[arg(long)]
    pub(crate) allow_saturated_client: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FloorServerArguments {
    #[arg(long)]
    pub(crate) listen: SocketAddr,
    /// The header line of the answers
    #[arg(long)]
    pub(crate) header: String,
    /// How many bytes of standard input are the answer; its end ends the server
    #[arg(long)]
    pub(crate) answer_bytes: usize,
}

/// Reads a day from the command line.
pub(crate) fn day(text: &str) -> Result<Day, String> {
    Day::parse(text.as_bytes()).map_err(|error| format!("{error}; write YYYY-MM-DD"))
}
