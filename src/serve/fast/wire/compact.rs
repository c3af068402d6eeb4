//! Rendering answers in the compact form: the verdict's letter, then for each entitlement a field
//! `PAYER/RECIPIENT/VALID_TO/LETTER`.

use bytes::{BufMut, BytesMut};

use super::WireError;
use crate::domain::decision::{Answer, Row as _};
use crate::record::ArchivedRow;

/// Appends the answer, with its line end.
pub fn write_compact(answer: &Answer<'_, ArchivedRow>, out: &mut BytesMut) {
    // Room for all of it at once, so that no append has to look: a recipient number is at most 30 characters.
    out.reserve(2 + answer.entitlements.len() * ENTITLEMENT_BYTES_MAX);
    out.put_u8(answer.verdict.letter());
    for entitlement in &answer.entitlements {
        let row = entitlement.row;
        match row.payer_number() {
            Some(payer) => {
                let [a, b, c, d, e, f, g, h] = *payer.as_bytes();
                out.put_slice(&[b'\t', a, b, c, d, e, f, g, h, b'/']);
            }
            None => out.put_slice(b"\t/"),
        }
        out.put_slice(row.recipient_number().as_bytes());
        let [a, b, c, d, e, f, g, h, i, j] = row.valid_to().iso();
        out.put_slice(&[b'/', a, b, c, d, e, f, g, h, i, j, b'/', entitlement.verdict.letter()]);
    }
    out.put_u8(b'\n');
}

/// Tab, payer number, recipient number, date and letter with their slashes.
const ENTITLEMENT_BYTES_MAX: usize = 1 + 8 + 1 + 4 * 30 + 13;

/// Appends a malformed line's error, with its line end.
pub fn write_compact_error(error: &WireError, out: &mut BytesMut) {
    out.extend_from_slice(b"!\t");
    out.extend_from_slice(error.code.as_bytes());
    out.extend_from_slice(b"\n");
}
