#![forbid(unsafe_code)]
//! The contract's look-ups as bytes: questions read, answers rendered. Both listeners speak through this room.

mod body;
mod compact;
mod json;
mod pen;
mod plain_body;
mod question;
pub(in crate::serve) mod scan;

pub use compact::{write_compact, write_compact_error};
pub use json::{write_error, write_json};
pub use question::{Parameters, Said, parse_json, parse_line, parse_parameters};

/// Why a request is not answered: what a client may branch on, and a sentence for a person that repeats nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WireError {
    /// HTTP status.
    pub status: u16,
    /// A stable word.
    pub code: &'static str,
    /// What is wrong and what is expected.
    pub message: &'static str,
    /// The field it is about, where it is about one.
    pub field: Option<&'static str>,
}

impl WireError {
    /// A malformed question.
    pub(crate) const fn bad(code: &'static str, message: &'static str, field: &'static str) -> WireError {
        WireError { status: 400, code, message, field: Some(field) }
    }

    /// A request that cannot be taken, whatever it asks.
    pub(crate) const fn refused(status: u16, code: &'static str, message: &'static str) -> WireError {
        WireError { status, code, message, field: None }
    }
}
