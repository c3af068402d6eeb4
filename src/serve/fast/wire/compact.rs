//! Rendering answers in the compact form: the verdict's letter, then for each entitlement a field
//! `PAYER/RECIPIENT/VALID_TO/LETTER`.

use bytes::BytesMut;

use super::WireError;
use crate::domain::decision::{Answer, Row as _};
use crate::record::ArchivedRow;

/// Appends the answer, without a line end.
pub fn write_compact(answer: &Answer<'_, ArchivedRow>, out: &mut BytesMut) {
    out.extend_from_slice(&[answer.verdict.letter()]);
    for entitlement in &answer.entitlements {
        let row = entitlement.row;
        out.extend_from_slice(b"\t");
        if let Some(payer) = row.payer_number() {
            out.extend_from_slice(payer.as_bytes());
        }
        out.extend_from_slice(b"/");
        out.extend_from_slice(row.recipient_number().as_bytes());
        out.extend_from_slice(b"/");
        out.extend_from_slice(&row.valid_to().iso());
        out.extend_from_slice(&[b'/', entitlement.verdict.letter()]);
    }
}

/// Appends a malformed line's error, without a line end.
pub fn write_compact_error(error: &WireError, out: &mut BytesMut) {
    out.extend_from_slice(b"!\t");
    out.extend_from_slice(error.code.as_bytes());
}
