//! Where a question that was read becomes an answer that is written: what all look-ups of one request have in common.

use bytes::BytesMut;
use crossbeam_epoch::Guard;

use super::fast::wire::{WireError, write_compact, write_json};
use crate::domain::decision::{self, Verdict};
use crate::domain::identifier::InstitutionCode;
use crate::index::Place;
use crate::registry::lookup::Inquiry;
use crate::registry::{Reader, View};

/// How an answer is to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Compact,
}

/// One request's desk.
pub(super) struct Desk<'r> {
    pub(super) reader: &'r Reader,
    pub(super) view: &'r View,
    pub(super) consent: bool,
    pub(super) institution: Option<InstitutionCode>,
    pub(super) form: Form,
    pub(super) now_unix_s: u64,
}

impl Desk<'_> {
    /// Looks up and writes the answer, with its line end; returns its verdict. Without consent nothing is looked up.
    #[inline]
    pub(super) fn answer(&self, guard: &Guard, (inquiry, place): (&Inquiry, Place), out: &mut BytesMut) -> Verdict {
        let answer = if self.consent {
            self.reader.answer(guard, self.view, (inquiry, place), self.institution, self.now_unix_s)
        } else {
            decision::Answer::no_information(inquiry.service_date)
        };
        match self.form {
            Form::Json => write_json(&answer, self.view, out),
            Form::Compact => write_compact(&answer, out),
        }
        answer.verdict
    }
}

/// The audit cannot take the look-up's entry, so that it must not be answered.
pub(super) const AUDIT_BEHIND: WireError = WireError::refused(
    503,
    "audit_behind",
    "the audit cannot take an entry for this look-up; the operator is told in /v1/status",
);

/// The word for a day before what is kept.
pub(super) const BEFORE_RETENTION: &str = "before_retention";

/// A day before what is kept cannot be answered, with or without consent.
#[inline]
pub(super) fn check_retention(inquiry: &Inquiry, view: &View) -> Result<(), WireError> {
    if inquiry.service_date < view.horizon {
        return Err(WireError::bad(BEFORE_RETENTION, "the service date lies before what is kept (24 months)", "service_date"));
    }
    Ok(())
}
