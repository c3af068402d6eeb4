//! The member rule: the branch number decides among the dossiers found.

use super::fixture::{CHILD, Case, HACHIOJI, Insured, NANBYO, Registered, TODAY, insured, row};

/// One dossier for each branch number, each with a row whose recipient number is the branch number.
fn registered(branches: &str, unassigned: &[Registered]) -> Case {
    let dossier = |branch: &str| -> Insured {
        match branch {
            "-" => insured("-", unassigned.iter().cloned()),
            _ => insured(branch, [row(NANBYO, branch)]),
        }
    };
    Case::found(branches.split_whitespace().map(dossier))
}

/// (asked with, registered, the answer, the recipient numbers shown); `-` is no branch number.
const TABLE: [(&str, &str, &str, &str); 23] = [
    ("01", "", "not_registered ask_for_paper_certificate", ""),
    ("01", "01", "eligible apply", "01"),
    ("01", "02", "not_registered ask_for_paper_certificate", ""),
    ("01", "-", "eligible apply [branch_not_confirmed]", "-"),
    ("01", "01 02", "eligible apply", "01"),
    ("02", "01 02", "eligible apply", "02"),
    ("01", "01 -", "eligible apply [branch_not_confirmed]", "- 01"),
    ("01", "02 -", "ambiguous ask_for_paper_certificate", ""),
    ("01", "01 02 -", "eligible apply [unassigned_rows]", "01"),
    ("01", "01 02 03", "eligible apply", "01"),
    ("01", "02 03", "not_registered ask_for_paper_certificate", ""),
    ("01", "02 03 -", "ambiguous ask_for_paper_certificate", ""),
    ("01", "01 02 03 -", "eligible apply [unassigned_rows]", "01"),
    // Absent is not 00.
    ("00", "-", "eligible apply [branch_not_confirmed]", "-"),
    ("00", "00 -", "eligible apply [branch_not_confirmed]", "- 00"),
    ("-", "00", "eligible apply [branch_not_confirmed]", "00"),
    ("-", "", "not_registered ask_for_paper_certificate", ""),
    ("-", "01", "eligible apply [branch_not_confirmed]", "01"),
    ("-", "-", "eligible apply [branch_not_confirmed]", "-"),
    ("-", "01 -", "eligible apply [branch_not_confirmed]", "- 01"),
    ("-", "01 02", "ambiguous ask_for_branch_number", ""),
    ("-", "01 02 -", "ambiguous ask_for_branch_number", ""),
    ("-", "01 02 03", "ambiguous ask_for_branch_number", ""),
];

#[test]
fn the_branch_number_decides_among_the_dossiers_found() {
    for (asked, branches, answer, shown) in TABLE {
        let told = registered(branches, &[row(NANBYO, "-")]).member(asked);
        assert_eq!(told.head, answer, "asked {asked}, registered {branches}");
        assert_eq!(told.recipients().join(" "), shown, "asked {asked}, registered {branches}");
    }
}

/// Rows that one dossier without a branch number holds although one person cannot.
fn two_people() -> Vec<(&'static str, [Registered; 2])> {
    let one = || row(NANBYO, "-");
    let until_today = || one().valid("2026-04-01", TODAY);
    let from_today = || row(NANBYO, "2222222").valid(TODAY, "2027-03-31");
    vec![
        ("the sex differs", [one().sexed("1"), row(CHILD, "-").kind("2").sexed("2")]),
        (
            "the sex differs, of rows of different days",
            [one().sexed("1"), one().history("0").valid("2025-04-01", "2025-04-30").sexed("2")],
        ),
        ("two recipient numbers of one type", [one(), row(NANBYO, "2222222")]),
        ("two recipient numbers of one type on one day in common", [until_today(), from_today()]),
        ("two recipient numbers, two payer numbers, one type", [one(), row(CHILD, "2222222")]),
    ]
}

