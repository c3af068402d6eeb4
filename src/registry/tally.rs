//! What the current rows add up to: the state checksum, and the counts that gates and verdicts need.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

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

/// A map whose keys nobody outside can choose: authority codes come from the master, the keys of [`Tally::fill`] are hashes. Every row
/// of a load is counted in two of them, so hashing must cost next to nothing.
pub type CountMap<K, V> = HashMap<K, V, BuildHasherDefault<CountHasher>>;

/// A set of such keys.
pub type CountSet<K> = HashSet<K, BuildHasherDefault<CountHasher>>;

/// Multiplies eight bytes at a time into one word.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountHasher(u64);

impl Hasher for CountHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk.iter().fold(0u64, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(word);
        }
    }

    fn write_u128(&mut self, words: u128) {
        let [low, high] = [words, words >> 64].map(|word| u64::try_from(word & u128::from(u64::MAX)).unwrap_or(0));
        self.write_u64(low);
        self.write_u64(high);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // The table takes the high bits for its tags and the low ones for its places.
        self.0 ^= self.0 >> 32;
    }
}

/// The sum over a set of rows. Sums of parts merge, so that both cores can load.
#[derive(Clone, Debug)]
pub struct Tally {
    /// The state checksum, rows only.
    pub checksum: StateChecksum,
    /// Rows.
    pub rows: u64,
    /// Rows of each authority.
    pub by_authority: CountMap<AuthorityCode, u64>,
    /// How full the columns are, by authority and certificate type.
    pub fill: CountMap<u64, Fill>,
}

impl Default for Tally {
    fn default() -> Tally {
        Tally { checksum: StateChecksum::EMPTY, rows: 0, by_authority: CountMap::default(), fill: CountMap::default() }
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
