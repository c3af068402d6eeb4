//! What registering and withdrawing do to the register.

use shikaku::domain::day::BirthDate;
use shikaku::domain::decision::Verdict;
use shikaku::domain::registration::{Operation, Registration};
use shikaku::record::dossier::DOSSIER_ROWS_MAX;
use shikaku::record::payload::Changes;
use shikaku::record::row::Row;
use shikaku::registry::{Counts, Outcome, Registry, RegistryError};

use crate::fixture::*;

#[test]
fn a_registered_row_answers_under_its_three_keys() {
    let home = Home::new();
    let registry = home.open();
    let applied = register(&registry, [person(1), person(2)]);
    assert_eq!(counts(&applied), Counts { registered: 2, ..Counts::default() });
    let expected = (Verdict::Eligible, vec![("0000001".to_owned(), "1".to_owned(), "2027-03-31".to_owned())]);
    assert_eq!(seen(&registry, &person(1)), expected);
    assert_eq!(seen(&registry, &person(3)).0, Verdict::NotRegistered);
}

#[test]
fn a_newer_registration_supersedes_and_an_equal_one_changes_nothing() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let before = registry.position();
    assert_eq!(counts(&register(&registry, [person(1)])), Counts { unchanged: 1, ..Counts::default() });
    assert_eq!(registry.position(), before, "an equal row writes no frame");
    let longer = Registration { valid_to: day("2028-03-31"), ..person(1) };
    assert_eq!(counts(&register(&registry, [longer.clone()])), Counts { superseded: 1, ..Counts::default() });
    let (verdict, rows) = seen(&registry, &longer);
    assert_eq!((verdict, rows.len(), rows[0].2.as_str()), (Verdict::Eligible, 1, "2028-03-31"));
}

#[test]
fn the_last_word_about_a_row_in_one_run_counts() {
    let home = Home::new();
    let registry = home.open();
    let versions = ["2027-03-31", "2027-04-30", "2027-05-31"].map(|to| Registration { valid_to: day(to), ..person(1) });
    let applied = register(&registry, versions);
    assert_eq!(counts(&applied), Counts { registered: 1, superseded: 2, ..Counts::default() });
    assert_eq!(seen(&registry, &person(1)).1[0].2, "2027-05-31");
}

#[test]
fn a_corrected_number_no_longer_answers_under_the_old_key() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let corrected = Registration { number: "7777777".to_owned(), card_link: "another".to_owned(), ..person(1) };
    assert_eq!(counts(&register(&registry, [corrected.clone()])), Counts { superseded: 1, ..Counts::default() });
    assert!(is_eligible(&registry, &corrected));
    assert_eq!(ask(&registry, &as_member(&person(1))).0, Verdict::NotRegistered);
    assert_eq!(ask(&registry, &as_card(&person(1))).0, Verdict::NotRegistered);
}

#[test]
fn a_row_moves_with_its_person_to_another_insured_identity_and_counts_once() {
    let home = Home::new();
    let registry = home.open();
    let other = Registration { certificate_type: "OTHER".to_owned(), recipient_number: "5550001".to_owned(), ..person(1) };
    register(&registry, [person(1), other.clone()]);
    let moved = Registration { insurer: insurer("06132013"), symbol: "9".to_owned(), ..person(1) };
    assert_eq!(counts(&register(&registry, [moved.clone()])), Counts { superseded: 1, ..Counts::default() });
    // The row that was not registered anew stays with the old identity.
    let (_, rows) = ask(&registry, &as_member(&other));
    assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["5550001"]);
    let (_, rows) = ask(&registry, &as_member(&moved));
    assert_eq!(rows.iter().map(|row| row.0.as_str()).collect::<Vec<_>>(), ["0000001"]);
    assert_eq!(ask(&registry, &as_certificate(&moved)).1.len(), 1);
    assert_eq!(registry.verify_running().unwrap().rows, 2);
}

#[test]
fn two_people_who_change_places_in_one_run_both_keep_their_certificate() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1), person(2)]);
    let as_if = |n: u32, who: u32| Registration { number: person(who).number, card_link: person(who).card_link, ..person(n) };
    assert_eq!(counts(&register(&registry, [as_if(1, 2), as_if(2, 1)])), Counts { superseded: 2, ..Counts::default() });
    for (n, who) in [(1, 2), (2, 1)] {
        let (verdict, rows) = seen(&registry, &as_if(n, who));
        assert_eq!((verdict, rows.len()), (Verdict::Eligible, 1));
        assert_eq!(rows[0].0, person(n).recipient_number);
    }
    let report = registry.verify_running().unwrap();
    assert_eq!((report.fault, report.rows), (None, 2));
}

