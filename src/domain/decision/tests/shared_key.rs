//! Questions by certificate and by card link: which rows count, and when the dossiers reached are one person.

use super::fixture::{CHILD, Case, HACHIOJI, Insured, NANBYO, TOKYO, insured, row};

const OTHER_INSURER: &str = "00138057";

fn holder(branch: &str) -> Insured {
    insured(branch, [row(NANBYO, "1234567")])
}

#[test]
fn a_certificate_answers_for_itself_and_a_card_for_all() {
    let case = Case::of([
        row(NANBYO, "1234567"),
        row(CHILD, "1234567").kind("2"),
        row(NANBYO, "7654321").kind("3"),
        row("", "1234567").kind("4"),
    ]);
    assert_eq!(case.certificate(NANBYO, "1234567").entries, ["eligible 54136015/1234567"]);
    assert_eq!(case.certificate(CHILD, "1234567").entries, ["eligible 88138243/1234567"]);
    assert_eq!(case.card().entries.len(), 4);
    assert_eq!(case.member("01").entries.len(), 4);
}

#[test]
fn a_recipient_number_is_the_same_however_it_is_written() {
    let case = Case::of([row(NANBYO, "０１２３４５６")]);
    assert_eq!(case.certificate(NANBYO, "123456").verdict.letter(), b'E');
    assert_eq!(case.certificate(NANBYO, "12345678").verdict.letter(), b'N');
}

#[test]
fn an_expired_certificate_is_not_saved_by_the_persons_others() {
    let case = Case::of([row(NANBYO, "1234567").valid("2025-04-01", "2026-03-31"), row(CHILD, "1").kind("2")]);
    assert_eq!(case.certificate(NANBYO, "1234567").head, "expired ask_for_new_certificate");
    assert_eq!(case.card().head, "eligible apply");
}

/// (who shares the certificate, asked by certificate, asked by card link)
#[test]
fn dossiers_that_share_a_key_are_one_person_unless_births_or_branches_differ() {
    const ONE: &str = "eligible apply";
    const BIRTH: &str = "ambiguous ask_for_birth_date";
    const PAPER: &str = "ambiguous ask_for_paper_certificate";
    let elsewhere = |branch: &str| holder(branch).insurer(OTHER_INSURER);
    let renumbered = |branch: &str| holder(branch).number("1234\u{1f}9999999");
    let younger = |branch: &str| holder(branch).born("1990-01-01");
    for (why, found, by_certificate, by_card) in [
        ("one dossier", vec![holder("01")], ONE, ONE),
        ("the insurer changed", vec![holder("01"), elsewhere("01")], ONE, ONE),
        ("insurer and branch changed", vec![holder("01"), elsewhere("02")], ONE, ONE),
        ("number and branch changed", vec![holder("01"), renumbered("02")], ONE, ONE),
        ("one has no branch number", vec![holder("01"), holder("-")], ONE, ONE),
        ("branches differ", vec![holder("01"), holder("02")], PAPER, PAPER),
        ("branches differ beside one without", vec![holder("01"), holder("-"), holder("02")], PAPER, PAPER),
        ("births differ", vec![holder("01"), younger("01")], BIRTH, PAPER),
        ("births and insurers differ", vec![holder("01"), elsewhere("01").born("1990-01-01")], BIRTH, PAPER),
        ("births and branches differ", vec![holder("01"), younger("02")], BIRTH, PAPER),
        ("three births", vec![holder("01"), younger("02"), holder("03").born("2000-01-01")], BIRTH, PAPER),
        ("twins, and one born later", vec![holder("01"), holder("02"), younger("03")], PAPER, PAPER),
    ] {
        let case = Case::found(found);
        assert_eq!(case.certificate(NANBYO, "1234567").head, by_certificate, "by certificate: {why}");
        assert_eq!(case.card().head, by_card, "by card link: {why}");
    }
}

#[test]
fn a_birth_date_given_with_the_certificate_tells_people_apart() {
    let younger = insured("02", [row(NANBYO, "1234567").reimbursed()]).born("1990-01-01");
    let case = Case::found([holder("01"), younger]);
    let ask = |born: &str| case.certificate_of_one_born(NANBYO, "1234567", born).head;
    assert_eq!(ask("1980-01-01"), "eligible apply");
    assert_eq!(ask("1990-01-01"), "eligible_reimburse collect_then_reimburse");
    assert_eq!(ask("1980-01-02"), "not_registered ask_for_paper_certificate [issuer_unknown]");
}

#[test]
fn a_birth_date_that_does_not_fit_finds_nobody_even_where_one_person_holds_the_certificate() {
    let case = Case::found([holder("01")]).payers(&format!("{NANBYO},{TOKYO},,,,2020-04-01,"));
    let ask = |born: &str| case.certificate_of_one_born(NANBYO, "1234567", born).head;
    assert_eq!(ask("1980-01-01"), "eligible apply");
    assert_eq!(ask("1981-01-01"), "not_registered ask_for_paper_certificate");
}

#[test]
fn twins_are_not_asked_again_for_the_birth_date_they_share() {
    let case = Case::found([holder("01"), holder("02")]);
    let told = case.certificate_of_one_born(NANBYO, "1234567", "1980-01-01");
    assert_eq!(told.head, "ambiguous ask_for_paper_certificate");
}

#[test]
fn questions_by_certificate_or_card_have_no_branch_number_to_confirm() {
    let case = Case::found([holder("-")]);
    assert_eq!(case.certificate(NANBYO, "1234567").head, "eligible apply");
    assert_eq!(case.card().head, "eligible apply");
}

#[test]
fn one_number_of_two_authorities_is_two_certificates_of_one_person() {
    let case = Case::of([row(NANBYO, "1234567"), row(NANBYO, "1234567").of(HACHIOJI)]);
    assert_eq!(case.certificate(NANBYO, "1234567").entries.len(), 2);
}
