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

/// How a row stands to the service date. Of a certificate's rows the one that stands highest speaks for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    ToCome,
    Ended,
    Covers,
}

/// The rows of one certificate, boiled down while they pass.
struct Certificate<'a, D: Dossier<'a>> {
    /// The dossier of the row that was seen first; it stands for the identity where there is no recipient number.
    dossier: D,
    /// The row that speaks for the certificate so far.
    row: &'a D::Row,
    standing: Standing,
    verdict: Verdict,
    notes: Notes,
}

/// Fills in the person's entitlements, sorted and numbered.
pub(super) fn list<'a, D: Dossier<'a>>(
    person: &Person<'_, D>,
    question: &Question<'_>,
    knowledge: &Knowledge<'_>,
    answer: &mut Answer<'a, D::Row>,
) {
    let mut certificates: ArrayVec<Certificate<'a, D>, CERTIFICATES_MAX> = ArrayVec::new_const();
    let may_be_twice = person.dossiers.are_several();
    for dossier in person.dossiers.iter() {
        for (row, sequence) in dossier.rows() {
            if !question.subject.asks_about(row) || (may_be_twice && is_superseded(row, sequence, person.dossiers)) {
                continue;
            }
            match certificates.iter_mut().find(|certificate| certificate.has(dossier, row)) {
                Some(certificate) => certificate.take(row, question.service_date),
                None => {
                    if certificates.try_push(Certificate::new(dossier, row, question.service_date)).is_err() {
                        answer.notes.add(Note::Truncated);
                    }
                }
            }
        }
    }

    for certificate in &mut certificates {
        certificate.judge(question, knowledge);
    }
    if certificates.len() > 1 {
        certificates.sort_unstable_by(|one, other| one.order_beside(other, knowledge));
    }
    for &Certificate { row, verdict, notes, .. } in &certificates {
        if answer.entitlements.try_push(Entitlement { row, verdict, notes }).is_err() {
            answer.notes.add(Note::Truncated);
            break;
        }
    }
}

/// A row on its way from one dossier to another is seen in both: the newer registration counts, whatever days either covers.
/// Within one dossier no row is twice.
fn is_superseded<'a, D: Dossier<'a>>(row: &D::Row, sequence: u64, dossiers: Chosen<'_, D>) -> bool {
    let supersedes =
        |newer: &D::Row| newer.history_key() == row.history_key() && is_same_type(newer, row) && is_same_recipient(newer, row);
    let holds_newer = |dossier: D| dossier.rows().any(|(newer, known_since)| known_since > sequence && supersedes(newer));
    dossiers.iter().any(holds_newer)
}

#[inline]
fn is_same_type<R: Row>(one: &R, other: &R) -> bool {
    one.authority() == other.authority() && one.certificate_type() == other.certificate_type() && one.sub_key() == other.sub_key()
}

#[inline]
fn is_same_recipient<R: Row>(one: &R, other: &R) -> bool {
    let (one, other) = (one.recipient_number(), other.recipient_number());
    !one.is_empty() && !other.is_empty() && fold::same_recipient_number(one, other)
}

fn insured_identity<'a, D: Dossier<'a>>(dossier: D) -> (InsurerNumber, &'a [u8], Option<BranchNumber>) {
    (dossier.insurer_number(), dossier.symbol_and_number(), dossier.branch_number())
}

impl Standing {
    #[inline]
    fn of(row: &impl Row, day: Day) -> Standing {
        if day < row.valid_from() {
            Standing::ToCome
        } else if row.valid_to() < day {
            Standing::Ended
        } else {
            Standing::Covers
        }
    }

    /// Whether of two rows that stand alike the first speaks for their certificate: of those covering the day the latest to start,
    /// then to end, then the greater history key; of those that ended the last; of those to come the next, and of several the one
    /// that will count on its first day.
    fn prefers<R: Row>(self, row: &R, to: &R) -> bool {
        let counts = |row: &R| match self {
            Standing::Covers => (Reverse(Day::OPEN_END), row.valid_from(), row.valid_to()),
            Standing::Ended => (Reverse(Day::OPEN_END), row.valid_to(), row.valid_from()),
            Standing::ToCome => (Reverse(row.valid_from()), row.valid_to(), row.valid_to()),
        };
        counts(row).cmp(&counts(to)).then_with(|| row.history_key().cmp(to.history_key())) == Ordering::Greater
    }
}

impl<'a, D: Dossier<'a>> Certificate<'a, D> {
    #[inline]
    fn new(dossier: D, row: &'a D::Row, day: Day) -> Self {
        Certificate { dossier, row, standing: Standing::of(row, day), verdict: Verdict::NotRegistered, notes: Notes::default() }
    }

    /// Whether a row is another period of this certificate: a row's identity without its history key.
    #[inline]
    fn has(&self, dossier: D, row: &D::Row) -> bool {
        if !is_same_type(self.row, row) {
            return false;
        }
        match (self.row.recipient_number().is_empty(), row.recipient_number().is_empty()) {
            (false, false) => is_same_recipient(self.row, row),
            (true, true) => insured_identity(self.dossier) == insured_identity(dossier),
            _ => false,
        }
    }

    /// Weighs another row.
    fn take(&mut self, row: &'a D::Row, day: Day) {
        let standing = Standing::of(row, day);
        if standing == Standing::Covers && self.standing == Standing::Covers {
            self.notes.add(Note::Overlap);
        }
        if standing > self.standing || (standing == self.standing && standing.prefers(row, self.row)) {
            self.row = row;
            self.standing = standing;
        }
    }

    /// Says what the row that speaks for the certificate says.
    #[inline]
    fn judge(&mut self, question: &Question<'_>, knowledge: &Knowledge<'_>) {
        self.verdict = match self.standing {
            Standing::Covers => verdict_of_covering_row(self.row, question, knowledge, &mut self.notes),
            Standing::Ended => Verdict::Expired,
            Standing::ToCome => Verdict::Future,
        };
        if self.verdict == Verdict::Eligible && self.row.has_monthly_cap() {
            self.notes.add(Note::CheckCapLedger);
        }
    }

    /// Which of two certificates is listed first: by verdict, then in the order of payers, ties by recipient number, and last by what
    /// makes two certificates two, so that equal data always list alike.
    fn order_beside(&self, other: &Self, knowledge: &Knowledge<'_>) -> Ordering {
        let ties = |row: &'a D::Row| (row.recipient_number(), *row.authority().as_bytes(), row.certificate_type(), row.sub_key());
        self.verdict
            .cmp(&other.verdict)
            .then_with(|| place_among_payers(self.row, knowledge).cmp(&place_among_payers(other.row, knowledge)))
            .then_with(|| ties(self.row).cmp(&ties(other.row)))
            .then_with(|| insured_identity(self.dossier).cmp(&insured_identity(other.dossier)))
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

/// The order of payers: national by rank, local by payer number, then those that are neither.
fn place_among_payers(row: &impl Row, knowledge: &Knowledge<'_>) -> (u8, Option<PayerNumber>) {
    const LOCAL: u8 = 100;
    const NEITHER: u8 = 101;
    // A payer number without a rank still comes before none at all.
    const NO_PAYER: u8 = 102;
    let payer = row.payer_number();
    let rank = match payer.map(|payer| payer.law_code()) {
        None => NO_PAYER,
        Some(law) if law.is_local() => LOCAL,
        Some(law) => knowledge.masters.scheme(law).map_or(NEITHER, |scheme| scheme.rank),
    };
    (rank, payer)
}
