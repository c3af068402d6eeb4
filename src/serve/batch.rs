//! Many look-ups in one request, in runs: read and hash all questions of a run, look for everybody in it together, then answer all.

use bytes::BytesMut;
use crossbeam_epoch::Guard;

use super::desk::{AUDIT_BEHIND, BEFORE_RETENTION, Desk, Form, check_retention};
use super::fast::wire::{Parameters, WireError, parse_line, scan, write_compact_error, write_error};
use crate::audit::{self, AuditFull, BatchEntry};
use crate::domain::day::Day;
use crate::index::Place;
use crate::limits::{BATCH_ANSWER_BYTES_MAX, BATCH_BYTES_MAX, BATCH_LINES_MAX};
use crate::registry::lookup::Inquiry;

/// How many lines go through the passes together: enough to hide the memory's latency, few enough that the questions stay in the
/// first cache.
const RUN: usize = 32;

/// A line of a batch: its question, or why it has none.
struct Line {
    inquiry: Inquiry,
    refused: Option<WireError>,
}

/// Answers every line of `body`, in order; returns how many found nobody. What was looked up is noted even of a batch that is refused
/// half-way.
pub(super) fn answer(
    desk: &Desk<'_>,
    body: &[u8],
    parameters: &Parameters,
    today: Day,
    mut noted: Option<BatchEntry<'_>>,
    out: &mut BytesMut,
) -> Result<u32, WireError> {
    let answered = answer_lines(desk, body, parameters, today, &mut noted, out);
    noted.map_or(Ok(()), BatchEntry::finish).map_err(|AuditFull| AUDIT_BEHIND)?;
    answered
}

fn answer_lines(
    desk: &Desk<'_>,
    body: &[u8],
    parameters: &Parameters,
    today: Day,
    noted: &mut Option<BatchEntry<'_>>,
    out: &mut BytesMut,
) -> Result<u32, WireError> {
    if body.len() > BATCH_BYTES_MAX {
        return Err(WireError::refused(413, "batch_too_large", "a batch is at most 1 MiB; send several"));
    }
    let body = body.strip_suffix(b"\n").unwrap_or(body);
    if body.is_empty() {
        return Ok(0);
    }
    let mut lines = Lines(Some(body));
    let mut run = [const { Line { inquiry: Inquiry::blank(), refused: None } }; RUN];
    let guard = crossbeam_epoch::pin();
    let (mut count, mut misses) = (0, 0);
    loop {
        let mut length = 0;
        for (line, text) in run.iter_mut().zip(&mut lines) {
            line.read(text, desk, parameters, today);
            length += 1;
        }
        let Some(run) = run.get(..length).filter(|run| !run.is_empty()) else { return Ok(misses) };
        count += length;
        if count > BATCH_LINES_MAX {
            return Err(WireError::refused(413, "too_many_lines", "a batch is at most 10,000 lines; send several"));
        }
        misses += answer_run(run, desk, &guard, noted, out)?;
        if out.len() > BATCH_ANSWER_BYTES_MAX {
            return Err(WireError::refused(413, "answer_too_large", "the answer is over 8 MiB; send fewer lines"));
        }
    }
}

/// The lines of a body: one more than there are line ends.
struct Lines<'a>(Option<&'a [u8]>);

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let Some((line, after)) = scan::find(b'\n', rest).and_then(|end| rest.split_at_checked(end)) else {
            self.0 = None;
            return Some(rest);
        };
        self.0 = after.get(1..);
        Some(line)
    }
}

fn answer_run(
    run: &[Line],
    desk: &Desk<'_>,
    guard: &Guard,
    noted: &mut Option<BatchEntry<'_>>,
    out: &mut BytesMut,
) -> Result<u32, WireError> {
    let mut places = [Place::ToBeFound; RUN];
    if desk.consent {
        // A line that was refused is looked for too, by whatever key stands there: that costs less than telling the lines apart.
        desk.reader.locate(guard, run.iter().map(|line| &line.inquiry), &mut places);
    }
    let mut misses = 0;
    for (line, place) in run.iter().zip(places) {
        let inquiry = &line.inquiry;
        let in_audit = match &line.refused {
            None => {
                let verdict = desk.answer(guard, (inquiry, place), out);
                misses += u32::from(audit::is_miss(verdict));
                noted.as_mut().map(|noted| noted.line(inquiry.key_hash(), inquiry.service_date, verdict))
            }
            Some(error) => {
                match desk.form {
                    Form::Compact => write_compact_error(error, out),
                    Form::Json => write_error(error, out),
                }
                // A question that was read but lies too far back names somebody all the same.
                noted.as_mut().map(|noted| match error.code {
                    BEFORE_RETENTION => noted.unanswered_line(inquiry.key_hash(), inquiry.service_date),
                    _ => noted.malformed_line(),
                })
            }
        };
        in_audit.unwrap_or(Ok(())).map_err(|AuditFull| AUDIT_BEHIND)?;
    }
    Ok(misses)
}

impl Line {
    #[inline]
    fn read(&mut self, text: &[u8], desk: &Desk<'_>, parameters: &Parameters, today: Day) {
        let read = parse_line(text, parameters, today, &mut self.inquiry);
        self.refused = read.and_then(|()| check_retention(&self.inquiry, desk.view)).err();
    }
}
