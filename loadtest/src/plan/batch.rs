//! Many look-ups a request.

use shikaku::population::workload::Workload;

use super::{Plan, parameters, request};
use crate::arguments::Form;
use crate::error::LoadError;

/// Requests of `lines` look-ups each. Consent is given a request, so that the questions without it fill requests of their own; what does
/// not fill one is left out, and all requests are equal in their lines.
pub(crate) fn batches(
    workload: Workload,
    questions: u32,
    lines: u16,
    institution: Option<&str>,
    form: Form,
) -> Result<Plan, LoadError> {
    let mut plan = Plan::empty(workload, form, usize::from(lines));
    let (mut with, mut without) = (Gathered::new(true), Gathered::new(false));
    for number in 0..u64::from(questions) {
        let consents = plan.workload.question(number).consent;
        let gathered = if consents { &mut with } else { &mut without };
        gathered.numbers.push(number);
        if gathered.numbers.len() == usize::from(lines) {
            gathered.flush(&mut plan, institution);
        }
    }
    if plan.requests.len() == 0 {
        return Err(LoadError::Usage(format!("{questions} questions do not fill a batch of {lines} lines; see --questions")));
    }
    Ok(plan)
}

/// Questions waiting for their request.
struct Gathered {
    consent: bool,
    numbers: Vec<u64>,
}

impl Gathered {
    fn new(consent: bool) -> Gathered {
        Gathered { consent, numbers: Vec::new() }
    }

    fn flush(&mut self, plan: &mut Plan, institution: Option<&str>) {
        let mut body = String::new();
        for number in self.numbers.drain(..) {
            let question = plan.workload.question(number);
            body.push_str(&question.line());
            body.push('\n');
            plan.expected.push(format!("{}\n", question.expected.compact_line()).as_bytes());
            plan.days.push(question.day);
            plan.numbers.push(number);
        }
        let target = format!("/v1/eligibility/batch{}", parameters(plan.workload.day(), self.consent, institution));
        let accept = match plan.form {
            Form::Compact => "text/tab-separated-values",
            Form::Json => "application/x-ndjson",
        };
        plan.requests.push(&request(&target, "text/tab-separated-values", accept, body.as_bytes()));
    }
}
