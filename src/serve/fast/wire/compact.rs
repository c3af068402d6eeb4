//! Rendering answers in the compact form: the verdict's letter, then for each entitlement a field
//! `PAYER/RECIPIENT/VALID_TO/LETTER`.

use bytes::BytesMut;

use super::{WireError, pen};
use crate::domain::decision::{Answer, Row as _};
use crate::record::ArchivedRow;

/// Appends the answer, with its line end.
pub fn write_compact(answer: &Answer<'_, ArchivedRow>, out: &mut BytesMut) {
    pen::append(out, 2 + answer.entitlements.len() * ENTITLEMENT_BYTES, |pen| {
        pen.put(&[answer.verdict.letter()]);
        for entitlement in &answer.entitlements {
            let row = entitlement.row;
            pen.put(b"\t");
            if let Some(payer) = row.payer_number() {
                pen.put(payer.as_bytes());
            }
            pen.put(b"/");
            pen.text(row.recipient_number().as_bytes());
            pen.put(b"/");
            pen.put(&row.valid_to().iso());
            pen.put(&[b'/', entitlement.verdict.letter()]);
        }
        pen.put(b"\n");
    });
}

/// What an ordinary entitlement takes: tab, payer number, recipient number, date and letter with their slashes.
const ENTITLEMENT_BYTES: usize = 1 + 8 + 1 + 20 + 13;

/// Appends a malformed line's error, with its line end.
pub fn write_compact_error(error: &WireError, out: &mut BytesMut) {
    out.extend_from_slice(b"!\t");
    out.extend_from_slice(error.code.as_bytes());
    out.extend_from_slice(b"\n");
}
