//! Rows, dossiers, keys and payloads: what goes in comes out, and what was damaged is noticed or at least read safely.

use proptest::prelude::*;
use rkyv::util::AlignedVec;

use super::dossier::{DossierRef, row_keys_into};
use super::fixture::{card_key, certificate_key, dossier, member_key, person, row_bytes, upserts};
use super::identity::{self, KeyHash, KeyKind};
use super::payload::{Changes, FeedPhase, FeedRecord, MasterPiece, horizon_to_bytes, read_horizon};
use super::row::{self, FILLABLE_COLUMNS, ROW_BYTES_MAX, Row};
use super::{ArchivedRow, RecordError};
use crate::domain::day::{BirthDate, Day};
use crate::domain::decision::{Copay, Dossier as _, Row as _};
use crate::domain::identifier::{AuthorityCode, BranchNumber, InstitutionCode, Sex};
use crate::domain::masters::{MasterKind, built_in};
use crate::domain::registration::{Operation, Registration};
use crate::population::Population;

/// Everything empty that may be.
fn barest() -> Registration {
    Registration {
        certificate_type: String::new(),
        certificate_name: String::new(),
        symbol: String::new(),
        number: String::new(),
        branch: None,
        sex: None,
        payer: None,
        recipient_number: String::new(),
        history_key: String::new(),
        card_link: String::new(),
        ..person(1)
    }
}

/// Every text at its limit, four bytes a character.
fn longest() -> Registration {
    let text = |characters| "𠮷".repeat(characters);
    Registration {
        certificate_type: text(50),
        certificate_name: text(100),
        symbol: text(30),
        number: text(30),
        recipient_number: text(30),
        sub_key: text(50),
        history_key: text(50),
        segment: text(50),
        income_segment: text(50),
        additional_conditions: text(200),
        designated_institutions: vec![InstitutionCode::parse(b"0110113719").unwrap(); 16],
        always_reimbursement: true,
        not_disclosed: true,
        copay: Copay {
            rate_percent: Some(100),
            outpatient_visit_yen: Some(0),
            inpatient_day_yen: Some(u32::MAX - 1),
            pharmacy_visit_yen: Some(1),
            monthly_cap_yen: Some(999_999),
            monthly_visits_cap: Some(31),
        },
        valid_to: Day::OPEN_END,
        card_link: text(64),
        ..person(2)
    }
}

fn assert_same(row: &ArchivedRow, registration: &Registration) {
    let institutions: Vec<[u8; 10]> = registration.designated_institutions.iter().map(|code| *code.as_bytes()).collect();
    assert_eq!(row.authority(), registration.authority);
    assert_eq!(row.certificate_type(), registration.certificate_type);
    assert_eq!(row.certificate_name(), registration.certificate_name);
    assert_eq!(row.insurer_number(), registration.insurer);
    assert_eq!((row.symbol(), row.number()), (registration.symbol.as_str(), registration.number.as_str()));
    assert_eq!(row.branch_number(), registration.branch);
    assert_eq!(row.birth_date(), registration.birth_date);
    assert_eq!(row.sex(), registration.sex);
    assert_eq!(row.payer_number(), registration.payer);
    assert_eq!(row.recipient_number(), registration.recipient_number);
    assert_eq!((row.sub_key(), row.history_key()), (registration.sub_key.as_str(), registration.history_key.as_str()));
    assert_eq!((row.segment(), row.income_segment()), (registration.segment.as_str(), registration.income_segment.as_str()));
    assert_eq!(row.additional_conditions(), registration.additional_conditions);
    assert_eq!(row.designated_institutions(), institutions);
    assert_eq!(row.always_reimbursement(), registration.always_reimbursement);
    assert_eq!(row.not_disclosed(), registration.not_disclosed);
    assert_eq!(row.copay(), registration.copay);
    assert_eq!((row.valid_from(), row.valid_to()), (registration.valid_from, registration.valid_to));
    assert_eq!(row.card_link(), registration.card_link);
}

/// Reads everything there is in a row, so that a sanitizer sees every access.
fn read_all(row: &ArchivedRow) -> usize {
    let mut content = Vec::new();
    row.append_content(&mut content);
    row_keys_into(row, &mut content, |_| {});
    identity::append_insured_identity(row, &mut content);
    content.len() + row.filled_columns().count_ones() as usize
}

