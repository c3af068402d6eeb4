//! The gates: a file that looks like an accident is held until a person says `--accept`. A blanked column once reached hospitals.

use std::collections::HashMap;

use super::register::Standing;
use crate::domain::identifier::AuthorityCode;
use crate::record::row::FILLABLE_COLUMNS;
use crate::registry::tally::Tally;

/// Rows below which a share means nothing.
const ROWS_MIN: u64 = 100;
/// More withdrawals than this share of an authority's current rows, per cent, hold the file.
const WITHDRAWN_MAX_PERCENT: u64 = 20;
/// A column counts as filled when at least this share of the current rows fill it, per cent.
const FILLED_MIN_PERCENT: u64 = 50;
/// And as blanked when less than this share of the file's rows do, per cent.
const BLANKED_BELOW_PERCENT: u64 = 10;
/// More rejects than this share of the rows, per cent, hold the file.
const REJECTS_MAX_PERCENT: u64 = 5;

/// Why a file is held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Gate {
    /// It began before, and something newer came since.
    #[error("older_file: this file began to be applied before, and one of its authorities has sent something newer since")]
    OlderFile,
    /// It may be an older file: the store, which remembers the oldest files, does not answer.
    #[error(
        "older_file: whether this file began to be applied before cannot be known while the store is detached; restart, and import it again"
    )]
    PerhapsOlderFile,
    /// It would withdraw too much of an authority's rows.
    #[error("mass_withdrawal: {withdrawn} of the {current} current rows of authority {authority} would be withdrawn")]
    MassWithdrawal {
        /// The authority.
        authority: String,
        /// Rows withdrawn.
        withdrawn: u64,
        /// Its current rows.
        current: u64,
    },
    /// A column went blank.
    #[error(
        "blank_column: {column} of authority {authority}, certificate type {certificate_type}, is filled in {filled_now} of {rows_now} current \
         rows, and in {filled} of this file's {rows}"
    )]
    BlankColumn {
        /// The column.
        column: &'static str,
        /// The authority.
        authority: String,
        /// The certificate type.
        certificate_type: String,
        /// Current rows that fill it.
        filled_now: u64,
        /// Current rows.
        rows_now: u64,
        /// Rows of the file that fill it.
        filled: u64,
        /// Rows of the file.
        rows: u64,
    },
    /// Too many rows are rejected.
    #[error("many_rejects: {rejects} of {rows} rows would be rejected")]
    ManyRejects {
        /// Rejects.
        rejects: u64,
        /// Rows.
        rows: u64,
    },
}

impl Gate {
    /// The stable word.
    pub const fn word(&self) -> &'static str {
        match self {
            Gate::OlderFile | Gate::PerhapsOlderFile => "older_file",
            Gate::MassWithdrawal { .. } => "mass_withdrawal",
            Gate::BlankColumn { .. } => "blank_column",
            Gate::ManyRejects { .. } => "many_rejects",
        }
    }
}

/// Judges what a file would do against what stands.
pub(super) fn judge(
    standing: &Standing,
    upserts: &Tally,
    withdrawn: &HashMap<AuthorityCode, u64>,
    rows: u64,
    rejects: u64,
) -> Vec<Gate> {
    let mut gates = Vec::new();
    for (authority, withdrawn) in withdrawn {
        let current = standing.rows.get(authority).copied().unwrap_or(0);
        if current >= ROWS_MIN && withdrawn * 100 > current * WITHDRAWN_MAX_PERCENT {
            gates.push(Gate::MassWithdrawal { authority: text(authority), withdrawn: *withdrawn, current });
        }
    }
    for (key, fill) in upserts.fill.iter().filter(|(_, fill)| fill.rows >= ROWS_MIN) {
        let Some(now) = standing.fill.get(key).filter(|now| now.rows >= ROWS_MIN) else { continue };
        for ((column, filled_now), filled) in FILLABLE_COLUMNS.iter().zip(now.filled).zip(fill.filled) {
            let was_filled = filled_now * 100 >= now.rows * FILLED_MIN_PERCENT;
            if was_filled && filled * 100 < fill.rows * BLANKED_BELOW_PERCENT {
                gates.push(Gate::BlankColumn {
                    column,
                    authority: text(&fill.authority),
                    certificate_type: fill.certificate_type.clone(),
                    filled_now,
                    rows_now: now.rows,
                    filled,
                    rows: fill.rows,
                });
            }
        }
    }
    if rows >= ROWS_MIN && rejects * 100 > rows * REJECTS_MAX_PERCENT {
        gates.push(Gate::ManyRejects { rejects, rows });
    }
    gates.sort_by_key(ToString::to_string);
    gates
}

fn text(authority: &AuthorityCode) -> String {
    String::from_utf8_lossy(authority.as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::tally::CountMap;
    use crate::registry::{Fill, fill_key};

    const COPAY: usize = 11;

    fn authority() -> AuthorityCode {
        AuthorityCode::parse(b"132012").unwrap()
    }

    fn fill(rows: u64, filled: u64) -> CountMap<u64, Fill> {
        let mut columns = [0; FILLABLE_COLUMNS.len()];
        columns[COPAY] = filled;
        let fill = Fill { authority: authority(), certificate_type: "A1".to_owned(), rows, filled: columns };
        [(fill_key(&authority(), "A1"), fill)].into_iter().collect()
    }

    fn gates(now: (u64, u64), file: (u64, u64), withdrawn: u64, rejects: u64) -> Vec<&'static str> {
        let standing =
            Standing { fill: fill(now.0, now.1), rows: [(authority(), now.0)].into_iter().collect(), ..Standing::default() };
        let upserts = Tally { fill: fill(file.0, file.1), rows: file.0, ..Tally::default() };
        let withdrawn = HashMap::from([(authority(), withdrawn)]);
        judge(&standing, &upserts, &withdrawn, file.0, rejects).iter().map(Gate::word).collect()
    }

    #[test]
    fn a_copay_column_that_went_blank_holds_the_file() {
        assert_eq!(gates((100, 50), (100, 9), 0, 0), ["blank_column"]);
        assert!(gates((100, 49), (100, 0), 0, 0).is_empty(), "it was not filled before");
        assert!(gates((100, 50), (100, 10), 0, 0).is_empty(), "it is filled enough");
        assert!(gates((99, 99), (100, 0), 0, 0).is_empty(), "too few current rows to judge by");
        assert!(gates((1000, 1000), (99, 0), 0, 0).is_empty(), "an ordinary small change file");
    }

    #[test]
    fn withdrawing_more_than_a_fifth_holds_the_file() {
        assert_eq!(gates((100, 0), (0, 0), 21, 0), ["mass_withdrawal"]);
        assert!(gates((100, 0), (0, 0), 20, 0).is_empty());
        assert!(gates((99, 0), (0, 0), 99, 0).is_empty());
    }

    #[test]
    fn more_than_a_twentieth_of_rejects_holds_the_file() {
        assert_eq!(gates((0, 0), (100, 0), 0, 6), ["many_rejects"]);
        assert!(gates((0, 0), (100, 0), 0, 5).is_empty());
        assert!(gates((0, 0), (99, 0), 0, 99).is_empty());
    }
}
