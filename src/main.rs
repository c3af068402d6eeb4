//! The command line: one match, one call each.

use std::process::ExitCode;

use clap::Parser;
use shikaku::commands::{self, CommandLine};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    commands::run(CommandLine::parse())
}
