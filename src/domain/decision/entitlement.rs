//! What each certificate says for the service date: one entry a certificate, in the order in which payers apply.

use arrayvec::ArrayVec;

use super::person::Person;
use super::{Answer, CERTIFICATES_MAX, Dossier, Knowledge, Note, Notes, Question, Row, Subject, Verdict};
use crate::domain::day::Day;
use crate::domain::fold;
use crate::domain::identifier::PayerNumber;

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
    covering: Option<(&'a D::Row, u64)>,
    several_cover: bool,
    last_ended: Option<&'a D::Row>,
    next_to_come: Option<&'a D::Row>,
}

/// Fills in the person's entitlements, sorted and numbered.
pub(super) fn list<'a, D: Dossier<'a>>(
    person: &Person<D>,
    question: &Question<'_>,
    knowledge: &Knowledge<'_>,
    answer: &mut Answer<'a, D::Row>,
) {
    let mut certificates: ArrayVec<Certificate<'a, D>, CERTIFICATES_MAX> = ArrayVec::new();
    for dossier in &person.dossiers {
        for (row, sequence) in dossier.rows().filter(|(row, _)| is_asked_about(*row, &question.subject)) {
            let same = certificates.iter_mut().find(|certificate| certificate.has(*dossier, row));
            match same {
                Some(certificate) => certificate.take(row, sequence, question.service_date),
                None => {
                    let mut certificate = Certificate::new(*dossier, row);
                    certificate.take(row, sequence, question.service_date);
                    if certificates.try_push(certificate).is_err() {
                        answer.notes.add(Note::Truncated);
                    }
                }
            }
        }
    }

    let mut entries: ArrayVec<Entitlement<'a, D::Row>, CERTIFICATES_MAX> = ArrayVec::new();
    for certificate in &certificates {
        if let Some(entry) = certificate.entitlement(question, knowledge) {
            entries.push(entry);
        }
    }
    if entries.len() > 1 {
        entries.sort_unstable_by(|one, other| order(one, knowledge).cmp(&order(other, knowledge)));
    }
    for entry in entries {
        if answer.entitlements.try_push(entry).is_err() {
            answer.notes.add(Note::Truncated);
            break;
        }
    }
}

/// A certificate's number answers for that certificate only, not for the person's others.
fn is_asked_about(row: &impl Row, subject: &Subject<'_>) -> bool {
    let Subject::Certificate { payer, recipient, .. } = subject else { return true };
    row.payer_number() == Some(*payer)
        && fold::Folded::of_recipient_number(row.recipient_number()).is_ok_and(|number| number.as_bytes() == *recipient)
}

impl<'a, D: Dossier<'a>> Certificate<'a, D> {
    fn new(dossier: D, first: &'a D::Row) -> Self {
        Certificate { dossier, first, covering: None, several_cover: false, last_ended: None, next_to_come: None }
    }

    /// Whether a row is another period of this certificate: a row's identity without its history key.
    fn has(&self, dossier: D, row: &D::Row) -> bool {
        let first = self.first;
        first.authority() == row.authority()
            && first.certificate_type() == row.certificate_type()
            && first.sub_key() == row.sub_key()
            && match (first.recipient_number().is_empty(), row.recipient_number().is_empty()) {
                (false, false) => fold::same_recipient_number(first.recipient_number(), row.recipient_number()),
                (true, true) => self.is_same_insured(dossier),
                _ => false,
            }
    }

    fn is_same_insured(&self, dossier: D) -> bool {
        self.dossier.insurer_number() == dossier.insurer_number()
            && self.dossier.symbol_and_number() == dossier.symbol_and_number()
            && self.dossier.branch_number() == dossier.branch_number()
    }

    /// Weighs one row: of those covering the day the latest to start, then to end, then the greater history key; of those
    /// that ended the last; of those to come the next.
    fn take(&mut self, row: &'a D::Row, sequence: u64, day: Day) {
        if day < row.valid_from() {
            if self.next_to_come.is_none_or(|kept| row.valid_from() < kept.valid_from()) {
                self.next_to_come = Some(row);
            }
        } else if row.valid_to() < day {
            let later = |kept: &'a D::Row| (kept.valid_to(), kept.valid_from(), kept.history_key());
            if self.last_ended.is_none_or(|kept| later(kept) < later(row)) {
                self.last_ended = Some(row);
            }
        } else {
            self.take_covering(row, sequence);
        }
    }

    fn take_covering(&mut self, row: &'a D::Row, sequence: u64) {
        let Some((kept, kept_sequence)) = self.covering else {
            self.covering = Some((row, sequence));
            return;
        };
        if kept.history_key() == row.history_key() {
            // The same row, seen in the dossier it moves to and in the one it moves from: the newer counts, once.
            if sequence > kept_sequence {
                self.covering = Some((row, sequence));
            }
            return;
        }
        self.several_cover = true;
        let rank = |row: &D::Row| (row.valid_from(), row.valid_to());
        if (rank(kept), kept.history_key()) < (rank(row), row.history_key()) {
            self.covering = Some((row, sequence));
        }
    }

    fn entitlement(&self, question: &Question<'_>, knowledge: &Knowledge<'_>) -> Option<Entitlement<'a, D::Row>> {
        if let Some((row, _)) = self.covering {
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
