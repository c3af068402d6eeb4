//! Rows, dossiers and questions in few words.

use std::sync::LazyLock;

use super::super::{Answer, Dossier, Entitlement, Knowledge, Notes, Question, Row, Source, Sources, Subject, Verdict, decide};
use crate::domain::day::{BirthDate, Day};
use crate::domain::fold::Folded;
use crate::domain::identifier::{AuthorityCode, BranchNumber, InstitutionCode, InsurerNumber, PayerNumber, Sex};
use crate::domain::masters::{MasterKind, Masters, built_in};
use crate::domain::prefectures::Prefectures;

/// The day of service, unless a case names another.
pub(super) const TODAY: &str = "2026-11-22";
/// An authority that took part in the pilot, and the one that rows are of unless they name another.
pub(super) const TOKYO: &str = "130001";
/// An authority that did not.
pub(super) const HACHIOJI: &str = "132012";
/// A payer number of Tokyo's (難病, national).
pub(super) const NANBYO: &str = "54136015";
/// A payer number of Hachiōji's (乳幼児, local).
pub(super) const CHILD: &str = "88138243";
/// An institution in Hokkaidō.
pub(super) const SAPPORO_CLINIC: &str = "0110113719";
/// An institution in Tokyo.
pub(super) const TOKYO_CLINIC: &str = "1310000000";

const NOW_UNIX_S: u64 = 1_795_000_000;

static MASTERS: LazyLock<Masters> = LazyLock::new(|| {
    let mut masters = Masters::default();
    for kind in MasterKind::ALL {
        masters.replace(kind, &built_in(kind)).unwrap();
    }
    masters
});

pub(super) fn day(text: &str) -> Day {
    Day::parse(text.as_bytes()).unwrap()
}

/// A row as registered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Registered {
    authority: AuthorityCode,
    certificate_type: String,
    payer: Option<PayerNumber>,
    recipient: String,
    sub_key: String,
    history_key: String,
    sex: Option<Sex>,
    valid_from: Day,
    valid_to: Day,
    institutions: Vec<InstitutionCode>,
    always_reimbursement: bool,
    monthly_cap_yen: Option<u32>,
    sequence: u64,
}

/// A certificate of Tokyo's that is good anywhere, from April 2026 to March 2027. An empty number is one that is not there.
pub(super) fn row(payer: &str, recipient: &str) -> Registered {
    Registered {
        authority: AuthorityCode::parse(TOKYO.as_bytes()).unwrap(),
        certificate_type: "1".to_owned(),
        payer: (!payer.is_empty()).then(|| PayerNumber::parse(payer.as_bytes()).unwrap()),
        recipient: recipient.to_owned(),
        sub_key: String::new(),
        history_key: "1".to_owned(),
        sex: None,
        valid_from: day("2026-04-01"),
        valid_to: day("2027-03-31"),
        institutions: Vec::new(),
        always_reimbursement: false,
        monthly_cap_yen: None,
        sequence: 1,
    }
}

impl Registered {
    pub(super) fn of(mut self, authority: &str) -> Self {
        self.authority = AuthorityCode::parse(authority.as_bytes()).unwrap();
        self
    }

    pub(super) fn kind(mut self, certificate_type: &str) -> Self {
        self.certificate_type = certificate_type.to_owned();
        self
    }

    pub(super) fn sub(mut self, key: &str) -> Self {
        self.sub_key = key.to_owned();
        self
    }

    pub(super) fn history(mut self, key: &str) -> Self {
        self.history_key = key.to_owned();
        self
    }

    pub(super) fn sexed(mut self, sex: &str) -> Self {
        self.sex = Some(Sex::parse(sex.as_bytes()).unwrap());
        self
    }

    pub(super) fn valid(mut self, from: &str, to: &str) -> Self {
        self.valid_from = day(from);
        self.valid_to = day(to);
        self
    }

    pub(super) fn only_at(mut self, institutions: &[&str]) -> Self {
        self.institutions = institutions.iter().map(|code| InstitutionCode::parse(code.as_bytes()).unwrap()).collect();
        self
    }

    pub(super) fn reimbursed(mut self) -> Self {
        self.always_reimbursement = true;
        self
    }

    pub(super) fn capped(mut self, yen: u32) -> Self {
        self.monthly_cap_yen = Some(yen);
        self
    }

