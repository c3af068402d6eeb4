//! What reaches a person or a script: results on standard output, logs and complaints on standard error.

#![expect(clippy::print_stderr, reason = "the one place where commands print")]

use std::io::{IsTerminal, Write};

use crate::store::hear_engine;
use indicatif::{ProgressBar, ProgressStyle};
use tracing::Subscriber;
use tracing::subscriber::set_global_default;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error: plain on a terminal, JSON otherwise. `SHIKAKU_LOG` sets the level.
pub(super) fn start_logging() {
    let quiet = "may_minihttp=off,may=off,generator=off,sled=off";
    let level = std::env::var("SHIKAKU_LOG").unwrap_or_else(|_| "info".to_owned());
    let filter = EnvFilter::try_new(format!("{level},{quiet}")).unwrap_or_else(|_| EnvFilter::new(format!("info,{quiet}")));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if std::io::stderr().is_terminal() {
        begin(builder.with_target(false).compact().finish());
    } else {
        begin(builder.json().finish());
    }
    // What libraries log by the older door comes by this one, too.
    hear_engine();
}

fn begin(subscriber: impl Subscriber + Send + Sync) {
    // Only a second call fails, and then logging goes on as it was.
    let _ = set_global_default(subscriber);
}

/// Prints a result line.
pub(super) fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away, `head` for instance, is no failure of ours.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Many result lines, written in pieces.
pub(super) fn results() -> impl Write {
    std::io::BufWriter::with_capacity(64 << 10, std::io::stdout().lock())
}

/// Prints a complaint.
pub(super) fn complain(line: &str) {
    eprintln!("{line}");
}

/// Whether results go to a terminal.
pub(super) fn is_terminal() -> bool {
    std::io::stdout().is_terminal()
}

/// A progress bar over bytes, on a terminal; nothing elsewhere.
pub(super) fn bytes_bar(total: u64, what: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(total);
    let style = ProgressStyle::with_template("{msg:9} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(what.to_owned());
    bar
}
