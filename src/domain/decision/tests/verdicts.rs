//! Each line of the table of verdicts, with what the clerk does.

use super::super::{Answer, Verdict};
use super::fixture::{CHILD, Case, HACHIOJI, NANBYO, Registered, SAPPORO_CLINIC, TODAY, TOKYO_CLINIC, Told, day, insured, row};

#[test]
fn every_verdict_has_the_word_and_the_letter_of_the_table() {
    let table = [
        (Verdict::Eligible, "eligible", b'E'),
        (Verdict::EligibleReimburse, "eligible_reimburse", b'R'),
        (Verdict::NotDesignated, "not_designated", b'D'),
        (Verdict::Expired, "expired", b'X'),
        (Verdict::Future, "future", b'F'),
        (Verdict::Ambiguous, "ambiguous", b'A'),
        (Verdict::NotRegistered, "not_registered", b'N'),
        (Verdict::AuthorityNotParticipating, "authority_not_participating", b'P'),
        (Verdict::NoInformation, "no_information", b'C'),
        (Verdict::Stale, "stale", b'S'),
    ];
    for (verdict, word, letter) in table {
        assert_eq!((verdict.word(), verdict.letter()), (word, letter));
    }
    assert_eq!(table.map(|(verdict, ..)| verdict), Verdict::ALL);
}

#[test]
fn each_line_of_the_table_is_answered_as_it_reads() {
    let valid = || row(NANBYO, "1234567");
    let ended = || valid().valid("2025-04-01", "2026-03-31");
    let to_come = || valid().valid("2027-04-01", "2028-03-31");
    let elsewhere = || valid().only_at(&[TOKYO_CLINIC]);
    let twins = || Case::found([insured("01", [valid()]), insured("02", [valid()])]);
    let two_births = || Case::found([insured("01", [valid()]), insured("01", [valid()]).born("1990-01-01")]);
    let not_registering = format!("{CHILD},{HACHIOJI},,,,2020-04-01,");
    for (told, expected) in [
        (Case::of([valid()]).member("01"), "eligible apply"),
        (Case::of([valid().reimbursed()]).member("01"), "eligible_reimburse collect_then_reimburse"),
        (Case::of([elsewhere()]).at(SAPPORO_CLINIC).member("01"), "not_designated treat_without_and_tell_patient"),
        (Case::of([ended()]).member("01"), "expired ask_for_new_certificate"),
        (Case::of([to_come()]).member("01"), "future not_yet"),
        (twins().member("-"), "ambiguous ask_for_branch_number"),
        (two_births().certificate(NANBYO, "1234567"), "ambiguous ask_for_birth_date"),
        (two_births().card(), "ambiguous ask_for_paper_certificate"),
        (Case::found([]).member("01"), "not_registered ask_for_paper_certificate"),
        (Case::found([]).card(), "not_registered ask_for_paper_certificate"),
        (Case::found([]).certificate(CHILD, "1"), "not_registered ask_for_paper_certificate [issuer_unknown]"),
        (
            Case::found([]).payers(&not_registering).certificate(CHILD, "1"),
            "authority_not_participating ask_for_paper_certificate",
        ),
        (Case::of([ended()]).limit_s(60).member("01"), "stale ask_for_paper_certificate"),
    ] {
        assert_eq!(told.head, expected);
    }
}

#[test]
fn a_row_counts_from_its_first_day_to_its_last() {
    let renewed = row(NANBYO, "1234567").valid("2026-10-01", "2027-09-30");
    for (date, verdict) in [
        ("2026-09-30", Verdict::Future),
        ("2026-10-01", Verdict::Eligible),
        ("2027-09-30", Verdict::Eligible),
        ("2027-10-01", Verdict::Expired),
    ] {
        assert_eq!(Case::of([renewed.clone()]).on(date).member("01").verdict, verdict, "{date}");
    }
}

#[test]
fn a_row_of_one_day_counts_on_that_day_and_an_open_end_never_ends() {
    let one_day = row(NANBYO, "1234567").valid(TODAY, TODAY);
    for (date, verdict) in [("2026-11-21", Verdict::Future), (TODAY, Verdict::Eligible), ("2026-11-23", Verdict::Expired)] {
        assert_eq!(Case::of([one_day.clone()]).on(date).member("01").verdict, verdict, "{date}");
    }
    let open = row(NANBYO, "1234567").valid(TODAY, "9999-12-31");
    assert_eq!(Case::of([open]).on("9999-12-31").member("01").verdict, Verdict::Eligible);
}

#[test]
fn without_consent_there_is_one_answer_for_everyone() {
    let told = Told::from(&Answer::<Registered>::no_information(day(TODAY)));
    assert_eq!(told.head, "no_information ask_for_paper_certificate");
    assert_eq!(told.entries, [""; 0]);
}

#[test]
fn an_ambiguous_answer_shows_no_entitlements() {
    let valid = || row(NANBYO, "1234567");
    let twins = Case::found([insured("01", [valid()]), insured("02", [valid()])]);
    for told in [twins.member("-"), twins.card(), twins.certificate(NANBYO, "1234567")] {
        assert_eq!((told.verdict, told.entries.len()), (Verdict::Ambiguous, 0));
    }
}

