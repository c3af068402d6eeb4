//! A morning from its arguments to its verdict.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use shikaku::limits::{LISTENER_CONNECTIONS_MAX, LISTENER_DISPLACE_IDLE_MS};

use super::arguments::{DayArguments, Moment, ReceptionArguments, RegionArguments};
use super::arrivals::{Morning, Window, arrivals};
use super::asked::Asked;
use super::changes::{Changes, Imported, Importing};
use super::overnight::{Night, Overnight};
use super::peak::{self, Region};
use super::profile::Profile;
use super::questions::{Answers, Questions};
use super::report::{Outcome, lines};
use super::verdict::{Requirement, missed};
use crate::error::LoadError;
use crate::measure::cpu::process_cpu;
use crate::page;
use crate::report::{complain, say};
use crate::server::appliance::Appliance;
use crate::server::status;

/// A connection without traffic for so long may be told to go.
const SILENCE: Duration = Duration::from_millis(LISTENER_DISPLACE_IDLE_MS);

/// The result as JSON, and what had to hold.
pub(crate) fn measured(arguments: &ReceptionArguments) -> Result<(Value, Vec<Requirement>), LoadError> {
    check(arguments)?;
    // Kept to the end: dropping it ends it.
    let (_started, address, server_pid) = server(arguments)?;
    let outcome = play(arguments, address, server_pid)?;
    outcome.complaints.iter().for_each(|line| complain(line));
    Ok((outcome.json(arguments), outcome.requirements(&arguments.thresholds)))
}

/// Plays the morning; the result is written whether it holds what it must or not.
pub(crate) fn run(arguments: &ReceptionArguments) -> Result<(), LoadError> {
    let (result, requirements) = measured(arguments)?;
    if let Some(path) = &arguments.json {
        write(path, &format!("{result:#}\n"))?;
    }
    if let Some(path) = &arguments.report {
        write(path, &page::html(&result, &page::beside(&arguments.beside)?))?;
    }
    lines(&result).iter().for_each(|line| say(line));
    let missed = missed(&requirements);
    if missed.is_empty() { Ok(()) } else { Err(LoadError::Missed(missed)) }
}

fn check(arguments: &ReceptionArguments) -> Result<(), LoadError> {
    let ReceptionArguments { day, region, .. } = arguments;
    if day.from >= day.to {
        return Err(LoadError::Usage("the window ends before it begins; see --from and --to".to_owned()));
    }
    let connections = usize::from(region.gateways) * usize::from(region.kept_each) + usize::from(region.short_at_once);
    if connections > LISTENER_CONNECTIONS_MAX {
        let advice = "see --gateways, --kept-each and --short-at-once";
        return Err(LoadError::Usage(format!(
            "the server keeps {LISTENER_CONNECTIONS_MAX} connections, and this region has {connections}; {advice}"
        )));
    }
    if arguments.url.is_some_and(|url| !url.ip().is_loopback()) {
        return Err(LoadError::Usage("only a server on loopback may be loaded".to_owned()));
    }
    Ok(())
}

/// The server that is named, or one started for the run.
fn server(arguments: &ReceptionArguments) -> Result<(Option<Appliance>, SocketAddr, Option<u32>), LoadError> {
    match (&arguments.url, &arguments.data) {
        (Some(url), _) => Ok((None, *url, arguments.server_pid)),
        (None, Some(data)) => {
            let appliance = Appliance::start(&arguments.binary, data, Duration::from_secs(arguments.ready_within_s))?;
            let (address, pid) = (appliance.address, appliance.pid());
            Ok((Some(appliance), address, Some(pid)))
        }
        (None, None) => Err(LoadError::Usage("name a directory with --data or a server with --url".to_owned())),
    }
}