fn aligned(bytes: &[u8]) -> AlignedVec<8> {
    let mut copy = AlignedVec::new();
    copy.extend_from_slice(bytes);
    copy
}

#[test]
fn a_row_reads_as_it_was_registered_from_the_barest_to_the_longest() {
    for registration in [person(1), barest(), longest()] {
        let bytes = row_bytes(registration.clone());
        assert!(bytes.len() <= ROW_BYTES_MAX);
        assert_same(row::validated(&bytes).unwrap(), &registration);
    }
}

/// A row as it was first archived: with texts of its own, in rkyv's ordinary way.
#[derive(rkyv::Archive, rkyv::Serialize)]
struct Plain {
    numbers: [u32; 7],
    texts: [String; 11],
    designated_institutions: Vec<[u8; 10]>,
    monthly_visits_cap: u16,
    rest: [u8; 26],
}

#[test]
fn a_row_that_lends_its_texts_is_archived_as_one_that_owns_them() {
    for registration in [person(1), barest(), longest()] {
        let bytes = row_bytes(registration.clone());
        let plain = Plain {
            numbers: [0; 7],
            texts: [
                registration.symbol,
                registration.number,
                registration.recipient_number,
                registration.certificate_type,
                registration.certificate_name,
                registration.sub_key,
                registration.history_key,
                registration.segment,
                registration.income_segment,
                registration.additional_conditions,
                registration.card_link,
            ],
            designated_institutions: registration.designated_institutions.iter().map(|code| *code.as_bytes()).collect(),
            monthly_visits_cap: registration.copay.monthly_visits_cap.unwrap_or(u16::MAX),
            rest: [0; 26],
        };
        let mut expected = rkyv::to_bytes::<rkyv::rancor::Error>(&plain).unwrap();
        // The numbers before the texts and the codes behind them are plain memory in both.
        let fixed = bytes.len() - size_of::<ArchivedRow>();
        assert_eq!(expected.len(), bytes.len());
        expected[fixed..fixed + 28].copy_from_slice(&bytes[fixed..fixed + 28]);
        let codes = bytes.len() - 26;
        expected[codes..].copy_from_slice(&bytes[codes..]);
        assert_eq!(&expected[..], &bytes[..]);
    }
}

#[test]
fn the_longest_row_says_which_columns_it_fills_and_the_barest_fills_none() {
    assert_eq!(row::validated(&row_bytes(longest())).unwrap().filled_columns(), (1 << FILLABLE_COLUMNS.len()) - 1);
    assert_eq!(row::validated(&row_bytes(barest())).unwrap().filled_columns(), 0);
}

#[test]
fn a_row_larger_than_any_can_be_is_refused() {
    let registration = Registration { certificate_name: "長".repeat(2000), ..person(1) };
    let mut changes = Changes::new();
    assert_eq!(changes.push(Operation::Upsert, &Row::of(&registration)), Err(RecordError::Length));
    assert!(changes.is_empty());
    changes.push(Operation::Upsert, &Row::of(&person(1))).unwrap();
    assert_eq!(Changes::validated(changes.as_bytes()).unwrap().count(), 1);
}

#[test]
fn a_row_with_any_bit_flipped_is_refused_or_read_safely() {
    for registration in [person(1), barest(), longest()] {
        let bytes = row_bytes(registration);
        let mut refused = 0;
        for place in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = aligned(&bytes);
                flipped[place] ^= 1 << bit;
                match row::validated(&flipped) {
                    Ok(row) => assert!(read_all(row) > 0),
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > bytes.len() / 8, "{refused}");
    }
}

#[test]
fn a_row_cut_anywhere_or_off_its_words_is_refused() {
    let bytes = row_bytes(person(1));
    for length in 0..bytes.len() {
        assert!(row::validated(&bytes[..length]).is_err(), "{length}");
    }
    let mut shifted = aligned(&[0]);
    shifted.extend_from_slice(&bytes);
    assert_eq!(row::validated(&shifted[1..]).err(), Some(RecordError::Alignment));
    let mut newer = aligned(&bytes);
    *newer.last_mut().unwrap() = row::ROW_VERSION + 1;
    assert_eq!(row::validated(&newer).err(), Some(RecordError::Version(row::ROW_VERSION + 1)));
}