#[test]
fn a_row_without_a_recipient_number_never_moves() {
    let home = Home::new();
    let registry = home.open();
    let bare = Registration { recipient_number: String::new(), ..person(1) };
    let elsewhere = Registration { insurer: insurer("06132013"), ..bare.clone() };
    register(&registry, [bare.clone()]);
    assert_eq!(counts(&register(&registry, [elsewhere.clone()])), Counts { registered: 1, ..Counts::default() });
    for who in [&bare, &elsewhere] {
        assert_eq!(ask(&registry, &as_member(who)).0, Verdict::Eligible);
    }
}

#[test]
fn withdrawing_twice_is_nothing_and_withdrawing_the_unknown_is_rejected() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    assert_eq!(counts(&withdraw(&registry, [person(1)])), Counts { withdrawn: 1, ..Counts::default() });
    assert_eq!(seen(&registry, &person(1)).0, Verdict::NotRegistered);
    assert_eq!(counts(&withdraw(&registry, [person(1)])), Counts { already_withdrawn: 1, ..Counts::default() });
    let applied = withdraw(&registry, [person(2), person(1), person(3)]);
    assert_eq!(counts(&applied), Counts { already_withdrawn: 1, rejected: 2, ..Counts::default() });
    assert_eq!(applied.rejected, [(0, Outcome::Unknown), (2, Outcome::Unknown)]);
    assert_eq!(counts(&register(&registry, [person(1)])), Counts { registered: 1, ..Counts::default() });
    assert!(is_eligible(&registry, &person(1)));
}

#[test]
fn a_withdrawal_needs_only_the_columns_of_the_identity() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [person(1)]);
    let bare = Registration {
        certificate_name: String::new(),
        insurer: insurer("00000000"),
        symbol: String::new(),
        number: String::new(),
        branch: None,
        payer: None,
        card_link: String::new(),
        valid_from: day("2000-01-01"),
        valid_to: day("2000-01-01"),
        ..person(1)
    };
    assert_eq!(counts(&withdraw(&registry, [bare])).withdrawn, 1);
}

#[test]
fn a_row_that_ended_before_the_horizon_is_history_only_and_still_supersedes() {
    let home = Home::new();
    let registry = home.open();
    let ended = Registration { valid_from: day("2020-04-01"), valid_to: day("2024-10-31"), ..person(1) };
    assert_eq!(counts(&register(&registry, [ended.clone()])), Counts { history_only: 1, ..Counts::default() });
    assert_eq!(seen(&registry, &ended).0, Verdict::NotRegistered);
    register(&registry, [person(1)]);
    assert!(is_eligible(&registry, &person(1)));
    assert_eq!(counts(&register(&registry, [ended.clone()])), Counts { history_only: 1, ..Counts::default() });
    assert_eq!(seen(&registry, &ended).0, Verdict::NotRegistered);
    assert_eq!(counts(&withdraw(&registry, [ended.clone()])), Counts { withdrawn: 1, ..Counts::default() });
    assert_eq!(counts(&withdraw(&registry, [ended])), Counts { already_withdrawn: 1, ..Counts::default() });
    let boundary = Registration { valid_from: day("2020-04-01"), valid_to: day("2024-11-01"), ..person(2) };
    assert_eq!(counts(&register(&registry, [boundary])), Counts { registered: 1, ..Counts::default() });
}

#[test]
fn pruning_moves_what_ended_out_of_memory_and_keeps_it_as_history() {
    let home = Home::new();
    let registry = home.open();
    let ends_soon =
        Registration { valid_from: day("2024-01-01"), valid_to: day("2024-11-30"), history_key: "0".to_owned(), ..person(1) };
    let alone = Registration { valid_from: day("2024-01-01"), valid_to: day("2024-11-30"), ..person(2) };
    register(&registry, [ends_soon.clone(), person(1), alone.clone()]);
    assert_eq!(seen(&registry, &alone).0, Verdict::Expired);
    assert_eq!(registry.prune_to(day("2026-11-30"), NOW).unwrap(), 0, "the horizon is a first of a month");
    assert_eq!(registry.prune_to(day("2026-12-01"), NOW).unwrap(), 2);
    assert_eq!(registry.prune_to(day("2026-12-31"), NOW).unwrap(), 0);
    assert_eq!(seen(&registry, &alone).0, Verdict::NotRegistered);
    assert!(is_eligible(&registry, &person(1)));
    assert_eq!(registry.reader().view().horizon, day("2024-12-01"));
    assert_eq!(registry.verify_running().unwrap().rows, 1);
    // A pruned row still stands: it can be withdrawn, once.
    assert_eq!(counts(&withdraw(&registry, [alone.clone()])), Counts { withdrawn: 1, ..Counts::default() });
    assert_eq!(counts(&withdraw(&registry, [alone])), Counts { already_withdrawn: 1, ..Counts::default() });
}

