//! Who may ask on which connection.
//!
//! The appliance keeps 256 connections. A region has eighteen thousand institutions; they reach it through the gateways of their networks,
//! each of which keeps a few connections open and hands a question to the one that is free longest. Some systems connect anew for every
//! question; those have places of their own.

use std::collections::VecDeque;
use std::ops::Range;

use super::arrivals::Arrival;

/// A gateway's connections and the questions that wait for one.
#[derive(Debug, Default)]
struct Desk {
    free: VecDeque<usize>,
    waiting: VecDeque<u32>,
}

/// All gateways, and behind them the places for short connections.
#[derive(Debug)]
pub(crate) struct Desks {
    desks: Vec<Desk>,
    each: usize,
    kept: usize,
    terminals: usize,
}

impl Desks {
    /// `gateways` with `each` kept connections, and `short` places.
    pub(crate) fn new(gateways: u8, each: u8, short: u8) -> Desks {
        let (gateways, each) = (usize::from(gateways.max(1)), usize::from(each.max(1)));
        let kept = gateways * each;
        let terminals = kept + usize::from(short.max(1));
        let desk = |places: Range<usize>| Desk { free: places.collect(), waiting: VecDeque::new() };
        let mut desks: Vec<Desk> = (0..gateways).map(|nth| desk(nth * each..(nth + 1) * each)).collect();
        desks.push(desk(kept..terminals));
        Desks { desks, each, kept, terminals }
    }

    /// All connections that there may be at once.
    pub(crate) fn terminals(&self) -> usize {
        self.terminals
    }

    /// Those that stay open; the others are the short ones.
    pub(crate) fn kept(&self) -> Range<usize> {
        0..self.kept
    }

    /// The connection on which a question can be asked at once; without one it waits for its turn.
    pub(crate) fn arrive(&mut self, nth: u32, arrival: &Arrival) -> Option<usize> {
        let place = if arrival.short { self.desks.len() - 1 } else { usize::from(arrival.gateway) };
        let desk = self.desks.get_mut(place)?;
        let free = desk.free.pop_front();
        if free.is_none() {
            desk.waiting.push_back(nth);
        }
        free
    }

    /// The connection is done with its question: the next that waited, or it is free.
    pub(crate) fn done(&mut self, terminal: usize) -> Option<u32> {
        let place = if terminal < self.kept { terminal / self.each } else { self.desks.len() - 1 };
        let desk = self.desks.get_mut(place)?;
        let next = desk.waiting.pop_front();
        if next.is_none() {
            desk.free.push_back(terminal);
        }
        next
    }

    /// Questions that wait for a connection.
    pub(crate) fn waiting(&self) -> usize {
        self.desks.iter().map(|desk| desk.waiting.len()).sum()
    }

    /// Connections that nobody asks on.
    pub(crate) fn free(&self) -> usize {
        self.desks.iter().map(|desk| desk.free.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::arrivals::Occasion;
    use super::super::institution::Institution;
    use super::*;

    fn arrival(gateway: u8, short: bool) -> Arrival {
        let (institution, occasion) = (Institution::Clinic, Occasion::Visit);
        Arrival { at_ns: 0, question: 0, gateway, institution, occasion, short }
    }

    #[test]
    fn a_question_waits_for_its_own_gateway_in_turn() {
        let mut desks = Desks::new(2, 2, 1);
        assert_eq!((desks.terminals(), desks.kept()), (5, 0..4));
        let second = arrival(1, false);
        assert_eq!((0..4).map(|nth| desks.arrive(nth, &second)).collect::<Vec<_>>(), [Some(2), Some(3), None, None]);
        assert_eq!(desks.arrive(4, &arrival(0, false)), Some(0), "the other gateway is free");
        assert_eq!(desks.waiting(), 2);
        assert_eq!((desks.done(3), desks.done(3), desks.done(3)), (Some(2), Some(3), None));
        assert_eq!(desks.arrive(5, &second), Some(3));
    }

    #[test]
    fn short_connections_have_places_of_their_own() {
        let mut desks = Desks::new(2, 2, 1);
        let short = arrival(1, true);
        assert_eq!((desks.arrive(0, &short), desks.arrive(1, &short)), (Some(4), None));
        assert_eq!((desks.done(4), desks.done(4), desks.free()), (Some(1), None, 5));
    }
}
