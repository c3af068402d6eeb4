//! What is asked and what must come back, prepared before the clock starts.

mod batch;
pub(crate) mod floor;
mod single;

use std::ops::Range;

use shikaku::domain::day::Day;
use shikaku::population::Population;
use shikaku::population::question::{Asked, Kind};
use shikaku::population::workload::{Asker, Workload};

use crate::arguments::{Form, PopulationArguments};
use crate::error::LoadError;
use crate::slices::Slices;
use crate::wire::{HeadReader, Script};

pub(crate) use batch::batches;
pub(crate) use single::singles;

/// Requests, each with one or more look-ups, and the right answers. Asked in turn, from the first again after the last.
pub(crate) struct Plan {
    /// The bytes of each request.
    pub(crate) requests: Slices,
    /// The right answer of each look-up: its compact line and line end, whatever form is asked for.
    pub(crate) expected: Slices,
    /// The service date of each look-up.
    pub(crate) days: Vec<Day>,
    /// Which of the workload's questions each look-up is.
    pub(crate) numbers: Vec<u64>,
    pub(crate) lookups_per_request: usize,
    pub(crate) form: Form,
    pub(crate) workload: Workload,
}

impl Plan {
    fn empty(workload: Workload, form: Form, lookups_per_request: usize) -> Plan {
        Plan {
            requests: Slices::default(),
            expected: Slices::default(),
            days: Vec::new(),
            numbers: Vec::new(),
            lookups_per_request,
            form,
            workload,
        }
    }

    /// The requests of one look-up each that are to be kept, in their order.
    pub(crate) fn retaining(self, keep: &[bool]) -> Plan {
        debug_assert!(self.lookups_per_request == 1, "a batch cannot lose some of its lines");
        let mut kept = Plan::empty(self.workload, self.form, self.lookups_per_request);
        for (nth, _) in keep.iter().enumerate().filter(|(_, keep)| **keep) {
            kept.requests.push(self.requests.slice(nth));
            kept.expected.push(self.expected.slice(nth));
            kept.days.extend(self.days.get(nth));
            kept.numbers.extend(self.numbers.get(nth));
        }
        kept
    }

    /// The look-ups of a request.
    pub(crate) fn lookups(&self, request: usize) -> Range<usize> {
        request * self.lookups_per_request..(request + 1) * self.lookups_per_request
    }

    /// Bytes of a request, on average.
    pub(crate) fn request_bytes_mean(&self) -> f64 {
        mean(self.requests.bytes_total(), self.requests.len())
    }

    /// Bytes of a compact answer with its line end, on average.
    pub(crate) fn compact_bytes_mean(&self) -> f64 {
        mean(self.expected.bytes_total(), self.expected.len())
    }

    /// What a question is like, without saying who it is about.
    pub(crate) fn describe(&self, lookup: usize) -> String {
        let Some(number) = self.numbers.get(lookup) else { return "no question".to_owned() };
        let question = self.workload.question(*number);
        let mut words = match (question.asked, question.asked.kind()) {
            (Asked::Member { with_branch: true, .. }, _) => "member with branch".to_owned(),
            (_, Kind::Member) => "member without branch".to_owned(),
            (Asked::Certificate { birth: Some(_), .. }, _) => "certificate with birth date".to_owned(),
            (_, Kind::Certificate) => "certificate".to_owned(),
            (_, Kind::Card) => "card".to_owned(),
        };
        words.push_str(if question.day == self.workload.day() { "" } else { ", back-dated" });
        words.push_str(if question.consent { "" } else { ", no consent" });
        words.push_str(if question.institution.is_some() { ", institution named" } else { ", no institution" });
        words
    }
}

impl Script for Plan {
    type Framing = HeadReader;

    fn requests(&self) -> &Slices {
        &self.requests
    }

    fn lookups_per_request(&self) -> usize {
        self.lookups_per_request
    }

    fn framing(&self) -> HeadReader {
        HeadReader::new()
    }
}

/// The questions about a population; a registry's own horizon takes the place of the population's.
pub(crate) fn workload(arguments: &PopulationArguments, horizon: Option<Day>, asker: Asker) -> Result<Workload, LoadError> {
    let made = population(arguments)?;
    let made = match horizon {
        Some(horizon) => made.with_horizon(horizon),
        None => made,
    };
    Ok(Workload::new(made, arguments.question_seed, asker))
}

/// The institution that asks in batches.
pub(crate) fn batch_institution(arguments: &PopulationArguments) -> Result<String, LoadError> {
    let made = population(arguments)?;
    Ok(made.institution(13, 0).as_str().to_owned())
}

/// The population that the arguments name.
pub(crate) fn population(arguments: &PopulationArguments) -> Result<Population, LoadError> {
    let made = Population::new(arguments.seed, arguments.recipients, arguments.as_of);
    made.map_err(|error| LoadError::Usage(error.to_string()))
}

/// The parameters after `?`.
fn parameters(day: Day, consent: bool, institution: Option<&str>) -> String {
    let mut text = format!("?on={day}");
    if consent {
        text.push_str("&consent=true");
    }
    if let Some(code) = institution {
        text.push_str("&institution=");
        text.push_str(code);
    }
    text
}

fn request(target: &str, content_type: &str, accept: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nAccept: {accept}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A mean; of nothing, zero.
#[expect(clippy::cast_precision_loss, reason = "a mean to be printed")]
pub(crate) fn mean(total: usize, count: usize) -> f64 {
    if count == 0 { 0.0 } else { total as f64 / count as f64 }
}
