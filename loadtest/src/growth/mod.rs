//! What more recipients cost: each size is made, registered, served, asked and removed.

mod size;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use shikaku::domain::day::Day;

use crate::arguments::{ClockArguments, PopulationArguments, day};
use crate::error::LoadError;
use crate::measure::environment::fingerprint;
use crate::report::{complain, say, thousands};
use crate::targets::{self, Bound, GROWTH_BYTES_TIMES_MAX, GROWTH_CPU_TIMES_MAX, Reading, Target};
use crate::threshold::ThresholdArguments;

use size::Size;

#[derive(Debug, Args)]
pub(crate) struct GrowthArguments {
    /// Numbers of recipients, from the smallest
    #[arg(long, value_delimiter = ',', default_values_t = [1_000_000, 5_000_000, 10_000_000, 20_000_000])]
    pub(crate) sizes: Vec<u64>,
    /// Where each size is made; it is removed before the next. 20 M recipients take some 25 GB
    #[arg(long, default_value = "/tmp")]
    pub(crate) work: PathBuf,
    /// The appliance
    #[arg(long, default_value = "target/release/shikaku")]
    pub(crate) binary: PathBuf,
    /// The population's seed
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The day the population is anchored to; also the service date of most questions
    #[arg(long, default_value = "2026-11-22", value_parser = day)]
    pub(crate) as_of: Day,
    /// How many distinct questions are prepared; they are asked in turn
    #[arg(long, default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(1..=20_000_000))]
    pub(crate) questions: u32,
    #[command(flatten)]
    pub(crate) clock: ClockArguments,
    /// How often each is measured; the median counts
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) runs: u16,
    /// How long loading may take
    #[arg(long, default_value_t = 600)]
    pub(crate) ready_within_s: u64,
    /// Fail when P11 is missed
    #[arg(long)]
    pub(crate) meet_targets: bool,
    /// Report figures though the client was busy all the time
    #[arg(long)]
    pub(crate) allow_saturated_client: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

impl GrowthArguments {
    fn population(&self, recipients: u64) -> PopulationArguments {
        PopulationArguments {
            recipients,
            seed: self.seed,
            as_of: self.as_of,
            questions: self.questions,
            question_seed: 1,
            no_institution: false,
            uniform: true,
        }
    }

    fn thresholds(&self) -> ThresholdArguments {
        ThresholdArguments { allow_saturated_client: self.allow_saturated_client, ..ThresholdArguments::default() }
    }

    fn ready_within(&self) -> Duration {
        Duration::from_secs(self.ready_within_s)
    }
}

pub(crate) fn run(arguments: &GrowthArguments) -> Result<(), LoadError> {
    let sizes = measure(arguments)?;
    let targets = judged(&sizes);
    if arguments.json {
        say(&json_of(arguments, &sizes, &targets).to_string());
    } else {
        lines(&sizes).iter().chain(&targets::table(&targets)).for_each(|line| say(line));
    }
    let missed: Vec<String> = targets.iter().filter_map(Target::complaint).collect();
    if arguments.meet_targets && !missed.is_empty() { Err(LoadError::Missed(missed)) } else { Ok(()) }
}

/// The result as JSON, and P11.
pub(crate) fn measured(arguments: &GrowthArguments) -> Result<(Value, Vec<Target>), LoadError> {
    let sizes = measure(arguments)?;
    let targets = judged(&sizes);
    Ok((json_of(arguments, &sizes, &targets), targets))
}

fn measure(arguments: &GrowthArguments) -> Result<Vec<Size>, LoadError> {
    if arguments.sizes.is_empty() || !arguments.sizes.is_sorted_by(|one, next| one < next) {
        return Err(LoadError::Usage("--sizes go from the smallest to the largest".to_owned()));
    }
    let mut sizes = Vec::new();
    for recipients in &arguments.sizes {
        complain(&format!("{recipients} recipients …"));
        sizes.push(Size::measure(arguments, *recipients)?);
    }
    Ok(sizes)
}

/// P11.
fn judged(sizes: &[Size]) -> Vec<Target> {
    let cpu = |of: fn(&Size) -> Option<f64>| {
        let (first, last) = (sizes.first().and_then(of), sizes.last().and_then(of));
        match (first, last) {
            (Some(first), Some(last)) if sizes.len() > 1 && first > 0.0 => Ok(last / first),
            _ => Err("it takes two sizes"),
        }
    };
    let times = |what, measured: Result<f64, _>, most| {
        let measured = measured.map(Reading::from);
        Target { name: "P11", what, bound: Bound::AtMost(most), unit: " ×", measured }
    };
    vec![
        times("CPU a single look-up, largest over smallest", cpu(Size::pipeline_cpu_ns), GROWTH_CPU_TIMES_MAX),
        times("CPU a look-up in batches, largest over smallest", cpu(Size::batch_cpu_ns), GROWTH_CPU_TIMES_MAX),
        times("bytes of a further recipient, dearest over cheapest step", bytes_times(sizes), GROWTH_BYTES_TIMES_MAX),
    ]
}

/// How unlike the steps from size to size are in what a further recipient costs.
#[expect(clippy::cast_precision_loss, reason = "a ratio to be printed")]
fn bytes_times(sizes: &[Size]) -> Result<f64, &'static str> {
    let step = |pair: &[Size]| match pair {
        [small, large] => {
            let bytes = large.resident_bytes.saturating_sub(small.resident_bytes);
            bytes as f64 / (large.recipients - small.recipients) as f64
        }
        _ => 0.0,
    };
    let steps: Vec<f64> = sizes.windows(2).map(step).collect();
    if steps.len() < 2 {
        return Err("it takes three sizes");
    }
    let (cheapest, dearest) = (steps.iter().copied().fold(f64::INFINITY, f64::min), steps.iter().copied().fold(0.0, f64::max));
    if cheapest > 0.0 { Ok(dearest / cheapest) } else { Err("a larger size took no more memory") }
}

fn lines(sizes: &[Size]) -> Vec<String> {
    let mut lines = vec![
        "| recipients | import | on disk | start | resident | dossiers | single | CPU | batch | CPU |".to_owned(),
        "|---|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(sizes.iter().map(Size::line));
    lines
}

fn json_of(arguments: &GrowthArguments, sizes: &[Size], targets: &[Target]) -> Value {
    json!({
        "what": "growth",
        "sizes": sizes.iter().map(Size::json).collect::<Vec<_>>(),
        "targets": targets::json(targets),
        "seed": arguments.seed,
        "as_of": arguments.as_of.to_string(),
        "questions": arguments.questions,
        "keys": "uniform",
        "seconds": arguments.clock.seconds,
        "runs": arguments.runs,
        "environment": fingerprint(),
    })
}

/// `1,234 MB`.
pub(super) fn megabytes(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
    let millions = bytes as f64 / 1e6;
    format!("{} MB", thousands(millions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(resident: [u64; 3]) -> Vec<Size> {
        [1_000_u64, 2_000, 4_000].into_iter().zip(resident).map(|(count, bytes)| Size::with_resident(count, bytes)).collect()
    }

    #[test]
    fn memory_that_grows_with_the_recipients_is_linear_whatever_is_there_before_them() {
        assert_eq!(bytes_times(&sizes([1_500_000, 2_000_000, 3_000_000])), Ok(1.0));
    }

    #[test]
    fn memory_that_grows_faster_than_the_recipients_is_told() {
        assert_eq!(bytes_times(&sizes([1_000_000, 2_000_000, 6_000_000])), Ok(2.0));
        assert!(bytes_times(&sizes([1_000_000, 2_000_000, 6_000_000])[..2]).is_err());
    }
}
