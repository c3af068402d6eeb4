//! The highest rate of single look-ups, sent when they are due whatever the server does, that still meets a stated p99.

mod search;

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use crate::arguments::{Shape, TargetArguments};
use crate::check::Checker;
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::paced::{Pace, drive_paced};
use crate::plan::Plan;
use crate::report::{Figures, complain, say, thousands};
use crate::server::status;
use crate::trial::{Manner, all_right, for_floor, prepare};

use search::Search;

/// The limit where none is stated, µs.
const P99_US: f64 = 2_000.0;

#[derive(Debug, Args)]
pub(crate) struct SaturateArguments {
    /// `--p99-us-at-most` is the stated limit [default: 2000], `--at-least` the rate that must be reached
    #[command(flatten)]
    pub(crate) target: TargetArguments,
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) connections: u16,
    /// The first rate that is tried, look-ups a second
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) first_rate: u32,
    /// The highest rate that is tried, look-ups a second
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) highest_rate: u32,
    /// How close to the truth, percent of the rate
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    pub(crate) precision_percent: u16,
    /// How often a rate may miss before it counts as missed
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=10))]
    pub(crate) tries: u16,
    /// A connection with this many look-ups under way takes no more; what is due then is dropped, and a rate that drops any has missed
    #[arg(long, default_value_t = 1_024, value_parser = clap::value_parser!(u16).range(1..=16_384))]
    pub(crate) under_way_max: u16,
}

pub(crate) fn run(arguments: &SaturateArguments) -> Result<(), LoadError> {
    let target = &arguments.target;
    if !target.url.ip().is_loopback() {
        return Err(LoadError::Usage("only a server on loopback may be loaded".to_owned()));
    }
    let manner = Manner { connections: arguments.connections, ..Manner::usual(Shape::Single, target.form) };
    let horizon = status(target.url)?.horizon;
    let plan = prepare(&target.population, Some(horizon), manner)?;
    let (rate, figures) = highest(arguments, &plan, target.url, target.server_pid)?;
    let floor = match target.thresholds.floor_ratio_at_least {
        Some(_) => {
            let floor = for_floor(plan, figures.answer_bytes_rounded());
            let server = floor.start(manner)?;
            complain("the floor …");
            Some(highest(arguments, floor.plan(), server.address, Some(server.pid()))?.0)
        }
        None => None,
    };
    report(arguments, rate, &figures, floor);
    target.thresholds.judge(&Figures { lookups_per_s: rate, ..figures }, floor.map(|floor| rate / floor))
}

fn report(arguments: &SaturateArguments, rate: f64, figures: &Figures, floor: Option<f64>) {
    let limit_us = limit_us(arguments);
    if arguments.target.json {
        let found = json!({
            "what": "saturate",
            "rate_per_s": rate.round(),
            "p99_us_limit": limit_us,
            "figures": figures.json(),
            "floor_rate_per_s": floor.map(f64::round),
            "connections": arguments.connections,
            "population": arguments.target.population.json(),
            "environment": fingerprint(),
        });
        return say(&found.to_string());
    }
    say(&format!("{} look-ups/s is the highest rate with p99 ≤ {limit_us:.0} µs and nothing dropped", thousands(rate)));
    figures.lines().iter().for_each(|line| say(&format!("  {line}")));
    if let Some(floor) = floor {
        say(&format!("  the floor: {} requests/s, {:.2} of it reached", thousands(floor), rate / floor));
    }
}

fn highest(
    arguments: &SaturateArguments,
    plan: &Plan,
    address: SocketAddr,
    server_pid: Option<u32>,
) -> Result<(f64, Figures), LoadError> {
    let search = Search {
        first: f64::from(arguments.first_rate),
        highest: f64::from(arguments.highest_rate),
        precision: f64::from(arguments.precision_percent) / 100.0,
        tries: arguments.tries,
    };
    let pace = |rate_per_s| Pace {
        address,
        connections: arguments.connections,
        rate_per_s,
        together: 1,
        under_way_max: usize::from(arguments.under_way_max),
        server_pid,
    };
    let found = search.run(|rate| probe(arguments, plan, &pace(rate)))?;
    found.ok_or_else(|| LoadError::Missed(vec![format!("no rate meets p99 ≤ {:.0} µs", limit_us(arguments))]))
}

/// Asks at a rate for a while; the figures if they meet the limit.
fn probe(arguments: &SaturateArguments, plan: &Plan, pace: &Pace) -> Result<Option<Figures>, LoadError> {
    let clock = arguments.target.clock;
    let warm = Duration::from_millis(clock.warm_up_ms);
    let end = warm + Duration::from_secs(clock.seconds);
    let mut checker = Checker::new(plan);
    let phase = |elapsed: Duration| if elapsed >= end { None } else { Some(usize::from(elapsed >= warm)) };
    let phases = drive_paced(plan, pace, &mut checker, 2, phase);
    all_right(&checker)?;
    let Some(measured) = phases?.pop() else { return Ok(None) };
    let figures = measured.figures();
    let p99 = figures.latencies_us.map_or(f64::INFINITY, |[_, p99, _, _]| p99);
    let meets = p99 <= limit_us(arguments) && measured.dropped == 0;
    complain(&format!(
        "{} look-ups/s: p99 {p99:.0} µs, {} dropped{}",
        thousands(pace.rate_per_s),
        measured.dropped,
        if meets { "" } else { ": too many" }
    ));
    if meets {
        return Ok(Some(figures));
    }
    // The server is not to blame for what a client without time left has sent late.
    arguments.target.thresholds.trust(&format!("{} look-ups/s", thousands(pace.rate_per_s)), &figures)?;
    Ok(None)
}

fn limit_us(arguments: &SaturateArguments) -> f64 {
    arguments.target.thresholds.p99_us_at_most.unwrap_or(P99_US)
}
