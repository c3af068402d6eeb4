//! The order of entries: by verdict, then as public payers apply.

use super::super::ENTITLEMENTS_MAX;
use super::fixture::{Case, HACHIOJI, Registered, TOKYO_CLINIC, insured, row};

/// Asks for the rows in both orders, in which they must come out alike.
fn listed(rows: &[Registered]) -> Vec<String> {
    let told = Case::of(rows.iter().cloned()).member("01");
    assert_eq!(told, Case::of(rows.iter().rev().cloned()).member("01"));
    told.entries
}

#[test]
fn entries_come_by_verdict_in_the_order_of_the_table() {
    let rows = [
        row("13130000", "1").kind("a").valid("2027-04-01", "2028-03-31"),
        row("14130000", "1").kind("b").valid("2025-04-01", "2026-03-31"),
        row("18130000", "1").kind("c").only_at(&[TOKYO_CLINIC]),
        row("29130000", "1").kind("d").reimbursed(),
        row("88130000", "1").kind("e"),
        row("54130000", "1").kind("f"),
    ];
    assert_eq!(
        listed(&rows),
        [
            "eligible 54130000/1",
            "eligible 88130000/1",
            "eligible_reimburse 29130000/1",
            "not_designated 18130000/1 [institution_missing]",
            "expired 14130000/1",
            "future 13130000/1",
        ]
    );
}

#[test]
fn the_overall_verdict_is_the_first_entrys() {
    let ended = || row("54130000", "1").valid("2025-04-01", "2026-03-31");
    let to_come = || row("88130000", "2").valid("2027-04-01", "2028-03-31");
    for (rows, head) in [
        (vec![to_come(), ended(), row("88130000", "3").reimbursed(), row("88130000", "4")], "eligible apply"),
        (vec![to_come(), ended(), row("88130000", "3").reimbursed()], "eligible_reimburse collect_then_reimburse"),
        (
            vec![to_come(), ended(), row("88130000", "3").only_at(&[TOKYO_CLINIC])],
            "not_designated treat_without_and_tell_patient",
        ),
        (vec![to_come(), ended()], "expired ask_for_new_certificate"),
        (vec![to_come()], "future not_yet"),
    ] {
        assert_eq!(Case::of(rows).member("01").head, head);
    }
}

/// The 27 national law codes, first payer first.
const NATIONAL: [&str; 27] = [
    "13", "14", "18", "29", "30", "10", "11", "20", "21", "15", "16", "24", "22", "28", "17", "79", "19", "23", "52", "54", "51",
    "38", "53", "66", "62", "25", "12",
];

#[test]
fn each_national_payer_comes_before_the_next_and_before_any_local_one() {
    let numbered = |law: &str| row(&format!("{law}130000"), "1").kind(law);
    for pair in NATIONAL.windows(2) {
        let expected = pair.iter().map(|law| format!("eligible {law}130000/1")).collect::<Vec<_>>();
        assert_eq!(listed(&[numbered(pair[1]), numbered(pair[0])]), expected);
    }
    for local in (41..=49).chain(80..=99) {
        let expected = ["eligible 12130000/1".to_owned(), format!("eligible {local}130000/1")];
        assert_eq!(listed(&[numbered(&local.to_string()), numbered("12")]), expected);
    }
}

/// Twelve (生活保護) is the last national payer, 41 the first local one, 40 a code without a rank.
#[test]
fn within_the_order_the_payer_number_decides_and_those_without_rank_or_number_come_last() {
    let rows = [
        row("", "1").kind("a"),
        row("40130000", "1").kind("b"),
        row("88138243", "1").kind("c"),
        row("41130000", "1").kind("d"),
        row("88131248", "1").kind("e"),
        row("12130000", "1").kind("f"),
        row("54137013", "1").kind("g"),
        row("54136015", "1").kind("h"),
    ];
    assert_eq!(
        listed(&rows),
        [
            "eligible 54136015/1",
            "eligible 54137013/1",
            "eligible 12130000/1",
            "eligible 41130000/1",
            "eligible 88131248/1",
            "eligible 88138243/1",
            "eligible 40130000/1",
            "eligible /1",
        ]
    );
}

#[test]
fn equal_payer_numbers_come_by_recipient_number() {
    let rows = ["3", "1", "", "2"].map(|recipient| row("54136015", recipient));
    assert_eq!(listed(&rows), ["/", "/1", "/2", "/3"].map(|number| format!("eligible 54136015{number}")));
}

#[test]
fn certificates_equal_in_both_numbers_always_list_alike() {
    let one = || row("54136015", "1");
    for other in [one().of(HACHIOJI).capped(1), one().kind("2").capped(1), one().sub("1").capped(1)] {
        assert_eq!(listed(&[other, one()]).len(), 2);
    }
}

#[test]
fn certificates_without_numbers_of_two_insurers_always_list_alike() {
    let here = insured("01", [row("", "").capped(1)]);
    let there = insured("01", [row("", "").capped(2)]).insurer("00138057");
    let nameless = insured("-", [row("", "").capped(3)]);
    let found = [here, there, nameless];
    let told = Case::found(found.clone()).card();
    assert_eq!(told.entries.len(), 3);
    assert_eq!(told, Case::found(found.into_iter().rev()).card());
}

#[test]
fn the_first_sixteen_entries_are_listed_and_the_rest_is_noted() {
    let many = |count: u32| Case::of((1..=count).rev().map(|place| row("88138243", &format!("{place:07}")))).member("01");
    let (full, over) = (many(16), many(17));
    assert_eq!(ENTITLEMENTS_MAX, 16);
    assert_eq!((full.head.as_str(), full.entries.len()), ("eligible apply", 16));
    assert_eq!((over.head.as_str(), over.entries.len()), ("eligible apply [truncated]", 16));
    assert_eq!(full.entries, over.entries);
    assert_eq!(over.entries[15], "eligible 88138243/0000016");
}

#[test]
fn a_certificate_that_counts_is_never_cut_for_ones_that_do_not() {
    let ended = (1..=40).map(|place| row("88138243", &format!("{place}")).valid("2025-04-01", "2026-03-31"));
    let told = Case::of(ended.chain([row("88138243", "9999999")])).member("01");
    assert_eq!(told.head, "eligible apply [truncated]");
    assert_eq!(told.entries[0], "eligible 88138243/9999999");
}
