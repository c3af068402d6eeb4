//! How long everything took.

use hdrhistogram::Histogram;

use super::arrivals::{Arrival, Window};
use super::institution::Institution;

/// Waits beyond this count as this, in ns.
const LONGEST_NS: u64 = 120_000_000_000;

/// Points of the plots over time, at most.
const INTERVALS_MAX: f64 = 125.0;
const INTERVAL_S_MIN: f64 = 0.2;

/// Between two looks at the generator's processor time; shorter would be less than the clock can tell.
pub(crate) const BUSY_EVERY_NS: u64 = 1_000_000_000;

/// Nanoseconds, to three digits.
pub(crate) type Waits = Histogram<u32>;

/// What was measured, slice by slice of the run.
pub(crate) struct Record {
    interval_ns: u64,
    intervals: Vec<Interval>,
    /// From handing a request to its connection to its answer: what a client would see that waits before it asks again. It is kept only
    /// to be set beside the truth.
    since_sent: Waits,
    /// From the intended moment to the sending, where a connection was free.
    lateness: Waits,
    by_institution: [Waits; 4],
    short: Waits,
    /// Parts of a core that the generator used, a second each.
    busy: Vec<f64>,
    pub(crate) dropped: u64,
    /// Asked a second time: because all lines went down, or because the server hung up on one that had been silent.
    pub(crate) asked_again: u64,
    /// From the moment when all hung up to all being connected again.
    pub(crate) reconnected_after_ns: Option<u64>,
}

/// What was meant to be sent within an interval.
#[derive(Clone)]
pub(crate) struct Interval {
    pub(crate) offered: u64,
    pub(crate) waits: Waits,
}

impl Record {
    /// For a run of a window. `None` would mean that the histograms' bounds were not in order.
    pub(crate) fn new(window: Window) -> Option<Record> {
        let interval_s = (window.seconds() / INTERVALS_MAX).max(INTERVAL_S_MIN);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of intervals and their length")]
        let (count, interval_ns) = ((window.seconds() / interval_s).ceil() as usize, (interval_s * 1e9) as u64);
        let empty: Waits = Histogram::new_with_bounds(1, LONGEST_NS, 3).ok()?;
        Some(Record {
            interval_ns,
            intervals: vec![Interval { offered: 0, waits: empty.clone() }; count.max(1)],
            since_sent: empty.clone(),
            lateness: empty.clone(),
            by_institution: std::array::from_fn(|_| empty.clone()),
            short: empty,
            busy: Vec::new(),
            dropped: 0,
            asked_again: 0,
            reconnected_after_ns: None,
        })
    }

    /// A look-up's moment came.
    pub(crate) fn offered(&mut self, arrival: &Arrival) {
        let interval = self.place(arrival);
        if let Some(interval) = self.intervals.get_mut(interval) {
            interval.offered += 1;
        }
    }

    /// It was sent so long after its moment, although a connection was free.
    pub(crate) fn late(&mut self, nanoseconds: u64) {
        self.lateness.saturating_record(nanoseconds);
    }

    /// Its right answer was there so long after its moment, and so long after it was sent.
    pub(crate) fn answered(&mut self, arrival: &Arrival, waited_ns: u64, since_sent_ns: u64) {
        let interval = self.place(arrival);
        if let Some(interval) = self.intervals.get_mut(interval) {
            interval.waits.saturating_record(waited_ns);
        }
        if let Some(waits) = self.by_institution.get_mut(arrival.institution.place()) {
            waits.saturating_record(waited_ns);
        }
        if arrival.short {
            self.short.saturating_record(waited_ns);
        }
        self.since_sent.saturating_record(since_sent_ns);
    }

    pub(crate) fn busy(&mut self, part: f64) {
        self.busy.push(part);
    }

    /// All waits from the intended moments: the intervals merged.
    pub(crate) fn waits(&self) -> Waits {
        let mut merged = self.lateness.clone();
        merged.reset();
        for interval in &self.intervals {
            // All have the same bounds.
            let _ = merged.add(&interval.waits);
        }
        merged
    }

    pub(crate) fn since_sent(&self) -> &Waits {
        &self.since_sent
    }

    pub(crate) fn lateness(&self) -> &Waits {
        &self.lateness
    }

    pub(crate) fn of(&self, institution: Institution) -> Option<&Waits> {
        self.by_institution.get(institution.place())
    }

    pub(crate) fn short(&self) -> &Waits {
        &self.short
    }

    pub(crate) fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    pub(crate) fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// The largest part of its core that the generator used within a second.
    pub(crate) fn busiest(&self) -> f64 {
        self.busy.iter().copied().fold(0.0, f64::max)
    }

    /// The generator's part of its core, a second each.
    pub(crate) fn busy_seconds(&self) -> &[f64] {
        &self.busy
    }

    fn place(&self, arrival: &Arrival) -> usize {
        usize::try_from(arrival.at_ns / self.interval_ns).unwrap_or(usize::MAX).min(self.intervals.len() - 1)
    }
}

/// A quantile in milliseconds; 0 of nothing.
#[expect(clippy::cast_precision_loss, reason = "a figure to be printed")]
pub(crate) fn milliseconds(waits: &Waits, quantile: f64) -> f64 {
    if waits.is_empty() { 0.0 } else { waits.value_at_quantile(quantile) as f64 / 1e6 }
}