#[test]
fn every_rows_content_differs_when_any_field_does() {
    let content = |registration: Registration| {
        let mut out = Vec::new();
        row::validated(&row_bytes(registration)).unwrap().append_content(&mut out);
        out
    };
    let copay = |change: fn(&mut Copay)| {
        let mut copay = Copay::default();
        change(&mut copay);
        Registration { copay, ..person(1) }
    };
    let variants = vec![
        person(1),
        Registration { authority: AuthorityCode::parse(b"011002").unwrap(), ..person(1) },
        Registration { certificate_type: "CH02".into(), ..person(1) },
        Registration { certificate_name: "x".into(), ..person(1) },
        Registration { insurer: crate::domain::identifier::InsurerNumber::parse(b"06132013").unwrap(), ..person(1) },
        Registration { symbol: "品1".into(), ..person(1) },
        Registration { symbol: String::new(), number: "品１1".into(), ..person(1) },
        Registration { branch: None, ..person(1) },
        Registration { branch: BranchNumber::from_value(2), ..person(1) },
        Registration { birth_date: BirthDate::parse(b"2019-05-00").unwrap(), ..person(1) },
        Registration { sex: Sex::from_value(2), ..person(1) },
        Registration { sex: None, ..person(1) },
        Registration { payer: None, ..person(1) },
        Registration { recipient_number: "1".into(), ..person(1) },
        Registration { sub_key: "1".into(), history_key: String::new(), ..person(1) },
        Registration { segment: "a".into(), ..person(1) },
        Registration { income_segment: "a".into(), ..person(1) },
        Registration { additional_conditions: "a".into(), ..person(1) },
        Registration { designated_institutions: vec![InstitutionCode::parse(b"0110113719").unwrap()], ..person(1) },
        Registration { always_reimbursement: true, ..person(1) },
        Registration { not_disclosed: true, ..person(1) },
        copay(|copay| copay.rate_percent = Some(0)),
        copay(|copay| copay.outpatient_visit_yen = Some(0)),
        copay(|copay| copay.inpatient_day_yen = Some(0)),
        copay(|copay| copay.pharmacy_visit_yen = Some(0)),
        copay(|copay| copay.monthly_cap_yen = Some(0)),
        copay(|copay| copay.monthly_visits_cap = Some(0)),
        Registration { valid_from: Day::parse(b"2026-04-02").unwrap(), ..person(1) },
        Registration { valid_to: Day::OPEN_END, ..person(1) },
        Registration { card_link: String::new(), ..person(1) },
    ];
    let contents: Vec<Vec<u8>> = variants.into_iter().map(content).collect();
    for (place, one) in contents.iter().enumerate() {
        assert!(contents.iter().take(place).all(|other| other != one), "variant {place}");
    }
}

#[test]
fn a_dossier_gives_back_its_rows_and_what_they_share() {
    let second = Registration { recipient_number: "0000099".into(), history_key: "2".into(), ..person(1) };
    let batch = dossier(77, &[(person(1), 5), (second.clone(), 9), (Registration { payer: None, ..longest_like(1) }, 11)]);
    let dossier = DossierRef::validated(batch.dossier(0).unwrap().as_bytes()).unwrap();
    assert_eq!((dossier.number(), dossier.row_count()), (77, 3));
    assert_eq!(dossier.branch_number(), person(1).branch);
    assert_eq!(dossier.birth_date(), person(1).birth_date);
    assert_eq!(dossier.insurer_number(), person(1).insurer);
    assert_eq!(dossier.symbol_and_number(), "品1\u{1f}1".as_bytes());
    let rows: Vec<_> = dossier.held_rows().collect();
    assert_same(rows[0].row, &person(1));
    assert_same(rows[1].row, &second);
    assert_eq!(rows.iter().map(|held| (held.sequence, held.time_unix_s)).collect::<Vec<_>>(), [(5, 7), (9, 7), (11, 7)]);
    assert!(dossier.row_at(3).is_none());
    let mut identity = Vec::new();
    identity::append_certificate_identity(rows[1].row, &mut identity);
    identity::append_history_key(rows[1].row, &mut identity);
    assert_eq!(dossier.place_of(&identity, &mut Vec::new()), Some(1));
    identity.push(0);
    assert_eq!(dossier.place_of(&identity, &mut Vec::new()), None);
}

