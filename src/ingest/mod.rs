//! How registrations come in: a file is read, its records become [`Registration`](crate::domain::registration::Registration)s,
//! and what cannot become one is put aside with a reason.
//!
//! A registration file is examined whole and then applied, so it is read twice, and [`FileSummary::hash`] tells whether both
//! passes saw the same bytes. [`ChunkReader`] cuts the file into chunks that end on a record's end; workers parse chunks side by
//! side, each with a [`RowParser`] of its own, and one consumer takes what they made in the file's order. Nothing grows with the
//! file: a chunk, a record and the number of chunks under way are all limited.
//!
//! Three things can be wrong, and they are kept apart. A *file* that cannot be read as a registration file at all, or that
//! carries individual numbers, is an [`IngestError`] and nothing of it is applied. A *row* that is wrong is a [`Reject`], left
//! out alone. What is merely odd, such as a wrong check digit, is counted in [`RowWarnings`]. None of them repeats a value.

mod columns;
mod commas;
mod encoding;
mod error;
mod examine;
mod gates;
mod import;
mod import_error;
mod individual_number;
mod parse;
mod progress;
mod reader;
mod records;
pub mod register;
mod rejects;
mod values;
mod workers;

pub use columns::{Column, Columns};
pub use encoding::{BadEncoding, Encoding};
pub use error::IngestError;
pub use examine::{Examination, Lines};
pub use gates::Gate;
pub use import::{Ending, ImportOptions, ImportReport, import};
pub use import_error::ImportError;
pub use individual_number::{ColumnTally, IndividualNumberTallies};
pub use parse::{ParseOptions, RowParser, RowWarnings, blank_registration};
pub use progress::Progress;
pub use reader::{Chunk, ChunkReader, FileSummary};
pub use records::{Record, Records};
pub use rejects::{Reject, RejectPaths, RejectSummary, RejectWriter};
