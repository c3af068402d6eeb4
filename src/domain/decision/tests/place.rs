//! Within a row: date, then designation, then reimbursement or area.

use super::fixture::{Case, NANBYO, Registered, SAPPORO_CLINIC, TOKYO, TOKYO_CLINIC, row};

const OTHER_TOKYO_CLINIC: &str = "1319999999";

fn plain() -> Registered {
    row(NANBYO, "1234567")
}

fn only_here() -> Registered {
    plain().only_at(&[TOKYO_CLINIC, SAPPORO_CLINIC])
}

/// (the area of the payer number, the row, the institution that asks, the entry's verdict and notes)
#[test]
fn designation_comes_before_reimbursement_and_that_before_the_area() {
    const NOWHERE: &str = "";
    const IN_TOKYO: &str = "13";
    for (area, row, institution, expected) in [
        (NOWHERE, plain(), "-", "eligible"),
        (NOWHERE, plain(), SAPPORO_CLINIC, "eligible"),
        (IN_TOKYO, plain(), "-", "eligible [institution_missing]"),
        (IN_TOKYO, plain(), TOKYO_CLINIC, "eligible"),
        (IN_TOKYO, plain(), SAPPORO_CLINIC, "eligible_reimburse"),
        (NOWHERE, plain().reimbursed(), "-", "eligible_reimburse"),
        (NOWHERE, plain().reimbursed(), TOKYO_CLINIC, "eligible_reimburse"),
        (IN_TOKYO, plain().reimbursed(), "-", "eligible_reimburse"),
        (IN_TOKYO, plain().reimbursed(), TOKYO_CLINIC, "eligible_reimburse"),
        (IN_TOKYO, plain().reimbursed(), SAPPORO_CLINIC, "eligible_reimburse"),
        (NOWHERE, only_here(), "-", "not_designated [institution_missing]"),
        (NOWHERE, only_here(), TOKYO_CLINIC, "eligible"),
        (NOWHERE, only_here(), SAPPORO_CLINIC, "eligible"),
        (NOWHERE, only_here(), OTHER_TOKYO_CLINIC, "not_designated"),
        (IN_TOKYO, only_here(), "-", "not_designated [institution_missing]"),
        (IN_TOKYO, only_here(), TOKYO_CLINIC, "eligible"),
        (IN_TOKYO, only_here(), SAPPORO_CLINIC, "eligible_reimburse"),
        (IN_TOKYO, only_here(), OTHER_TOKYO_CLINIC, "not_designated"),
        (IN_TOKYO, only_here().reimbursed(), "-", "not_designated [institution_missing]"),
        (IN_TOKYO, only_here().reimbursed(), TOKYO_CLINIC, "eligible_reimburse"),
        (IN_TOKYO, only_here().reimbursed(), OTHER_TOKYO_CLINIC, "not_designated"),
    ] {
        let case = Case::of([row.clone()]).payers(&format!("{NANBYO},{TOKYO},,{area},,2020-04-01,")).at(institution);
        let (verdict, notes) = expected.split_once(' ').unwrap_or((expected, ""));
        let entry = format!("{verdict} {NANBYO}/1234567 {notes}");
        assert_eq!(case.member("01").entry(), entry.trim_end(), "area {area:?}, at {institution}, {row:?}");
    }
}

#[test]
fn the_date_comes_before_the_place() {
    let case = |row: Registered| Case::of([row]).payers(&format!("{NANBYO},{TOKYO},,13,,2020-04-01,"));
    for row in [plain(), plain().reimbursed(), only_here(), only_here().reimbursed()] {
        for institution in ["-", TOKYO_CLINIC, SAPPORO_CLINIC, OTHER_TOKYO_CLINIC] {
            let asked = case(row.clone()).at(institution);
            assert_eq!(asked.clone().on("2026-03-31").member("01").entry(), "future 54136015/1234567");
            assert_eq!(asked.on("2027-04-01").member("01").entry(), "expired 54136015/1234567");
        }
    }
}

#[test]
fn the_area_is_the_one_known_for_the_service_date() {
    let payers = format!("{NANBYO},{TOKYO},,13,,2020-04-01,2026-09-30\n{NANBYO},{TOKYO},,13;01,,2026-10-01,2026-12-31");
    let case = Case::of([plain()]).payers(&payers).at(SAPPORO_CLINIC);
    for (date, entry) in [
        ("2026-09-30", "eligible_reimburse 54136015/1234567"),
        ("2026-10-01", "eligible 54136015/1234567"),
        ("2026-12-31", "eligible 54136015/1234567"),
        ("2027-01-01", "eligible 54136015/1234567"),
    ] {
        assert_eq!(case.clone().on(date).member("01").entry(), entry, "{date}");
    }
}

#[test]
fn a_certificate_without_a_payer_number_has_no_area() {
    let case = Case::of([row("", "1234567")]).payers(&format!("{NANBYO},{TOKYO},,13,,2020-04-01,"));
    assert_eq!(case.at(SAPPORO_CLINIC).member("01").entry(), "eligible /1234567");
}