fn longest_like(n: u32) -> Registration {
    Registration { symbol: person(n).symbol, number: person(n).number, branch: person(n).branch, ..longest() }
}

#[test]
fn a_dossier_with_any_byte_flipped_or_cut_is_refused_or_read_safely() {
    let batch = dossier(77, &[(person(1), 5), (Registration { history_key: "2".into(), ..person(1) }, 9)]);
    let bytes = batch.dossier(0).unwrap().as_bytes();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = aligned(bytes);
            flipped[place] ^= 1 << bit;
            if let Ok(dossier) = DossierRef::validated(&flipped) {
                let mut keys = Vec::new();
                dossier.keys_into(&mut Vec::new(), &mut keys);
                let read: usize = dossier.held_rows().map(|held| read_all(held.row)).sum();
                assert!(read > 0 && !keys.is_empty() && dossier.insured_identity() != 0);
            }
        }
    }
    for length in 0..bytes.len() {
        assert!(DossierRef::validated(&aligned(&bytes[..length])).is_err(), "{length}");
    }
}

#[test]
fn dossiers_of_no_rows_are_not_laid_out_and_twice_the_most_largest_rows_fit() {
    let mut batch = super::DossierBatch::default();
    assert_eq!(batch.push(1, &[]), None);
    let changes = upserts([longest()]);
    let change = changes.iter().next().unwrap();
    let held = super::dossier::HeldRow { row: change.row, bytes: change.bytes, sequence: 1, time_unix_s: 0 };
    assert_eq!(batch.push(1, &vec![held; 2 * super::dossier::DOSSIER_ROWS_MAX]), Some(0));
    assert_eq!(batch.dossier(0).unwrap().held_rows().count(), 128);
    assert!(batch.dossier(1).is_none());
}

#[test]
fn the_keys_of_a_question_are_the_keys_of_the_row_however_either_is_written() {
    let ways = [
        ("品１", "1234-5", "123456"),
        ("品 1", "１２３４‐５", "0123456"),
        ("品1", "1234ー5", "１２３４５６"),
        ("品1", "1234−5", " 123456"),
    ];
    for (symbol, number, recipient) in ways {
        let registered =
            Registration { symbol: symbol.into(), number: number.into(), recipient_number: recipient.into(), ..person(1) };
        let batch = dossier(1, &[(registered.clone(), 1)]);
        let dossier = batch.dossier(0).unwrap();
        let mut keys = Vec::new();
        dossier.keys_into(&mut Vec::new(), &mut keys);
        for (symbol, number, recipient) in ways {
            let member = member_key(&registered.insurer, registered.birth_date, symbol, number);
            assert!(dossier.has_member_key(&member));
            assert!(keys.contains(&KeyHash::of(KeyKind::Member, member.as_bytes())));
            let certificate = certificate_key(&registered.payer.unwrap(), recipient);
            assert!(dossier.has_certificate_key(&certificate));
            assert!(keys.contains(&KeyHash::of(KeyKind::Certificate, certificate.as_bytes())));
            assert_eq!(certificate.tail(KeyKind::Certificate), b"0123456");
            assert_eq!(member.tail(KeyKind::Member), dossier.symbol_and_number());
        }
        let card = card_key(&registered.card_link);
        assert!(dossier.has_card_link(&card) && keys.contains(&KeyHash::of(KeyKind::Card, card.as_bytes())));
        assert_eq!(keys.len(), 4);
    }
    let other = member_key(&person(1).insurer, person(1).birth_date, "品1", "12345");
    let batch = dossier(1, &[(Registration { number: "1234-5".into(), ..person(1) }, 1)]);
    assert!(!batch.dossier(0).unwrap().has_member_key(&other));
}

