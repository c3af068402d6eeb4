//! The population as a whole: the fixed mix, uniqueness, and files that a reader would accept.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::changes::Fate;
use super::month::Month;
use super::question::Kind;
use super::synth::{self, Encoding};
use super::text::narrow;
use super::workload::{Asker, Workload};
use super::*;
use crate::domain::digits::{authority_check_digit, check_digit_is_right};

const MANY: u64 = 200_000;

fn today() -> Day {
    Day::parse(b"2026-11-22").unwrap()
}

fn population(size: u64) -> Population {
    Population::new(1, size, today()).unwrap()
}

/// Compares shares with the ones they should be, and reports all that are off together.
#[derive(Default)]
struct Shares {
    off: Vec<String>,
}

impl Shares {
    /// Shares and tolerances are in parts of ten thousand.
    fn check(&mut self, what: &str, part: u64, whole: u64, expected: u64, tolerance: u64) {
        let share = part * 10_000 / whole;
        let report = format!("{what}: {share} of 10,000, should be {expected}");
        if share.abs_diff(expected) > tolerance {
            self.off.push(report);
        }
    }
}

#[test]
fn the_mix_is_the_fixed_one() {
    let population = population(MANY);
    let mut count: HashMap<&str, u64> = HashMap::new();
    let mut lengths: HashMap<&str, u64> = HashMap::new();
    for index in 0..MANY {
        let recipient = population.recipient(index);
        let mut add = |what, when: bool| *count.entry(what).or_default() += u64::from(when);
        add("one", recipient.certificates.len() == 1);
        add("two", recipient.certificates.len() == 2);
        add("three", recipient.certificates.len() == 3);
        add("card", recipient.card.is_some());
        add("twin", recipient.twin);
        add("no branch", recipient.insured.registered_branch().as_bytes().is_empty());
        add("not disclosed", recipient.not_disclosed);
        add("wide symbol", !recipient.insured.symbol.as_str().is_ascii());
        add("moves", population.fate(index) == Fate::Moves);
        add("withdrawn", population.fate(index) == Fate::Withdrawn);
        *lengths.entry("symbol").or_default() += recipient.insured.symbol.as_str().chars().count() as u64;
        *lengths.entry("number").or_default() += recipient.insured.number.as_str().chars().count() as u64;
        for certificate in &recipient.certificates {
            add("certificates", true);
            add("expired", certificate.case == Case::Expired);
            add("future", certificate.case == Case::Future);
            add("always", certificate.always_reimbursement);
            add("longer", certificate.recipient_number().chars().count() > 7);
            let rows = certificate.periods.all();
            add("current rows", true);
            for (nth, period) in rows.iter().enumerate() {
                let history = nth + 1 < rows.len();
                add("rows", true);
                add("history", history);
                add("history within 24 months", history && period.to >= population.horizon);
                add("segment", !certificate.segment.is_empty());
                add("designated", certificate.is_designated());
                *lengths.entry("name").or_default() += certificate.name.chars().count() as u64;
            }
            *lengths.entry("recipient number").or_default() += certificate.recipient_number().chars().count() as u64;
        }
    }
    let (certificates, rows) = (count["certificates"], count["rows"]);
    let mut shares = Shares::default();
    shares.check("one certificate", count["one"], MANY, 7_200, 60);
    shares.check("two certificates", count["two"], MANY, 2_100, 60);
    shares.check("three certificates", count["three"], MANY, 700, 40);
    shares.check("current rows a recipient", count["current rows"], MANY, 13_500, 100);
    shares.check("history rows a recipient", count["history"], MANY, 11_500, 250);
    shares.check("history within 24 months", count["history within 24 months"], count["history"], 5_000, 250);
    shares.check("card link", count["card"], MANY, 6_000, 60);
    shares.check("twins", count["twin"], MANY, 100, 15);
    shares.check("no branch registered", count["no branch"], MANY, 400, 40);
    shares.check("not disclosed", count["not disclosed"], MANY, 20, 6);
    shares.check("moves", count["moves"], MANY, 500, 30);
    shares.check("withdrawn", count["withdrawn"], MANY, 50, 10);
    shares.check("wide symbol", count["wide symbol"], MANY, 3_000, 200);
    shares.check("expired", count["expired"], certificates, 800, 30);
    shares.check("future", count["future"], certificates, 100, 15);
    shares.check("always reimbursed", count["always"], certificates, 300, 20);
    shares.check("longer recipient number", count["longer"], certificates, 800, 60);
    shares.check("segment", count["segment"], rows, 4_000, 200);
    shares.check("designated institutions", count["designated"], rows, 2_500, 150);
    shares.check("length of a symbol", lengths["symbol"], MANY, 60_000, 3_000);
    shares.check("length of a number", lengths["number"], MANY, 70_000, 1_500);
    shares.check("length of a recipient number", lengths["recipient number"], certificates, 72_000, 2_500);
    shares.check("length of a certificate name", lengths["name"], rows, 90_000, 4_000);
    assert!(shares.off.is_empty(), "{:#?}", shares.off);
}

