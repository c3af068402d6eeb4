//! One look-up a request.

use shikaku::population::workload::Workload;

use super::{Plan, parameters, request};
use crate::arguments::Form;

/// `questions` requests of one look-up each. The workload draws each question by itself, so that neighbours have nothing in common and
/// need no shuffling.
pub(crate) fn singles(workload: Workload, questions: u32, form: Form) -> Plan {
    let mut plan = Plan::empty(workload, form, 1);
    let day = plan.workload.day();
    for number in 0..u64::from(questions) {
        let question = plan.workload.question(number);
        let bytes = match form {
            Form::Compact => {
                let parameters = parameters(day, question.consent, question.institution.as_deref());
                let target = format!("/v1/eligibility{parameters}");
                request(&target, "text/plain", "text/tab-separated-values", question.line().as_bytes())
            }
            Form::Json => request("/v1/eligibility", "application/json", "application/json", question.json().as_bytes()),
        };
        plan.requests.push(&bytes);
        plan.expected.push(format!("{}\n", question.expected.compact_line()).as_bytes());
        plan.days.push(question.day);
        plan.numbers.push(number);
    }
    plan
}
