//! What the hub signed earlier and the own log has not reached: a newer checkpoint says nothing of most of it, and the frames that lead to
//! the newer one must still pass through it.

use crate::limits::INTAKE_EARLIER_PLACES_MAX;
use crate::log::Position;
use crate::sync::checkpoint::{Checkpoint, SignedPlace};
use crate::sync::refusal::Refusal;

/// Places of checkpoints that were followed by newer ones, in order.
#[derive(Debug, Default)]
pub(super) struct EarlierPlaces {
    places: Vec<SignedPlace>,
    /// Where what is spooled has another chain. Whose fault that is, is known when it arrives at a place signed later, or does not.
    parted_at: Option<u64>,
}

impl EarlierPlaces {
    /// Adds the place of a checkpoint that is followed by a newer one. Of too many every second is forgotten: what is left still lies on
    /// both sides of most places where a history may have parted.
    pub(super) fn add(&mut self, place: SignedPlace) {
        if self.places.len() >= INTAKE_EARLIER_PLACES_MAX {
            let mut is_kept = false;
            self.places.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
        }
        self.places.push(place);
    }

    /// Forgets those that the own log has passed through.
    pub(super) fn reached(&mut self, own_sequence: u64) {
        self.places.retain(|place| place.sequence > own_sequence);
        self.parted_at = None;
    }

    /// Forgets them all.
    pub(super) fn forget(&mut self) {
        *self = EarlierPlaces::default();
    }

    /// Compares them with what a newer checkpoint says of the same sequences.
    pub(super) fn judge(&self, offered: &Checkpoint) -> Result<(), Refusal> {
        let differs = |place: &&SignedPlace| offered.chain_at(place.sequence).is_some_and(|chain| chain != place.chain);
        self.places.iter().find(differs).map_or(Ok(()), |place| Err(Refusal::Forked { sequence: place.sequence }))
    }

    /// Notes where the spooled frames have arrived.
    pub(super) fn pass_through(&mut self, arrived: &Position) {
        let known = self.places.binary_search_by_key(&arrived.sequence, |place| place.sequence).ok();
        if known.and_then(|at| self.places.get(at)).is_some_and(|place| place.chain != arrived.chain) {
            self.parted_at.get_or_insert(arrived.sequence);
        }
    }

    /// Judges frames that have arrived at a place signed later: both are the hub's, and they are of two histories.
    pub(super) fn judge_arrival(&self) -> Result<(), Refusal> {
        self.parted_at.map_or(Ok(()), |sequence| Err(Refusal::Forked { sequence }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Chain;

    #[test]
    fn of_too_many_places_those_that_are_kept_lie_along_the_whole_way() {
        let mut earlier = EarlierPlaces::default();
        let count = 3 * INTAKE_EARLIER_PLACES_MAX as u64;
        for sequence in 1..=count {
            earlier.add(SignedPlace { sequence, chain: Chain([7; 32]) });
            assert!(earlier.places.len() <= INTAKE_EARLIER_PLACES_MAX);
        }
        assert!(earlier.places.is_sorted_by_key(|place| place.sequence));
        assert_eq!((earlier.places[0].sequence, earlier.places.last().unwrap().sequence), (1, count));
        earlier.reached(count - 1);
        assert_eq!(earlier.places.len(), 1);
    }
}
