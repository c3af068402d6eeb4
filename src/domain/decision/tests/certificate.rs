//! One entry a certificate: which of its rows decides.

use super::fixture::{Case, HACHIOJI, NANBYO, Registered, TODAY, insured, row};

fn period(history: &str, from: &str, to: &str) -> Registered {
    row(NANBYO, "1234567").history(history).valid(from, to)
}

/// (the periods of a certificate, the history key of the one that decides, the entry)
#[test]
fn one_row_of_a_certificate_decides() {
    const ELIGIBLE: &str = "eligible 54136015/1234567";
    const OVERLAP: &str = "eligible 54136015/1234567 [overlap]";
    const EXPIRED: &str = "expired 54136015/1234567";
    const FUTURE: &str = "future 54136015/1234567";
    for (why, periods, history, entry) in [
        (
            "of those covering the day, the latest to start",
            vec![period("b", "2026-04-01", "2027-03-31"), period("a", "2026-10-01", "2026-12-31")],
            "a",
            OVERLAP,
        ),
        (
            "of those that start alike, the later to end",
            vec![period("b", "2026-04-01", "2026-12-31"), period("a", "2026-04-01", "2027-03-31")],
            "a",
            OVERLAP,
        ),
        (
            "of those alike in both, the greater history key",
            vec![period("a", "2026-04-01", "2027-03-31"), period("b", "2026-04-01", "2027-03-31")],
            "b",
            OVERLAP,
        ),
        (
            "history keys compare byte for byte",
            vec![period("10", "2026-04-01", "2027-03-31"), period("9", "2026-04-01", "2027-03-31")],
            "9",
            OVERLAP,
        ),
        (
            "of three that cover the day",
            vec![
                period("c", "2026-04-01", "2027-03-31"),
                period("b", "2026-11-01", "2026-11-30"),
                period("a", "2026-05-01", "2027-03-31"),
            ],
            "b",
            OVERLAP,
        ),
        (
            "on the first day of a renewal",
            vec![period("1", "2025-11-22", "2026-11-21"), period("2", TODAY, "2027-11-21")],
            "2",
            ELIGIBLE,
        ),
        (
            "on the last day before a renewal",
            vec![period("1", "2025-11-23", TODAY), period("2", "2026-11-23", "2027-11-22")],
            "1",
            ELIGIBLE,
        ),
        (
            "a row that overlaps another, but not on the day",
            vec![period("1", "2026-04-01", "2026-06-30"), period("2", "2026-06-01", "2027-03-31")],
            "2",
            ELIGIBLE,
        ),
        (
            "of those that ended, the last",
            vec![period("2", "2024-12-01", "2025-03-31"), period("1", "2025-04-01", "2026-03-31")],
            "1",
            EXPIRED,
        ),
        (
            "of those that ended, the last to end and not the last to start",
            vec![period("1", "2024-12-01", "2026-03-31"), period("2", "2025-04-01", "2025-09-30")],
            "1",
            EXPIRED,
        ),
        (
            "in a gap, the one that ended",
            vec![period("1", "2025-04-01", "2026-11-21"), period("2", "2026-11-23", "2027-11-22")],
            "1",
            EXPIRED,
        ),
        (
            "of those to come, the next",
            vec![period("2", "2028-04-01", "2029-03-31"), period("1", "2027-04-01", "2028-03-31")],
            "1",
            FUTURE,
        ),
    ] {
        for periods in [periods.clone(), periods.into_iter().rev().collect()] {
            let told = Case::of(periods).member("01");
            assert_eq!((told.history(), told.entry()), (history, entry), "{why}");
        }
    }
}

#[test]
fn of_several_that_start_alike_in_the_future_the_one_that_will_count_is_shown() {
    for (one, other, shown) in [
        (period("b", "2027-04-01", "2027-09-30"), period("a", "2027-04-01", "2028-03-31"), "a"),
        (period("a", "2027-04-01", "2028-03-31"), period("b", "2027-04-01", "2028-03-31"), "b"),
    ] {
        for rows in [[one.clone(), other.clone()], [other, one]] {
            let case = Case::of(rows);
            assert_eq!(case.member("01").history(), shown);
            assert_eq!(case.on("2027-04-01").member("01").history(), shown);
        }
    }
}