#[test]
fn no_two_recipients_share_what_they_should_not() {
    const SIZE: u64 = 1_000_000;
    let population = population(SIZE);
    let (mut members, mut twins, mut certificates, mut rows, mut cards) = (vec![], 0, vec![], vec![], vec![]);
    let folded = |text: &str| text.chars().map(narrow).collect::<String>();
    for index in 0..SIZE {
        let recipient = population.recipient(index);
        let insured = recipient.insured;
        let insurer = format!("{:0>8}", insured.insurer_number.as_str().trim_start());
        // The birth date and the symbol stay outside: insurer and number alone are unique.
        let key = format!("{insurer}:{}", folded(insured.number.as_str()));
        members.push(xxh3_64(key.as_bytes()));
        twins += u64::from(recipient.twin);
        cards.extend(recipient.card.map(|link| xxh3_64(link.as_bytes())));
        for certificate in &recipient.certificates {
            let recipient_number = folded(certificate.recipient_number());
            if let Some(payer) = certificate.payer_number() {
                certificates.push(xxh3_64(format!("{payer}/{recipient_number}").as_bytes()));
            }
            let row = format!("{}/{}/{recipient_number}", certificate.authority_code, certificate.type_id);
            rows.push(xxh3_64(row.as_bytes()));
        }
    }
    for nth in 0..10_000 {
        for kind in [Kind::Member, Kind::Certificate, Kind::Card] {
            match population.stranger(kind, nth) {
                question::Asked::Member { insured, .. } => {
                    let insurer = format!("{:0>8}", insured.insurer_number.as_str().trim_start());
                    members.push(xxh3_64(format!("{insurer}:{}", folded(insured.number.as_str())).as_bytes()));
                }
                question::Asked::Certificate { payer, recipient, .. } => {
                    certificates.push(xxh3_64(format!("{payer}/{}", folded(recipient.as_str())).as_bytes()));
                }
                question::Asked::Card { link } => cards.push(xxh3_64(link.as_bytes())),
            }
        }
    }
    let distinct = |all: &mut Vec<u64>| {
        let before = all.len() as u64;
        all.sort_unstable();
        all.dedup();
        (before, all.len() as u64)
    };
    let (asked, kept) = distinct(&mut members);
    assert_eq!(asked - kept, twins / 2, "only twins share a card");
    for (what, all) in [("certificates", &mut certificates), ("rows", &mut rows), ("cards", &mut cards)] {
        let (before, after) = distinct(all);
        assert_eq!(before, after, "{what}");
    }
}

#[test]
fn the_largest_population_still_has_room() {
    let population = population(RECIPIENTS_MAX);
    let last = population.recipient(RECIPIENTS_MAX - 1);
    assert!(last.rows().next().is_some());
    let seats = population.seats.len() as u64;
    assert!(seats * PLACES_OF_A_SEAT >= FAMILIES_MAX, "{seats} seats");
    assert_eq!(Population::new(1, RECIPIENTS_MAX + 1, today()).err(), Some(PopulationError::TooLarge));
}

#[test]
fn the_same_arguments_make_the_same_bytes() {
    let mut lines = Vec::new();
    population(1_000).write_registrations(0..1_000, &mut lines);
    assert_eq!(format!("{:032x}", xxh3_128(&lines)), "8621747c2c8280e94206baeb7e72806a");
    let mut changes = Vec::new();
    (0..1_000).for_each(|index| population(1_000).write_changes(index, &mut changes));
    assert_eq!(format!("{:032x}", xxh3_128(&changes)), "b9bef150ba00d98b64fc5ccd6aba16c9");
}

/// The columns of a line, by RFC 4180.
fn columns(line: &str) -> Vec<String> {
    let mut columns = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                columns.last_mut().unwrap().push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => columns.push(String::new()),
            other => columns.last_mut().unwrap().push(other),
        }
    }
    columns
}

