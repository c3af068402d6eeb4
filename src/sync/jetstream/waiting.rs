//! Frames on their way from the broker to the registry: put in order, the doubled ones dropped, the missing ones noticed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::message::ProvedFrame;
use crate::limits::{BROKER_BATCH_MESSAGES, BROKER_WAITING_BYTES_MAX, BROKER_WAITING_FRAMES_MAX};

/// Proved frames that are not applied yet, each with what acknowledges it. Bounded; what finds no room comes again.
pub(super) struct Waiting<A> {
    frames: BTreeMap<u64, (ProvedFrame, A)>,
    bytes: usize,
}

/// What became of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Put<A> {
    /// It waits for its turn.
    Kept,
    /// It is applied already; what acknowledges it comes back.
    Doubled(A),
    /// It waits already, from here on with what came last to acknowledge it.
    Waits,
    /// There is no room so far ahead.
    NoRoom,
}

impl<A> Waiting<A> {
    pub(super) fn new() -> Waiting<A> {
        Waiting { frames: BTreeMap::new(), bytes: 0 }
    }

    /// Takes a frame in, where the registry stands at `applied`. Where there is no room, the frame farthest ahead goes, unless it is this.
    pub(super) fn put(&mut self, applied: u64, frame: ProvedFrame, acknowledge: A) -> Put<A> {
        if frame.sequence <= applied {
            return Put::Doubled(acknowledge);
        }
        if let Some((_, older)) = self.frames.get_mut(&frame.sequence) {
            *older = acknowledge;
            return Put::Waits;
        }
        let bytes = frame.bytes.len();
        while self.frames.len() >= BROKER_WAITING_FRAMES_MAX || self.bytes + bytes > BROKER_WAITING_BYTES_MAX {
            match self.frames.last_key_value() {
                Some((farthest, _)) if *farthest > frame.sequence => self.drop_farthest(),
                _ => return Put::NoRoom,
            }
        }
        self.bytes += bytes;
        self.frames.insert(frame.sequence, (frame, acknowledge));
        Put::Kept
    }

    fn drop_farthest(&mut self) {
        if let Some((_, (frame, _))) = self.frames.pop_last() {
            self.bytes -= frame.bytes.len();
        }
    }

    /// Takes out the frames that follow `applied` without a gap, up to about a number of bytes.
    pub(super) fn take_run(&mut self, applied: u64, bytes_max: usize) -> Vec<(ProvedFrame, A)> {
        let (mut run, mut taken_bytes) = (Vec::new(), 0);
        let mut next = applied + 1;
        while taken_bytes < bytes_max
            && let Some((frame, acknowledge)) = self.frames.remove(&next)
        {
            self.bytes -= frame.bytes.len();
            taken_bytes += frame.bytes.len();
            next += 1;
            run.push((frame, acknowledge));
        }
        run
    }

    /// Takes out what is applied by now, by whatever other way it came.
    pub(super) fn take_applied(&mut self, applied: u64) -> Vec<A> {
        let ahead = self.frames.split_off(&(applied + 1));
        let behind = std::mem::replace(&mut self.frames, ahead);
        self.bytes = self.frames.values().map(|(frame, _)| frame.bytes.len()).sum();
        behind.into_values().map(|(_, acknowledge)| acknowledge).collect()
    }

    /// How many bytes are waiting.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether so much waits that the broker may give no more before some of it is acknowledged.
    pub(super) fn is_crowded(&self) -> bool {
        self.frames.len() >= 2 * BROKER_BATCH_MESSAGES || self.bytes >= BROKER_WAITING_BYTES_MAX / 2
    }

