//! The look-up: key, dossiers, decision. No lock, no system call, no allocation.

use crossbeam_epoch::Guard;

use super::Reader;
use super::view::View;
use crate::domain::day::{BirthDate, Day};
use crate::domain::decision::{self, Answer, Knowledge, Question, Subject};
use crate::domain::fold::FoldError;
use crate::domain::identifier::{BranchNumber, InstitutionCode, InsurerNumber, PayerNumber};
use crate::index::{Found, Place};
use crate::record::ArchivedRow;
use crate::record::identity::{KeyBytes, KeyHash, KeyKind};

/// A question parsed, folded and hashed: everything that a batch does before it touches memory. It is large for its key's sake, so
/// one is made and then asked again and again.
pub struct Inquiry {
    key: KeyBytes,
    hash: KeyHash,
    who: Who,
    /// The day of service.
    pub service_date: Day,
}

#[derive(Clone, Copy)]
enum Who {
    Member { branch: Option<BranchNumber> },
    Certificate { payer: PayerNumber, birth: Option<BirthDate> },
    Card,
}

impl Inquiry {
    /// Asks about nobody.
    pub const fn blank() -> Inquiry {
        let hash = KeyHash { kind: KeyKind::Card, hash: 0 };
        Inquiry { key: KeyBytes::empty(), hash, who: Who::Card, service_date: Day::OPEN_END }
    }

    /// Asks about a member; symbol and number as written.
    pub fn ask_member(
        &mut self,
        insurer: &InsurerNumber,
        (symbol, number): (&[u8], &[u8]),
        branch: Option<BranchNumber>,
        birth: BirthDate,
        service_date: Day,
    ) -> Result<(), FoldError> {
        self.key.set_member(insurer, birth, symbol, number)?;
        self.set(KeyKind::Member, Who::Member { branch }, service_date);
        Ok(())
    }

    /// Asks about a certificate; the recipient number as written.
    pub fn ask_certificate(
        &mut self,
        payer: &PayerNumber,
        recipient: &[u8],
        birth: Option<BirthDate>,
        service_date: Day,
    ) -> Result<(), FoldError> {
        self.key.set_certificate(payer, recipient)?;
        self.set(KeyKind::Certificate, Who::Certificate { payer: *payer, birth }, service_date);
        Ok(())
    }

    /// Asks about a card.
    pub fn ask_card(&mut self, link: &[u8], service_date: Day) -> Result<(), FoldError> {
        self.key.set_card(link)?;
        self.set(KeyKind::Card, Who::Card, service_date);
        Ok(())
    }

    /// The hash of its key.
    pub fn key_hash(&self) -> KeyHash {
        self.hash
    }

    #[inline]
    fn set(&mut self, kind: KeyKind, who: Who, service_date: Day) {
        self.hash = KeyHash::of(kind, self.key.as_bytes());
        self.who = who;
        self.service_date = service_date;
    }

    fn subject(&self) -> Subject<'_> {
        match self.who {
            Who::Member { branch } => Subject::Member { branch },
            Who::Certificate { payer, birth } => {
                Subject::Certificate { payer, recipient: self.key.tail(KeyKind::Certificate), birth }
            }
            Who::Card => Subject::Card,
        }
    }
}

impl Reader {
    /// Looks for everybody that a run of inquiries asks about, together; see [`IndexReader::locate`].
    ///
    /// [`IndexReader::locate`]: crate::index::IndexReader::locate
    #[inline]
    pub fn locate<'i>(&self, guard: &Guard, inquiries: impl Iterator<Item = &'i Inquiry> + Clone, places: &mut [Place]) {
        self.index.locate(guard, inquiries.map(Inquiry::key_hash), places);
    }

    /// Asks memory for where finding begins, while there is something else to do before answering.
    #[inline]
    pub fn prefetch(&self, guard: &Guard, inquiry: &Inquiry) {
        self.index.prefetch(guard, inquiry.hash);
    }

    /// Answers an inquiry, consent given, about whom was looked for ahead of time or not. The view is of the same moment or older than
    /// what is found.
    #[inline]
    pub fn answer<'g>(
        &self,
        guard: &'g Guard,
        view: &View,
        (inquiry, place): (&Inquiry, Place),
        institution: Option<InstitutionCode>,
        now_unix_s: u64,
    ) -> Answer<'g, ArchivedRow> {
        let (key, hash) = (&inquiry.key, inquiry.hash);
        let mut found = Found::default();
        match inquiry.who {
            Who::Member { .. } => self.index.find_at(guard, hash, place, &mut found, |dossier| dossier.has_member_key(key)),
            Who::Certificate { .. } => {
                self.index.find_at(guard, hash, place, &mut found, |dossier| dossier.has_certificate_key(key));
            }
            Who::Card => self.index.find_at(guard, hash, place, &mut found, |dossier| dossier.has_card_link(key)),
        }
        let question = Question { subject: inquiry.subject(), service_date: inquiry.service_date, institution };
        let knowledge = Knowledge {
            masters: &view.masters,
            sources: &view.sources,
            now_unix_s,
            data_age_max_s: self.data_age_max_s,
            held: view.held,
        };
        decision::decide(&found.dossiers, found.complete, &question, &knowledge)
    }
}
