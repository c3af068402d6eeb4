//! Whom a question means: which of the dossiers found are one person, and when only the clerk can tell.

use arrayvec::ArrayVec;

use super::{Action, Dossier, Note, Notes, Question, Row, Subject};
use crate::domain::day::Day;
use crate::domain::fold;
use crate::domain::identifier::BranchNumber;

/// The most dossiers weighed for one question: every branch number there is, and one without.
pub(super) const DOSSIERS_MAX: usize = 101;

/// The dossiers that are the person asked about.
pub(super) struct Person<D> {
    pub(super) dossiers: ArrayVec<D, DOSSIERS_MAX>,
    pub(super) notes: Notes,
}

/// The person meant, or what to ask for when several fit.
pub(super) fn resolve<'a, D: Dossier<'a>>(found: &[D], question: &Question<'_>) -> Result<Person<D>, Action> {
    match question.subject {
        Subject::Member { branch } => member(found, branch, question.service_date),
        Subject::Certificate { birth, .. } => shared_key(found, &question.subject, birth.is_none()),
        Subject::Card => shared_key(found, &question.subject, false),
    }
}

/// The branch number decides among the dossiers under one insurer, symbol, number and birth date.
fn member<'a, D: Dossier<'a>>(found: &[D], asked: Option<BranchNumber>, day: Day) -> Result<Person<D>, Action> {
    let mut notes = Notes::default();
    let registered = |dossier: &&D| dossier.branch_number().is_some();
    let unassigned = found.iter().find(|dossier| dossier.branch_number().is_none());
    let others_exist = match asked {
        Some(asked) => found.iter().filter(registered).any(|dossier| dossier.branch_number() != Some(asked)),
        None => {
            let mut branches = found.iter().filter(registered).map(|dossier| dossier.branch_number());
            let first = branches.next();
            if branches.any(|branch| Some(branch) != first) {
                return Err(Action::AskForBranchNumber);
            }
            false
        }
    };

    let mut dossiers = ArrayVec::new();
    for dossier in found {
        let fits = match (dossier.branch_number(), asked) {
            (Some(branch), Some(asked)) => branch == asked,
            (None, _) => !others_exist,
            (Some(_), None) => true,
        };
        if fits && dossiers.try_push(*dossier).is_err() {
            return Err(Action::AskForPaperCertificate);
        }
    }
    if others_exist && unassigned.is_some() {
        if dossiers.is_empty() {
            return Err(Action::AskForPaperCertificate);
        }
        notes.add(Note::UnassignedRows);
    }
    if let Some(unassigned) = unassigned.filter(|_| !others_exist)
        && may_be_several_people(*unassigned, day)
    {
        return Err(Action::AskForPaperCertificate);
    }
    let confirmed = asked.is_some() && dossiers.iter().all(|dossier| dossier.branch_number().is_some());
    if !confirmed && !dossiers.is_empty() {
        notes.add(Note::BranchNotConfirmed);
    }
    Ok(Person { dossiers, notes })
}

/// A dossier without a branch number may hold two people of one card: their sex differs, or one authority's certificate type
/// has two recipient numbers for the day.
fn may_be_several_people<'a, D: Dossier<'a>>(dossier: D, day: Day) -> bool {
    let covers = |row: &D::Row| row.valid_from() <= day && day <= row.valid_to();
    dossier.rows().enumerate().any(|(place, (row, _))| {
        dossier.rows().take(place).any(|(other, _)| {
            let sex_differs = matches!((row.sex(), other.sex()), (Some(one), Some(two)) if one != two);
            let two_numbers = covers(row)
                && covers(other)
                && row.authority() == other.authority()
                && row.certificate_type() == other.certificate_type()
                && !row.recipient_number().is_empty()
                && !other.recipient_number().is_empty()
                && !fold::same_recipient_number(row.recipient_number(), other.recipient_number());
            sex_differs || two_numbers
        })
    })
}

/// Dossiers that share a certificate or a card are one person unless something shows otherwise.
fn shared_key<'a, D: Dossier<'a>>(found: &[D], subject: &Subject<'_>, birth_can_be_asked: bool) -> Result<Person<D>, Action> {
    let mut dossiers: ArrayVec<D, DOSSIERS_MAX> = ArrayVec::new();
    for dossier in found.iter().filter(|dossier| subject.may_mean(**dossier)) {
        dossiers.try_push(*dossier).map_err(|_| Action::AskForPaperCertificate)?;
    }
    let pairs_any = |test: &dyn Fn(D, D) -> bool| {
        dossiers.iter().enumerate().any(|(place, one)| dossiers.iter().take(place).any(|other| test(*one, *other)))
    };
    // A birth date helps only where no two people share one.
    let twins = pairs_any(&|one, other| one.birth_date() == other.birth_date() && different_branches(one, other));
    let births_differ = pairs_any(&|one, other| one.birth_date() != other.birth_date());
    match (twins, births_differ) {
        (false, false) => Ok(Person { dossiers, notes: Notes::default() }),
        (false, true) if birth_can_be_asked => Err(Action::AskForBirthDate),
        _ => Err(Action::AskForPaperCertificate),
    }
}

fn different_branches<'a, D: Dossier<'a>>(one: D, other: D) -> bool {
    let branches_differ = matches!((one.branch_number(), other.branch_number()), (Some(a), Some(b)) if a != b);
    branches_differ && one.insurer_number() == other.insurer_number() && one.symbol_and_number() == other.symbol_and_number()
}