#[test]
fn rows_are_of_one_certificate_if_they_differ_in_the_history_key_alone() {
    let first = || row(NANBYO, "123456").valid("2025-04-01", "2026-03-31");
    for (why, second, certificates) in [
        ("history key", row(NANBYO, "123456").history("2"), 1),
        ("history key, and the number is written otherwise", row(NANBYO, "０１２３４５６").history("2"), 1),
        ("history key, and the payer number changed", row("54137013", "123456").history("2"), 1),
        ("recipient number", row(NANBYO, "123457").history("2"), 2),
        ("no recipient number", row(NANBYO, "").history("2"), 2),
        ("authority", row(NANBYO, "123456").history("2").of(HACHIOJI), 2),
        ("certificate type", row(NANBYO, "123456").history("2").kind("2"), 2),
        ("sub key", row(NANBYO, "123456").history("2").sub("1"), 2),
    ] {
        let told = Case::of([first(), second]).member("01");
        assert_eq!(told.entries.len(), certificates, "{why}: {:?}", told.entries);
        assert_eq!(told.head, "eligible apply", "{why}");
    }
}

#[test]
fn type_sub_key_and_history_key_compare_byte_for_byte() {
    for other in [row(NANBYO, "1").kind("a"), row(NANBYO, "1").kind("A").sub("x"), row(NANBYO, "1").kind("A").sub("X")] {
        let told = Case::of([row(NANBYO, "1").kind("A"), other]).member("01");
        assert_eq!(told.entries.len(), 2);
    }
    let told = Case::of([row(NANBYO, "1").history("a"), row(NANBYO, "1").history("A")]).member("01");
    assert_eq!(told.entry(), "eligible 54136015/1 [overlap]");
}

#[test]
fn without_a_recipient_number_the_insured_identity_stands_for_it() {
    let ended = || row(NANBYO, "").valid("2025-04-01", "2026-03-31");
    let renewed = || row(NANBYO, "").history("2");
    assert_eq!(Case::of([ended(), renewed()]).member("01").entries, ["eligible 54136015/"]);
    let in_two = Case::found([insured("01", [ended()]), insured("-", [renewed()])]);
    assert_eq!(in_two.member("01").entries, ["eligible 54136015/", "expired 54136015/"]);
}

#[test]
fn a_certificate_whose_periods_lie_with_two_insurers_is_one() {
    let before = insured("01", [period("1", "2025-04-01", "2026-03-31")]).insurer("00138057");
    let now = insured("01", [period("2", "2026-04-01", "2027-03-31")]);
    assert_eq!(Case::found([before, now]).card().entries, ["eligible 54136015/1234567"]);
}

/// (the row where it was, the row where it moves to, the entry); the newer registration counts, whatever days either covers.
#[test]
fn a_row_that_is_moving_from_one_dossier_to_another_counts_once() {
    let older = || row(NANBYO, "1234567").known_since(7);
    let newer = || row(NANBYO, "1234567").known_since(8);
    for (from, to, entry) in [
        (older(), newer().capped(1), "eligible 54136015/1234567 [check_cap_ledger]"),
        (older(), newer().valid("2026-04-01", "2026-10-31"), "expired 54136015/1234567"),
        (older(), newer().valid("2027-01-01", "2027-03-31"), "future 54136015/1234567"),
        (older().valid("2026-11-01", "2027-03-31"), newer().reimbursed(), "eligible_reimburse 54136015/1234567"),
        (older().valid("2026-04-01", "2026-10-31"), newer().valid("2027-01-01", "2027-03-31"), "future 54136015/1234567"),
    ] {
        let from = insured("01", [from]).insurer("00138057");
        let to = insured("01", [to]);
        assert_eq!(Case::found([from.clone(), to.clone()]).card().entry(), entry);
        assert_eq!(Case::found([to, from]).card().entry(), entry);
    }
}

#[test]
fn a_moving_row_does_not_hide_the_overlap_of_others() {
    let other = || period("2", "2026-05-01", "2026-12-31").known_since(3);
    let from = |row: Registered| insured("01", [row.known_since(7), other()]).insurer("00138057");
    let to = |row: Registered| insured("01", [row.known_since(8)]);
    let case = Case::found([from(period("1", "2026-06-01", "2026-12-31")), to(period("1", "2026-04-01", "2026-12-31"))]);
    assert_eq!((case.card().history(), case.card().entry()), ("2", "eligible 54136015/1234567 [overlap]"));
    let case = Case::found([from(period("1", "2026-06-01", "2026-12-31")), to(period("1", "2026-04-01", "2026-10-31"))]);
    assert_eq!((case.card().history(), case.card().entry()), ("2", "eligible 54136015/1234567"));
}
