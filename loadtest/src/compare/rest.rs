//! What a full run measures when the peers have gone: a morning, rows that stream in, and growth. Each is what the command of its name
//! measures, so that one run says P1 to P11.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use serde_json::{Value, json};

use super::CompareArguments;
use crate::arguments::PopulationArguments;
use crate::deltas::{self, DeltasArguments};
use crate::error::LoadError;
use crate::growth::{self, GrowthArguments};
use crate::page;
use crate::reception::{self, DayArguments, ReceptionArguments};
use crate::report::complain;
use crate::targets::{Bound, Reading, Target};
use crate::work::Work;

/// Questions of the morning: so many that few are asked twice within a minute.
const MORNING_QUESTIONS: u32 = 300_000;

/// What only `--full` asks for.
#[derive(Clone, Debug, Args)]
pub(crate) struct RestArguments {
    #[command(flatten)]
    pub(crate) day: DayArguments,
    /// Write the morning as a page, with --full
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Look-ups a second while rows stream in, with --full
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) rate: u32,
}

pub(super) struct Rest {
    targets: Vec<Target>,
    morning: Value,
    deltas: Value,
    growth: Value,
}

impl Rest {
    /// Changes the data: a tenth more recipients are registered at the end.
    pub(super) fn measure(arguments: &CompareArguments, data: &Path, work: &Work) -> Result<Rest, LoadError> {
        let (morning, mut targets) = play_morning(arguments, data)?;
        complain("rows that stream in …");
        let streaming = deltas_arguments(arguments, data, work);
        let deltas = deltas::measured(&streaming, data, work)?;
        targets.extend(deltas.targets());
        // 20 M recipients need the room.
        std::fs::remove_dir_all(data).map_err(LoadError::io("removing the population"))?;
        let sizes = growth_arguments(arguments, work);
        let (growth, of_growth) = growth::measured(&sizes)?;
        targets.extend(of_growth);
        Ok(Rest { targets, morning, deltas: deltas.json(&streaming), growth })
    }

    /// P9 to P11.
    pub(super) fn targets(&self) -> Vec<Target> {
        let mut targets = self.targets.clone();
        targets.sort_by_key(|target| target.name.len() * 100 + usize::from(target.name.ends_with('1')));
        targets
    }

    pub(super) fn json(&self) -> Value {
        json!({ "reception": self.morning, "deltas": self.deltas, "growth": self.growth })
    }
}

/// P10. What the run itself has to hold, such as a generator that is never late, is a line of the same table.
fn play_morning(arguments: &CompareArguments, data: &Path) -> Result<(Value, Vec<Target>), LoadError> {
    complain("the morning …");
    let morning = ReceptionArguments {
        population: PopulationArguments { questions: MORNING_QUESTIONS, ..arguments.population.clone() },
        day: arguments.rest.day.clone(),
        binary: arguments.binary.clone(),
        ready_within_s: arguments.ready_within_s,
        ..usual_morning(data, arguments.population.recipients)?
    };
    let (result, requirements) = reception::measured(&morning)?;
    if let Some(file) = &arguments.rest.report {
        let written = std::fs::write(file, page::html(&result, &[]));
        written.map_err(LoadError::io("the file for --report"))?;
    }
    let targets = requirements.iter().map(|requirement| Target {
        name: "P10",
        what: requirement.name,
        bound: Bound::AtMost(requirement.at_most),
        unit: requirement.unit,
        measured: Ok(Reading::Exactly(requirement.measured)),
    });
    Ok((result, targets.collect()))
}

/// What `loadtest reception` does when it is told no more than this.
fn usual_morning(data: &Path, recipients: u64) -> Result<ReceptionArguments, LoadError> {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        reception: ReceptionArguments,
    }
    let recipients = recipients.to_string();
    let words = ["reception".as_ref(), "--data".as_ref(), data.as_os_str(), "--recipients".as_ref(), recipients.as_ref()];
    Ok(Line::try_parse_from(words).map_err(|error| LoadError::Usage(error.to_string()))?.reception)
}

fn deltas_arguments(arguments: &CompareArguments, data: &Path, work: &Work) -> DeltasArguments {
    let more = arguments.population.recipients / 20 * 2;
    DeltasArguments {
        data: Some(data.to_owned()),
        work: work.path().to_owned(),
        binary: arguments.binary.clone(),
        population: arguments.population.clone(),
        rows: deltas::Rows::New,
        new_recipients: u32::try_from(more).unwrap_or(u32::MAX),
        rows_per_file: 0,
        rate: arguments.rest.rate,
        connections: arguments.connections,
        depth: arguments.depth,
        quiet_seconds: arguments.clock.seconds,
        warm_up_ms: arguments.clock.warm_up_ms,
        ready_within_s: arguments.ready_within_s,
        rows_at_least: None,
        p999_times_at_most: None,
        allow_saturated_client: arguments.allow_saturated_client,
        json: true,
    }
}

/// A tenth, half, all and twice the recipients.
fn growth_arguments(arguments: &CompareArguments, work: &Work) -> GrowthArguments {
    let recipients = arguments.population.recipients;
    GrowthArguments {
        sizes: vec![recipients / 10, recipients / 2, recipients, recipients * 2],
        work: work.path().to_owned(),
        binary: arguments.binary.clone(),
        seed: arguments.population.seed,
        as_of: arguments.population.as_of,
        questions: arguments.population.questions,
        clock: arguments.clock,
        runs: arguments.rounds,
        ready_within_s: arguments.ready_within_s * 2,
        meet_targets: false,
        allow_saturated_client: arguments.allow_saturated_client,
        json: true,
    }
}
