//! The API on axum: over the owner's socket for commands on the same machine, over TLS for other machines.

pub mod client;
pub mod control;
pub mod counters;
mod look_up;
pub mod remote;

use serde::{Deserialize, Serialize};

use crate::domain::identifier::AuthorityCode;
use crate::domain::masters::{MasterKind, Masters};
use crate::ingest::register::Standing;
use crate::record::row::FILLABLE_COLUMNS;
use crate::registry::{Baseline, Counts, Fill, Outcome, fill_key};
use crate::sync::bundle::ExportOptions;

/// The name of the owner's socket in the data directory.
pub const CONTROL_SOCKET: &str = "control.sock";

/// [`Standing`] on its way through the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StandingBody {
    masters: Vec<(u8, String)>,
    fill: Vec<FillBody>,
    rows: Vec<(String, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct FillBody {
    authority: String,
    certificate_type: String,
    rows: u64,
    filled: Vec<u64>,
}

impl StandingBody {
    pub(crate) fn of(baseline: &Baseline) -> StandingBody {
        let text = |authority: &AuthorityCode| String::from_utf8_lossy(authority.as_bytes()).into_owned();
        let masters =
            MasterKind::ALL.into_iter().filter_map(|kind| baseline.ledger.text(kind).map(|text| (kind as u8, text.to_owned())));
        let fill = baseline.fill.values().map(|fill| FillBody {
            authority: text(&fill.authority),
            certificate_type: fill.certificate_type.clone(),
            rows: fill.rows,
            filled: fill.filled.to_vec(),
        });
        StandingBody {
            masters: masters.collect(),
            fill: fill.collect(),
            rows: baseline.rows.iter().map(|(authority, rows)| (text(authority), *rows)).collect(),
        }
    }

    pub(crate) fn into_standing(self) -> Option<Standing> {
        let mut standing = Standing { masters: Masters::default(), ..Standing::default() };
        for (kind, text) in self.masters {
            standing.masters.replace(MasterKind::from_byte(kind)?, &text).ok()?;
        }
        for fill in self.fill {
            let authority = AuthorityCode::parse(fill.authority.as_bytes()).ok()?;
            let filled: [u64; FILLABLE_COLUMNS.len()] = fill.filled.try_into().ok()?;
            let key = fill_key(&authority, &fill.certificate_type);
            let certificate_type = fill.certificate_type;
            standing.fill.insert(key, Fill { authority, certificate_type, rows: fill.rows, filled });
        }
        for (authority, rows) in self.rows {
            standing.rows.insert(AuthorityCode::parse(authority.as_bytes()).ok()?, rows);
        }
        Some(standing)
    }
}

/// What applying did, on its way through the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AppliedBody {
    counts: Counts,
    /// Places of rejected changes; `true` where the row is unknown, `false` where the dossier is full.
    rejected: Vec<(usize, bool)>,
    sequence: u64,
}

impl AppliedBody {
    pub(crate) fn of(applied: &crate::registry::Applied) -> AppliedBody {
        let rejected = applied.rejected.iter().map(|(place, outcome)| (*place, *outcome == Outcome::Unknown));
        AppliedBody { counts: applied.counts, rejected: rejected.collect(), sequence: applied.sequence }
    }

    pub(crate) fn into_applied(self) -> crate::registry::Applied {
        let outcome = |unknown| if unknown { Outcome::Unknown } else { Outcome::DossierFull };
        let rejected = self.rejected.into_iter().map(|(place, unknown)| (place, outcome(unknown)));
        crate::registry::Applied { counts: self.counts, rejected: rejected.collect(), sequence: self.sequence }
    }
}

/// Asks whether a file is known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KnownFileQuestion {
    pub(crate) hash: String,
    pub(crate) authorities: Vec<String>,
}

/// Sets a master table.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MasterBody {
    pub(crate) kind: u8,
    pub(crate) text: String,
}

/// Where a snapshot is to be written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SnapshotBody {
    pub(crate) file: std::path::PathBuf,
}

/// Where a bundle is to be written, and from where on.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportBody {
    pub(crate) file: std::path::PathBuf,
    /// Behind which sequence; from a snapshot of this moment where nothing is said.
    pub(crate) since: Option<u64>,
}

impl ExportBody {
    pub(crate) fn options(&self) -> ExportOptions {
        self.since.map_or(ExportOptions::WithSnapshot, ExportOptions::Since)
    }
}

/// A failure, on its way through the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct FailureBody {
    pub(crate) failure: String,
}
