//! What holds for any rows and any question.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::{ENTITLEMENTS_MAX, Row, Verdict};
use super::fixture::{
    CHILD, Case, HACHIOJI, Insured, NANBYO, Registered, SAPPORO_CLINIC, TODAY, TOKYO, TOKYO_CLINIC, Told, day, insured, row,
};

/// A row with few enough choices that identities, overlaps and ties come up often.
fn any_row() -> impl Strategy<Value = Registered> {
    let certificate = (
        prop::sample::select(vec!["", NANBYO, NANBYO, CHILD, "40130000"]),
        prop::sample::select(vec!["", "1234567", "123", "０００１２３"]),
        prop::sample::select(vec![TOKYO, TOKYO, TOKYO, TOKYO, HACHIOJI]),
        prop::sample::select(vec!["1", "1", "1", "1", "2"]),
        prop::sample::select(vec!["", "", "", "", "s"]),
    );
    let period = (0..6i64, 0..4i64, prop::sample::select(vec!["1", "2", "3"]));
    let terms = (prop::option::of(1..=2u8), prop::option::of(1..3u32), any::<bool>(), any::<bool>());
    (certificate, period, terms).prop_map(|((payer, recipient, authority, kind, sub), (from, days, history), terms)| {
        let (sex, cap, reimbursed, designated) = terms;
        let first = day("2026-11-19").plus_days(from);
        let mut row = row(payer, recipient).of(authority).kind(kind).sub(sub).history(history);
        row = row.valid(&first.to_string(), &first.plus_days(days).to_string());
        row = sex.map_or(row.clone(), |sex| row.sexed(&sex.to_string()));
        row = cap.map_or(row.clone(), |yen| row.capped(yen));
        row = if reimbursed { row.reimbursed() } else { row };
        if designated { row.only_at(&[TOKYO_CLINIC]) } else { row }
    })
}

fn any_dossier() -> impl Strategy<Value = Insured> {
    let key = (
        prop::sample::select(vec!["-", "01", "02"]),
        prop::sample::select(vec!["06132013", "06132013", "00138057"]),
        prop::sample::select(vec!["1980-01-01", "1980-01-01", "1980-01-01", "1990-01-01"]),
    );
    (key, prop::collection::vec(any_row(), 0..8)).prop_map(|((branch, insurer, born), rows)| {
        let mut seen = HashSet::new();
        insured(branch, rows.into_iter().filter(|row| seen.insert(row.identity()))).insurer(insurer).born(born)
    })
}

/// Dossiers as the index holds them: no identity twice, and each registration with a sequence of its own.
fn any_dossiers() -> impl Strategy<Value = Vec<Insured>> {
    (prop::collection::vec(any_dossier(), 0..5), any::<u64>()).prop_map(|(dossiers, seed)| {
        let mut seen = HashSet::new();
        let mut dossiers: Vec<Insured> = dossiers.into_iter().filter(|dossier| seen.insert(dossier.identity())).collect();
        let mut place = 0;
        for row in dossiers.iter_mut().flat_map(|dossier| &mut dossier.rows) {
            place += 1;
            *row = row.clone().known_since(scattered(place, seed));
        }
        dossiers
    })
}

/// A bijection for each seed: distinct numbers stay distinct.
fn scattered(number: u64, seed: u64) -> u64 {
    (number ^ seed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29) ^ seed
}

fn shuffled(dossiers: &[Insured], seed: u64) -> Vec<Insured> {
    let mut dossiers = dossiers.to_vec();
    for dossier in &mut dossiers {
        dossier.rows.sort_by_key(|row| scattered(row.sequence(), seed));
    }
    dossiers.sort_by_key(|dossier| {
        (scattered(dossier.rows.first().map_or(0, Registered::sequence), seed), format!("{:?}", dossier.identity()))
    });
    dossiers
}