#[test]
fn symbol_and_number_do_not_run_together_and_key_kinds_never_meet() {
    let member = |symbol, number| member_key(&person(1).insurer, person(1).birth_date, symbol, number);
    assert_ne!(member("12", "3").as_bytes(), member("1", "23").as_bytes());
    let kinds = [KeyKind::Member, KeyKind::Certificate, KeyKind::Card, KeyKind::Identity];
    let hashes: std::collections::HashSet<u64> = kinds.iter().map(|kind| KeyHash::of(*kind, b"same").hash).collect();
    assert_eq!(hashes.len(), kinds.len());
}

#[test]
fn an_identity_holds_what_it_should_and_nothing_else() {
    let identity = |registration: Registration| {
        let bytes = row_bytes(registration);
        let row = row::validated(&bytes).unwrap();
        let mut out = Vec::new();
        identity::append_certificate_identity(row, &mut out);
        identity::append_history_key(row, &mut out);
        out
    };
    let same = |other: Registration| assert_eq!(identity(other), identity(person(1)));
    let differs = |other: Registration| assert_ne!(identity(other), identity(person(1)));
    same(Registration { symbol: "other".into(), number: "other".into(), branch: None, ..person(1) });
    same(Registration { recipient_number: "1".into(), ..person(1) });
    same(Registration { certificate_name: String::new(), payer: None, card_link: String::new(), ..person(1) });
    differs(Registration { certificate_type: "ch01".into(), ..person(1) });
    differs(Registration { sub_key: "1".into(), history_key: String::new(), ..person(1) });
    differs(Registration { history_key: "01".into(), ..person(1) });
    differs(Registration { birth_date: BirthDate::parse(b"2019-05-00").unwrap(), ..person(1) });
    let bare = || Registration { recipient_number: String::new(), ..person(1) };
    assert_ne!(identity(bare()), identity(Registration { branch: None, ..bare() }));
    assert_ne!(identity(bare()), identity(Registration { number: "2".into(), ..bare() }));
    assert_eq!(identity(bare()), identity(Registration { symbol: "品 1".into(), payer: None, ..bare() }));
}

#[test]
fn a_payload_of_changes_reads_as_it_was_written_and_every_cut_is_noticed() {
    let mut changes = Changes::new();
    changes.push(Operation::Upsert, &Row::of(&person(1))).unwrap();
    changes.push(Operation::Withdraw, &Row::of(&longest())).unwrap();
    changes.push(Operation::Upsert, &Row::of(&barest())).unwrap();
    let bytes = changes.as_bytes().to_vec();
    let read = Changes::validated(&bytes).unwrap();
    let operations: Vec<Operation> = read.iter().map(|change| change.operation).collect();
    assert_eq!(operations, [Operation::Upsert, Operation::Withdraw, Operation::Upsert]);
    for (change, registration) in read.iter().zip([person(1), longest(), barest()]) {
        assert_same(change.row, &registration);
    }
    let mut copy = Changes::new();
    read.iter().for_each(|change| copy.push_copy(&change));
    assert_eq!(copy.as_bytes(), bytes);
    for length in 0..bytes.len() {
        assert!(Changes::validated(&bytes[..length]).is_err(), "{length}");
    }
    let mut longer = bytes;
    longer.extend_from_slice(&[0; 8]);
    assert!(Changes::validated(&longer).is_err());
    copy.clear();
    assert!(copy.is_empty() && Changes::validated(copy.as_bytes()).unwrap().is_empty());
}

#[test]
fn a_payloads_digests_are_those_of_its_rows_and_another_change_makes_them_void() {
    let mut changes = upserts([person(1), longest(), barest()]);
    assert!(changes.digests().is_empty());
    let mut scratch = b"what was there before".to_vec();
    changes.digest(&mut scratch);
    let (mut identity, mut certificate) = (Vec::new(), Vec::new());
    for (change, digest) in changes.iter().zip(changes.digests()) {
        assert_eq!(digest.identity, identity::row_identity(change.row, &mut identity));
        certificate.clear();
        identity::append_certificate_identity(change.row, &mut certificate);
        assert_eq!(digest.certificate, KeyHash::of(KeyKind::Identity, &certificate));
        change.row.append_content(&mut identity);
        assert_eq!(digest.content, identity::hash_128(&identity));
    }
    let (first, one) = (changes.digests()[0], person(1));
    assert_eq!(first.insured, dossier(1, &[(one.clone(), 1)]).dossier(0).unwrap().insured_identity());
    let member = member_key(&one.insurer, one.birth_date, &one.symbol, &one.number);
    assert_eq!(first.member, KeyHash::of(KeyKind::Member, member.as_bytes()));
    changes.push(Operation::Upsert, &Row::of(&person(2))).unwrap();
    assert!(changes.digests().is_empty());
}