    /// The sequences that are missing before the first frame that waits.
    pub(super) fn missing(&self, applied: u64) -> Option<RangeInclusive<u64>> {
        let (first, _) = self.frames.first_key_value()?;
        (*first > applied + 1).then(|| applied + 1..=first - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::log::Chain;

    fn frame(sequence: u64, bytes: usize) -> ProvedFrame {
        ProvedFrame { sequence, before: Chain([0; 32]), after: Chain([0; 32]), bytes: vec![0; bytes].into() }
    }

    fn sequences(run: &[(ProvedFrame, u64)]) -> Vec<u64> {
        run.iter().map(|(frame, _)| frame.sequence).collect()
    }

    #[test]
    fn frames_come_out_in_order_once_and_a_gap_holds_them_back() {
        let mut waiting = Waiting::new();
        for sequence in [12, 14, 13, 16] {
            assert_eq!(waiting.put(10, frame(sequence, 8), sequence), Put::Kept);
        }
        assert_eq!(waiting.put(10, frame(10, 8), 10), Put::Doubled(10));
        assert_eq!(waiting.put(10, frame(14, 8), 14), Put::Waits);
        assert_eq!((waiting.take_run(10, 1 << 20).len(), waiting.missing(10)), (0, Some(11..=11)));
        assert_eq!(waiting.put(10, frame(11, 8), 11), Put::Kept);
        assert_eq!(sequences(&waiting.take_run(10, 1 << 20)), [11, 12, 13, 14]);
        assert_eq!((waiting.missing(14), waiting.bytes()), (Some(15..=15), 8));
        assert_eq!(waiting.take_applied(16), [16]);
        assert_eq!((waiting.missing(16), waiting.bytes()), (None, 0));
    }

    #[test]
    fn a_frame_that_waits_and_comes_again_is_acknowledged_by_its_newer_message_and_only_once_it_is_applied() {
        let mut waiting = Waiting::new();
        assert_eq!(waiting.put(10, frame(12, 8), 1), Put::Kept);
        assert_eq!(waiting.put(10, frame(12, 8), 2), Put::Waits);
        assert_eq!((waiting.take_applied(11), waiting.bytes()), (vec![], 8));
        assert_eq!(waiting.take_applied(12), [2]);
    }

    #[test]
    fn a_run_ends_with_the_frame_that_fills_it() {
        let mut waiting = Waiting::new();
        for sequence in 1..=4 {
            waiting.put(0, frame(sequence, 600), sequence);
        }
        assert_eq!(sequences(&waiting.take_run(0, 1000)), [1, 2]);
        assert_eq!(sequences(&waiting.take_run(2, 1)), [3], "one frame at least, however large");
    }

    #[test]
    fn what_is_farthest_ahead_makes_room_for_what_is_next() {
        let mut waiting = Waiting::new();
        let large = BROKER_WAITING_BYTES_MAX / 2;
        assert_eq!(waiting.put(0, frame(5, large), 5), Put::Kept);
        assert_eq!(waiting.put(0, frame(6, large), 6), Put::Kept);
        assert_eq!(waiting.put(0, frame(7, 8), 7), Put::NoRoom);
        assert_eq!(waiting.put(0, frame(1, large), 1), Put::Kept);
        assert_eq!(sequences(&waiting.take_run(0, 1 << 30)), [1]);
        assert_eq!((waiting.missing(1), waiting.bytes()), (Some(2..=4), large), "the last of them was let go");
        let mut waiting = Waiting::new();
        for sequence in 2..BROKER_WAITING_FRAMES_MAX as u64 + 2 {
            assert_eq!(waiting.put(0, frame(sequence, 8), sequence), Put::Kept);
        }
        assert_eq!(waiting.put(0, frame(1 << 40, 8), 0), Put::NoRoom);
    }

    proptest! {
        #[test]
        fn in_whatever_order_and_however_often_frames_come_each_comes_out_once_and_in_order(
            mut arrivals in proptest::collection::vec(1_u64..60, 0..400),
            bytes_max in 1_usize..100,
        ) {
            arrivals.extend(1..60);
            let (mut waiting, mut applied) = (Waiting::new(), 0);
            for sequence in arrivals {
                waiting.put(applied, frame(sequence, 8), sequence);
                for (frame, acknowledge) in waiting.take_run(applied, bytes_max) {
                    prop_assert_eq!((frame.sequence, acknowledge), (applied + 1, applied + 1));
                    applied += 1;
                }
                prop_assert!(waiting.missing(applied).is_none_or(|missing| *missing.start() == applied + 1));
            }
            while applied < 59 {
                applied += waiting.take_run(applied, bytes_max).len() as u64;
            }
            prop_assert_eq!(waiting.bytes(), 0);
        }
    }
}
