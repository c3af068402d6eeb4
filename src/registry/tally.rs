//! What the current rows add up to: the state checksum, and the counts that gates and verdicts need.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::decision::Row as _;
use crate::domain::identifier::AuthorityCode;
use crate::record::row::FILLABLE_COLUMNS;
use crate::record::{ArchivedRow, StateChecksum};

/// How many rows of one authority's certificate type fill each optional column: what the blank-column gate compares with.
#[derive(Clone, Debug)]
pub struct Fill {
    /// The authority.
    pub authority: AuthorityCode,
    /// The certificate type.
    pub certificate_type: String,
    /// Rows.
    pub rows: u64,
    /// Rows that fill each of [`FILLABLE_COLUMNS`].
    pub filled: [u64; FILLABLE_COLUMNS.len()],
}

/// The sum over a set of rows. Sums of parts merge, so that both cores can load.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The state checksum, rows only.
    pub checksum: StateChecksum,
    /// Rows.
    pub rows: u64,
    /// Rows of each authority.
    pub by_authority: HashMap<AuthorityCode, u64>,
    /// How full the columns are, by authority and certificate type.
    pub fill: HashMap<u64, Fill>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { checksum: StateChecksum::EMPTY, rows: 0, by_authority: HashMap::new(), fill: HashMap::new() }
    }
}

impl Tally {
    /// Counts a row in.
    pub fn add(&mut self, row: &ArchivedRow, content: u128) {
        let authority = row.authority();
        self.checksum.add(authority.prefecture(), content);
        self.rows += 1;
        *self.by_authority.entry(authority).or_default() += 1;
        self.fill_of(row).change(row, u64::wrapping_add);
    }

    /// Counts a row out.
    pub fn take(&mut self, row: &ArchivedRow, content: u128) {
        let authority = row.authority();
        self.checksum.take(authority.prefecture(), content);
        self.rows -= 1;
        if let Some(rows) = self.by_authority.get_mut(&authority) {
            *rows -= 1;
        }
        self.fill_of(row).change(row, u64::wrapping_sub);
    }

    /// Adds another tally.
    pub fn merge(&mut self, other: Tally) {
        self.checksum.merge(&other.checksum);
        self.rows += other.rows;
        for (authority, rows) in other.by_authority {
            *self.by_authority.entry(authority).or_default() += rows;
        }
        for (key, fill) in other.fill {
            match self.fill.get_mut(&key) {
                Some(mine) => {
                    mine.rows += fill.rows;
                    for (mine, more) in mine.filled.iter_mut().zip(fill.filled) {
                        *mine += more;
                    }
                }
                None => {
                    self.fill.insert(key, fill);
                }
            }
        }
    }

    /// Rows of an authority.
    pub fn rows_of(&self, authority: &AuthorityCode) -> u64 {
        self.by_authority.get(authority).copied().unwrap_or(0)
    }

    fn fill_of(&mut self, row: &ArchivedRow) -> &mut Fill {
        let key = fill_key(&row.authority(), row.certificate_type());
        self.fill.entry(key).or_insert_with(|| Fill {
            authority: row.authority(),
            certificate_type: row.certificate_type().to_owned(),
            rows: 0,
            filled: [0; FILLABLE_COLUMNS.len()],
        })
    }
}

impl Fill {
    fn change(&mut self, row: &ArchivedRow, by: impl Fn(u64, u64) -> u64) {
        self.rows = by(self.rows, 1);
        let columns = row.filled_columns();
        for (place, filled) in self.filled.iter_mut().enumerate() {
            *filled = by(*filled, u64::from(columns >> place & 1));
        }
    }
}

/// The key of an authority's certificate type in [`Tally::fill`].
pub fn fill_key(authority: &AuthorityCode, certificate_type: &str) -> u64 {
    let mut bytes = [0u8; 6 + 4 * 50];
    let text = certificate_type.as_bytes();
    let length = 6 + text.len();
    for (place, byte) in bytes.iter_mut().zip(authority.as_bytes().iter().chain(text)) {
        *place = *byte;
    }
    xxh3_64(bytes.get(..length).unwrap_or(&bytes))
}
