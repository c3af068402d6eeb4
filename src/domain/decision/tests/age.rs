//! The age of the data: a "no" from old data is no "no".

use super::fixture::{CHILD, Case, HACHIOJI, NANBYO, Registered, SAPPORO_CLINIC, TOKYO, TOKYO_CLINIC, insured, row};

const LIMIT_S: u64 = 3 * 24 * 3600;
const YOUNG: Option<u64> = Some(LIMIT_S);
const OLD: Option<u64> = Some(LIMIT_S + 1);

fn valid() -> Registered {
    row(NANBYO, "1234567")
}

fn ended() -> Registered {
    valid().valid("2025-04-01", "2026-03-31")
}

fn to_come() -> Registered {
    valid().valid("2027-04-01", "2028-03-31")
}

/// (the row, the overall answer from young data, and from old); the entry is the same in both.
#[test]
fn old_data_turn_expired_and_future_to_stale_and_are_noted_on_the_others() {
    for (row, young, old) in [
        (valid(), "eligible apply", "eligible apply [old_data]"),
        (
            valid().reimbursed(),
            "eligible_reimburse collect_then_reimburse",
            "eligible_reimburse collect_then_reimburse [old_data]",
        ),
        (
            valid().only_at(&[TOKYO_CLINIC]),
            "not_designated treat_without_and_tell_patient",
            "not_designated treat_without_and_tell_patient [old_data]",
        ),
        (ended(), "expired ask_for_new_certificate", "stale ask_for_paper_certificate"),
        (to_come(), "future not_yet", "stale ask_for_paper_certificate"),
    ] {
        let case = Case::of([row]).at(SAPPORO_CLINIC).limit_s(LIMIT_S);
        let fresh = case.clone().source(TOKYO, YOUNG, true);
        let stale = case.source(TOKYO, OLD, true);
        for ask in [|case: &Case| case.member("01"), Case::card, |case: &Case| case.certificate(NANBYO, "1234567")] {
            assert_eq!(ask(&fresh).head, young);
            assert_eq!(ask(&stale).head, old);
            assert_eq!(ask(&fresh).entries, ask(&stale).entries);
            assert_eq!(ask(&stale).entries.len(), 1);
        }
    }
}

#[test]
fn without_a_limit_no_data_are_old() {
    for (row, answer) in
        [(valid(), "eligible apply"), (ended(), "expired ask_for_new_certificate"), (to_come(), "future not_yet")]
    {
        assert_eq!(Case::of([row]).source(TOKYO, Some(1_000_000_000), true).member("01").head, answer);
    }
    let nobody = Case::found([]).source(TOKYO, Some(1_000_000_000), true);
    assert_eq!(nobody.member("01").head, "not_registered ask_for_paper_certificate");
}

#[test]
fn a_limit_of_nothing_still_believes_what_was_registered_this_second() {
    let case = |age_s| Case::of([ended()]).limit_s(0).source(TOKYO, Some(age_s), true).member("01").head;
    assert_eq!(case(0), "expired ask_for_new_certificate");
    assert_eq!(case(1), "stale ask_for_paper_certificate");
}

#[test]
fn rows_whose_feed_is_not_known_are_as_old_as_can_be() {
    let case = Case::of([ended()]).limit_s(LIMIT_S);
    assert_eq!(case.member("01").head, "stale ask_for_paper_certificate");
    assert_eq!(case.source(TOKYO, None, true).member("01").head, "stale ask_for_paper_certificate");
}

#[test]
fn a_row_is_as_old_as_its_own_authoritys_feed() {
    let case = |row: Registered| Case::of([row]).limit_s(LIMIT_S).source(TOKYO, YOUNG, true).source(HACHIOJI, OLD, true);
    assert_eq!(case(ended()).member("01").head, "expired ask_for_new_certificate");
    assert_eq!(case(ended().of(HACHIOJI)).member("01").head, "stale ask_for_paper_certificate");
}

