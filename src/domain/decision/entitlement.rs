//! What each certificate says for the service date: one entry a certificate, in the order in which payers apply.

use std::cmp::{Ordering, Reverse};

use arrayvec::ArrayVec;

use super::person::{Chosen, Person};
use super::{Answer, CERTIFICATES_MAX, Dossier, Knowledge, Note, Notes, Question, Row, Verdict};
use crate::domain::day::Day;
use crate::domain::fold;
use crate::domain::identifier::{BranchNumber, InsurerNumber, PayerNumber};

/// One certificate in an answer.
#[derive(Debug)]
pub struct Entitlement<'a, R> {
    /// The row that decided.
    pub row: &'a R,
    /// Its verdict.
    pub verdict: Verdict,
    /// Remarks on it.
    pub notes: Notes,
}

/// The rows of one certificate, boiled down while they pass.
struct Certificate<'a, D: Dossier<'a>> {
    /// The dossier of the row that was seen first; it stands for the identity where there is no recipient number.
    dossier: D,
    first: &'a D::Row,
    covering: Option<&'a D::Row>,
    several_cover: bool,
    last_ended: Option<&'a D::Row>,
    next_to_come: Option<&'a D::Row>,
}

/// Fills in the person's entitlements, sorted and numbered.
pub(super) fn list<'a, D: Dossier<'a>>(
    person: &Person<'_, D>,
    question: &Question<'_>,
    knowledge: &Knowledge<'_>,
    answer: &mut Answer<'a, D::Row>,
) {
    let mut certificates: ArrayVec<Certificate<'a, D>, CERTIFICATES_MAX> = ArrayVec::new();
    for dossier in person.dossiers.iter() {
        for (row, sequence) in dossier.rows().filter(|(row, _)| question.subject.asks_about(*row)) {
            if is_superseded(row, sequence, person.dossiers) {
                continue;
            }
            let same = certificates.iter_mut().find(|certificate| certificate.has(dossier, row));
            match same {
                Some(certificate) => certificate.take(row, question.service_date),
                None => {
                    let mut certificate = Certificate::new(dossier, row);
                    certificate.take(row, question.service_date);
                    if certificates.try_push(certificate).is_err() {
                        answer.notes.add(Note::Truncated);
                    }
                }
            }
        }
    }

    if certificates.len() > 1 {
        certificates.sort_unstable_by(|one, other| one.order_beside(other, question, knowledge));
    }
    for certificate in &certificates {
        let Some(entry) = certificate.entitlement(question, knowledge) else { continue };
        if answer.entitlements.try_push(entry).is_err() {
            answer.notes.add(Note::Truncated);
            break;
        }
    }
}

/// A row on its way from one dossier to another is seen in both: the newer registration counts, whatever days either covers.
/// Within one dossier no row is twice.
fn is_superseded<'a, D: Dossier<'a>>(row: &D::Row, sequence: u64, dossiers: Chosen<'_, D>) -> bool {
    if !dossiers.are_several() {
        return false;
    }
    let supersedes =
        |newer: &D::Row| newer.history_key() == row.history_key() && is_same_type(newer, row) && is_same_recipient(newer, row);
    let holds_newer = |dossier: D| dossier.rows().any(|(newer, known_since)| known_since > sequence && supersedes(newer));
    dossiers.iter().any(holds_newer)
}

fn is_same_type<R: Row>(one: &R, other: &R) -> bool {
    one.authority() == other.authority() && one.certificate_type() == other.certificate_type() && one.sub_key() == other.sub_key()
}

fn is_same_recipient<R: Row>(one: &R, other: &R) -> bool {
    let (one, other) = (one.recipient_number(), other.recipient_number());
    !one.is_empty() && !other.is_empty() && fold::same_recipient_number(one, other)
}

fn insured_identity<'a, D: Dossier<'a>>(dossier: D) -> (InsurerNumber, &'a [u8], Option<BranchNumber>) {
    (dossier.insurer_number(), dossier.symbol_and_number(), dossier.branch_number())
}

