//! `shikaku audit show`: look-ups, one a line.

use std::io::Write;

use clap::Args;
use serde_json::{Value, json};

use super::{Which, about, code_of, ended_after, key_of, or_hyphen, time_of};
use crate::audit::{LookedUp, Note, Noted, Pseudonym, read};
use crate::commands::output::results;
use crate::commands::{CommandError, Ended};

/// Columns: time, institution, token, door, who (pseudonym), service date, consent, verdict, sequence answered from, and for a line of a
/// batch its request and place. What is not known is a hyphen. A person has a pseudonym of their own under each kind of key: ask for
/// `m`, `c` and `k` lines in turn to find every look-up of one person.
#[derive(Debug, Args)]
pub(super) struct ShowArguments {
    #[command(flatten)]
    which: Which,
    /// Only look-ups of one person: a line of the batch form (m…, c… or k…) is read from standard input
    #[arg(long)]
    about_stdin: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &ShowArguments) -> Result<Ended, CommandError> {
    let directory = arguments.which.directory()?;
    let about = if arguments.about_stdin { Some(key_of(&directory)?.pseudonym(about::read_key()?)) } else { None };
    let mut out = results();
    let mut is_heard = true;
    let reading = read(&directory, &arguments.which.period(), &mut |noted| {
        if is_heard && is_wanted(&arguments.which, about, noted) {
            let line = if arguments.json { json_line(noted).to_string() } else { plain_line(noted) };
            // A reader that went away, `head` for instance, is no failure of ours.
            is_heard = writeln!(out, "{line}").is_ok();
        }
    })?;
    let _ = out.flush();
    Ok(ended_after(&reading))
}

/// The audit's own notes are shown where nobody is asked for.
fn is_wanted(which: &Which, about: Option<Pseudonym>, noted: &Noted) -> bool {
    match noted {
        Noted::LookUp(look_up) => {
            which.has(look_up.institution, look_up.token) && about.is_none_or(|about| look_up.pseudonym == Some(about))
        }
        Noted::Note { .. } => about.is_none() && which.institution.is_none() && which.token.is_none(),
    }
}

fn plain_line(noted: &Noted) -> String {
    match noted {
        Noted::Note { unix_ms, note, .. } => format!("{}\tnote\t{}", time_of(*unix_ms), note_words(note)),
        Noted::LookUp(look_up) => {
            let columns = [
                time_of(look_up.unix_ms),
                or_hyphen(code_of(look_up.institution)),
                or_hyphen(look_up.token.map(|token| token.to_string())),
                or_hyphen(look_up.via.map(|via| via.word().to_owned())),
                or_hyphen(look_up.pseudonym.map(|pseudonym| pseudonym.to_string())),
                or_hyphen(look_up.service_date.map(|day| day.to_string())),
                if look_up.consent { "consent" } else { "no_consent" }.to_owned(),
                verdict_word(look_up).to_owned(),
                look_up.sequence.to_string(),
                or_hyphen(look_up.line.map(|place| format!("{}/{}", place.request, place.line))),
            ];
            columns.join("\t")
        }
    }
}

fn json_line(noted: &Noted) -> Value {
    match noted {
        Noted::Note { entry, unix_ms, note } => json!({ "entry": entry, "time": time_of(*unix_ms), "note": note_words(note) }),
        Noted::LookUp(look_up) => json!({
            "entry": look_up.entry,
            "time": time_of(look_up.unix_ms),
            "institution": code_of(look_up.institution),
            "token": look_up.token.map(|token| token.to_string()),
            "via": look_up.via.map(|via| via.word()),
            "who": look_up.pseudonym.map(|pseudonym| pseudonym.to_string()),
            "service_date": look_up.service_date.map(|day| day.to_string()),
            "consent": look_up.consent,
            "verdict": verdict_word(look_up),
            "sequence": look_up.sequence,
            "request": look_up.line.map(|place| place.request),
            "line": look_up.line.map(|place| place.line),
        }),
    }
}

fn verdict_word(look_up: &LookedUp) -> &'static str {
    look_up.verdict.map_or("not_answered", |verdict| verdict.word())
}

fn note_words(note: &Note) -> String {
    match note {
        Note::Started => "started".to_owned(),
        Note::Continued => "continued in a new segment".to_owned(),
        Note::Restarted { segment, cut_bytes, .. } => {
            format!("restarted after a crash: segment {segment} was sealed, {cut_bytes} bytes of it cut and kept aside")
        }
        Note::FoundDamaged { segment, offset } => format!("found damaged: segment {segment} at offset {offset}"),
        Note::Pruned { through_segment, through_entry, days, .. } => {
            format!("removed segments to {through_segment} (entries to {through_entry}), older than {days} days")
        }
    }
}
