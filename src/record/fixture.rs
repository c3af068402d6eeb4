//! Registrations, rows and dossiers in few lines, for the unit tests of this crate.

use rkyv::util::AlignedVec;

use super::dossier::{DossierBatch, HeldRow};
use super::identity::KeyBytes;
use super::payload::Changes;
use super::row::Row;
use crate::domain::day::{BirthDate, Day};
use crate::domain::decision::Copay;
use crate::domain::identifier::{AuthorityCode, BranchNumber, InsurerNumber, PayerNumber, Sex};
use crate::domain::registration::{Operation, Registration};

/// A person's one certificate.
pub(crate) fn person(n: u32) -> Registration {
    Registration {
        authority: AuthorityCode::parse(b"131016").unwrap(),
        certificate_type: "CH01".to_owned(),
        certificate_name: "子ども医療費受給者証".to_owned(),
        insurer: InsurerNumber::parse(b"00138057").unwrap(),
        symbol: "品１".to_owned(),
        number: n.to_string(),
        branch: BranchNumber::from_value(1),
        birth_date: BirthDate::parse(b"2019-05-04").unwrap(),
        sex: Sex::from_value(1),
        payer: PayerNumber::parse(b"88131016").ok(),
        recipient_number: format!("{n:07}"),
        sub_key: String::new(),
        history_key: "1".to_owned(),
        segment: String::new(),
        income_segment: String::new(),
        additional_conditions: String::new(),
        designated_institutions: Vec::new(),
        always_reimbursement: false,
        not_disclosed: false,
        copay: Copay::default(),
        valid_from: Day::parse(b"2026-04-01").unwrap(),
        valid_to: Day::parse(b"2027-03-31").unwrap(),
        card_link: format!("card{n:09}"),
    }
}

/// A payload that registers these.
pub(crate) fn upserts(registrations: impl IntoIterator<Item = Registration>) -> Changes {
    let mut changes = Changes::new();
    for registration in registrations {
        changes.push(Operation::Upsert, &Row::of(&registration)).unwrap();
    }
    changes
}

/// The archived bytes of one row, on a word.
pub(crate) fn row_bytes(registration: Registration) -> AlignedVec<8> {
    let changes = upserts([registration]);
    let mut bytes = AlignedVec::new();
    bytes.extend_from_slice(changes.iter().next().unwrap().bytes);
    bytes
}

/// A dossier of rows, each with the sequence it became known at.
pub(crate) fn dossier(number: u64, rows: &[(Registration, u64)]) -> DossierBatch {
    let changes = upserts(rows.iter().map(|(registration, _)| registration.clone()));
    let held: Vec<HeldRow<'_>> = changes
        .iter()
        .zip(rows)
        .map(|(change, (_, sequence))| HeldRow { row: change.row, bytes: change.bytes, sequence: *sequence, time_unix_s: 7 })
        .collect();
    let mut batch = DossierBatch::default();
    assert_eq!(batch.push(number, &held), Some(0));
    batch
}

/// The key of a member.
pub(crate) fn member_key(insurer: &InsurerNumber, birth: BirthDate, symbol: &str, number: &str) -> KeyBytes {
    let mut key = KeyBytes::empty();
    key.set_member(insurer, birth, symbol.as_bytes(), number.as_bytes()).unwrap();
    key
}

/// The key of a certificate.
pub(crate) fn certificate_key(payer: &PayerNumber, recipient: &str) -> KeyBytes {
    let mut key = KeyBytes::empty();
    key.set_certificate(payer, recipient.as_bytes()).unwrap();
    key
}

/// The key of a card.
pub(crate) fn card_key(link: &str) -> KeyBytes {
    let mut key = KeyBytes::empty();
    key.set_card(link.as_bytes()).unwrap();
    key
}