#[test]
fn a_dossier_takes_64_rows_and_rejects_the_next() {
    let home = Home::new();
    let registry = home.open();
    let period = |n: usize| Registration { history_key: n.to_string(), ..person(1) };
    let applied = register(&registry, (0..DOSSIER_ROWS_MAX + 2).map(period));
    assert_eq!(counts(&applied), Counts { registered: 64, rejected: 2, ..Counts::default() });
    assert_eq!(applied.rejected, [(64, Outcome::DossierFull), (65, Outcome::DossierFull)]);
    // In a later frame too; superseding one of the 64 is possible, and a withdrawal makes room.
    assert_eq!(rejected(&register(&registry, [period(64)])), [Outcome::DossierFull]);
    let longer = Registration { valid_to: day("2028-03-31"), ..period(7) };
    assert_eq!(counts(&register(&registry, [longer])).superseded, 1);
    let mut swap = Changes::new();
    swap.push(Operation::Withdraw, &Row::of(&period(0))).unwrap();
    swap.push(Operation::Upsert, &Row::of(&period(64))).unwrap();
    let applied = registry.apply(&swap, NOW).unwrap();
    assert_eq!(counts(&applied), Counts { registered: 1, withdrawn: 1, ..Counts::default() });
    assert_eq!(registry.verify_running().unwrap().rows, 64);
    // A full dossier takes no row that moves to it, and the row stays where it was.
    register(&registry, [person(2)]);
    let moving = Registration { number: person(1).number, ..person(2) };
    assert_eq!(rejected(&register(&registry, [moving])), [Outcome::DossierFull]);
    assert_eq!(ask(&registry, &as_member(&person(2))).0, Verdict::Eligible);
}

#[test]
fn symbols_and_numbers_are_found_however_they_are_written() {
    let home = Home::new();
    let registry = home.open();
    register(&registry, [Registration { number: "１２ー３４".to_owned(), recipient_number: "４２".to_owned(), ..person(1) }]);
    let asked = Registration {
        symbol: "品 1".to_owned(),
        number: "12-34".to_owned(),
        recipient_number: "0000042".to_owned(),
        ..person(1)
    };
    assert!(is_eligible(&registry, &asked));
}

#[test]
fn a_birth_date_known_by_its_year_is_a_key_of_its_own() {
    let home = Home::new();
    let registry = home.open();
    let vague = Registration { birth_date: BirthDate::parse(b"1931-00-00").unwrap(), ..person(1) };
    register(&registry, [vague.clone()]);
    assert!(is_eligible(&registry, &vague));
    let exact = Registration { birth_date: BirthDate::parse(b"1931-05-04").unwrap(), ..person(1) };
    assert_eq!(ask(&registry, &as_member(&exact)).0, Verdict::NotRegistered);
}

#[test]
fn the_state_checksum_is_the_same_in_any_order_and_any_batches() {
    let all: Vec<Registration> = (0..200).map(person).collect();
    let one = Home::new();
    let registry = one.open();
    register(&registry, all.clone());
    let whole = registry.state_checksum();
    let other = Home::new();
    let registry = other.open();
    for registration in all.iter().rev() {
        register(&registry, [Registration { number: "0".to_owned(), ..registration.clone() }]);
    }
    assert_ne!(registry.state_checksum(), whole);
    for batch in all.chunks(7).rev() {
        register(&registry, batch.to_vec());
    }
    register(&registry, [person(900)]);
    withdraw(&registry, [person(900)]);
    assert_eq!(registry.state_checksum(), whole);
}

#[test]
fn a_second_owner_is_refused_and_told_who_has_the_directory() {
    let home = Home::new();
    let registry = home.open();
    match Registry::open(home.path(), &home.options) {
        Err(RegistryError::InUse { owner, .. }) => assert_eq!(owner, std::process::id().to_string()),
        other => panic!("{:?}", other.map(|_| ())),
    }
    registry.close(NOW).unwrap();
    home.open();
}
