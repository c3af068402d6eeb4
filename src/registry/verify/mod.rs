//! Reading everything, believing nothing: a directory that nobody owns (`resting`), and one that is in use (`running`).

mod judging;
mod resting;
mod running;

use std::path::{Path, PathBuf};

pub use resting::{verify, verify_on};

use super::RegistryError;
use super::snapshot::SnapshotError;
use crate::log::LogError;

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyReport {
    /// The first thing that is wrong; `None` when all is well.
    pub fault: Option<VerifyFault>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// Segments read.
    pub segments: usize,
    /// The last sequence.
    pub sequence: u64,
    /// Current rows there.
    pub rows: u64,
    /// The state checksum there, hex.
    pub state_checksum: String,
}

/// Something wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct VerifyFault {
    /// The file or directory.
    pub path: PathBuf,
    /// Where in the file, bytes.
    pub offset: Option<u64>,
    /// What is wrong.
    pub what: String,
}

impl VerifyFault {
    fn at(path: &Path, what: impl Into<String>) -> VerifyFault {
        VerifyFault { path: path.to_owned(), offset: None, what: what.into() }
    }
}

/// What ends a verification: something that is wrong, which is its result, or something that kept it from reading.
enum Stopped {
    Fault(VerifyFault),
    Failed(RegistryError),
}

impl Stopped {
    /// What of the log's errors is a fault of the directory's.
    fn by_log(directory: &Path, error: LogError) -> Stopped {
        match error {
            LogError::Corrupt { path, offset, what } => {
                Stopped::Fault(VerifyFault { path, offset: Some(offset), what: what.to_string() })
            }
            error @ (LogError::BeginsTooLate { .. } | LogError::OtherHistory { .. }) => {
                Stopped::Fault(VerifyFault::at(&directory.join("log"), error.to_string()))
            }
            error => Stopped::Failed(error.into()),
        }
    }

    fn by_snapshot(path: &Path, error: &SnapshotError) -> Stopped {
        Stopped::Fault(VerifyFault::at(path, error.to_string()))
    }
}

impl From<RegistryError> for Stopped {
    fn from(error: RegistryError) -> Stopped {
        Stopped::Failed(error)
    }
}

/// The report of a verification, however it ended.
fn concluded(mut report: VerifyReport, ended: Result<(), Stopped>) -> Result<VerifyReport, RegistryError> {
    match ended {
        Ok(()) => {}
        Err(Stopped::Fault(fault)) => report.fault = Some(fault),
        Err(Stopped::Failed(error)) => return Err(error),
    }
    Ok(report)
}
