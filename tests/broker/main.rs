//! The log through real servers of the distributed engine, on loopback: what the hub publishes arrives whole, once, in order and signed,
//! whatever becomes of a server, and whatever somebody else puts into its stream.
//!
//! Where `nats-server` is not installed every test says so and proves nothing; `scripts/nats.sh` installs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    missing_docs,
    reason = "a panic in a test is its report"
)]

mod accounts;
mod acknowledging;
mod cluster;
mod hostile;
mod houses;
mod losing;
mod one_server;
#[path = "../common/proof.rs"]
#[allow(unreachable_pub, reason = "shared with the black-box tests")]
mod proof;
mod secured;
mod servers;
mod vouched;

/// Leaves the test where there is no server to try it with, and says so.
macro_rules! or_skip {
    ($servers:expr) => {
        match $servers {
            Some(servers) => servers,
            None => {
                println!("skipped: nats-server is not installed (scripts/nats.sh installs it)");
                return;
            }
        }
    };
}
pub(crate) use or_skip;
