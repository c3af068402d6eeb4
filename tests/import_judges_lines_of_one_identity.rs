//! Lines of one file, or of several, that speak of the same row.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod common;

use common::{INFANTS, Place, Row, ask_member, csv, day};

/// What the register answers about a person, in the compact form.
#[track_caller]
fn answer(place: &Place, row: &Row) -> String {
    let server = place.serve();
    let answer = server.batch(&format!("on={}&consent=true", day(0)), &ask_member(row)).remove(0);
    assert_eq!(server.stop(), 0);
    answer
}

#[test]
fn the_last_line_counts() {
    let place = Place::new();
    let lines: Vec<Row> = [10, 20, 30].map(|days| Row::of(1).with("valid_to", day(days))).into();
    let said = place.import("rows.csv", &lines, &[]).ends(0);
    assert!(said.out.contains("1 new") && said.out.contains("2 repeated in the file"), "{}", said.out);
    assert_eq!(answer(&place, &lines[0]), format!("E\t{INFANTS}/R1/{}/E", day(30)));
}

#[test]
fn a_withdrawal_behind_a_new_registration_cancels_it() {
    let place = Place::new();
    let row = Row::of(1);
    let said = place.import("rows.csv", [&row, &row.withdrawn(), &Row::of(2)], &[]).ends(0);
    assert!(said.out.contains("0 rejected"), "{}", said.out);
    assert_eq!(answer(&place, &row), "N");
    assert_eq!(answer(&place, &Row::of(2)).as_bytes()[0], b'E');
    // The other way round it stands, registered anew.
    place.import("again.csv", [&Row::of(2).withdrawn(), &Row::of(2).with("valid_to", day(5))], &[]).ends(0);
    assert_eq!(answer(&place, &Row::of(2)), format!("E\t{INFANTS}/R2/{}/E", day(5)));
}

#[test]
fn lines_that_contradict_each_other_are_all_rejected() {
    let place = Place::new();
    let of_two_sexes = [Row::of(1), Row::of(1).with("sex", "2")];
    let of_two_branches = [Row::of(2), Row::of(2).with("branch_number", "01")];
    let consistent = [Row::of(3).with("branch_number", "").with("sex", ""), Row::of(3)];
    let file: Vec<&Row> = of_two_sexes.iter().chain(&of_two_branches).chain(&consistent).collect();
    place.import("rows.csv", file, &[]).ends(3);
    let reasons = place.read("rows.csv.reasons.csv");
    let lines: Vec<&str> = reasons.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(lines, ["2", "3", "4", "5"]);
    assert_eq!(reasons.matches("identity_conflict").count(), 4);
    assert_eq!(place.read("rows.csv.rejects.csv"), csv(of_two_sexes.iter().chain(&of_two_branches)));
    assert_eq!(answer(&place, &of_two_sexes[0]), "N");
    assert_eq!(answer(&place, &consistent[1]).as_bytes()[0], b'E');
}

#[test]
fn withdrawing_what_was_never_registered_is_rejected_and_withdrawing_twice_is_nothing() {
    let place = Place::new();
    let row = Row::of(1);
    place.import("rows.csv", [&row, &Row::of(2)], &[]).ends(0);
    let unknown = Row::of(99).withdrawn();
    place.import("unknown.csv", [&unknown], &[]).ends(3);
    assert!(place.read("unknown.csv.reasons.csv").contains("2,op,unknown_row"));
    assert_eq!(place.read("unknown.csv.rejects.csv"), csv([&unknown]));

    let said = place.import("withdrawal.csv", [&row.withdrawn()], &[]).ends(0);
    assert!(said.out.contains("1 withdrawn"), "{}", said.out);
    let after = place.state_checksum();
    let said = place.import("again.csv", [&row.withdrawn(), &Row::of(3)], &[]).ends(0);
    assert!(said.out.contains("0 withdrawn") && said.out.contains("0 rejected"), "{}", said.out);
    assert_eq!(answer(&place, &row), "N");
    place.import("only.csv", [&Row::of(3).withdrawn()], &[]).ends(0);
    assert_eq!(place.state_checksum(), after);
}

#[test]
fn a_withdrawal_without_recipient_number_names_the_insured() {
    let place = Place::new();
    let row = Row::of(1).with("recipient_number", "");
    place.import("rows.csv", [&row, &Row::of(2)], &[]).ends(0);
    assert_eq!(answer(&place, &row).as_bytes()[0], b'E');
    let insured = ["insurer_number", "symbol", "number", "branch_number"];
    let withdrawal = insured.iter().fold(row.withdrawn(), |made, column| made.with(column, row.value(column)));
    place.import("nameless.csv", [&row.withdrawn()], &[]).ends(3);
    place.import("withdrawal.csv", [&withdrawal], &[]).ends(0);
    assert_eq!(answer(&place, &row), "N");
}

#[test]
fn a_row_follows_its_person_to_another_insurer() {
    let place = Place::new();
    let before = Row::of(1);
    place.import("rows.csv", [&before], &[]).ends(0);
    let after = before.clone().with("insurer_number", "33120015").with("symbol", "").with("number", "777");
    let said = place.import("moved.csv", [&after], &[]).ends(0);
    assert!(said.out.contains("1 replaced"), "{}", said.out);
    assert_eq!(answer(&place, &before), "N");
    assert_eq!(answer(&place, &after), format!("E\t{INFANTS}/R1/{}/E", day(365)));
}
