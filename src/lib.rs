//! shikaku (資格, eligibility): answers, on the hospital's own machine, which medical subsidies a patient is entitled to.

// Tests say `unwrap`: a panic there is the report.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

pub mod audit;
mod background;
pub mod commands;
pub mod disk;
pub mod domain;
mod head;
pub mod index;
pub mod ingest;
pub mod limits;
pub mod log;
pub mod population;
pub mod record;
pub mod registry;
mod sabotage;
pub mod serve;
pub mod store;
pub mod sync;
pub mod tls;
