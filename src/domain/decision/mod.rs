//! The decision: from the rows that were found and the question that was asked to the verdict a clerk acts on.
//!
//! Pure, and in three steps, each a file of its own: whom the question means (`person`), what each certificate says for the
//! service date (`entitlement`), and whether the data are young enough to say "no" (`age`). The table of verdicts:
//!
//! | verdict | letter | when | action |
//! |---|---|---|---|
//! | eligible | `E` | a row covers the day, here | apply |
//! | eligible_reimburse | `R` | covers the day, but the patient pays and claims back | collect, then reimburse |
//! | not_designated | `D` | covers the day, but not at this institution | treat without, and tell the patient |
//! | expired | `X` | the last row ended before the day | ask for the new certificate |
//! | future | `F` | the first row starts after the day | not yet |
//! | ambiguous | `A` | several people fit | ask for the branch number, the birth date or the paper |
//! | not_registered | `N` | nobody found | ask for the paper |
//! | authority_not_participating | `P` | nobody found, and the payer's authority does not register | ask for the paper |
//! | no_information | `C` | no consent | ask for the paper |
//! | stale | `S` | X, F, N or P, from data older than the operator allows | ask for the paper |

mod age;
mod entitlement;
mod person;
mod sources;
#[cfg(test)]
mod tests;

use arrayvec::ArrayVec;

use super::day::{BirthDate, Day};
use super::fold;
use super::identifier::{AuthorityCode, BranchNumber, InstitutionCode, InsurerNumber, PayerNumber, Sex};
use super::masters::Masters;
use super::prefectures::Prefectures;

pub use entitlement::Entitlement;
pub use sources::{Source, Sources};

/// The most entitlements an answer lists.
pub const ENTITLEMENTS_MAX: usize = 16;

/// The most certificates of one person that are weighed; a person beyond that gets the note `truncated`.
pub const CERTIFICATES_MAX: usize = 128;

/// What a clerk is told about a person or a certificate. The order is the order in which entitlements are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// A row covers the day, here.
    Eligible,
    /// A row covers the day, but the patient pays and claims back (償還払い).
    EligibleReimburse,
    /// A row covers the day, but not at this institution.
    NotDesignated,
    /// The last row ended before the day.
    Expired,
    /// The first row starts after the day.
    Future,
    /// Several people fit.
    Ambiguous,
    /// Nobody found.
    NotRegistered,
    /// Nobody found, and the payer number's authority does not register.
    AuthorityNotParticipating,
    /// Consent was not given.
    NoInformation,
    /// The data are too old to say expired, future, not registered or not participating.
    Stale,
}

impl Verdict {
    /// All verdicts, in the order of the table.
    pub const ALL: [Verdict; 10] = [
        Verdict::Eligible,
        Verdict::EligibleReimburse,
        Verdict::NotDesignated,
        Verdict::Expired,
        Verdict::Future,
        Verdict::Ambiguous,
        Verdict::NotRegistered,
        Verdict::AuthorityNotParticipating,
        Verdict::NoInformation,
        Verdict::Stale,
    ];

    /// The word in a JSON answer.
    #[inline]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Eligible => "eligible",
            Verdict::EligibleReimburse => "eligible_reimburse",
            Verdict::NotDesignated => "not_designated",
            Verdict::Expired => "expired",
            Verdict::Future => "future",
            Verdict::Ambiguous => "ambiguous",
            Verdict::NotRegistered => "not_registered",
            Verdict::AuthorityNotParticipating => "authority_not_participating",
            Verdict::NoInformation => "no_information",
            Verdict::Stale => "stale",
        }
    }

    /// The letter in a compact answer.
    #[inline]
    pub const fn letter(self) -> u8 {
        match self {
            Verdict::Eligible => b'E',
            Verdict::EligibleReimburse => b'R',
            Verdict::NotDesignated => b'D',
            Verdict::Expired => b'X',
            Verdict::Future => b'F',
            Verdict::Ambiguous => b'A',
            Verdict::NotRegistered => b'N',
            Verdict::AuthorityNotParticipating => b'P',
            Verdict::NoInformation => b'C',
            Verdict::Stale => b'S',
        }
    }

    /// What the clerk does; an ambiguous answer says by itself what would help.
    #[inline]
    const fn action(self) -> Action {
        match self {
            Verdict::Eligible => Action::Apply,
            Verdict::EligibleReimburse => Action::CollectThenReimburse,
            Verdict::NotDesignated => Action::TreatWithoutAndTellPatient,
            Verdict::Expired => Action::AskForNewCertificate,
            Verdict::Future => Action::NotYet,
            _ => Action::AskForPaperCertificate,
        }
    }
}

