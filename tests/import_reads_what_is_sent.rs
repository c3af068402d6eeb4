//! Encodings, dates, quotes and paddings as municipalities send them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{Place, Row, ask_member, csv, day, member_json};
use jiff::civil::Date;

fn cp932(text: &str) -> Vec<u8> {
    let (bytes, _, failed) = encoding_rs::SHIFT_JIS.encode(text);
    assert!(!failed, "{text}");
    bytes.into_owned()
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(from.len()).position(|window| window == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

#[test]
fn a_cp932_file_is_answered_in_utf_8_whichever_bytes_a_character_came_in() {
    let place = Place::new();
    let row = Row::of(1).with("certificate_name", "髙田①ｶﾅﾞ表ソ能").with("segment", "髙～－①ｱ").with("symbol", "１２ー３４");
    let ibm = cp932(&csv([&row, &Row::of(2)]));
    assert!(ibm.windows(2).any(|pair| pair == [0xfb, 0xfc]));
    let nec = replaced(&ibm, &[0xfb, 0xfc], &[0xee, 0xe0]);
    assert_ne!(ibm, nec);
    for (name, bytes) in [("ibm.csv", &ibm), ("nec.csv", &nec)] {
        let place = Place::new();
        let file = place.write(name, bytes);
        place.run("import --encoding cp932", &[file.to_str().unwrap()]).ends(0);
        let answer = place.serve().question(&member_json(&row, &day(0))).succeeds().json();
        let entry = &answer["entitlements"][0];
        assert_eq!((&entry["certificate_name"], &entry["segment"]), (&"髙田①ｶﾅﾞ表ソ能".into(), &"髙～－①ｱ".into()), "{name}");
    }
    // The same bytes declared as UTF-8 are rejected rows, not mojibake.
    let file = place.write("wrong.csv", &ibm);
    place.run("import", &[file.to_str().unwrap()]).ends(3);
    assert!(place.read("wrong.csv.reasons.csv").contains("bad_encoding"));
    assert_eq!(std::fs::read(place.path("wrong.csv.rejects.csv")).unwrap(), ibm);
}

#[test]
fn a_row_that_is_rejected_keeps_its_bytes() {
    let place = Place::new();
    let bad = Row::of(1).with("certificate_name", "髙①").with("sex", "5");
    let bytes = replaced(&cp932(&csv([&bad])), &[0xfb, 0xfc], &[0xee, 0xe0]);
    let file = place.write("rows.csv", &bytes);
    place.run("import --encoding cp932", &[file.to_str().unwrap()]).ends(3);
    assert_eq!(std::fs::read(place.path("rows.csv.rejects.csv")).unwrap(), bytes);
    std::str::from_utf8(&std::fs::read(place.path("rows.csv.reasons.csv")).unwrap()).unwrap();
}

/// Era, year, month, day.
fn gyymmdd(date: Date) -> String {
    let (era, first) = [(5, 2019), (4, 1989), (3, 1926)].into_iter().find(|(_, first)| i32::from(date.year()) >= *first).unwrap();
    format!("{era}{:02}{:02}{:02}", i32::from(date.year()) - first + 1, date.month(), date.day())
}

#[test]
fn dates_may_be_written_with_their_eras() {
    let place = Place::new();
    let iso = Row::of(1).with("valid_to", "");
    let era = iso
        .clone()
        .with("birth_date", "3550101")
        .with("valid_from", gyymmdd(iso.value("valid_from").parse().unwrap()))
        .with("valid_to", "");
    let ending = Row::of(2);
    let ending = ending
        .clone()
        .with("birth_date", "3550101")
        .with("valid_from", gyymmdd(ending.value("valid_from").parse().unwrap()))
        .with("valid_to", gyymmdd(ending.value("valid_to").parse().unwrap()));
    place.import("rows.csv", [&era, &ending], &["--dates", "gyymmdd"]).ends(0);
    let server = place.serve();
    let answers = server.batch("consent=true", &format!("{}\n{}", ask_member(&iso), ask_member(&Row::of(2))));
    assert!(answers[0].ends_with("/9999-12-31/E"), "{answers:?}");
    assert!(answers[1].ends_with(&format!("/{}/E", day(365))), "{answers:?}");
    // Dates written otherwise than declared are rejected.
    place.import("iso.csv", [&Row::of(3)], &["--dates", "gyymmdd"]).ends(3);
    place.import("era.csv", [&era], &[]).ends(3);
}

#[test]
fn marks_line_ends_quotes_order_and_compact_dates_are_taken_as_they_come() {
    let place = Place::new();
    let row = Row::of(1)
        .with("certificate_name", "医療証, \"特例\"")
        .with("segment", "a\\b")
        .with("birth_date", "19800101")
        .with("valid_to", "99991231");
    let text = csv([&row]).replace('\n', "\r\n");
    let reversed = |line: &str| line.split(',').rev().collect::<Vec<_>>().join(",");
    place.run("import", &[place.write("mark.csv", format!("\u{feff}{text}")).to_str().unwrap()]).ends(0);
    // No line end after the last row, and columns in another order.
    let second = csv([&Row::of(2)]);
    let second: Vec<String> = second.lines().map(reversed).collect();
    place.run("import", &[place.write("order.csv", second.join("\n")).to_str().unwrap()]).ends(0);
    let server = place.serve();
    let answer = server.question(&member_json(&Row::of(1), &day(0))).succeeds().json();
    let entry = &answer["entitlements"][0];
    assert_eq!(entry["certificate_name"], "医療証, \"特例\"");
    assert_eq!(entry["segment"], "a\\b");
    assert_eq!(entry["valid_to"], "9999-12-31");
    assert_eq!(server.question(&member_json(&Row::of(2), &day(0))).json()["verdict"], "eligible");
}

#[test]
fn numbers_meet_however_they_are_padded_or_how_wide_they_are() {
    let place = Place::new();
    let national = Row::of(1).with("insurer_number", "138057").with("symbol", "国１２").with("number", "１２３");
    let padded = Row::of(2).with("insurer_number", "  138057").with("birth_date", "19800000");
    place.import("rows.csv", [&national, &padded], &[]).ends(0);
    let server = place.serve();
    let ask = |line: &str| server.batch("consent=true", line).remove(0).chars().next().unwrap();
    for line in
        ["m\t138057:国12:123:00\t1980-01-01", "m\t00138057:国１２:１２３:00\t19800101", "m\t  138057:国12:１２３:0\t1980-01-01"]
    {
        assert_eq!(ask(line), 'E', "{line}");
    }
    assert_eq!(ask("m\t138057:1234:2:00\t19800000"), 'E');
    assert_eq!(ask("m\t138057:1234:2:00\t1980-01-01"), 'N');
    assert_eq!(ask("m\t138057:国12:1230:00\t1980-01-01"), 'N');
}

#[test]
fn the_synthetic_population_imports_alike_in_both_encodings() {
    let places = [Place::new(), Place::new()];
    for (place, encoding) in places.iter().zip(["utf-8", "cp932"]) {
        let (file, changes) = (place.path("rows.csv"), place.path("changes.csv"));
        let (file, changes) = (file.to_str().unwrap(), changes.to_str().unwrap());
        let today = day(0);
        let arguments =
            ["synth", "--recipients", "2000", "--as-of", &today, "--encoding", encoding, "--out", file, "--changes", changes];
        common::run(arguments).ends(0);
        place.run("import", &["--encoding", encoding, file]).ends(0);
        place.run("import", &["--encoding", encoding, changes]).ends(0);
    }
    assert_ne!(std::fs::read(places[0].path("rows.csv")).unwrap(), std::fs::read(places[1].path("rows.csv")).unwrap());
    assert_eq!(places[0].state_checksum(), places[1].state_checksum());
}
