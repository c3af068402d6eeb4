//! People who are nobody's recipients, to ask about in vain.

use super::certificate::foreign_numbers;
use super::insured::{Insured, Person};
use super::question::{Asked, Kind};
use super::random::{Dice, Purpose};
use super::{Population, RECIPIENTS_MAX, STRANGERS_MAX};

impl Population {
    /// A question about somebody who is not in the population, in the same form as one about somebody who is; the right answer is
    /// always `N`. The payer number is one that recipients have.
    pub fn stranger(&self, kind: Kind, nth: u64) -> Asked {
        let index = RECIPIENTS_MAX + nth % STRANGERS_MAX;
        let mut dice = Dice::new(self.seed, Purpose::Stranger, index);
        if kind == Kind::Card {
            return Asked::Card { link: self.card_link(index) };
        }
        let age = dice.small(90);
        let (place, seat, residence) = self.home(index, &mut dice);
        let birth = self.birth(age, &mut dice);
        let person = Person { seat, residence, age, birth, disabled: false };
        if kind == Kind::Certificate {
            let (payer, recipient) = foreign_numbers(place, &person, &mut dice);
            return Asked::Certificate { payer, recipient, birth: dice.percent(30).then_some(birth) };
        }
        let insured = Insured::make(self, index, person, &mut dice);
        Asked::Member { insured, with_branch: dice.percent(60) }
    }
}