#[test]
fn a_payload_with_any_byte_flipped_is_refused_or_read_safely() {
    let bytes = upserts([person(1), barest()]).as_bytes().to_vec();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << bit;
            if let Ok(changes) = Changes::validated(&flipped) {
                assert!(changes.iter().map(|change| read_all(change.row)).sum::<usize>() > 0);
            }
        }
    }
}

#[test]
fn masters_feeds_and_horizons_read_as_they_were_written() {
    for kind in MasterKind::ALL {
        let text = built_in(kind);
        let pieces = MasterPiece::split(kind, &text, 1000);
        let read: Vec<MasterPiece> = pieces.iter().map(|piece| MasterPiece::read(&piece.to_bytes()).unwrap()).collect();
        assert_eq!(read, pieces);
        let joined: Vec<u8> = read.iter().flat_map(|piece| piece.text.clone()).collect();
        assert_eq!(joined, text.as_bytes());
    }
    assert!(MasterPiece::read(&[1, 0, 1, 0, 1, 0, 0, 0]).is_err(), "a piece behind the last");
    assert!(MasterPiece::read(&[9, 0, 0, 0, 1, 0, 0, 0]).is_err(), "a table that is not there");
    let feed = FeedRecord {
        phase: FeedPhase::Ended,
        file_name: "登録.csv".into(),
        file_hash: "00".into(),
        authorities: vec!["131016".into()],
        rows: 1,
        rejects: 2,
        gates_overridden: vec!["withdrawals".into()],
        accepted_by: Some("op".into()),
    };
    assert_eq!(FeedRecord::read(&feed.to_bytes()).unwrap(), feed);
    assert!(FeedRecord::read(b"{}").is_err());
    let day = Day::parse(b"2024-11-01").unwrap();
    assert_eq!(read_horizon(&horizon_to_bytes(day)).unwrap(), day);
    assert!(read_horizon(&20_241_301u64.to_le_bytes()).is_err());
    assert!(read_horizon(&[0; 7]).is_err());
}

#[test]
fn a_whole_population_of_rows_is_archived_within_its_limits() {
    let population = Population::new(3, 400, Day::parse(b"2026-11-22").unwrap()).unwrap();
    let (mut rows, mut bytes) = (0, 0);
    for index in 0..population.size() {
        for made in population.recipient(index).rows() {
            let registration = Registration {
                certificate_name: made.certificate_name.to_owned(),
                symbol: made.symbol.to_owned(),
                number: made.number.to_owned(),
                branch: made.branch_number.and_then(BranchNumber::from_value),
                birth_date: made.birth_date,
                recipient_number: made.recipient_number.to_owned(),
                segment: made.segment.to_owned(),
                additional_conditions: made.additional_conditions.to_owned(),
                card_link: made.card_link.to_owned(),
                valid_from: made.valid_from,
                valid_to: made.valid_to,
                ..person(1)
            };
            let archived = row_bytes(registration.clone());
            assert_same(row::validated(&archived).unwrap(), &registration);
            rows += 1;
            bytes += archived.len();
        }
    }
    assert!(rows > 700 && bytes / rows < 400, "{bytes} bytes in {rows} rows");
}

proptest! {
    #[test]
    fn bytes_that_are_no_row_are_read_safely_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = aligned(&bytes);
        if let Some(version) = bytes.last_mut() {
            *version = row::ROW_VERSION;
        }
        if let Ok(row) = row::validated(&bytes) {
            prop_assert!(read_all(row) > 0);
        }
        prop_assert!(DossierRef::validated(&bytes).is_err());
    }
}