/// What the clerk does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Apply the subsidy.
    Apply,
    /// Collect the insurance share; the patient claims it back.
    CollectThenReimburse,
    /// Treat without the subsidy and tell the patient.
    TreatWithoutAndTellPatient,
    /// Ask for the new certificate.
    AskForNewCertificate,
    /// Not yet valid.
    NotYet,
    /// Ask for the branch number.
    AskForBranchNumber,
    /// Ask for the birth date.
    AskForBirthDate,
    /// Ask for the paper certificate.
    AskForPaperCertificate,
}

impl Action {
    /// The word in a JSON answer.
    #[inline]
    pub const fn word(self) -> &'static str {
        match self {
            Action::Apply => "apply",
            Action::CollectThenReimburse => "collect_then_reimburse",
            Action::TreatWithoutAndTellPatient => "treat_without_and_tell_patient",
            Action::AskForNewCertificate => "ask_for_new_certificate",
            Action::NotYet => "not_yet",
            Action::AskForBranchNumber => "ask_for_branch_number",
            Action::AskForBirthDate => "ask_for_birth_date",
            Action::AskForPaperCertificate => "ask_for_paper_certificate",
        }
    }
}

/// A remark on an answer or an entitlement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Note {
    /// A branch number was missing in the question or in the registration.
    BranchNotConfirmed = 1,
    /// Rows without a branch number were left out, because others have one.
    UnassignedRows = 1 << 1,
    /// The payer number is in no master.
    IssuerUnknown = 1 << 2,
    /// Some source's data are older than the operator allows.
    OldData = 1 << 3,
    /// There are more entitlements than an answer lists.
    Truncated = 1 << 4,
    /// The answer depends on the institution, and none was named.
    InstitutionMissing = 1 << 5,
    /// Several rows of the certificate cover the day.
    Overlap = 1 << 6,
    /// There is a monthly cap: what was already paid stands in the paper ledger (上限額管理票).
    CheckCapLedger = 1 << 7,
    /// Only some prefectures' rows are held here: another one may have registered what was not found.
    OtherPrefecturesNotHeld = 1 << 8,
}

impl Note {
    const ALL: [Note; 9] = [
        Note::BranchNotConfirmed,
        Note::UnassignedRows,
        Note::IssuerUnknown,
        Note::OldData,
        Note::Truncated,
        Note::InstitutionMissing,
        Note::Overlap,
        Note::CheckCapLedger,
        Note::OtherPrefecturesNotHeld,
    ];

    /// The word in a JSON answer.
    #[inline]
    pub const fn word(self) -> &'static str {
        match self {
            Note::BranchNotConfirmed => "branch_not_confirmed",
            Note::UnassignedRows => "unassigned_rows",
            Note::IssuerUnknown => "issuer_unknown",
            Note::OldData => "old_data",
            Note::Truncated => "truncated",
            Note::InstitutionMissing => "institution_missing",
            Note::Overlap => "overlap",
            Note::CheckCapLedger => "check_cap_ledger",
            Note::OtherPrefecturesNotHeld => "other_prefectures_not_held",
        }
    }
}

/// A set of notes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes(u16);

impl Notes {
    /// Adds one.
    #[inline]
    pub fn add(&mut self, note: Note) {
        self.0 |= note as u16;
    }

    /// Whether the set holds a note.
    #[inline]
    pub const fn has(self, note: Note) -> bool {
        self.0 & note as u16 != 0
    }

    /// Whether the set is empty.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The notes, always in the same order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Note> {
        Note::ALL.into_iter().filter(move |note| self.has(*note))
    }
}