#[test]
fn a_dossier_without_a_branch_that_may_hold_two_people_leads_to_the_paper_wherever_it_would_count() {
    for (why, rows) in two_people() {
        for (asked, branches, answer, shown) in TABLE {
            let told = registered(branches, &rows).member(asked);
            let counts = shown.contains('-');
            let expected = if counts { "ambiguous ask_for_paper_certificate" } else { answer };
            assert_eq!(told.head, expected, "{why}: asked {asked}, registered {branches}");
        }
    }
}

#[test]
fn a_dossier_without_a_branch_whose_rows_fit_one_person_is_one_person() {
    let one = || row(NANBYO, "1234567");
    let yesterday = "2026-11-21";
    let tomorrow = "2026-11-23";
    for (why, rows) in [
        ("one sex", [one().sexed("2"), row(CHILD, "2").kind("2").sexed("2")]),
        ("a sex that is stated once", [one().sexed("2"), row(CHILD, "2").kind("2")]),
        ("two types", [one(), row(NANBYO, "2222222").kind("2")]),
        ("two authorities", [one(), row(NANBYO, "2222222").of(HACHIOJI)]),
        ("one number written twice", [row(NANBYO, "123456"), row(NANBYO, "０１２３４５６").history("2")]),
        ("a number that is stated once", [one(), row(NANBYO, "")]),
        ("no numbers", [row(NANBYO, "").sub("1"), row(NANBYO, "").sub("2")]),
        ("a number that ended yesterday", [one(), row(NANBYO, "2222222").valid("2026-04-01", yesterday)]),
        ("a number that starts tomorrow", [one(), row(NANBYO, "2222222").valid(tomorrow, "2027-03-31")]),
        (
            "two numbers, neither for the day",
            [one().valid("2026-04-01", yesterday), row(NANBYO, "2222222").valid("2026-04-01", yesterday)],
        ),
    ] {
        for asked in ["-", "01"] {
            let told = Case::found([insured("-", rows.clone())]).member(asked);
            assert!(told.head.ends_with(" [branch_not_confirmed]"), "{why}: {}", told.head);
            assert!(!told.entries.is_empty(), "{why}");
        }
    }
}

#[test]
fn a_number_that_changes_is_doubtful_only_on_the_days_in_common() {
    let old = row(NANBYO, "1111111").valid("2026-04-01", "2026-11-22");
    let new = row(NANBYO, "2222222").valid("2026-11-20", "2027-03-31");
    let case = Case::found([insured("-", [old, new])]);
    for (date, verdict) in [
        ("2026-11-19", "eligible apply [branch_not_confirmed]"),
        ("2026-11-20", "ambiguous ask_for_paper_certificate"),
        ("2026-11-22", "ambiguous ask_for_paper_certificate"),
        ("2026-11-23", "eligible apply [branch_not_confirmed]"),
    ] {
        assert_eq!(case.clone().on(date).member("-").head, verdict, "{date}");
    }
}

#[test]
fn rows_with_a_branch_number_are_taken_at_their_word() {
    for (_, rows) in two_people() {
        assert_eq!(Case::of(rows).member("01").head, "eligible apply");
    }
}

#[test]
fn more_dossiers_than_could_be_gathered_are_several_people() {
    let one = || [insured("01", [row(NANBYO, "1234567")])];
    let more = || Case::found(one()).and_more_than_could_be_gathered();
    for told in [more().member("01"), more().member("-"), more().card(), more().certificate(NANBYO, "1234567")] {
        assert_eq!(told.head, "ambiguous ask_for_paper_certificate");
    }
}

#[test]
fn every_branch_number_and_one_without_are_weighed() {
    let mut all: Vec<Insured> = (0..100).map(|branch| insured(&format!("{branch:02}"), [row(NANBYO, "1")])).collect();
    all.push(insured("-", [row(NANBYO, "2")]));
    let told = Case::found(all).member("99");
    assert_eq!((told.head.as_str(), told.recipients()), ("eligible apply [unassigned_rows]", vec!["1"]));
}
