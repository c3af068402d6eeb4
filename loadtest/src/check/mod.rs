//! Compares what came with what had to come.

mod compact;
mod json;
mod tally;

use crate::arguments::Form;
use crate::plan::Plan;
use crate::wire::Judge;

use tally::Tally;

/// Of the JSON answers, every so many-th is parsed whole; the others are read only where they must say something certain, so that the
/// client does not cost more than the server.
const THOROUGH_EVERY: u64 = 97;

/// Checks every answer and remembers what was wrong.
pub(crate) struct Checker<'p> {
    plan: &'p Plan,
    quick: json::Quick,
    checked: u64,
    tally: Tally,
}

impl Judge for Checker<'_> {
    fn check(&mut self, request: usize, status: u16, body: &[u8]) {
        Checker::check(self, request, status, body);
    }
}

impl<'p> Checker<'p> {
    pub(crate) fn new(plan: &'p Plan) -> Checker<'p> {
        Checker { plan, quick: json::Quick::new(), checked: 0, tally: Tally::default() }
    }

    /// Looks at the answer to a request of the plan.
    pub(crate) fn check(&mut self, request: usize, status: u16, body: &[u8]) {
        if status == 200 {
            match self.plan.form {
                Form::Compact => self.check_compact(request, body),
                Form::Json => self.check_json(request, body),
            }
        } else {
            let lookups = self.plan.lookups(request);
            self.checked += lookups.len() as u64;
            let what = format!("status {status} {}", json::error_code(body));
            self.tally.add(self.plan, lookups.start, &what, lookups.len() as u64);
        }
    }

    /// How many look-ups were checked.
    pub(crate) fn checked(&self) -> u64 {
        self.checked
    }

    /// How many of them were wrong.
    pub(crate) fn wrong(&self) -> u64 {
        self.tally.total()
    }

    /// What was wrong, a line a kind.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.tally.lines()
    }

    fn check_compact(&mut self, request: usize, body: &[u8]) {
        let lookups = self.plan.lookups(request);
        self.checked += lookups.len() as u64;
        if body == self.plan.expected.run(lookups.clone()) {
            return;
        }
        let mut lines = body.split_inclusive(|byte| *byte == b'\n');
        for lookup in lookups {
            let (came, expected) = (lines.next(), self.plan.expected.slice(lookup));
            if came != Some(expected) {
                let what = compact::difference(expected, came);
                self.tally.add(self.plan, lookup, &what, 1);
            }
        }
        if lines.next().is_some() {
            self.tally.add(self.plan, self.plan.lookups(request).start, "more lines than were asked about", 1);
        }
    }

    fn check_json(&mut self, request: usize, body: &[u8]) {
        let mut rest = body;
        for lookup in self.plan.lookups(request) {
            self.checked += 1;
            let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            let (line, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = after;
            let expected = self.plan.expected.slice(lookup);
            let thorough = self.checked.is_multiple_of(THOROUGH_EVERY);
            if !thorough && self.quick.agrees(line, expected) {
                continue;
            }
            let Some(day) = self.plan.days.get(lookup) else { continue };
            if let Err(what) = json::examine(line, expected, *day) {
                self.tally.add(self.plan, lookup, &what, 1);
            }
        }
        if !rest.is_empty() {
            self.tally.add(self.plan, self.plan.lookups(request).start, "more lines than were asked about", 1);
        }
    }
}
