//! Notes: what the audit says of itself among the look-ups.

use super::chain::AuditChain;
use crate::head::part;

pub(super) const NOTE_BYTES: usize = 64;

/// What the audit says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// A start; what was before is sealed, or there was nothing.
    Started,
    /// The segment before was sealed because of its size or the day.
    Continued,
    /// A start after a crash.
    Restarted {
        /// The segment that had not been sealed.
        segment: u64,
        /// Its length after the cut, without the seal, bytes.
        offset: u64,
        /// What was cut off and kept aside, bytes.
        cut_bytes: u64,
    },
    /// A start that found what no crash explains.
    FoundDamaged {
        /// The segment.
        segment: u64,
        /// Where in it, bytes.
        offset: u64,
    },
    /// Segments older than the retention are removed.
    Pruned {
        /// The last of them.
        through_segment: u64,
        /// Its last entry.
        through_entry: u64,
        /// The retention, days.
        days: u64,
        /// The chain after its seal.
        chain: AuditChain,
    },
}

impl Note {
    /// The 64 bytes of the note.
    pub(super) fn encode(&self) -> [u8; NOTE_BYTES] {
        let (kind, fields, chain): (u32, [u64; 3], [u8; 32]) = match *self {
            Note::Started => (1, [0; 3], [0; 32]),
            Note::Continued => (2, [0; 3], [0; 32]),
            Note::Restarted { segment, offset, cut_bytes } => (3, [segment, offset, cut_bytes], [0; 32]),
            Note::FoundDamaged { segment, offset } => (4, [segment, offset, 0], [0; 32]),
            Note::Pruned { through_segment, through_entry, days, chain } => (5, [through_segment, through_entry, days], chain.0),
        };
        let mut bytes = [0; NOTE_BYTES];
        let all = kind.to_le_bytes().into_iter().chain([0; 4]).chain(fields.into_iter().flat_map(u64::to_le_bytes)).chain(chain);
        bytes.iter_mut().zip(all).for_each(|(byte, value)| *byte = value);
        bytes
    }

    /// Reads a note; `None` where the bytes are not exactly what some note is written as.
    pub(super) fn decode(bytes: &[u8; NOTE_BYTES]) -> Option<Note> {
        let field = |at| u64::from_le_bytes(part(bytes, at));
        let (one, two, three) = (field(8), field(16), field(24));
        let note = match u32::from_le_bytes(part(bytes, 0)) {
            1 => Note::Started,
            2 => Note::Continued,
            3 => Note::Restarted { segment: one, offset: two, cut_bytes: three },
            4 => Note::FoundDamaged { segment: one, offset: two },
            5 => Note::Pruned { through_segment: one, through_entry: two, days: three, chain: AuditChain(part(bytes, 32)) },
            _ => return None,
        };
        (note.encode() == *bytes).then_some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_read_as_they_were_written_and_a_flipped_byte_is_another_note_or_none() {
        let notes = [
            Note::Started,
            Note::Continued,
            Note::Restarted { segment: 1, offset: 2, cut_bytes: 3 },
            Note::FoundDamaged { segment: 4, offset: 5 },
            Note::Pruned { through_segment: 6, through_entry: 7, days: 8, chain: AuditChain([9; 32]) },
        ];
        for note in notes {
            let bytes = note.encode();
            assert_eq!(Note::decode(&bytes), Some(note));
            for place in 0..NOTE_BYTES {
                let mut flipped = bytes;
                flipped[place] ^= 0x80;
                assert_ne!(Note::decode(&flipped), Some(note), "{note:?} byte {place}");
            }
        }
    }
}
