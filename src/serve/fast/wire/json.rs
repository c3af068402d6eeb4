//! Rendering answers as JSON, straight into the reply's buffer.

use bytes::BytesMut;

use super::pen::{self, Pen};
use super::{WireError, scan};
use crate::domain::day::Day;
use crate::domain::decision::{Answer, Copay, Entitlement, Notes, Row as _, Verdict};
use crate::record::ArchivedRow;
use crate::registry::View;

/// Appends the answer as one JSON object, with its line end.
pub fn write_json(answer: &Answer<'_, ArchivedRow>, view: &View, out: &mut BytesMut) {
    let room_bytes = ANSWER_BYTES + answer.entitlements.len() * ENTITLEMENT_BYTES;
    pen::append(out, room_bytes, |pen| {
        pen.put(b"{\"verdict\":\"");
        pen.text(answer.verdict.word().as_bytes());
        pen.put(b"\",\"action\":\"");
        pen.text(answer.action.word().as_bytes());
        pen.put(b"\",\"service_date\":\"");
        pen.put(&answer.service_date.iso());
        pen.put(b"\",\"entitlements\":[");
        let mut order = 0;
        for (place, entitlement) in answer.entitlements.iter().enumerate() {
            if place > 0 {
                pen.put(b",");
            }
            write_entitlement(entitlement, &mut order, answer.service_date, view, pen);
        }
        pen.put(b"],");
        write_notes(answer.notes, pen);
        pen.put(b",");
        pen.text(view.as_of_json.as_bytes());
        pen.put(b"}\n");
    });
}

/// What an answer without entitlements takes at the most, and what an ordinary entitlement takes, bytes.
const ANSWER_BYTES: usize = 384;
const ENTITLEMENT_BYTES: usize = 768;

/// Appends an error object, with its line end.
pub fn write_error(error: &WireError, out: &mut BytesMut) {
    pen::append(out, ANSWER_BYTES, |pen| {
        pen.put(b"{\"error\":{\"code\":\"");
        pen.text(error.code.as_bytes());
        pen.put(b"\",\"message\":\"");
        pen.text(error.message.as_bytes());
        if let Some(field) = error.field {
            pen.put(b"\",\"field\":\"");
            pen.text(field.as_bytes());
        }
        pen.put(b"\"}}\n");
    });
}

fn write_entitlement(entitlement: &Entitlement<'_, ArchivedRow>, order: &mut u32, day: Day, view: &View, pen: &mut Pen<'_>) {
    let row = entitlement.row;
    if matches!(entitlement.verdict, Verdict::Eligible | Verdict::EligibleReimburse) {
        *order += 1;
        pen.put(b"{\"order\":");
        pen.number(*order);
        pen.put(b",\"verdict\":\"");
    } else {
        pen.put(b"{\"verdict\":\"");
    }
    pen.text(entitlement.verdict.word().as_bytes());
    pen.put(b"\"");
    let shows_issuer = !row.not_disclosed();
    let payer = row.payer_number();
    if let Some(payer) = payer {
        let law = payer.law_code();
        pen.put(b",\"law_code\":\"");
        pen.put(law.as_bytes());
        pen.put(b"\"");
        let national = view.masters.scheme(law).map(|scheme| scheme.name.as_str());
        let local = || view.masters.payer(&payer, day).map(|payer| payer.scheme.as_str()).filter(|_| shows_issuer);
        field(pen, b",\"scheme\":\"", national.or_else(local).unwrap_or(""));
    }
    if shows_issuer {
        field(pen, b",\"certificate_name\":\"", row.certificate_name());
    }
    if let Some(payer) = payer {
        pen.put(b",\"payer_number\":\"");
        pen.put(payer.as_bytes());
        pen.put(b"\"");
    }
    field(pen, b",\"recipient_number\":\"", row.recipient_number());
    if shows_issuer {
        let authority = row.authority();
        pen.put(b",\"authority_code\":\"");
        pen.put(authority.as_bytes());
        pen.put(b"\"");
        let name = view.masters.authority(&authority).map_or("", |authority| authority.name.as_str());
        field(pen, b",\"authority_name\":\"", name);
        field(pen, b",\"segment\":\"", row.segment());
        field(pen, b",\"income_segment\":\"", row.income_segment());
        field(pen, b",\"additional_conditions\":\"", row.additional_conditions());
    }
    pen.put(b",\"valid_from\":\"");
    pen.put(&row.valid_from().iso());
    pen.put(b"\",\"valid_to\":\"");
    pen.put(&row.valid_to().iso());
    pen.put(b"\"");
    write_copay(&row.copay(), pen);
    pen.put(b",");
    write_notes(entitlement.notes, pen);
    pen.put(b"}");
}

fn write_copay(copay: &Copay, pen: &mut Pen<'_>) {
    if copay.is_empty() {
        return;
    }
    pen.put(b",\"copay\":{");
    let mut is_first = true;
    let mut stated = |name: &[u8], value: Option<u32>| {
        let Some(value) = value else { return };
        if !std::mem::replace(&mut is_first, false) {
            pen.put(b",");
        }
        pen.text(name);
        pen.number(value);
    };
    stated(b"\"rate_percent\":", copay.rate_percent.map(u32::from));
    stated(b"\"outpatient_visit_yen\":", copay.outpatient_visit_yen);
    stated(b"\"inpatient_day_yen\":", copay.inpatient_day_yen);
    stated(b"\"pharmacy_visit_yen\":", copay.pharmacy_visit_yen);
    stated(b"\"monthly_cap_yen\":", copay.monthly_cap_yen);
    stated(b"\"monthly_visits_cap\":", copay.monthly_visits_cap.map(u32::from));
    pen.put(b"}");
}

fn write_notes(notes: Notes, pen: &mut Pen<'_>) {
    if notes.is_empty() {
        return pen.put(b"\"notes\":[]");
    }
    pen.put(b"\"notes\":[\"");
    for (place, note) in notes.iter().enumerate() {
        if place > 0 {
            pen.put(b"\",\"");
        }
        pen.text(note.word().as_bytes());
    }
    pen.put(b"\"]");
}

/// Appends a field that begins with `opening`, comma, name and quote, and ends with `value`; nothing when there is no value.
#[inline]
fn field<const N: usize>(pen: &mut Pen<'_>, opening: &[u8; N], value: &str) {
    if value.is_empty() {
        return;
    }
    pen.put(opening);
    if scan::is_plain_in_json(value.as_bytes()) {
        pen.text(value.as_bytes());
    } else {
        escaped(pen, value);
    }
    pen.put(b"\"");
}

/// Registered texts hold no control characters; a quote or a backslash is rare.
#[cold]
fn escaped(pen: &mut Pen<'_>, value: &str) {
    for character in value.chars() {
        match character {
            '"' => pen.put(b"\\\""),
            '\\' => pen.put(b"\\\\"),
            control if u32::from(control) < 0x20 => pen.text("\u{fffd}".as_bytes()),
            other => pen.text(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}
