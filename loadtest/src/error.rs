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
    /// Something came that is no answer of a peer's.
    #[error("what came is no answer of {peer}'s: {what}")]
    NotUnderstood {
        /// Whose.
        peer: &'static str,
        /// What was wrong with it.
        what: String,
    },
    /// The server ended a connection.
    #[error("the server ended a connection with requests under way")]
    Closed,
    /// The client had no time left: the figure would be its own and not the server's.
    #[error(
        "{what}: the client was busy {busy_percent:.0} % of its core, so that the server might do more; no figure is reported \
         (--allow-saturated-client reports it all the same)"
    )]
    SaturatedClient {
        /// What was being measured.
        what: String,
        /// Part of its core that the client was busy.
        busy_percent: f64,
    },
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