#[test]
fn every_line_has_its_columns_and_they_read_as_they_should() {
    let population = population(20_000);
    let header = columns(HEADER.trim_end());
    let place = |name: &str| header.iter().position(|column| column == name).unwrap();
    let authorities: HashSet<&str> = include_str!("../../data/authorities.csv")
        .lines()
        .chain(include_str!("../../data/national_issuers.csv").lines())
        .filter_map(|line| line.split(',').next())
        .collect();
    let mut lines = Vec::new();
    population.write_registrations(0..20_000, &mut lines);
    (0..20_000).for_each(|index| population.write_changes(index, &mut lines));
    let text = String::from_utf8(lines).unwrap();
    let mut quoted = 0;
    for line in text.lines() {
        let row = columns(line);
        assert_eq!(row.len(), header.len(), "{line}");
        quoted += u64::from(line.contains('"'));
        let column = |name: &str| row[place(name)].as_str();
        let authority = column("authority_code");
        assert!(authorities.contains(authority), "{line}");
        if let Some(body) = authority.as_bytes().first_chunk::<5>().filter(|body| body.is_ascii() && body[0] != b'N') {
            assert_eq!(authority_check_digit(body), Some(authority.as_bytes()[5]));
        }
        let history_key = column("history_key");
        assert_eq!((column("certificate_type_id").len(), history_key.len()), (8, 8));
        BirthDateCheck::parse(column("birth_date"));
        if column("op") == "delete" {
            continue;
        }
        assert_eq!(column("op"), "upsert");
        let insurer = column("insurer_number").trim_start();
        assert!(matches!(insurer.len(), 6 | 8) && check_digit_is_right(insurer.as_bytes()), "{line}");
        let payer = column("payer_number");
        assert!(payer.is_empty() || (payer.len() == 8 && check_digit_is_right(payer.as_bytes())), "{line}");
        let recipient = column("recipient_number");
        assert!(recipient.len() != 7 || check_digit_is_right(recipient.as_bytes()), "{line}");
        for institution in column("designated_institutions").split(';').filter(|code| !code.is_empty()) {
            assert!(institution.len() == 10 && check_digit_is_right(institution.as_bytes()), "{line}");
        }
        let from = Day::parse(column("valid_from").as_bytes()).unwrap();
        let to = column("valid_to");
        assert!(to.is_empty() || from <= Day::parse(to.as_bytes()).unwrap(), "{line}");
        assert_eq!(history_key, from.packed().to_string());
        for name in ["number", "certificate_name"] {
            assert!(!column(name).is_empty(), "{line}");
        }
    }
    assert!(quoted > 0, "some field needs its quotes");
}

struct BirthDateCheck;

impl BirthDateCheck {
    fn parse(text: &str) {
        assert!(crate::domain::day::BirthDate::parse(text.as_bytes()).is_ok(), "{text}");
    }
}

#[test]
fn a_symbol_is_half_width_or_full_width_throughout() {
    let population = population(20_000);
    for index in 0..20_000 {
        let symbol = population.recipient(index).insured.symbol;
        let narrow = symbol.as_str().chars().filter(char::is_ascii).count();
        assert!(narrow == 0 || narrow == symbol.as_str().chars().count(), "{symbol}");
    }
}

#[test]
fn periods_follow_each_other_and_make_the_case_they_were_made_for() {
    let population = population(50_000);
    for index in 0..50_000 {
        let recipient = population.recipient(index);
        let birth = recipient.insured.birth.packed();
        for certificate in &recipient.certificates {
            let periods = certificate.periods.all();
            for period in periods {
                assert!(period.from <= period.to && birth <= period.from.packed());
                assert!(Day::from_packed(period.from.packed()).is_ok() && Day::from_packed(period.to.packed()).is_ok());
            }
            assert!(periods.windows(2).all(|pair| pair[0].to < pair[1].from));
            let latest = certificate.periods.latest().unwrap();
            let case = match certificate.case {
                Case::Active => latest.from <= today() && today() <= latest.to,
                Case::Expired => latest.to < today() && population.horizon < latest.to,
                Case::Future => today() < latest.from && periods.len() == 1,
            };
            assert!(case, "{certificate:?}");
        }
    }
}

