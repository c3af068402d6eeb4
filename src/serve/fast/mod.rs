//! The look-up listener on `may_minihttp`.