/// Each row of the person may have been renewed where its data did not arrive, so any old one counts.
#[test]
fn one_old_entry_among_young_ones_is_enough() {
    let old = |row: Registered| row.of(HACHIOJI).kind("2");
    for (rows, answer) in [
        ([valid(), old(valid())], "eligible apply [old_data]"),
        ([valid(), old(ended())], "eligible apply [old_data]"),
        ([ended(), old(valid())], "eligible apply [old_data]"),
        ([ended(), old(to_come())], "stale ask_for_paper_certificate"),
        ([to_come(), old(ended())], "stale ask_for_paper_certificate"),
    ] {
        let case = Case::of(rows).limit_s(LIMIT_S).source(TOKYO, YOUNG, true).source(HACHIOJI, OLD, true);
        assert_eq!(case.member("01").head, answer);
    }
}

/// (the age of Tokyo's and of Hachiōji's feed, the answer)
#[test]
fn nobody_found_by_member_or_card_is_judged_by_the_newest_feed_of_all() {
    const NOT_REGISTERED: &str = "not_registered ask_for_paper_certificate";
    const NOTED: &str = "not_registered ask_for_paper_certificate [old_data]";
    const STALE: &str = "stale ask_for_paper_certificate";
    for (tokyo, hachioji, answer) in [(YOUNG, YOUNG, NOT_REGISTERED), (YOUNG, OLD, NOTED), (OLD, YOUNG, NOTED), (OLD, OLD, STALE)]
    {
        let case = Case::found([]).limit_s(LIMIT_S).source(TOKYO, tokyo, true).source(HACHIOJI, hachioji, true);
        for told in [case.member("01"), case.member("-"), case.card()] {
            assert_eq!(told.head, answer);
        }
    }
    let never_fed = Case::found([]).limit_s(LIMIT_S);
    assert_eq!(never_fed.member("01").head, STALE);
}

/// The payer number is Hachiōji's; Tokyo's feed is of the other age each time and must not matter.
#[test]
fn nobody_found_by_certificate_is_judged_by_the_feed_of_the_payer_numbers_authority() {
    let case = Case::found([]).limit_s(LIMIT_S).payers(&format!("{CHILD},{HACHIOJI},,,,2020-04-01,"));
    let young = || case.clone().source(TOKYO, OLD, true);
    let old = || case.clone().source(TOKYO, YOUNG, true);
    for (case, answer) in [
        (young().source(HACHIOJI, YOUNG, true), "not_registered ask_for_paper_certificate"),
        (old().source(HACHIOJI, OLD, true), "stale ask_for_paper_certificate"),
        (young().source(HACHIOJI, YOUNG, false), "authority_not_participating ask_for_paper_certificate"),
        (old().source(HACHIOJI, OLD, false), "stale ask_for_paper_certificate"),
    ] {
        assert_eq!(case.certificate(CHILD, "1234567").head, answer);
    }
}

#[test]
fn an_unknown_issuer_stays_noted_when_the_answer_is_stale() {
    let case = Case::found([]).limit_s(LIMIT_S).source(TOKYO, OLD, true);
    assert_eq!(case.certificate(CHILD, "1234567").head, "stale ask_for_paper_certificate [issuer_unknown]");
}

#[test]
fn an_ambiguous_answer_keeps_itself_and_notes_the_age_of_what_was_found() {
    let twins = Case::found([insured("01", [valid()]), insured("02", [valid().of(HACHIOJI)])]).limit_s(LIMIT_S);
    for (hachioji, answer) in [(YOUNG, "ambiguous ask_for_branch_number"), (OLD, "ambiguous ask_for_branch_number [old_data]")] {
        let case = twins.clone().source(TOKYO, YOUNG, true).source(HACHIOJI, hachioji, true);
        assert_eq!(case.member("-").head, answer);
    }
}

#[test]
fn an_ambiguous_certificate_is_as_old_as_its_own_rows() {
    let other = || row(CHILD, "1").of(HACHIOJI);
    let holders = [insured("01", [valid(), other()]), insured("01", [valid()]).born("1990-01-01")];
    let case = Case::found(holders).limit_s(LIMIT_S).source(TOKYO, YOUNG, true).source(HACHIOJI, OLD, true);
    assert_eq!(case.certificate(NANBYO, "1234567").head, "ambiguous ask_for_birth_date");
    assert_eq!(case.card().head, "ambiguous ask_for_paper_certificate [old_data]");
}