/// What the patient pays, as registered; a field that was not stated is `None`, never zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copay {
    /// Share of the cost, per cent.
    pub rate_percent: Option<u8>,
    /// Yen for each out-patient visit.
    pub outpatient_visit_yen: Option<u32>,
    /// Yen for each in-patient day.
    pub inpatient_day_yen: Option<u32>,
    /// Yen for each visit to a pharmacy.
    pub pharmacy_visit_yen: Option<u32>,
    /// The most yen a month, across institutions.
    pub monthly_cap_yen: Option<u32>,
    /// The most visits a month for which anything is paid.
    pub monthly_visits_cap: Option<u16>,
}

impl Copay {
    /// Whether nothing was stated.
    #[inline]
    pub fn is_empty(&self) -> bool {
        *self == Copay::default()
    }
}

/// One certificate of one person in one period, as the decision reads it; the archived row implements it.
pub trait Row {
    /// The authority that registered it.
    fn authority(&self) -> AuthorityCode;
    /// Certificate type (機関別受給者証種別ID).
    fn certificate_type(&self) -> &str;
    /// Payer number (公費負担者番号).
    fn payer_number(&self) -> Option<PayerNumber>;
    /// Recipient number (公費受給者番号) as printed; empty when there is none.
    fn recipient_number(&self) -> &str;
    /// Sub key (受給者証サブキー).
    fn sub_key(&self) -> &str;
    /// History key (履歴キー).
    fn history_key(&self) -> &str;
    /// Sex, where registered.
    fn sex(&self) -> Option<Sex>;
    /// First day of validity.
    fn valid_from(&self) -> Day;
    /// Last day of validity, inclusive.
    fn valid_to(&self) -> Day;
    /// Whether the certificate is good at named institutions only.
    fn names_institutions(&self) -> bool;
    /// Whether the certificate names this institution.
    fn names_institution(&self, institution: &InstitutionCode) -> bool;
    /// Whether the patient always pays and claims back (常に償還払い).
    fn always_reimbursement(&self) -> bool;
    /// Whether the issuer must not be told (不開示).
    fn not_disclosed(&self) -> bool;
    /// Whether a monthly cap was stated: what was already paid then stands in the paper ledger.
    fn has_monthly_cap(&self) -> bool;
}

/// The current rows of one insured identity, as the decision reads them.
pub trait Dossier<'a>: Copy {
    /// Its rows.
    type Row: Row + 'a;

    /// Insurer number (保険者番号).
    fn insurer_number(self) -> InsurerNumber;
    /// Folded symbol and number (記号・番号) in one text, with a separator that neither can hold.
    fn symbol_and_number(self) -> &'a [u8];
    /// Branch number (枝番), where registered.
    fn branch_number(self) -> Option<BranchNumber>;
    /// Birth date.
    fn birth_date(self) -> BirthDate;
    /// Each row, with the sequence at which it became known.
    fn rows(self) -> impl Iterator<Item = (&'a Self::Row, u64)>;
}

/// By what a question names a person or a certificate, as far as the decision needs it. (The key itself found the dossiers.)
#[derive(Clone, Copy, Debug)]
pub enum Subject<'q> {
    /// A member of an insurer: the branch number decides among the dossiers found.
    Member {
        /// The branch number asked about.
        branch: Option<BranchNumber>,
    },
    /// A certificate: only its own rows count.
    Certificate {
        /// Its payer number.
        payer: PayerNumber,
        /// Its recipient number, folded.
        recipient: &'q [u8],
        /// The birth date, where given.
        birth: Option<BirthDate>,
    },
    /// A card link: all rows of the person count.
    Card,
}

impl Subject<'_> {
    /// Whether a dossier found may be the person's: a birth date given with a certificate is no part of the key.
    #[inline]
    fn may_mean<'a, D: Dossier<'a>>(&self, dossier: D) -> bool {
        match self {
            Subject::Certificate { birth: Some(birth), .. } => *birth == dossier.birth_date(),
            Subject::Certificate { .. } | Subject::Member { .. } | Subject::Card => true,
        }
    }

    /// Whether a row counts: a certificate's number answers for that certificate only, not for the person's others.
    #[inline]
    fn asks_about(&self, row: &impl Row) -> bool {
        let Subject::Certificate { payer, recipient, .. } = self else { return true };
        row.payer_number() == Some(*payer) && fold::recipient_number_folds_to(row.recipient_number(), recipient)
    }
}

