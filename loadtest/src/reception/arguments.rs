//! What can be said about a morning on the command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::profile::{MINUTES_OF_A_DAY, Weekday};
use crate::arguments::{Form, PopulationArguments};

#[derive(Debug, Args)]
pub(crate) struct ReceptionArguments {
    /// The data directory, with the population imported. Without --url it is served for the run; with --url it is where changes are
    /// imported, and nothing is imported without it
    #[arg(long, required_unless_present = "url")]
    pub(crate) data: Option<PathBuf>,
    /// A server that runs already
    #[arg(long)]
    pub(crate) url: Option<SocketAddr>,
    /// Its process, to read its CPU time
    #[arg(long, requires = "url")]
    pub(crate) server_pid: Option<u32>,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    /// How long loading may take
    #[arg(long, default_value_t = 120)]
    pub(crate) ready_within_s: u64,
    /// How long the last answers are waited for when nothing more is asked; then they count as dropped
    #[arg(long, default_value_t = 10)]
    pub(crate) answers_within_s: u64,
    #[command(flatten)]
    pub(crate) population: PopulationArguments,
    /// How answers are asked for
    #[arg(long, value_enum, default_value_t = Form::Compact)]
    pub(crate) form: Form,
    #[command(flatten)]
    pub(crate) day: DayArguments,
    #[command(flatten)]
    pub(crate) region: RegionArguments,
    #[command(flatten)]
    pub(crate) thresholds: ThresholdArguments,
    /// Write the result as one JSON object
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write the result as a page
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// JSON of other trials, for the page's bars of throughput
    #[arg(long, value_name = "FILE.json")]
    pub(crate) beside: Vec<PathBuf>,
}

/// The morning.
#[derive(Clone, Debug, Args)]
pub(crate) struct DayArguments {
    /// Look-ups a second at the crest of a Monday, in seconds of the run
    #[arg(long, default_value_t = 50_000.0, value_parser = rate)]
    pub(crate) crest_per_s: f64,
    /// Seconds of the day in a second of the run; the rate stays what it is
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    pub(crate) compress: u16,
    /// Begins at this time of day
    #[arg(long, default_value = "08:20", value_parser = minute)]
    pub(crate) from: u16,
    /// Ends at this time of day
    #[arg(long, default_value = "12:30", value_parser = minute)]
    pub(crate) to: u16,
    #[arg(long, value_enum, default_value_t = Weekday::Monday)]
    pub(crate) weekday: Weekday,
    /// Another seed, other arrivals
    #[arg(long, default_value_t = 1)]
    pub(crate) arrival_seed: u64,
    /// Look-ups sent together at each full minute, in thousandths of what a second brings
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) minute_burst_permille: u32,
    /// Look-ups sent together when doors open
    #[arg(long, default_value_t = 500)]
    pub(crate) door_burst: u32,
    /// When the lines of all gateways go down and come up together; "never" for not at all
    #[arg(long, default_value = "09:10", value_parser = moment)]
    pub(crate) reconnect_at: Moment,
    /// People with an appointment, asked about in batches of 1,000 before the window; 0 for none, else at least 2,000
    #[arg(long, default_value_t = 100_000)]
    pub(crate) appointments: u32,
    /// When files of newly registered people are imported
    #[arg(long, default_value = "08:55,09:00,09:05", value_delimiter = ',', value_parser = minute)]
    pub(crate) changes_at: Vec<u16>,
    /// People in each of these files; 0 for no changes
    #[arg(long, default_value_t = 2_000)]
    pub(crate) newcomers: u32,
}

/// How the region is connected.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RegionArguments {
    /// Gateways through which institutions reach the server
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) gateways: u8,
    /// Connections that each keeps open
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) kept_each: u8,
    /// Connections for one question each, at once
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u8).range(1..=200))]
    pub(crate) short_at_once: u8,
    /// Look-ups of clinics and dentists on a connection of their own, in thousandths
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub(crate) short_permille: u32,
}

/// What the run must hold.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ThresholdArguments {
    /// 99th percentile from the intended moment
    #[arg(long, default_value_t = 2.0)]
    pub(crate) p99_ms_at_most: f64,
    /// 99.9th percentile from the intended moment
    #[arg(long, default_value_t = 10.0)]
    pub(crate) p999_ms_at_most: f64,
    /// 99th percentile of the generator's own lateness; beyond it the generator was measured and not the server
    #[arg(long, default_value_t = 1.0)]
    pub(crate) lateness_p99_ms_at_most: f64,
    /// Part of its core that the generator may use in any second
    #[arg(long, default_value_t = 0.95)]
    pub(crate) generator_busy_at_most: f64,
}

/// A time of day, or never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Never,
    At(u16),
}

fn moment(text: &str) -> Result<Moment, String> {
    if text == "never" { Ok(Moment::Never) } else { minute(text).map(Moment::At) }
}

fn minute(text: &str) -> Result<u16, String> {
    let parts = text.split_once(':').and_then(|(hour, minute)| Some((hour.parse::<u16>().ok()?, minute.parse::<u16>().ok()?)));
    parts
        .filter(|(hour, minute)| *hour < MINUTES_OF_A_DAY / 60 && *minute < 60)
        .map(|(hour, minute)| hour * 60 + minute)
        .ok_or_else(|| "write a time of day as HH:MM".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate| (1.0..=1e7).contains(rate));
    rate.ok_or_else(|| "write a number of look-ups a second, at least 1".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_day_are_read_and_others_refused() {
        assert_eq!((minute("08:20"), minute("23:59"), minute("0:00")), (Ok(500), Ok(1_439), Ok(0)));
        assert!(["24:00", "08:60", "8", "a:b", "65535:59"].into_iter().all(|text| minute(text).is_err()));
        assert_eq!((moment("never"), moment("09:10")), (Ok(Moment::Never), Ok(Moment::At(550))));
    }
}
