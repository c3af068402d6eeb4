//! Asks shikaku many questions over the wire, checks every answer against how the recipients were constructed, and sets the speed
//! beside that of a bare server that looks nothing up.
//!
//! Everything is prepared before the clock starts: the requests' bytes ([`plan`]) and what each answer must be ([`check`]). One thread
//! then drives all connections ([`client`], [`wire`]); what it drives is either a running appliance or one that it starts itself, or the
//! floor ([`server`]).
//!
//! The morning of a region is another matter, because nobody waits for anybody: it is played in [`reception`] and told on a [`page`].

// Tests say `unwrap`: a panic there is the report.
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::cast_possible_truncation)
)]

mod arguments;
mod check;
mod client;
mod compare;
mod deltas;
mod error;
mod growth;
mod index;
mod measure;
mod paced;
mod page;
mod peers;
mod plan;
mod reception;
mod report;
mod restart;
mod saturate;
mod server;
mod slices;
mod targets;
mod threshold;
mod trial;
mod wire;
mod work;

use std::process::ExitCode;

use clap::Parser;

use arguments::{CommandLine, Mode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let ended = match CommandLine::parse().mode {
        Mode::Pipeline(arguments) => trial::pipeline(&arguments),
        Mode::Single(arguments) => trial::single(&arguments),
        Mode::Batch(arguments) => trial::batch(&arguments),
        Mode::Floor(arguments) => trial::floor(&arguments),
        Mode::Restart(arguments) => restart::run(&arguments),
        Mode::Saturate(arguments) => saturate::run(&arguments),
        Mode::Deltas(arguments) => deltas::run(&arguments),
        Mode::Growth(arguments) => growth::run(&arguments),
        Mode::Compare(arguments) => compare::run(&arguments),
        Mode::Index(arguments) => index::run(&arguments),
        Mode::RunAll(arguments) => compare::run_all(&arguments),
        Mode::Reception(arguments) => reception::run(&arguments),
        Mode::Page(arguments) => page::run(&arguments),
        Mode::FloorServer(arguments) => server::floor::serve(&arguments),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::complain(&format!("loadtest: {error}"));
            ExitCode::FAILURE
        }
    }
}