/// Nobody found, and the payer number stands for Hachiōji from April 2024 to March 2026.
#[test]
fn whether_the_authority_registers_is_judged_on_the_service_date() {
    let payers = format!("{CHILD},{HACHIOJI},,,,2024-04-01,2026-03-31");
    let participants = format!("{HACHIOJI},2025-10-01,2025-12-31");
    let case = Case::found([]).payers(&payers).participants(&participants);
    for (date, verdict) in [
        ("2025-09-30", Verdict::AuthorityNotParticipating),
        ("2025-10-01", Verdict::NotRegistered),
        ("2025-12-31", Verdict::NotRegistered),
        ("2026-01-01", Verdict::AuthorityNotParticipating),
    ] {
        let told = case.clone().on(date).certificate(CHILD, "1234567");
        assert_eq!(told.verdict, verdict, "{date}");
        assert!(!told.head.contains("issuer_unknown"), "{date}");
    }
}

#[test]
fn an_authority_with_current_rows_takes_part_whatever_the_master_says() {
    let case = Case::found([]).payers(&format!("{CHILD},{HACHIOJI},,,,2020-04-01,"));
    let ask = |case: Case| case.certificate(CHILD, "1234567").verdict;
    assert_eq!(ask(case.clone()), Verdict::AuthorityNotParticipating);
    assert_eq!(ask(case.clone().source(HACHIOJI, Some(1), false)), Verdict::AuthorityNotParticipating);
    assert_eq!(ask(case.source(HACHIOJI, Some(1), true)), Verdict::NotRegistered);
}

#[test]
fn the_authority_behind_a_payer_number_is_the_one_of_the_service_date() {
    // The payer number passed from Hachiōji, which does not register, to Tokyo, which does.
    let payers = format!("{CHILD},{HACHIOJI},,,,2020-04-01,2026-03-31\n{CHILD},130001,,,,2026-04-01,");
    let case = Case::found([]).payers(&payers);
    let ask = |date: &str| case.clone().on(date).certificate(CHILD, "1234567").verdict;
    assert_eq!(ask("2026-03-31"), Verdict::AuthorityNotParticipating);
    assert_eq!(ask("2026-04-01"), Verdict::NotRegistered);
}

#[test]
fn only_a_question_that_names_a_payer_number_can_tell_who_does_not_take_part() {
    let case = Case::found([]).payers(&format!("{CHILD},{HACHIOJI},,,,2020-04-01,"));
    assert_eq!(case.member("01").head, "not_registered ask_for_paper_certificate");
    assert_eq!(case.card().head, "not_registered ask_for_paper_certificate");
}

#[test]
fn a_certificate_that_was_found_is_never_the_fault_of_its_issuer() {
    // Its authority is in no participation list and its payer number in no master.
    let told = Case::of([row(CHILD, "1234567").of(HACHIOJI)]).certificate(CHILD, "1234567");
    assert_eq!(told.head, "eligible apply");
}

#[test]
fn a_monthly_cap_sends_the_clerk_to_the_ledger_where_the_subsidy_applies() {
    let capped = || row(NANBYO, "1234567").capped(10_000);
    for (told, entry) in [
        (Case::of([row(NANBYO, "1234567")]).member("01"), "eligible 54136015/1234567"),
        (Case::of([capped()]).member("01"), "eligible 54136015/1234567 [check_cap_ledger]"),
        (Case::of([capped().reimbursed()]).member("01"), "eligible_reimburse 54136015/1234567"),
        (Case::of([capped().only_at(&[TOKYO_CLINIC])]).at(SAPPORO_CLINIC).member("01"), "not_designated 54136015/1234567"),
        (Case::of([capped()]).on("2027-04-01").member("01"), "expired 54136015/1234567"),
    ] {
        assert_eq!(told.entry(), entry);
    }
}

#[test]
fn where_some_prefectures_are_held_whatever_grants_nothing_says_that_others_are_not() {
    const HELD_ELSEWHERE: &str = "[other_prefectures_not_held]";
    let valid = || row(NANBYO, "1234567");
    let noted = |head: &str| format!("{head} {HELD_ELSEWHERE}");
    let twins = || Case::found([insured("01", [valid()]), insured("02", [valid()])]);
    for (told, expected) in [
        (Case::of([valid()]).holding("13").member("01"), "eligible apply".to_owned()),
        (Case::of([valid().reimbursed()]).holding("13").member("01"), "eligible_reimburse collect_then_reimburse".to_owned()),
        (
            Case::of([valid().valid("2025-04-01", "2026-03-31")]).holding("13").member("01"),
            noted("expired ask_for_new_certificate"),
        ),
        (Case::of([valid().valid("2027-04-01", "2028-03-31")]).holding("13").member("01"), noted("future not_yet")),
        (twins().holding("13").member("-"), noted("ambiguous ask_for_branch_number")),
        (Case::found([]).holding("13").member("01"), noted("not_registered ask_for_paper_certificate")),
        (Case::found([]).holding("13").card(), noted("not_registered ask_for_paper_certificate")),
    ] {
        assert_eq!(told.head, expected);
    }
}

#[test]
fn an_authority_whose_rows_are_not_held_is_not_said_to_take_no_part() {
    let payers = format!("{CHILD},{HACHIOJI},,,,2020-04-01,");
    let asked = |held: &str| Case::found([]).payers(&payers).holding(held).certificate(CHILD, "1").head;
    assert_eq!(asked("13"), "authority_not_participating ask_for_paper_certificate [other_prefectures_not_held]");
    assert_eq!(asked("14"), "not_registered ask_for_paper_certificate [other_prefectures_not_held]");
}