impl<'a, D: Dossier<'a>> Certificate<'a, D> {
    fn new(dossier: D, first: &'a D::Row) -> Self {
        Certificate { dossier, first, covering: None, several_cover: false, last_ended: None, next_to_come: None }
    }

    /// Whether a row is another period of this certificate: a row's identity without its history key.
    fn has(&self, dossier: D, row: &D::Row) -> bool {
        if !is_same_type(self.first, row) {
            return false;
        }
        match (self.first.recipient_number().is_empty(), row.recipient_number().is_empty()) {
            (false, false) => is_same_recipient(self.first, row),
            (true, true) => insured_identity(self.dossier) == insured_identity(dossier),
            _ => false,
        }
    }

    /// Which of two certificates is listed first.
    fn order_beside(&self, other: &Self, question: &Question<'_>, knowledge: &Knowledge<'_>) -> Ordering {
        let order = |certificate: &Self| {
            let entry = certificate.entitlement(question, knowledge);
            entry.map(|entry| order(&entry, knowledge))
        };
        // Without recipient numbers it is the insured identity that makes two certificates two.
        let by_insured = || insured_identity(self.dossier).cmp(&insured_identity(other.dossier));
        order(self).cmp(&order(other)).then_with(by_insured)
    }

    /// Weighs one row: of those covering the day the latest to start, then to end, then the greater history key; of those
    /// that ended the last; of those to come the next, and of several the one that will count on its first day.
    fn take(&mut self, row: &'a D::Row, day: Day) {
        let counts = |row: &'a D::Row| (row.valid_from(), row.valid_to(), row.history_key());
        let ended = |row: &'a D::Row| (row.valid_to(), row.valid_from(), row.history_key());
        let comes = |row: &'a D::Row| (Reverse(row.valid_from()), row.valid_to(), row.history_key());
        if day < row.valid_from() {
            if self.next_to_come.is_none_or(|kept| comes(kept) < comes(row)) {
                self.next_to_come = Some(row);
            }
        } else if row.valid_to() < day {
            if self.last_ended.is_none_or(|kept| ended(kept) < ended(row)) {
                self.last_ended = Some(row);
            }
        } else {
            self.several_cover = self.covering.is_some();
            if self.covering.is_none_or(|kept| counts(kept) < counts(row)) {
                self.covering = Some(row);
            }
        }
    }

    fn entitlement(&self, question: &Question<'_>, knowledge: &Knowledge<'_>) -> Option<Entitlement<'a, D::Row>> {
        if let Some(row) = self.covering {
            let mut notes = Notes::default();
            if self.several_cover {
                notes.add(Note::Overlap);
            }
            let verdict = verdict_of_covering_row(row, question, knowledge, &mut notes);
            if verdict == Verdict::Eligible && row.copay().monthly_cap_yen.is_some() {
                notes.add(Note::CheckCapLedger);
            }
            return Some(Entitlement { row, verdict, notes });
        }
        let ended = self.last_ended.map(|row| (row, Verdict::Expired));
        let (row, verdict) = ended.or(self.next_to_come.map(|row| (row, Verdict::Future)))?;
        Some(Entitlement { row, verdict, notes: Notes::default() })
    }
}

/// Designation first, then reimbursement or area.
fn verdict_of_covering_row(row: &impl Row, question: &Question<'_>, knowledge: &Knowledge<'_>, notes: &mut Notes) -> Verdict {
    if row.names_institutions() {
        match &question.institution {
            None => {
                notes.add(Note::InstitutionMissing);
                return Verdict::NotDesignated;
            }
            Some(institution) if !row.names_institution(institution) => return Verdict::NotDesignated,
            Some(_) => {}
        }
    }
    if row.always_reimbursement() {
        return Verdict::EligibleReimburse;
    }
    let payer = row.payer_number();
    let payer = payer.and_then(|number| knowledge.masters.payer(&number, question.service_date));
    let Some(payer) = payer.filter(|payer| !payer.area.is_empty()) else { return Verdict::Eligible };
    match question.institution.map(|institution| payer.covers(&institution)) {
        None => {
            notes.add(Note::InstitutionMissing);
            Verdict::Eligible
        }
        Some(Some(false)) => Verdict::EligibleReimburse,
        Some(_) => Verdict::Eligible,
    }
}

/// By verdict, then in the order of payers: national by rank, local by payer number, then those that are neither; ties by
/// recipient number, and last by what makes two certificates two, so that equal data always list alike.
fn order<'a, R: Row>(
    entry: &Entitlement<'a, R>,
    knowledge: &Knowledge<'_>,
) -> (Verdict, u8, Option<PayerNumber>, &'a str, [u8; 6], &'a str, &'a str) {
    const LOCAL: u8 = 100;
    const NEITHER: u8 = 101;
    let row = entry.row;
    let payer = row.payer_number();
    let rank = match payer.map(|payer| payer.law_code()) {
        None => NEITHER,
        Some(law) if law.is_local() => LOCAL,
        Some(law) => knowledge.masters.scheme(law).map_or(NEITHER, |scheme| scheme.rank),
    };
    // A payer number without a rank still comes before none at all.
    let rank = if rank == NEITHER && payer.is_none() { NEITHER + 1 } else { rank };
    (entry.verdict, rank, payer, row.recipient_number(), *row.authority().as_bytes(), row.certificate_type(), row.sub_key())
}
