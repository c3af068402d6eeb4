//! Why a run ended without a figure.

use std::io;

/// Why a run failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// Some answers were not what they had to be; the kinds were printed.
    #[error("{wrong} of {checked} answers were wrong")]
    WrongAnswers {
        /// How many were wrong.
        wrong: u64,
        /// How many were looked at.
        checked: u64,
    },
    /// Figures were measured, and fell short of what was asked for.
    #[error("missed: {}", .0.join("; "))]
    Missed(Vec<String>),
    /// Requests stayed without an answer.
    #[error("{missing} requests were not answered within {seconds} s of the end")]
    MissingAnswers {
        /// How many requests.
        missing: u64,
        /// How long was waited.
        seconds: u64,
    },
    /// Something came that is no HTTP answer.
    #[error("what came is no HTTP answer: {0}")]
    NotHttp(&'static str),
    /// The server ended a connection.
    #[error("the server ended a connection with requests under way")]
    Closed,
    /// The server did not become ready, or ended early.
    #[error("{0}")]
    Server(String),
    /// The arguments do not fit together.
    #[error("{0}")]
    Usage(String),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl LoadError {
    /// For `map_err`.
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> LoadError {
        move |source| LoadError::Io { what, source }
    }
}