fn all_questions(found: &[Insured], institution: &str, limit_s: Option<u64>) -> Vec<Told> {
    let payers = format!("{NANBYO},{TOKYO},,13,,2020-04-01,");
    let case = |found: Vec<Insured>| {
        let case = Case::found(found).payers(&payers).at(institution).source(TOKYO, Some(100), true);
        limit_s.map_or(case.clone(), |limit_s| case.limit_s(limit_s))
    };
    // The member key holds all of a dossier's identity but the branch number.
    let member = insured("-", []);
    let member = case(found.iter().filter(|dossier| dossier.is_under_the_member_key_of(&member)).cloned().collect());
    let case = case(found.to_vec());
    vec![
        member.member("-"),
        member.member("01"),
        member.member("03"),
        case.card(),
        case.certificate(NANBYO, "1234567"),
        case.certificate(CHILD, "123"),
        case.certificate_of_one_born(NANBYO, "123", "1980-01-01"),
    ]
}

proptest! {
    #[test]
    fn the_order_in_which_dossiers_and_rows_are_found_never_changes_the_answer(
        dossiers in any_dossiers(),
        seed in any::<u64>(),
        institution in prop::sample::select(vec!["-", TOKYO_CLINIC, SAPPORO_CLINIC]),
        limit_s in prop::option::of(50..150u64),
    ) {
        let answers = all_questions(&dossiers, institution, limit_s);
        prop_assert_eq!(answers, all_questions(&shuffled(&dossiers, seed), institution, limit_s));
    }

    #[test]
    fn an_answer_never_contradicts_its_own_rows(
        dossiers in any_dossiers(),
        institution in prop::sample::select(vec!["-", TOKYO_CLINIC, SAPPORO_CLINIC]),
        limit_s in prop::option::of(50..150u64),
    ) {
        let today = day(TODAY);
        for told in all_questions(&dossiers, institution, limit_s) {
            prop_assert!(told.rows.is_sorted_by_key(|(verdict, _)| *verdict));
            for (verdict, row) in &told.rows {
                let fits = match verdict {
                    Verdict::Eligible => row.valid_from() <= today && today <= row.valid_to() && !row.always_reimbursement(),
                    Verdict::EligibleReimburse | Verdict::NotDesignated => row.valid_from() <= today && today <= row.valid_to(),
                    Verdict::Expired => row.valid_to() < today,
                    Verdict::Future => today < row.valid_from(),
                    _ => false,
                };
                prop_assert!(fits, "{verdict:?} from {row:?}");
            }
            match told.rows.first() {
                Some((first, _)) if told.verdict == Verdict::Stale => {
                    prop_assert!(matches!(first, Verdict::Expired | Verdict::Future));
                }
                Some((first, _)) => prop_assert_eq!(told.verdict, *first),
                None => prop_assert!(matches!(
                    told.verdict,
                    Verdict::Ambiguous | Verdict::NotRegistered | Verdict::AuthorityNotParticipating | Verdict::Stale
                )),
            }
        }
    }

    #[test]
    fn no_text_and_no_period_is_too_odd_for_an_answer(
        texts in prop::collection::vec((".{0,30}", ".{0,5}", ".{0,5}", ".{0,5}"), 0..70),
        days in prop::collection::vec((0..4000i64, 0..4000i64), 70),
        branches in prop::collection::vec(prop::sample::select(vec!["-", "00", "99"]), 1..4),
    ) {
        let first = day("2020-01-01");
        let rows: Vec<Registered> = texts
            .iter()
            .zip(&days)
            .map(|((recipient, kind, sub, history), (from, to))| {
                let (from, to) = (first.plus_days(*from).to_string(), first.plus_days(*to).to_string());
                row(NANBYO, recipient).kind(kind).sub(sub).history(history).valid(&from, &to)
            })
            .collect();
        let found: Vec<Insured> = branches.iter().map(|branch| insured(branch, rows.clone())).collect();
        for told in all_questions(&found, TOKYO_CLINIC, Some(1)) {
            prop_assert!(told.entries.len() <= ENTITLEMENTS_MAX);
        }
    }
}
