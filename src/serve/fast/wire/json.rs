//! Rendering answers as JSON, straight into the reply's buffer.

use bytes::BytesMut;

use super::{WireError, scan};
use crate::domain::decision::{Answer, Copay, Entitlement, Notes, Row as _, Verdict};
use crate::record::ArchivedRow;
use crate::registry::View;

/// Appends the answer as one JSON object, with its line end.
pub fn write_json(answer: &Answer<'_, ArchivedRow>, view: &View, out: &mut BytesMut) {
    // Room for an ordinary answer at once, so that its many pieces need not each look for some.
    out.reserve(ANSWER_BYTES + answer.entitlements.len() * ENTITLEMENT_BYTES);
    text(out, "{\"verdict\":\"");
    text(out, answer.verdict.word());
    text(out, "\",\"action\":\"");
    text(out, answer.action.word());
    text(out, "\",\"service_date\":\"");
    out.extend_from_slice(&answer.service_date.iso());
    text(out, "\",\"entitlements\":[");
    let mut order = 0;
    for (place, entitlement) in answer.entitlements.iter().enumerate() {
        if place > 0 {
            text(out, ",");
        }
        write_entitlement(entitlement, &mut order, answer.service_date, view, out);
    }
    text(out, "],");
    write_notes(answer.notes, out);
    text(out, ",");
    text(out, &view.as_of_json);
    text(out, "}\n");
}

/// What an answer without entitlements takes at the most, and what an ordinary entitlement takes, bytes.
const ANSWER_BYTES: usize = 384;
const ENTITLEMENT_BYTES: usize = 768;

/// Appends an error object, with its line end.
pub fn write_error(error: &WireError, out: &mut BytesMut) {
    text(out, "{\"error\":{\"code\":\"");
    text(out, error.code);
    text(out, "\",\"message\":\"");
    text(out, error.message);
    if let Some(field) = error.field {
        text(out, "\",\"field\":\"");
        text(out, field);
    }
    text(out, "\"}}\n");
}

fn write_entitlement(
    entitlement: &Entitlement<'_, ArchivedRow>,
    order: &mut u32,
    day: crate::domain::day::Day,
    view: &View,
    out: &mut BytesMut,
) {
    let row = entitlement.row;
    text(out, "{");
    if matches!(entitlement.verdict, Verdict::Eligible | Verdict::EligibleReimburse) {
        *order += 1;
        text(out, "\"order\":");
        number(out, *order);
        text(out, ",");
    }
    text(out, "\"verdict\":\"");
    text(out, entitlement.verdict.word());
    text(out, "\"");
    let shows_issuer = !row.not_disclosed();
    if let Some(payer) = row.payer_number() {
        let law = payer.law_code();
        text(out, ",\"law_code\":\"");
        out.extend_from_slice(law.as_bytes());
        text(out, "\"");
        let national = view.masters.scheme(law).map(|scheme| scheme.name.as_str());
        let local = || view.masters.payer(&payer, day).map(|payer| payer.scheme.as_str()).filter(|_| shows_issuer);
        field(out, ",\"scheme\":\"", national.or_else(local).unwrap_or(""));
    }
    if shows_issuer {
        field(out, ",\"certificate_name\":\"", row.certificate_name());
    }
    if let Some(payer) = row.payer_number() {
        text(out, ",\"payer_number\":\"");
        out.extend_from_slice(payer.as_bytes());
        text(out, "\"");
    }
    field(out, ",\"recipient_number\":\"", row.recipient_number());
    if shows_issuer {
        let authority = row.authority();
        text(out, ",\"authority_code\":\"");
        out.extend_from_slice(authority.as_bytes());
        text(out, "\"");
        field(out, ",\"authority_name\":\"", view.masters.authority(&authority).map_or("", |authority| authority.name.as_str()));
        field(out, ",\"segment\":\"", row.segment());
        field(out, ",\"income_segment\":\"", row.income_segment());
        field(out, ",\"additional_conditions\":\"", row.additional_conditions());
    }
    text(out, ",\"valid_from\":\"");
    out.extend_from_slice(&row.valid_from().iso());
    text(out, "\",\"valid_to\":\"");
    out.extend_from_slice(&row.valid_to().iso());
    text(out, "\"");
    write_copay(&row.copay(), out);
    text(out, ",");
    write_notes(entitlement.notes, out);
    text(out, "}");
}

fn write_copay(copay: &Copay, out: &mut BytesMut) {
    if copay.is_empty() {
        return;
    }
    text(out, ",\"copay\":{");
    let fields = [
        ("rate_percent", copay.rate_percent.map(u32::from)),
        ("outpatient_visit_yen", copay.outpatient_visit_yen),
        ("inpatient_day_yen", copay.inpatient_day_yen),
        ("pharmacy_visit_yen", copay.pharmacy_visit_yen),
        ("monthly_cap_yen", copay.monthly_cap_yen),
        ("monthly_visits_cap", copay.monthly_visits_cap.map(u32::from)),
    ];
    let mut first = true;
    for (name, value) in fields {
        let Some(value) = value else { continue };
        text(out, if first { "\"" } else { ",\"" });
        first = false;
        text(out, name);
        text(out, "\":");
        number(out, value);
    }
    text(out, "}");
}

fn write_notes(notes: Notes, out: &mut BytesMut) {
    if notes.is_empty() {
        return text(out, "\"notes\":[]");
    }
    let mut opening = "\"notes\":[\"";
    for note in notes.iter() {
        text(out, opening);
        text(out, note.word());
        opening = "\",\"";
    }
    text(out, "\"]");
}

/// Appends a field that begins with `opening`, comma, name and quote, and ends with `value`; nothing when there is no value.
fn field(out: &mut BytesMut, opening: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    text(out, opening);
    escaped(out, value);
    text(out, "\"");
}

/// Registered texts hold no control characters; a quote or a backslash is rare.
fn escaped(out: &mut BytesMut, value: &str) {
    if scan::is_plain_in_json(value.as_bytes()) {
        return text(out, value);
    }
    for character in value.chars() {
        match character {
            '"' => text(out, "\\\""),
            '\\' => text(out, "\\\\"),
            control if u32::from(control) < 0x20 => text(out, "\u{fffd}"),
            other => text(out, other.encode_utf8(&mut [0; 4])),
        }
    }
}

#[inline]
fn text(out: &mut BytesMut, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

fn number(out: &mut BytesMut, value: u32) {
    let mut digits = [0u8; 10];
    let mut rest = value;
    let mut length = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        length += 1;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(digits.len() - length..).unwrap_or_default());
}
