//! Why an import ends before its time.

use super::IngestError;
use super::register::RegisterError;
use crate::record::RecordError;

/// Why an import failed.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file.
    #[error(transparent)]
    File(#[from] IngestError),
    /// The registry.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The files of rejected rows.
    #[error("rejected rows cannot be written: {0}")]
    Rejects(std::io::Error),
    /// Somebody wrote to the file between the two passes.
    #[error("the file changed while it was imported; what is durable stands, import it again")]
    Changed,
    /// More lines than can be counted.
    #[error("more than 4,294,967,295 lines; split the file")]
    TooManyLines,
    /// A row that cannot be archived.
    #[error(transparent)]
    Record(#[from] RecordError),
}
