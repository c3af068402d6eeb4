//! Whom a question of the operator is about: a line of the batch form, read from standard input so that it stands in no process list.

use std::io::Read;

use crate::commands::CommandError;
use crate::domain::day::Day;
use crate::record::identity::KeyHash;
use crate::registry::lookup::Inquiry;
use crate::serve::fast::wire::{Parameters, parse_line};

/// Reads one line from standard input.
pub(super) fn read_key() -> Result<KeyHash, CommandError> {
    let mut text = String::new();
    let read = std::io::stdin().take(64 << 10).read_to_string(&mut text);
    read.map_err(|error| CommandError::new(format!("standard input: {error}")))?;
    key_of_line(text.trim_end_matches(['\r', '\n']))
}

/// The key of a line, as a look-up with this line makes it: by the same reader. Errors repeat nothing of it.
fn key_of_line(line: &str) -> Result<KeyHash, CommandError> {
    let mut inquiry = Inquiry::blank();
    let parsed = parse_line(line.as_bytes(), &Parameters::default(), Day::OPEN_END, &mut inquiry);
    parsed.map_err(|error| CommandError::new(format!("standard input: {}", error.message)))?;
    Ok(inquiry.key_hash())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::identity::KeyKind;

    #[test]
    fn a_line_has_the_key_of_its_look_up_whatever_the_day_the_branch_or_the_writing() {
        let key = |line: &str| key_of_line(line).unwrap();
        let member = key("m\t06132013:品１:5678901:00\t1980-01-01");
        assert_eq!(member, key("m\t06132013:品1:5678901:\t19800101\t2026-11-22"));
        assert_ne!(member, key("m\t06132013:品1:5678902:\t19800101"));
        let certificate = key("c\t54136015\t1234567");
        assert_eq!(certificate, key("c\t54136015\t1234567\t2026-11-22\t1980-01-01"));
        assert_eq!(
            (member.kind, certificate.kind, key("k\tcard-1").kind),
            (KeyKind::Member, KeyKind::Certificate, KeyKind::Card)
        );
    }

    #[test]
    fn a_line_that_is_none_is_refused_without_being_repeated() {
        for line in
            ["", "m", "m\t06132013:1234:secret77\t1980-01-01", "c\t5413601x\tsecret77", "x\tsecret77", "k\tsecret77\tnever"]
        {
            let error = key_of_line(line).unwrap_err().to_string();
            assert!(error.starts_with("standard input: ") && !error.contains("secret77"), "{line}: {error}");
        }
    }
}
