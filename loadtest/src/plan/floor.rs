//! The one answer that the bare server gives to everything: as long as the appliance's are on average, and checked the same way.

use super::Plan;
use crate::arguments::Form;
use crate::slices::Slices;

const PAYER: &str = "54136015";
const VALID_TO: &str = "2027-09-30";

/// The answer to one look-up, with its line end.
pub(crate) struct FixedAnswer {
    /// What goes over the wire.
    pub(crate) line: String,
    /// Its compact line, which is what the check compares with.
    compact: String,
}

impl FixedAnswer {
    /// An answer of `bytes`, or of the shortest length that can be checked.
    pub(crate) fn of(form: Form, day: &str, bytes: usize) -> FixedAnswer {
        match form {
            Form::Compact => {
                let shortest = compact("1").len();
                let recipient = "1".repeat(1 + bytes.saturating_sub(shortest));
                FixedAnswer { line: compact(&recipient), compact: compact(&recipient) }
            }
            Form::Json => {
                let shortest = json(day, "").len();
                let padding = "x".repeat(bytes.saturating_sub(shortest));
                FixedAnswer { line: json(day, &padding), compact: compact("1234567") }
            }
        }
    }

    /// The same requests as `plan`'s, and this answer to every look-up.
    pub(crate) fn for_requests_of(&self, plan: Plan) -> Plan {
        let mut expected = Slices::default();
        for _ in 0..plan.expected.len() {
            expected.push(self.compact.as_bytes());
        }
        let days = vec![plan.workload.day(); plan.days.len()];
        Plan { expected, days, ..plan }
    }
}

/// The header line that the appliance's answers have.
pub(crate) fn header(form: Form, lookups_per_request: usize) -> &'static str {
    match form {
        Form::Compact => "Content-Type: text/tab-separated-values; charset=utf-8",
        Form::Json if lookups_per_request > 1 => "Content-Type: application/x-ndjson",
        Form::Json => "Content-Type: application/json",
    }
}

fn compact(recipient: &str) -> String {
    format!("E\t{PAYER}/{recipient}/{VALID_TO}/E\n")
}

fn json(day: &str, padding: &str) -> String {
    let entitlement = format!(
        r#"{{"order":1,"verdict":"eligible","law_code":"54","payer_number":"{PAYER}","recipient_number":"1234567","segment":"{padding}","valid_from":"2026-10-01","valid_to":"{VALID_TO}","notes":[]}}"#
    );
    format!(
        r#"{{"verdict":"eligible","action":"apply","service_date":"{day}","entitlements":[{entitlement}],"notes":[],"as_of":{{"sequence":1,"time":"2026-11-22T00:00:00+09:00"}}}}"#
    ) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_as_long_as_was_asked_for() {
        for (form, bytes) in [(Form::Compact, 41), (Form::Json, 600)] {
            assert_eq!(FixedAnswer::of(form, "2026-11-22", bytes).line.len(), bytes);
        }
    }
}
