//! How the log travels: from the hub that registers to the houses that answer, and from those to others.
//!
//! The hub signs *checkpoints*, each of which says how the log stands at a sequence; everything else is bytes of the log, and may come by
//! any way from anybody. Whoever follows judges a checkpoint, spools frames until they arrive exactly at a signed place, and only then
//! lets the registry take them. `docs/sync-protocol.md` gives the bytes, the routes and every refusal.
//!
//! `checkpoint`, `key` and `manifest` are what is signed; `intake` is the judge, which knows of no transport; `publish` and `follow` are
//! the two ends of HTTPS; `jetstream` has those of a broker, `bundle` a file to carry.

pub mod bundle;
pub mod checkpoint;
mod files;
pub mod follow;
pub mod intake;
pub mod jetstream;
pub mod key;
pub mod manifest;
pub mod publish;
mod quarantine;
pub mod refusal;
pub mod remembered;
mod spool;
pub mod standing;
pub mod station;
mod tail;
