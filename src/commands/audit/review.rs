//! `shikaku audit review`: what a person should ask about.

use clap::Args;
use serde_json::{Value, json};

use super::{Which, asker_json, code_of, ended_after, or_hyphen, time, time_of};
use crate::audit::review::{Asker, Finding, INSTITUTIONS_COUNTED_MAX, Review, ReviewOptions, Reviewer};
use crate::audit::{Noted, Period, read};
use crate::commands::output::say;
use crate::commands::{CommandError, Ended, now};

/// Without --from it reviews the last 31 days. Findings are questions and no faults: the exit status stays 0.
#[derive(Debug, Args)]
pub(super) struct ReviewArguments {
    #[command(flatten)]
    which: Which,
    /// When one is expected to ask, in Japan
    #[arg(long, value_name = "FROM-TO", default_value = "08:00-19:00", value_parser = time::parse_hours)]
    hours: (u64, u64),
    /// Look-ups of one institution and token in a clock hour that are worth a word
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    per_hour: u64,
    /// Misses in a row that are
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    misses_in_a_row: u64,
    /// The share of misses, of at least 100 look-ups, that is
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=100))]
    miss_rate: u64,
    /// Institutions that ask about one person that are; at most 16
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=INSTITUTIONS_COUNTED_MAX as u64))]
    institutions: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

const REVIEWED_MS: u64 = 31 * 86_400_000;

pub(super) fn run(arguments: &ReviewArguments) -> Result<Ended, CommandError> {
    let directory = arguments.which.directory()?;
    let mut reviewer = Reviewer::new(ReviewOptions {
        look_ups_per_hour: arguments.per_hour,
        hours: arguments.hours,
        misses_in_a_row: arguments.misses_in_a_row,
        miss_rate_percent: arguments.miss_rate,
        institutions_per_person: usize::try_from(arguments.institutions).unwrap_or(INSTITUTIONS_COUNTED_MAX),
    });
    let mut period = arguments.which.period();
    if arguments.which.from.is_none() {
        period = Period { from_unix_ms: period.to_unix_ms.min(now()).saturating_sub(REVIEWED_MS), ..period };
    }
    let reading = read(&directory, &period, &mut |noted| {
        if let Noted::LookUp(look_up) = noted
            && arguments.which.has(look_up.institution, look_up.token)
        {
            reviewer.add(look_up);
        }
    })?;
    let review = reviewer.finish();
    if arguments.json {
        say(&as_json(&review).to_string());
    } else {
        print(&review);
    }
    Ok(ended_after(&reading))
}

fn print(review: &Review) {
    review.findings.iter().for_each(|finding| say(&words(finding)));
    if review.people_left_out {
        say("note: too many people for one review; institutions were counted for a part of them. Review a shorter time");
    }
    let Review { look_ups, askers, findings, .. } = review;
    say(&format!("reviewed: {look_ups} look-ups by {askers} askers, {} findings", findings.len()));
}

fn words(finding: &Finding) -> String {
    match finding {
        Finding::Mass { asker, hour_unix_ms, look_ups } => {
            format!("mass look-ups\t{}\t{look_ups} in the hour from {}", asker_words(asker), time_of(*hour_unix_ms))
        }
        Finding::OutsideHours { asker, look_ups, first_unix_ms, last_unix_ms } => {
            let (first, last) = (time_of(*first_unix_ms), time_of(*last_unix_ms));
            format!("outside hours\t{}\t{look_ups} between {first} and {last}", asker_words(asker))
        }
        Finding::Misses { asker, look_ups, misses, in_a_row } => {
            format!("misses\t{}\t{misses} of {look_ups}, {in_a_row} in a row", asker_words(asker))
        }
        Finding::ManyInstitutions { pseudonym, institutions } => {
            let more = if *institutions == INSTITUTIONS_COUNTED_MAX { " or more" } else { "" };
            format!("asked about by many\t{pseudonym}\t{institutions}{more} institutions")
        }
    }
}

fn asker_words(asker: &Asker) -> String {
    let token = asker.token.map(|token| token.to_string());
    format!("institution {} token {}", or_hyphen(code_of(asker.institution)), or_hyphen(token))
}

fn as_json(review: &Review) -> Value {
    let findings: Vec<Value> = review.findings.iter().map(finding_json).collect();
    json!({
        "look_ups": review.look_ups,
        "askers": review.askers,
        "people_left_out": review.people_left_out,
        "findings": findings,
    })
}

fn finding_json(finding: &Finding) -> Value {
    match finding {
        Finding::Mass { asker, hour_unix_ms, look_ups } => json!({
            "finding": "mass",
            "asker": asker_json(asker.institution, asker.token),
            "hour": time_of(*hour_unix_ms),
            "look_ups": look_ups,
        }),
        Finding::OutsideHours { asker, look_ups, first_unix_ms, last_unix_ms } => json!({
            "finding": "outside_hours",
            "asker": asker_json(asker.institution, asker.token),
            "look_ups": look_ups,
            "first": time_of(*first_unix_ms),
            "last": time_of(*last_unix_ms),
        }),
        Finding::Misses { asker, look_ups, misses, in_a_row } => json!({
            "finding": "misses",
            "asker": asker_json(asker.institution, asker.token),
            "look_ups": look_ups,
            "misses": misses,
            "in_a_row": in_a_row,
        }),
        Finding::ManyInstitutions { pseudonym, institutions } => json!({
            "finding": "many_institutions",
            "who": pseudonym.to_string(),
            "institutions": institutions,
        }),
    }
}
