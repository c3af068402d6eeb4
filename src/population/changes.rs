//! A later day: what the next change file says, and the recipient that it leaves behind.
//!
//! Moves of insurer register every row that is still answered again, under the same row identity and the new insured identity.
//! Withdrawals take back the latest row of the first certificate. Renewals add the period that follows.

use super::insured::{Insured, Person};
use super::month::Month;
use super::period::Case;
use super::random::{Dice, Purpose};
use super::recipient::Recipient;
use super::{FAMILIES_MAX, Population};
use crate::domain::day::Day;

/// What happens to a recipient before the change file, renewals apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Nothing.
    Stays,
    /// Another insurer, symbol, number and branch.
    Moves,
    /// The latest row of the first certificate turns out to be a mistake.
    Withdrawn,
}

/// How long a renewed certificate runs.
const RENEWAL_MONTHS: u32 = 12;

impl Population {
    /// What happens to the recipient. Twins stay as they are, so that they remain twins.
    pub fn fate(&self, index: u64) -> Fate {
        match Dice::new(self.seed, Purpose::Fate, index).small(1000) {
            _ if self.is_twin(index) => Fate::Stays,
            0..50 => Fate::Moves,
            50..55 => Fate::Withdrawn,
            _ => Fate::Stays,
        }
    }

    /// The recipient as registered once the change file has been imported: the right answers from then on are its own.
    pub fn recipient_after_changes(&self, index: u64) -> Recipient {
        let mut recipient = self.recipient(index);
        match self.fate(index) {
            Fate::Stays => self.renew(&mut recipient),
            Fate::Moves => {
                recipient.insured = self.moved(index, &recipient);
                self.renew(&mut recipient);
            }
            Fate::Withdrawn => {
                if let Some(certificate) = recipient.certificates.first_mut() {
                    certificate.periods.withdraw_latest();
                }
            }
        }
        recipient
    }

    /// Appends what the change file says about the recipient: for most, nothing.
    pub fn write_changes(&self, index: u64, lines: &mut Vec<u8>) {
        let before = self.recipient(index);
        match self.fate(index) {
            Fate::Moves => {
                let after = self.recipient_after_changes(index);
                after.rows().filter(|row| row.valid_to >= self.horizon).for_each(|row| row.write_upsert(lines));
            }
            Fate::Withdrawn => {
                if let Some(row) = before.certificates.first().and_then(|certificate| before.rows_of(certificate).last()) {
                    row.write_delete(lines);
                }
            }
            Fate::Stays => {
                let mut after = before.clone();
                self.renew(&mut after);
                for (old, new) in before.certificates.iter().zip(&after.certificates) {
                    let registered = old.periods.all().len();
                    after.rows_of(new).skip(registered).for_each(|row| row.write_upsert(lines));
                }
            }
        }
    }

    /// Renews what runs out this month or in the next two.
    fn renew(&self, recipient: &mut Recipient) {
        let now = self.month();
        for certificate in &mut recipient.certificates {
            let due = certificate
                .periods
                .latest()
                .is_some_and(|latest| latest.to != Day::OPEN_END && (now..=now.plus(2)).contains(&Month::of(latest.to)));
            if due && certificate.case == Case::Active {
                certificate.periods.renew(RENEWAL_MONTHS);
            }
        }
    }

    fn moved(&self, index: u64, recipient: &Recipient) -> Insured {
        let mut dice = Dice::new(self.seed, Purpose::Move, index);
        let (_, seat, residence) = self.home(index, &mut dice);
        let birth = recipient.insured.birth;
        let age = self.as_of.year() - birth.packed() / 10_000;
        let disabled = recipient.insured.branch.is_none();
        let person = Person { seat, residence, age, birth, disabled };
        Insured::make(self, FAMILIES_MAX + index, person, &mut dice)
    }
}
