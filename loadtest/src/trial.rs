//! One measurement from its arguments to its report.

use std::net::SocketAddr;

use serde_json::{Value, json};
use shikaku::domain::day::Day;
use shikaku::population::workload::Asker;

use crate::arguments::{
    BatchArguments, ClockArguments, FloorArguments, Form, PipelineArguments, PopulationArguments, Shape, SingleArguments,
    TargetArguments,
};
use crate::check::Checker;
use crate::client::{Load, drive};
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::plan::floor::{FixedAnswer, header};
use crate::plan::{Plan, batch_institution, batches, singles, workload};
use crate::report::{Figures, complain, say};
use crate::server::floor::Floor;
use crate::server::status;

/// A JSON answer's bytes where nobody measured them.
const JSON_ANSWER_BYTES: usize = 607;
/// How long answers are looked at where only their being right is of interest.
const CHECK_MS: u64 = 300;

/// How the requests are made and how many are under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) shape: Shape,
    pub(crate) form: Form,
    pub(crate) connections: u16,
    /// Requests under way on each connection.
    pub(crate) depth: u16,
    /// Look-ups a request, in batches.
    pub(crate) lines: u16,
}

impl Manner {
    /// The measurements' own numbers.
    pub(crate) fn usual(shape: Shape, form: Form) -> Manner {
        let connections = if shape == Shape::Batch { 4 } else { 32 };
        let depth = if shape == Shape::Pipeline { 64 } else { 1 };
        Manner { shape, form, connections, depth, lines: 1_000 }
    }

    pub(crate) fn name(self) -> String {
        let form = match (self.form, self.shape) {
            (Form::Compact, _) => "compact",
            (Form::Json, Shape::Batch) => "ndjson",
            (Form::Json, _) => "json",
        };
        match self.shape {
            Shape::Pipeline => format!("pipeline {} × {} {form}", self.connections, self.depth),
            Shape::Single => format!("single {} {form}", self.connections),
            Shape::Batch => format!("batch {} × {} {form}", self.connections, self.lines),
        }
    }

    fn load(self, address: SocketAddr, clock: ClockArguments, server_pid: Option<u32>) -> Load {
        Load { address, connections: self.connections, depth: self.depth, clock, server_pid }
    }
}

pub(crate) fn pipeline(arguments: &PipelineArguments) -> Result<(), LoadError> {
    let usual = Manner::usual(Shape::Pipeline, arguments.target.form);
    report(&arguments.target, Manner { connections: arguments.connections, depth: arguments.depth, ..usual })
}

pub(crate) fn single(arguments: &SingleArguments) -> Result<(), LoadError> {
    let usual = Manner::usual(Shape::Single, arguments.target.form);
    report(&arguments.target, Manner { connections: arguments.connections, ..usual })
}

pub(crate) fn batch(arguments: &BatchArguments) -> Result<(), LoadError> {
    let usual = Manner::usual(Shape::Batch, arguments.target.form);
    report(&arguments.target, Manner { connections: arguments.connections, lines: arguments.lines, ..usual })
}

/// The floor by itself.
pub(crate) fn floor(arguments: &FloorArguments) -> Result<(), LoadError> {
    let usual = Manner::usual(arguments.mode, arguments.form);
    let depth = if arguments.mode == Shape::Pipeline { arguments.depth } else { 1 };
    let connections = arguments.connections.unwrap_or(usual.connections);
    let manner = Manner { connections, depth, lines: arguments.lines, ..usual };
    let plan = prepare(&arguments.population, None, manner)?;
    let answer_bytes = arguments.answer_bytes.unwrap_or_else(|| answer_bytes(&plan));
    let request_bytes = plan.request_bytes_mean();
    let figures = measure_floor(&for_floor(plan, answer_bytes), manner, arguments.clock)?;
    let name = format!("floor of {}", manner.name());
    arguments.thresholds.trust(&name, &figures)?;
    let report = Report { name: &name, manner, population: &arguments.population, request_bytes };
    report.print(&figures, None, arguments.json);
    arguments.thresholds.judge(&figures, None)
}

/// Prepares the requests.
pub(crate) fn prepare(population: &PopulationArguments, horizon: Option<Day>, manner: Manner) -> Result<Plan, LoadError> {
    if manner.shape == Shape::Batch {
        let institution = if population.no_institution { None } else { Some(batch_institution(population)?) };
        let asker = institution.clone().map_or(Asker::Nobody, Asker::Always);
        let workload = workload(population, horizon, asker)?;
        return batches(workload, population.questions, manner.lines, institution.as_deref(), manner.form);
    }
    let asker = if population.no_institution { Asker::Nobody } else { Asker::Visited };
    Ok(singles(workload(population, horizon, asker)?, population.questions, manner.form))
}

