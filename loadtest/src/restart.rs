//! From `kill -9` to ready.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value, json};

use crate::arguments::{Form, PopulationArguments, Shape};
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::plan::Plan;
use crate::report::{middle, say};
use crate::server::appliance::Appliance;
use crate::server::status;
use crate::targets::{self, Bound, RESTART_S_MAX, Target};
use crate::trial::{Manner, check_some, prepare};

#[derive(Debug, Args)]
pub(crate) struct RestartArguments {
    /// The data directory, with the population imported and nobody serving it
    #[arg(long)]
    pub(crate) data: PathBuf,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    /// How often it is killed; the median counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) rounds: u16,
    /// How long loading may take
    #[arg(long, default_value_t = 120)]
    pub(crate) ready_within_s: u64,
    /// Fail when the median from kill to ready is above this
    #[arg(long, value_name = "MS")]
    pub(crate) ready_ms_at_most: Option<u64>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// What the starts took.
pub(crate) struct Restarts {
    /// The first start, after an orderly end or an import.
    pub(crate) first: Duration,
    /// Each from the kill to the first answer.
    pub(crate) killed: Vec<Duration>,
    /// Answers that were checked after the starts.
    pub(crate) checked: u64,
    pub(crate) recipients: u64,
}

impl Restarts {
    pub(crate) fn median(&self) -> Duration {
        Duration::from_secs_f64(middle(self.killed.iter().map(Duration::as_secs_f64)).unwrap_or(0.0))
    }

    /// P8, which is about 10 M recipients.
    pub(crate) fn target(&self) -> Target {
        Target {
            name: "P8",
            what: "kill -9 to ready",
            bound: Bound::AtMost(RESTART_S_MAX),
            unit: " s",
            measured: Ok(self.median().as_secs_f64().into()),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "first_start_ms": milliseconds(self.first),
            "kill_to_ready_ms": self.killed.iter().map(|took| milliseconds(*took)).collect::<Vec<_>>(),
            "kill_to_ready_ms_median": milliseconds(self.median()),
            "answers_checked": self.checked,
            "recipients": self.recipients,
            "targets": targets::json(&[self.target()]),
        })
    }
}

pub(crate) fn run(arguments: &RestartArguments) -> Result<(), LoadError> {
    let restarts = measure(arguments)?;
    if arguments.json {
        say(&json!({
            "what": "restart",
            "figures": restarts.json(),
            "population": arguments.population.json(),
            "environment": fingerprint(),
        })
        .to_string());
    } else {
        say(&format!("restart, {} recipients", restarts.recipients));
        say(&format!("  first start {} ms", milliseconds(restarts.first)));
        let each: Vec<String> = restarts.killed.iter().map(|took| milliseconds(*took).to_string()).collect();
        say(&format!("  kill -9 to ready: median {} ms of {} ms", milliseconds(restarts.median()), each.join(", ")));
        say(&format!("  {} answers checked, all right", restarts.checked));
        targets::table(&[restarts.target()]).iter().for_each(|line| say(line));
    }
    match arguments.ready_ms_at_most {
        Some(most) if milliseconds(restarts.median()) > most => {
            let median = milliseconds(restarts.median());
            Err(LoadError::Missed(vec![format!("{median} ms from kill to ready, wanted at most {most}")]))
        }
        _ => Ok(()),
    }
}

/// Starts, kills and starts again; after every start some answers are checked.
pub(crate) fn measure(arguments: &RestartArguments) -> Result<Restarts, LoadError> {
    let ready_within = Duration::from_secs(arguments.ready_within_s);
    let start = || Appliance::start(&arguments.binary, &arguments.data, ready_within);
    let mut appliance = start()?;
    let first = appliance.ready_after;
    let found = status(appliance.address)?;
    let plan = prepare(&arguments.population, Some(found.horizon), Manner::usual(Shape::Pipeline, Form::Compact))?;
    let mut checked = check(&plan, &appliance)?;
    let mut killed = Vec::new();
    for _ in 0..arguments.rounds {
        let began = Instant::now();
        appliance.kill()?;
        appliance = start()?;
        killed.push(began.elapsed());
        checked += check(&plan, &appliance)?;
    }
    Ok(Restarts { first, killed, checked, recipients: found.recipients })
}

fn check(plan: &Plan, appliance: &Appliance) -> Result<u64, LoadError> {
    check_some(plan, appliance.address)
}

fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