#[test]
fn every_line_can_be_written_in_cp932() {
    let population = population(50_000);
    let (mut utf8, mut cp932) = (Vec::new(), Vec::new());
    let one = synth::write_registrations(&population, &mut utf8, Encoding::Utf8, &mut |_| ()).unwrap();
    let other = synth::write_registrations(&population, &mut cp932, Encoding::Cp932, &mut |_| ()).unwrap();
    assert_eq!((one.recipients, one.lines), (50_000, other.lines));
    assert_eq!(one.bytes, utf8.len() as u64);
    let (text, _, damaged) = encoding_rs::SHIFT_JIS.decode(&cp932);
    assert!(!damaged && text.as_bytes() == utf8, "CP932 and back is the same text");
}

#[test]
fn a_file_is_its_recipients_in_order() {
    let population = population(5_000);
    let (mut file, mut expected) = (Vec::new(), HEADER.as_bytes().to_vec());
    let mut heard = 0;
    synth::write_registrations(&population, &mut file, Encoding::Utf8, &mut |_| heard += 1).unwrap();
    population.write_registrations(0..5_000, &mut expected);
    assert_eq!(file, expected);
    assert_eq!(heard, 3);
}

#[test]
fn a_full_disk_ends_the_writing() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let written = synth::write_registrations(&population(100_000), &mut Full, Encoding::Utf8, &mut |_| ());
    assert_eq!(written.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

#[test]
fn a_move_leaves_the_old_card_behind_and_keeps_the_row_identities() {
    let population = population(5_000);
    let moved: Vec<u64> = (0..5_000).filter(|index| population.fate(*index) == Fate::Moves).collect();
    assert!(moved.len() > 150);
    for index in moved {
        let (before, after) = (population.recipient(index), population.recipient_after_changes(index));
        assert_ne!(before.insured.number, after.insured.number);
        for (old, new) in before.certificates.iter().zip(&after.certificates) {
            assert_eq!((old.recipient, old.type_id, old.sub_key), (new.recipient, new.type_id, new.sub_key));
            assert!(new.periods.all().starts_with(old.periods.all()));
        }
        let mut lines = Vec::new();
        population.write_changes(index, &mut lines);
        let visible = after.rows().filter(|row| row.valid_to >= population.horizon()).count();
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), visible);
    }
}

#[test]
fn changes_renew_what_runs_out_and_withdraw_what_was_wrong() {
    let population = population(20_000);
    let (mut renewed, mut withdrawn) = (0, 0);
    for index in 0..20_000 {
        let mut lines = Vec::new();
        population.write_changes(index, &mut lines);
        let text = String::from_utf8(lines).unwrap();
        match population.fate(index) {
            Fate::Withdrawn => {
                assert!(text.starts_with("delete,") && text.lines().count() == 1);
                withdrawn += 1;
            }
            _ => assert!(text.lines().all(|line| line.starts_with("upsert,"))),
        }
        for certificate in &population.recipient_after_changes(index).certificates {
            let latest = certificate.periods.latest();
            let late = latest.is_some_and(|latest| Month::of(latest.to) > population.month().plus(2));
            renewed += u64::from(late && certificate.periods.all().len() > 1);
        }
    }
    assert!(renewed > 5_000 && withdrawn > 50, "{renewed} {withdrawn}");
}

#[test]
fn the_workload_asks_in_the_fixed_proportions() {
    const QUESTIONS: u64 = 50_000;
    let workload = Workload::new(population(100_000), 9, Asker::Visited);
    let mut count: HashMap<String, u64> = HashMap::new();
    for question in workload.questions().take(QUESTIONS as usize) {
        *count.entry(format!("{:?}", question.asked.kind())).or_default() += 1;
        *count.entry(question.expected.letter.to_string()).or_default() += 1;
        let body: serde_json::Value = serde_json::from_str(&question.json()).unwrap();
        assert_eq!(body["service_date"], question.day.to_string());
        assert_eq!(body["consent"], question.consent);
        assert!(question.day >= workload.day().plus_months(-24) && !question.line().contains('\n'));
    }
    let mut shares = Shares::default();
    shares.check("member", count["Member"], QUESTIONS, 8_000, 60);
    shares.check("certificate", count["Certificate"], QUESTIONS, 1_200, 50);
    shares.check("card", count["Card"], QUESTIONS, 800, 40);
    shares.check("no consent", count["C"], QUESTIONS, 200, 25);
    shares.check("unknown", count["N"], QUESTIONS, 800, 50);
    assert!(shares.off.is_empty(), "{:#?}", shares.off);
}