    pub(super) fn known_since(mut self, sequence: u64) -> Self {
        self.sequence = sequence;
        self
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// What no two rows of one dossier share.
    pub(super) fn identity(&self) -> (AuthorityCode, String, Vec<u8>, String, String) {
        let recipient = Folded::of_recipient_number(&self.recipient).unwrap().as_bytes().to_vec();
        (self.authority, self.certificate_type.clone(), recipient, self.sub_key.clone(), self.history_key.clone())
    }
}

impl Row for Registered {
    fn authority(&self) -> AuthorityCode {
        self.authority
    }
    fn certificate_type(&self) -> &str {
        &self.certificate_type
    }
    fn payer_number(&self) -> Option<PayerNumber> {
        self.payer
    }
    fn recipient_number(&self) -> &str {
        &self.recipient
    }
    fn sub_key(&self) -> &str {
        &self.sub_key
    }
    fn history_key(&self) -> &str {
        &self.history_key
    }
    fn sex(&self) -> Option<Sex> {
        self.sex
    }
    fn valid_from(&self) -> Day {
        self.valid_from
    }
    fn valid_to(&self) -> Day {
        self.valid_to
    }
    fn names_institutions(&self) -> bool {
        !self.institutions.is_empty()
    }
    fn names_institution(&self, institution: &InstitutionCode) -> bool {
        self.institutions.contains(institution)
    }
    fn always_reimbursement(&self) -> bool {
        self.always_reimbursement
    }
    fn not_disclosed(&self) -> bool {
        false
    }
    fn has_monthly_cap(&self) -> bool {
        self.monthly_cap_yen.is_some()
    }
}

/// A dossier.
#[derive(Clone, Debug)]
pub(super) struct Insured {
    insurer: InsurerNumber,
    number: String,
    branch: Option<BranchNumber>,
    birth: BirthDate,
    pub(super) rows: Vec<Registered>,
}

/// The rows of one branch number (`-` for none) under the one insurer, number and birth date that cases share.
pub(super) fn insured(branch: &str, rows: impl IntoIterator<Item = Registered>) -> Insured {
    Insured {
        insurer: InsurerNumber::parse(b"06132013").unwrap(),
        number: "1234\u{1f}5678901".to_owned(),
        branch: branch_number(branch),
        birth: birth("1980-01-01"),
        rows: rows.into_iter().collect(),
    }
}

impl Insured {
    pub(super) fn insurer(mut self, number: &str) -> Self {
        self.insurer = InsurerNumber::parse(number.as_bytes()).unwrap();
        self
    }

    pub(super) fn number(mut self, symbol_and_number: &str) -> Self {
        self.number = symbol_and_number.to_owned();
        self
    }

    pub(super) fn born(mut self, date: &str) -> Self {
        self.birth = birth(date);
        self
    }

    /// Whether a question by insurer, number and birth date that finds one finds the other.
    pub(super) fn is_under_the_member_key_of(&self, other: &Insured) -> bool {
        (self.insurer, &self.number, self.birth) == (other.insurer, &other.number, other.birth)
    }

    /// What no two dossiers share.
    pub(super) fn identity(&self) -> (InsurerNumber, String, Option<BranchNumber>, BirthDate) {
        (self.insurer, self.number.clone(), self.branch, self.birth)
    }
}

impl<'a> Dossier<'a> for &'a Insured {
    type Row = Registered;

    fn insurer_number(self) -> InsurerNumber {
        self.insurer
    }
    fn symbol_and_number(self) -> &'a [u8] {
        self.number.as_bytes()
    }
    fn branch_number(self) -> Option<BranchNumber> {
        self.branch
    }
    fn birth_date(self) -> BirthDate {
        self.birth
    }
    fn rows(self) -> impl Iterator<Item = (&'a Registered, u64)> {
        self.rows.iter().map(|row| (row, row.sequence))
    }
}

fn birth(text: &str) -> BirthDate {
    BirthDate::parse(text.as_bytes()).unwrap()
}

fn branch_number(text: &str) -> Option<BranchNumber> {
    (text != "-").then(|| BranchNumber::parse(text.as_bytes()).unwrap())
}

/// All that an answer depends on but the subject.
#[derive(Clone, Debug)]
pub(super) struct Case {
    found: Vec<Insured>,
    complete: bool,
    service_date: Day,
    institution: Option<InstitutionCode>,
    masters: Masters,
    sources: Sources,
    data_age_max_s: Option<u64>,
    held: Option<Prefectures>,
}

impl Case {
    /// The dossiers found.
    pub(super) fn found(found: impl IntoIterator<Item = Insured>) -> Case {
        Case {
            found: found.into_iter().collect(),
            complete: true,
            service_date: day(TODAY),
            institution: None,
            masters: MASTERS.clone(),
            sources: Sources::default(),
            data_age_max_s: None,
            held: None,
        }
    }

    /// One dossier, with branch number 01.
    pub(super) fn of(rows: impl IntoIterator<Item = Registered>) -> Case {
        Case::found([insured("01", rows)])
    }

    pub(super) fn and_more_than_could_be_gathered(mut self) -> Case {
        self.complete = false;
        self
    }

    pub(super) fn on(mut self, date: &str) -> Case {
        self.service_date = day(date);
        self
    }

    /// The institution that asks; `-` for none.
    pub(super) fn at(mut self, institution: &str) -> Case {
        self.institution = (institution != "-").then(|| InstitutionCode::parse(institution.as_bytes()).unwrap());
        self
    }