/// Measures a server that runs.
pub(crate) fn measure(
    plan: &Plan,
    manner: Manner,
    address: SocketAddr,
    clock: ClockArguments,
    server_pid: Option<u32>,
) -> Result<Figures, LoadError> {
    let mut checker = Checker::new(plan);
    let driven = drive(plan, &manner.load(address, clock, server_pid), &mut checker);
    all_right(&checker)?;
    Ok(Figures::of(&driven?))
}

/// Asks and checks for a moment; says how many answers were looked at.
pub(crate) fn check_some(plan: &Plan, address: SocketAddr) -> Result<u64, LoadError> {
    let mut checker = Checker::new(plan);
    let clock = ClockArguments { seconds: 0, warm_up_ms: CHECK_MS };
    let driven = drive(plan, &Load { address, connections: 4, depth: 16, clock, server_pid: None }, &mut checker);
    all_right(&checker)?;
    driven?;
    Ok(checker.checked())
}

/// Fails if an answer was wrong, and prints which kinds were.
pub(crate) fn all_right(checker: &Checker<'_>) -> Result<(), LoadError> {
    if checker.wrong() > 0 {
        checker.complaints().iter().for_each(|line| complain(line));
        return Err(LoadError::WrongAnswers { wrong: checker.wrong(), checked: checker.checked() });
    }
    Ok(())
}

/// A plan with the floor's answer in place of the right ones.
pub(crate) struct FloorPlan {
    plan: Plan,
    body: String,
}

/// The same requests, for the floor.
pub(crate) fn for_floor(plan: Plan, answer_bytes: usize) -> FloorPlan {
    let answer = FixedAnswer::of(plan.form, &plan.workload.day().to_string(), answer_bytes);
    let body = answer.line.repeat(plan.lookups_per_request);
    FloorPlan { plan: answer.for_requests_of(plan), body }
}

impl FloorPlan {
    /// What is asked of the floor.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts a floor that gives the answer.
    pub(crate) fn start(&self, manner: Manner) -> Result<Floor, LoadError> {
        Floor::start(header(manner.form, self.plan.lookups_per_request), self.body.as_bytes())
    }
}

/// Starts a floor, measures it and ends it.
pub(crate) fn measure_floor(floor: &FloorPlan, manner: Manner, clock: ClockArguments) -> Result<Figures, LoadError> {
    let server = floor.start(manner)?;
    measure(&floor.plan, manner, server.address, clock, Some(server.pid()))
}

fn answer_bytes(plan: &Plan) -> usize {
    match plan.form {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of line lengths")]
        Form::Compact => plan.compact_bytes_mean().round() as usize,
        Form::Json => JSON_ANSWER_BYTES,
    }
}

fn report(target: &TargetArguments, manner: Manner) -> Result<(), LoadError> {
    if !target.url.ip().is_loopback() {
        return Err(LoadError::Usage("only a server on loopback may be loaded".to_owned()));
    }
    let horizon = status(target.url)?.horizon;
    let plan = prepare(&target.population, Some(horizon), manner)?;
    let request_bytes = plan.request_bytes_mean();
    let figures = measure(&plan, manner, target.url, target.clock, target.server_pid)?;
    target.thresholds.trust(&manner.name(), &figures)?;
    let ratio = target.thresholds.floor_ratio_at_least.map(|_| floor_ratio(target, plan, manner, &figures)).transpose()?;
    let report = Report { name: &manner.name(), manner, population: &target.population, request_bytes };
    report.print(&figures, ratio, target.json);
    target.thresholds.judge(&figures, ratio)
}

/// Measures the floor right after a run, and says what part of it was reached.
fn floor_ratio(target: &TargetArguments, plan: Plan, manner: Manner, figures: &Figures) -> Result<f64, LoadError> {
    let floor = measure_floor(&for_floor(plan, figures.answer_bytes_rounded()), manner, target.clock)?;
    target.thresholds.trust(&format!("floor of {}", manner.name()), &floor)?;
    Ok(figures.lookups_per_s / floor.lookups_per_s)
}

/// What was measured, for whoever wants to measure it again.
struct Report<'r> {
    name: &'r str,
    manner: Manner,
    population: &'r PopulationArguments,
    request_bytes: f64,
}

impl Report<'_> {
    fn print(&self, figures: &Figures, floor_ratio: Option<f64>, json: bool) {
        if json {
            return say(&self.json(figures, floor_ratio).to_string());
        }
        say(self.name);
        figures.lines().iter().for_each(|line| say(&format!("  {line}")));
        if let Some(ratio) = floor_ratio {
            say(&format!("  {ratio:.2} of the floor"));
        }
    }

    fn json(&self, figures: &Figures, floor_ratio: Option<f64>) -> Value {
        json!({
            "what": self.name,
            "figures": figures.json(),
            "floor_ratio": floor_ratio,
            "connections": self.manner.connections,
            "depth": self.manner.depth,
            "lookups_per_request": if self.manner.shape == Shape::Batch { self.manner.lines } else { 1 },
            "request_bytes": self.request_bytes.round(),
            "population": self.population.json(),
            "environment": fingerprint(),
        })
    }
}
