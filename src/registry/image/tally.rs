//! The tally as bytes: little endian, the counts by authority and by certificate type each behind their number.

use crate::domain::identifier::AuthorityCode;
use crate::record::StateChecksum;
use crate::record::checksum::PARTS;
use crate::record::row::FILLABLE_COLUMNS;
use crate::registry::tally::{Fill, Tally, fill_key};

impl Tally {
    /// Appends its bytes.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for part in self.checksum.parts() {
            out.extend_from_slice(&part.to_le_bytes());
        }
        put(out, self.rows);
        put(out, self.by_authority.len() as u64);
        for (authority, rows) in &self.by_authority {
            out.extend_from_slice(authority.as_bytes());
            put(out, *rows);
        }
        put(out, self.fill.len() as u64);
        for fill in self.fill.values() {
            out.extend_from_slice(fill.authority.as_bytes());
            put(out, fill.certificate_type.len() as u64);
            out.extend_from_slice(fill.certificate_type.as_bytes());
            put(out, fill.rows);
            fill.filled.iter().for_each(|filled| put(out, *filled));
        }
    }

    /// Reads its bytes, all of them.
    pub(super) fn decode(bytes: &[u8]) -> Option<Tally> {
        let mut rest = bytes;
        let mut tally = Tally { checksum: StateChecksum::EMPTY, ..Tally::default() };
        for part in 0..PARTS {
            tally.checksum.add(part, u128::from_le_bytes(take(&mut rest)?));
        }
        tally.rows = number(&mut rest)?;
        for _ in 0..number(&mut rest)? {
            let authority = AuthorityCode::parse(&take::<6>(&mut rest)?).ok()?;
            tally.by_authority.insert(authority, number(&mut rest)?);
        }
        for _ in 0..number(&mut rest)? {
            let authority = AuthorityCode::parse(&take::<6>(&mut rest)?).ok()?;
            let length = usize::try_from(number(&mut rest)?).ok()?;
            let (text, behind) = rest.split_at_checked(length)?;
            rest = behind;
            let certificate_type = std::str::from_utf8(text).ok()?.to_owned();
            let rows = number(&mut rest)?;
            let mut filled = [0; FILLABLE_COLUMNS.len()];
            for filled in &mut filled {
                *filled = number(&mut rest)?;
            }
            let key = fill_key(&authority, &certificate_type);
            tally.fill.insert(key, Fill { authority, certificate_type, rows, filled });
        }
        rest.is_empty().then_some(tally)
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    take(rest).map(u64::from_le_bytes)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}