    /// The lines of the payer master.
    pub(super) fn payers(self, lines: &str) -> Case {
        self.master(MasterKind::Payers, lines)
    }

    pub(super) fn participants(self, lines: &str) -> Case {
        self.master(MasterKind::Participation, lines)
    }

    /// The age from which data are too old.
    /// Where only the rows of some prefectures are held.
    pub(super) fn holding(mut self, prefectures: &str) -> Case {
        self.held = Some(Prefectures::parse(prefectures).unwrap());
        self
    }

    pub(super) fn limit_s(mut self, seconds: u64) -> Case {
        self.data_age_max_s = Some(seconds);
        self
    }

    /// An authority as a source: how long ago it last registered, and whether it has current rows.
    pub(super) fn source(mut self, authority: &str, age_s: Option<u64>, has_current_rows: bool) -> Case {
        let last_feed_unix_s = age_s.map(|age_s| NOW_UNIX_S - age_s);
        let authority = AuthorityCode::parse(authority.as_bytes()).unwrap();
        self.sources.set(authority, Source { last_feed_unix_s, has_current_rows });
        self
    }

    /// The answer to a question by insurer, number and birth date, with a branch number or without (`-`).
    pub(super) fn member(&self, branch: &str) -> Told {
        self.ask(Subject::Member { branch: branch_number(branch) })
    }

    /// The answer to a question by payer and recipient number.
    pub(super) fn certificate(&self, payer: &str, recipient: &str) -> Told {
        self.certificate_and_birth(payer, recipient, None)
    }

    /// The same with a birth date.
    pub(super) fn certificate_of_one_born(&self, payer: &str, recipient: &str, born: &str) -> Told {
        self.certificate_and_birth(payer, recipient, Some(birth(born)))
    }

    fn certificate_and_birth(&self, payer: &str, recipient: &str, birth: Option<BirthDate>) -> Told {
        let recipient = Folded::of_recipient_number(recipient).unwrap();
        let payer = PayerNumber::parse(payer.as_bytes()).unwrap();
        self.ask(Subject::Certificate { payer, recipient: recipient.as_bytes(), birth })
    }

    /// The answer to a question by card link.
    pub(super) fn card(&self) -> Told {
        self.ask(Subject::Card)
    }

    fn ask(&self, subject: Subject<'_>) -> Told {
        let found: Vec<&Insured> = self.found.iter().collect();
        let question = Question { subject, service_date: self.service_date, institution: self.institution };
        let knowledge = Knowledge {
            masters: &self.masters,
            sources: &self.sources,
            now_unix_s: NOW_UNIX_S,
            data_age_max_s: self.data_age_max_s,
            held: self.held,
        };
        Told::from(&decide(&found, self.complete, &question, &knowledge))
    }

    fn master(mut self, kind: MasterKind, lines: &str) -> Case {
        self.masters.replace(kind, &format!("{}\n{lines}\n", kind.header())).unwrap();
        self
    }
}

/// An answer in words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    /// Verdict, action and notes: `"stale ask_for_paper_certificate [issuer_unknown]"`.
    pub(super) head: String,
    /// Each entry's verdict, payer and recipient number and notes: `"eligible 54136015/1234567 [overlap]"`.
    pub(super) entries: Vec<String>,
    /// The overall verdict, and each entry's with the row that decided.
    pub(super) verdict: Verdict,
    pub(super) rows: Vec<(Verdict, Registered)>,
}

impl Told {
    pub(super) fn from(answer: &Answer<'_, Registered>) -> Told {
        Told {
            head: format!("{} {}{}", answer.verdict.word(), answer.action.word(), in_brackets(answer.notes)),
            entries: answer.entitlements.iter().map(entry).collect(),
            verdict: answer.verdict,
            rows: answer.entitlements.iter().map(|entry| (entry.verdict, entry.row.clone())).collect(),
        }
    }

    /// The only entry.
    pub(super) fn entry(&self) -> &str {
        assert_eq!(self.entries.len(), 1, "{:?}", self.entries);
        &self.entries[0]
    }

    /// The history key of the row that decided the only entry.
    pub(super) fn history(&self) -> &str {
        self.entry();
        &self.rows[0].1.history_key
    }

    /// The recipient numbers listed, in order.
    pub(super) fn recipients(&self) -> Vec<&str> {
        self.rows.iter().map(|(_, row)| row.recipient.as_str()).collect()
    }
}

fn entry(entry: &Entitlement<'_, Registered>) -> String {
    let payer = entry.row.payer.map_or(String::new(), |payer| String::from_utf8(payer.as_bytes().to_vec()).unwrap());
    format!("{} {payer}/{}{}", entry.verdict.word(), entry.row.recipient, in_brackets(entry.notes))
}

fn in_brackets(notes: Notes) -> String {
    if notes.is_empty() {
        return String::new();
    }
    let words: Vec<&str> = notes.iter().map(|note| note.word()).collect();
    format!(" [{}]", words.join(" "))
}
