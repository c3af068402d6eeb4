//! Whom a question means: which of the dossiers found are one person, and when only the clerk can tell.

use super::{Action, Dossier, Note, Notes, Question, Row, Subject};
use crate::domain::day::Day;
use crate::domain::fold;
use crate::domain::identifier::BranchNumber;

/// Some of the dossiers found, marked in place: most questions find one, and none is worth copying.
#[derive(Clone, Copy)]
pub(super) struct Chosen<'f, D> {
    found: &'f [D],
    /// One bit for each that is chosen.
    marks: u128,
}

/// The dossiers that are the person asked about.
pub(super) struct Person<'f, D> {
    pub(super) dossiers: Chosen<'f, D>,
    pub(super) notes: Notes,
}

impl<'f, D: Copy> Chosen<'f, D> {
    /// None of those found, so far.
    fn none_of(found: &'f [D]) -> Chosen<'f, D> {
        Chosen { found, marks: 0 }
    }

    fn of(found: &'f [D], fits: impl Fn(D) -> bool) -> Chosen<'f, D> {
        let mut chosen = Chosen::none_of(found);
        found.iter().enumerate().filter(|(_, dossier)| fits(**dossier)).for_each(|(place, _)| chosen.mark(place));
        chosen
    }

    #[inline]
    fn mark(&mut self, place: usize) {
        self.marks |= 1 << place;
    }

    fn with(self, others: Chosen<'f, D>) -> Chosen<'f, D> {
        Chosen { found: self.found, marks: self.marks | others.marks }
    }

    #[inline]
    pub(super) fn iter(self) -> impl Iterator<Item = D> + Clone + use<'f, D> {
        let marked = self.found.iter().enumerate().filter(move |(place, _)| self.marks >> place & 1 == 1);
        marked.map(|(_, dossier)| *dossier)
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.marks == 0
    }

    #[inline]
    pub(super) fn are_several(self) -> bool {
        self.marks & self.marks.wrapping_sub(1) != 0
    }
}

/// The person meant, or what to ask for when several fit.
pub(super) fn resolve<'f, 'a, D: Dossier<'a>>(found: &'f [D], question: &Question<'_>) -> Result<Person<'f, D>, Action> {
    // There are a hundred branch numbers: more dossiers than there are marks are several people whatever else is true.
    if found.len() > u128::BITS as usize {
        return Err(Action::AskForPaperCertificate);
    }
    match question.subject {
        Subject::Member { branch } => member(found, branch, question.service_date),
        Subject::Certificate { birth, .. } => shared_key(found, &question.subject, birth.is_none()),
        Subject::Card => shared_key(found, &question.subject, false),
    }
}

/// The branch number decides among the dossiers under one insurer, symbol, number and birth date.
fn member<'f, 'a, D: Dossier<'a>>(found: &'f [D], asked: Option<BranchNumber>, day: Day) -> Result<Person<'f, D>, Action> {
    let (mut unassigned, mut assigned) = (Chosen::none_of(found), Chosen::none_of(found));
    // The branch number that is meant: the one asked about, or else the first that is registered.
    let mut meant = asked;
    let mut others_exist = false;
    for (place, dossier) in found.iter().enumerate() {
        match dossier.branch_number() {
            None => unassigned.mark(place),
            Some(branch) if *meant.get_or_insert(branch) == branch => assigned.mark(place),
            Some(_) => others_exist = true,
        }
    }
    if others_exist && asked.is_none() {
        return Err(Action::AskForBranchNumber);
    }
    let mut notes = Notes::default();
    if others_exist {
        // Somebody else is registered there: what has no branch number may be theirs.
        if !unassigned.is_empty() {
            if assigned.is_empty() {
                return Err(Action::AskForPaperCertificate);
            }
            notes.add(Note::UnassignedRows);
        }
        return Ok(Person { dossiers: assigned, notes });
    }
    if unassigned.iter().next().is_some_and(|dossier| may_be_several_people(dossier, day)) {
        return Err(Action::AskForPaperCertificate);
    }
    let dossiers = assigned.with(unassigned);
    if (asked.is_none() || !unassigned.is_empty()) && !dossiers.is_empty() {
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
fn shared_key<'f, 'a, D: Dossier<'a>>(
    found: &'f [D],
    subject: &Subject<'_>,
    birth_can_be_asked: bool,
) -> Result<Person<'f, D>, Action> {
    let dossiers = Chosen::of(found, |dossier| subject.may_mean(dossier));
    if !dossiers.are_several() {
        return Ok(Person { dossiers, notes: Notes::default() });
    }
    let pairs_any = |test: &dyn Fn(D, D) -> bool| {
        dossiers.iter().enumerate().any(|(place, one)| dossiers.iter().take(place).any(|other| test(one, other)))
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
