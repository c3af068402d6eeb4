//! The look-up: key, dossiers, decision. No lock, no system call, no allocation.

use crossbeam_epoch::Guard;

use super::Reader;
use super::view::View;
use crate::domain::day::{BirthDate, Day};
use crate::domain::decision::{self, Answer, Knowledge, Question, Subject};
use crate::domain::fold::TooLong;
use crate::domain::identifier::{BranchNumber, InstitutionCode, InsurerNumber, PayerNumber};
use crate::index::Found;
use crate::record::ArchivedRow;
use crate::record::identity::{KeyBytes, KeyHash, KeyKind};

/// A question parsed, folded and hashed: everything that a batch does before it touches memory.
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
    /// Asks about a member.
    pub fn member(
        insurer: &InsurerNumber,
        symbol: &str,
        number: &str,
        branch: Option<BranchNumber>,
        birth: BirthDate,
        service_date: Day,
    ) -> Result<Inquiry, TooLong> {
        let key = KeyBytes::member(insurer, birth, symbol, number)?;
        Ok(Inquiry::of(key, KeyKind::Member, Who::Member { branch }, service_date))
    }

    /// Asks about a certificate.
    pub fn certificate(
        payer: &PayerNumber,
        recipient: &str,
        birth: Option<BirthDate>,
        service_date: Day,
    ) -> Result<Inquiry, TooLong> {
        let key = KeyBytes::certificate(payer, recipient)?;
        Ok(Inquiry::of(key, KeyKind::Certificate, Who::Certificate { payer: *payer, birth }, service_date))
    }

    /// Asks about a card.
    pub fn card(link: &str, service_date: Day) -> Result<Inquiry, TooLong> {
        Ok(Inquiry::of(KeyBytes::card(link)?, KeyKind::Card, Who::Card, service_date))
    }

    fn of(key: KeyBytes, kind: KeyKind, who: Who, service_date: Day) -> Inquiry {
        let hash = KeyHash::of(kind, key.as_bytes());
        Inquiry { key, hash, who, service_date }
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
    /// First pass of a batch.
    #[inline]
    pub fn prefetch_slots(&self, guard: &Guard, inquiry: &Inquiry) {
        self.index.prefetch_slots(guard, inquiry.hash);
    }

    /// Second pass of a batch.
    #[inline]
    pub fn prefetch_dossier(&self, guard: &Guard, inquiry: &Inquiry) {
        self.index.prefetch_dossier(guard, inquiry.hash);
    }

    /// Answers an inquiry, consent given. The view is of the same moment or older than what is found.
    #[inline]
    pub fn answer<'g>(
        &self,
        guard: &'g Guard,
        view: &View,
        inquiry: &Inquiry,
        institution: Option<InstitutionCode>,
        now_unix_s: u64,
    ) -> Answer<'g, ArchivedRow> {
        let key = &inquiry.key;
        let mut found = Found::default();
        match inquiry.who {
            Who::Member { .. } => self.index.find(guard, inquiry.hash, &mut found, |dossier| dossier.has_member_key(key)),
            Who::Certificate { .. } => {
                self.index.find(guard, inquiry.hash, &mut found, |dossier| dossier.has_certificate_key(key));
            }
            Who::Card => self.index.find(guard, inquiry.hash, &mut found, |dossier| dossier.has_card_link(key)),
        }
        let question = Question { subject: inquiry.subject(), service_date: inquiry.service_date, institution };
        let knowledge =
            Knowledge { masters: &view.masters, sources: &view.sources, now_unix_s, data_age_max_s: self.data_age_max_s };
        decision::decide(&found.dossiers, found.complete, &question, &knowledge)
    }
}