fn play(arguments: &ReceptionArguments, address: SocketAddr, server_pid: Option<u32>) -> Result<Outcome, LoadError> {
    let ReceptionArguments { population, day, .. } = arguments;
    let (status, window) = (status(address)?, window(day));
    complain("preparing the morning …");
    let morning = morning(day, arguments.region, population.questions);
    let (made, questions) = std::thread::scope(|scope| {
        let made = scope.spawn(|| arrivals(&morning));
        let questions = Questions::prepare(population, status.horizon, arguments.form);
        (made.join(), questions)
    });
    let made = made.map_err(|_| LoadError::Usage("the arrivals could not be drawn".to_owned()))??;
    let questions = questions?;
    let changes = changes(arguments, window, (status.horizon, status.sequence))?;

    let night = match day.appointments {
        0 => Night::default(),
        appointments => Overnight::prepare(population, status.horizon, appointments)?.pass(address)?,
    };
    complain(&format!("playing {} look-ups in {:.0} s …", made.len(), window.seconds()));
    let mut importing = None;
    let begun = || importing = changes.as_ref().map(|(changes, binary, data)| changes.begin(binary, data));
    let server_cpu = || server_pid.map(process_cpu).transpose();
    let mut answers = Answers::new(&questions);
    let before = server_cpu()?;
    let record = peak::run(&region(arguments, address, window), &made, &questions, &mut answers, begun)?;
    let server_cpu = server_cpu()?.zip(before).map(|(after, before)| after.saturating_sub(before));
    let (imported, mut complaints) = finished(importing);
    complaints.extend(answers.complaints().into_iter().chain(night.complaints.iter().cloned()));
    let newcomers = changes.as_ref().map(|(changes, ..)| changes.ask_about(address)).transpose()?;
    Ok(Outcome {
        window,
        profile: morning.profile,
        asked: Asked::count(&made, &questions),
        record,
        checked: answers.checked(),
        wrong: answers.wrong(),
        server_cpu,
        night,
        changes_planned: changes.as_ref().map_or(0, |_| day.changes_at.len()),
        imported,
        newcomers,
        request_bytes: questions.request_bytes_mean(),
        registered: status.recipients,
        complaints,
    })
}

fn window(day: &DayArguments) -> Window {
    Window { from: day.from, to: day.to, compress: day.compress }
}

fn morning(day: &DayArguments, region: RegionArguments, questions: u32) -> Morning {
    Morning {
        profile: Profile::new(day.crest_per_s, day.weekday),
        window: window(day),
        seed: day.arrival_seed,
        questions,
        gateways: region.gateways,
        short_permille: region.short_permille,
        minute_burst_permille: day.minute_burst_permille,
        door_burst: day.door_burst,
    }
}

fn region(arguments: &ReceptionArguments, address: SocketAddr, window: Window) -> Region {
    let RegionArguments { gateways, kept_each, short_at_once, .. } = arguments.region;
    let reconnect = match arguments.day.reconnect_at {
        Moment::At(minute) => after(window, minute),
        Moment::Never => None,
    };
    let reconnect_at_ns = reconnect.map(|after| u64::try_from(after.as_nanos()).unwrap_or(u64::MAX));
    let patience = Duration::from_secs(arguments.answers_within_s);
    Region { address, window, gateways, kept_each, short: short_at_once, reconnect_at_ns, patience, silence: SILENCE }
}

/// How long after the window's beginning; `None` outside of it.
fn after(window: Window, minute: u16) -> Option<Duration> {
    (window.from..window.to).contains(&minute).then(|| Duration::from_secs_f64(window.seconds_to(f64::from(minute))))
}

/// The change files, with whom to import them by and where; `None` where there are to be none.
fn changes(
    arguments: &ReceptionArguments,
    window: Window,
    state: (shikaku::domain::day::Day, u64),
) -> Result<Option<(Changes, &Path, &Path)>, LoadError> {
    let mut moments: Vec<Duration> = arguments.day.changes_at.iter().filter_map(|minute| after(window, *minute)).collect();
    moments.sort_unstable();
    match &arguments.data {
        Some(data) if arguments.day.newcomers > 0 && !moments.is_empty() => {
            let changes = Changes::prepare(&arguments.population, state, &moments, arguments.day.newcomers)?;
            Ok(Some((changes, &arguments.binary, data)))
        }
        _ => Ok(None),
    }
}

/// What was imported, and why something was not.
fn finished(importing: Option<Importing>) -> (Vec<Imported>, Vec<String>) {
    match importing.map(Importing::finish) {
        None => (Vec::new(), Vec::new()),
        Some(Ok(imported)) => (imported, Vec::new()),
        Some(Err(error)) => (Vec::new(), vec![error.to_string()]),
    }
}

fn write(path: &Path, text: &str) -> Result<(), LoadError> {
    std::fs::write(path, text).map_err(LoadError::io("writing the result"))
}