/// A question, with consent given. Without consent nothing is looked up: [`Answer::no_information`].
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    /// Who is meant.
    pub subject: Subject<'q>,
    /// The day of service.
    pub service_date: Day,
    /// The institution that asks.
    pub institution: Option<InstitutionCode>,
}

/// What the decision knows besides rows and question.
#[derive(Clone, Copy, Debug)]
pub struct Knowledge<'k> {
    /// The masters of the log.
    pub masters: &'k Masters,
    /// When each authority last registered, and whether it has current rows.
    pub sources: &'k Sources,
    /// The time, seconds since 1970.
    pub now_unix_s: u64,
    /// The age from which data are too old, seconds; `None` when the operator sets no limit.
    pub data_age_max_s: Option<u64>,
    /// The prefectures whose rows are held, besides the national issuers'; `None` where all are.
    pub held: Option<Prefectures>,
}

impl Knowledge<'_> {
    /// Whether an authority's rows would be here.
    fn holds(&self, authority: &AuthorityCode) -> bool {
        self.held.is_none_or(|held| held.hold(authority.prefecture()))
    }
}

/// The answer to one question.
#[derive(Debug)]
pub struct Answer<'a, R> {
    /// The overall verdict: the first entitlement's, unless nobody or several people were found or the data are too old.
    pub verdict: Verdict,
    /// What the clerk does.
    pub action: Action,
    /// The day of service that was decided for.
    pub service_date: Day,
    /// At most [`ENTITLEMENTS_MAX`] entitlements, sorted.
    pub entitlements: ArrayVec<Entitlement<'a, R>, ENTITLEMENTS_MAX>,
    /// Remarks on the whole.
    pub notes: Notes,
}

impl<'a, R: Row> Answer<'a, R> {
    /// The answer without consent: the same whoever is asked about.
    pub fn no_information(service_date: Day) -> Answer<'a, R> {
        Answer::bare(Verdict::NoInformation, service_date, Notes::default())
    }

    #[inline]
    fn bare(verdict: Verdict, service_date: Day, notes: Notes) -> Answer<'a, R> {
        Answer { verdict, action: verdict.action(), service_date, entitlements: ArrayVec::new(), notes }
    }
}

/// Decides. `found` are all dossiers under the question's key, confirmed; `complete` is false when there were more than could
/// be gathered, which can only mean that several people share the key.
pub fn decide<'a, D: Dossier<'a>>(
    found: &[D],
    complete: bool,
    question: &Question<'_>,
    knowledge: &Knowledge<'_>,
) -> Answer<'a, D::Row> {
    // One answer from the first line to the last: it is too large to be moved about.
    let mut answer = Answer::bare(Verdict::NotRegistered, question.service_date, Notes::default());
    match person::resolve(found, question) {
        Ok(person) if complete => {
            answer.notes = person.notes;
            entitlement::list(&person, question, knowledge, &mut answer);
            match answer.entitlements.first() {
                Some(first) => answer.verdict = first.verdict,
                None => nobody_found(&mut answer, question, knowledge),
            }
            age::weigh(&mut answer, question, knowledge);
            answer.action = answer.verdict.action();
        }
        Ok(_) => age::ambiguous(&mut answer, Action::AskForPaperCertificate, found, question, knowledge),
        Err(action) => age::ambiguous(&mut answer, action, found, question, knowledge),
    }
    let grants = matches!(answer.verdict, Verdict::Eligible | Verdict::EligibleReimburse);
    if knowledge.held.is_some() && !grants {
        answer.notes.add(Note::OtherPrefecturesNotHeld);
    }
    answer
}

/// Tells late registration from an authority that does not register at all, where the payer number allows.
fn nobody_found<R: Row>(answer: &mut Answer<'_, R>, question: &Question<'_>, knowledge: &Knowledge<'_>) {
    let Subject::Certificate { payer, .. } = question.subject else { return };
    match knowledge.masters.payer_authority(&payer, question.service_date) {
        None => answer.notes.add(Note::IssuerUnknown),
        Some(authority) => {
            // Whether one takes part whose rows are not here cannot be told by there being none.
            let registers = !knowledge.holds(&authority) || knowledge.masters.participates(&authority, question.service_date);
            if !registers && !knowledge.sources.has_current_rows(&authority) {
                answer.verdict = Verdict::AuthorityNotParticipating;
            }
        }
    }
}
