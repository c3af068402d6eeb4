//! The index in process: what a look-up costs without the network, one at a time and in runs, on a register opened as a server opens
//! it. One thread; keys drawn before the clock starts, from everybody with equal probability.

mod passes;
mod questions;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde_json::{Map, Value, json};
use shikaku::population::workload::Asker;
use shikaku::registry::{OpenOptions, Registry};

use crate::arguments::PopulationArguments;
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::plan::workload;
use crate::report::{complain, middle, say};
use crate::targets::{self, Bound, INDEX_DECIDED_NS_MAX, INDEX_MANY_NS_MAX, INDEX_ONE_NS_MAX, Target};

use passes::{Looking, Pass};
use questions::Questions;

#[derive(Debug, Args)]
pub(crate) struct IndexArguments {
    /// The data directory, with the population imported and nobody serving it
    #[arg(long)]
    pub(crate) data: PathBuf,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    /// How often all questions are taken through each pass; the median counts
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) rounds: u16,
    /// Fail when P5 is missed
    #[arg(long)]
    pub(crate) meet_targets: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// A pass and its rounds, ns a look-up.
struct Timed {
    pass: Pass,
    rounds: Vec<f64>,
}

impl Timed {
    fn ns(&self) -> f64 {
        middle(self.rounds.iter().copied()).unwrap_or(0.0)
    }

    fn target(&self) -> Option<Target> {
        let (what, most) = match self.pass {
            Pass::One => ("in process, one at a time", INDEX_ONE_NS_MAX),
            Pass::Many => ("in process, lookup_many", INDEX_MANY_NS_MAX),
            Pass::ManyDecided => ("in process, lookup_many with the decision", INDEX_DECIDED_NS_MAX),
            Pass::OneDecided => return None,
        };
        Some(Target { name: "P5", what, bound: Bound::AtMost(most), unit: " ns", measured: Ok(self.ns().into()) })
    }
}

pub(crate) fn run(arguments: &IndexArguments) -> Result<(), LoadError> {
    let (timed, lookups) = measure(arguments)?;
    let targets: Vec<Target> = timed.iter().filter_map(Timed::target).collect();
    if arguments.json {
        say(&json_of(arguments, &timed, lookups, &targets).to_string());
    } else {
        say(&format!("index, {} recipients, {lookups} look-ups a round, all answers right", arguments.population.recipients));
        let one_decided = timed.iter().find(|timed| timed.pass == Pass::OneDecided);
        one_decided.iter().for_each(|timed| say(&format!("  one at a time with the decision: {:.1} ns", timed.ns())));
        targets::table(&targets).iter().for_each(|line| say(line));
    }
    let missed: Vec<String> = targets.iter().filter_map(Target::complaint).collect();
    if arguments.meet_targets && !missed.is_empty() { Err(LoadError::Missed(missed)) } else { Ok(()) }
}

fn measure(arguments: &IndexArguments) -> Result<(Vec<Timed>, usize), LoadError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now_unix_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let opened = Registry::open(&arguments.data, &OpenOptions::at(now_unix_ms));
    let registry = opened.map_err(|error| LoadError::Server(error.to_string()))?;
    let reader = registry.reader();
    let view = reader.view();
    let population = &arguments.population;
    let asker = if population.no_institution { Asker::Nobody } else { Asker::Visited };
    let questions = Questions::prepare(&workload(population, Some(view.horizon), asker)?, population.questions)?;
    let looking = Looking { reader: &reader, view: &view, now_unix_s: now.as_secs() };
    let lookups = questions.keyed.len();
    all_right(looking.wrong_answers(&questions), lookups)?;
    let mut timed: Vec<Timed> = Pass::ALL.into_iter().map(|pass| Timed { pass, rounds: Vec::new() }).collect();
    for round in 0..arguments.rounds {
        complain(&format!("round {} of {} …", round + 1, arguments.rounds));
        for one in &mut timed {
            let (ns, wrong) = looking.time(one.pass, &questions);
            all_right(wrong, lookups)?;
            one.rounds.push(ns);
        }
    }
    Ok((timed, lookups))
}

fn all_right(wrong: u64, checked: usize) -> Result<(), LoadError> {
    if wrong == 0 { Ok(()) } else { Err(LoadError::WrongAnswers { wrong, checked: checked as u64 }) }
}

fn json_of(arguments: &IndexArguments, timed: &[Timed], lookups: usize, targets: &[Target]) -> Value {
    let figures: Map<String, Value> = timed.iter().map(|timed| (timed.pass.name().to_owned(), json!(timed.ns()))).collect();
    let rounds: Map<String, Value> = timed.iter().map(|timed| (timed.pass.name().to_owned(), json!(timed.rounds))).collect();
    json!({
        "what": "index",
        "figures": figures,
        "rounds": rounds,
        "lookups_per_round": lookups,
        "population": arguments.population.json(),
        "targets": targets::json(targets),
        "environment": fingerprint(),
    })
}
