//! Who is measured, and a round of it.

use super::results::{Results, What, Who};
use super::{CompareArguments, second_opinion};
use crate::arguments::{Form, Shape};
use crate::error::LoadError;
use crate::peers::{self, Keys, Language, Peer, PeerPlan};
use crate::plan::Plan;
use crate::report::{Figures, complain};
use crate::server::appliance::Appliance;
use crate::server::status;
use crate::trial::{FloorPlan, Manner, for_floor, measure, measure_floor, prepare};
use crate::work::Work;

const MANNERS: [(Shape, Form); 5] = [
    (Shape::Pipeline, Form::Compact),
    (Shape::Pipeline, Form::Json),
    (Shape::Single, Form::Compact),
    (Shape::Batch, Form::Compact),
    (Shape::Batch, Form::Json),
];

/// Everybody, with all that will be asked.
pub(super) struct Contenders<'a> {
    appliance: &'a Appliance,
    plans: Vec<(Manner, Plan)>,
    /// As the plans; made once the appliance's answers have been measured.
    floors: Vec<FloorPlan>,
    peers: Vec<(Peer, Vec<(Manner, PeerPlan)>)>,
    absent: Vec<String>,
}

impl<'a> Contenders<'a> {
    /// Prepares the requests, and starts and loads the peers.
    pub(super) fn prepare(
        arguments: &CompareArguments,
        appliance: &'a Appliance,
        keys: &Keys,
        work: &Work,
    ) -> Result<Contenders<'a>, LoadError> {
        let horizon = status(appliance.address)?.horizon;
        let plan = |(shape, form)| {
            let manner = manner(arguments, shape, form);
            Ok::<_, LoadError>((manner, prepare(&arguments.population, Some(horizon), manner)?))
        };
        let plans = MANNERS.into_iter().map(plan).collect::<Result<Vec<_>, _>>()?;
        let (mut peers, mut absent) = (Vec::new(), Vec::new());
        for language in [Language::Resp, Language::Memcached, Language::Postgres] {
            if !arguments.wants(language) {
                absent.push(format!("{}: left out", language.peer()));
                continue;
            }
            match start(language, keys, work)? {
                Some(peer) => {
                    complain(&format!("loading {} keys into {} …", keys.count(), peer.version));
                    peer.load(keys)?;
                    peers.push((peer, peer_plans(arguments, language, keys)?));
                }
                None => absent.push(format!("{}: not installed; scripts/peers.sh installs it", language.peer())),
            }
        }
        absent.iter().for_each(|line| complain(line));
        Ok(Contenders { appliance, plans, floors: Vec::new(), peers, absent })
    }

    /// Measures everybody once, one after the other: the appliance and its floor side by side, then the peers.
    pub(super) fn round(&mut self, arguments: &CompareArguments, results: &mut Results) -> Result<(), LoadError> {
        for nth in 0..self.plans.len() {
            let Some((manner, plan)) = self.plans.get(nth) else { continue };
            let served = measure(plan, *manner, self.appliance.address, arguments.clock, Some(self.appliance.pid()))?;
            let (manner, request_bytes) = (*manner, plan.request_bytes_mean());
            let answer_bytes = served.answer_bytes_rounded();
            results.add(What::of(Who::Appliance, manner.shape, manner.form), &manner.name(), request_bytes, served);
            if self.floors.len() <= nth {
                let horizon = status(self.appliance.address)?.horizon;
                self.floors.push(for_floor(prepare(&arguments.population, Some(horizon), manner)?, answer_bytes));
            }
            let Some(floor) = self.floors.get(nth) else { continue };
            let floor = measure_floor(floor, manner, arguments.clock)?;
            let what = What::of(Who::Floor, manner.shape, manner.form);
            results.add(what, &format!("floor of {}", manner.name()), request_bytes, floor);
        }
        for (peer, plans) in &self.peers {
            for (manner, plan) in plans {
                let figures: Figures = peers::ask(peer, plan, manner.connections, manner.depth, arguments.clock)?;
                let what = What::of(Who::Peer(peer.language), manner.shape, Form::Compact);
                results.add(what, &peer_name(peer.language, *manner), plan.request_bytes_mean(), figures);
            }
        }
        Ok(())
    }

    /// What the peers' own clients say.
    pub(super) fn opinions(&self, arguments: &CompareArguments, keys: &Keys) -> Result<Vec<(String, f64)>, LoadError> {
        let mut opinions = Vec::new();
        for (peer, _) in &self.peers {
            opinions.extend(second_opinion::ask(arguments, peer, keys)?);
        }
        Ok(opinions)
    }

    /// How the appliance is asked; the peers are asked in some of these manners.
    pub(super) fn manners(&self) -> Vec<Manner> {
        self.plans.iter().map(|(manner, _)| *manner).collect()
    }

    /// Who is there, as they name themselves, and who is not.
    pub(super) fn presence(&self) -> (Vec<String>, Vec<String>) {
        (self.peers.iter().map(|(peer, _)| peer.version.clone()).collect(), self.absent.clone())
    }
}

fn start(language: Language, keys: &Keys, work: &Work) -> Result<Option<Peer>, LoadError> {
    match language {
        Language::Resp => peers::redis::start(work.path()),
        Language::Memcached => peers::memcached::start(work.path(), keys.count()),
        Language::Postgres => peers::postgres::start(work.path(), keys.count()),
    }
}

/// The same connections, depth and lines for everybody.
fn manner(arguments: &CompareArguments, shape: Shape, form: Form) -> Manner {
    let connections = if shape == Shape::Batch { arguments.batch_connections } else { arguments.connections };
    let depth = if shape == Shape::Pipeline { arguments.depth } else { 1 };
    Manner { shape, form, connections, depth, lines: arguments.lines }
}

fn peer_plans(arguments: &CompareArguments, language: Language, keys: &Keys) -> Result<Vec<(Manner, PeerPlan)>, LoadError> {
    let shapes: &[Shape] = match language {
        // A connection to PostgreSQL is a process that answers one question at a time.
        Language::Postgres => &[Shape::Single],
        _ => &[Shape::Pipeline, Shape::Single, Shape::Batch],
    };
    let plan = |shape: &Shape| {
        let manner = manner(arguments, *shape, Form::Compact);
        let lines = if *shape == Shape::Batch { manner.lines } else { 1 };
        let population = &arguments.population;
        Ok((manner, PeerPlan::new(language, keys, population.questions, lines, population.question_seed)?))
    };
    shapes.iter().map(plan).collect()
}

fn peer_name(language: Language, manner: Manner) -> String {
    let (connections, depth, lines) = (manner.connections, manner.depth, manner.lines);
    let (one, many) = match language {
        Language::Resp => ("GET", "MGET"),
        Language::Memcached => ("get", "get"),
        Language::Postgres => ("select", "select"),
    };
    let peer = language.peer();
    match manner.shape {
        Shape::Pipeline => format!("{peer} {one}, pipeline {connections} × {depth}"),
        Shape::Single => format!("{peer} {one}, single {connections}"),
        Shape::Batch => format!("{peer} {many}, batch {connections} × {lines}"),
    }
}
