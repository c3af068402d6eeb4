//! One block: a head, look-ups or a note or the seal, a checksum.

use xxhash_rust::xxh3::xxh3_64;

use super::Fault;
use super::chain::AuditChain;
use super::entry::{Context, DATE_MASK, Piece, Via, verdict_code};
use super::note::{NOTE_BYTES, Note};
use crate::head::part;
use crate::limits::{AUDIT_BATCH_LINES_MAX, AUDIT_BLOCK_BYTES_MAX};

pub(super) const BLOCK_HEAD: usize = 64;
pub(super) const BLOCK_MAGIC: [u8; 4] = *b"SHKA";
const CHECKSUM: usize = 8;
/// What a reader accepts: a full block, and a little for what a later version may put around it.
pub(super) const BLOCK_BYTES_MAX: usize = AUDIT_BLOCK_BYTES_MAX + (16 << 10);
pub(super) const CONTEXT_BYTES: usize = 24;
pub(super) const ENTRY_BYTES: usize = 16;
pub(super) const LINE_BYTES: usize = 12;
const SEAL_BYTES: usize = 16;

const _: () = assert!(BLOCK_HEAD.is_multiple_of(8) && BLOCK_BYTES_MAX.is_multiple_of(8));
const _: () =
    assert!(BLOCK_HEAD + CONTEXT_BYTES + ENTRY_BYTES + AUDIT_BATCH_LINES_MAX * LINE_BYTES + CHECKSUM + 8 < AUDIT_BLOCK_BYTES_MAX);

/// What a block's content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum BlockKind {
    LookUps = 1,
    Note = 2,
    Seal = 3,
}

/// Why a segment was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum SealReason {
    Full = 1,
    Day = 2,
    Closed = 3,
    Crash = 4,
}

/// What a block says before its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) kind: BlockKind,
    pub(super) first_entry: u64,
    pub(super) base_unix_ms: u64,
    pub(super) entries: u32,
    pub(super) contexts: u16,
    /// The chain before the block.
    pub(super) chain: AuditChain,
}

/// A block as it is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block<'b> {
    pub(super) head: BlockHead,
    /// Content with its padding.
    pub(super) content: &'b [u8],
    /// The whole block.
    pub(super) bytes: &'b [u8],
}

/// One entry of a block of look-ups.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockEntry<'b> {
    pub(super) unix_ms: u64,
    pub(super) context: Context,
    pub(super) what: What<'b>,
}

/// A single look-up or a piece of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum What<'b> {
    Single { pseudonym: u64, answer_word: u32 },
    Piece { piece: Piece, lines: &'b [u8] },
}

impl BlockHead {
    /// Appends a block; its content is what `content` appends.
    pub(super) fn encode(&self, out: &mut Vec<u8>, content: &[&[u8]]) {
        let start = out.len();
        let content_bytes = content.iter().map(|part| part.len()).sum::<usize>();
        let length = BLOCK_HEAD + content_bytes.next_multiple_of(8) + CHECKSUM;
        out.reserve(length);
        out.extend_from_slice(&BLOCK_MAGIC);
        out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(&self.first_entry.to_le_bytes());
        out.extend_from_slice(&self.base_unix_ms.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        out.extend_from_slice(&self.contexts.to_le_bytes());
        out.extend_from_slice(&[self.kind as u8, 0]);
        out.extend_from_slice(&self.chain.0);
        content.iter().for_each(|part| out.extend_from_slice(part));
        out.resize(start + length - CHECKSUM, 0);
        let checksum = xxh3_64(out.get(start..).unwrap_or_default());
        out.extend_from_slice(&checksum.to_le_bytes());
    }
}

/// The content of a seal.
pub(super) fn seal_content(entries: u64, reason: SealReason) -> [u8; SEAL_BYTES] {
    let mut content = [0; SEAL_BYTES];
    let all = entries.to_le_bytes().into_iter().chain((reason as u32).to_le_bytes());
    content.iter_mut().zip(all).for_each(|(byte, value)| *byte = value);
    content
}

/// The length of the block whose head this is.
pub(super) fn block_length(head: &[u8; BLOCK_HEAD]) -> Result<usize, Fault> {
    if !head.starts_with(&BLOCK_MAGIC) {
        return Err(Fault::Magic);
    }
    let length = usize::try_from(u32::from_le_bytes(part(head, 4))).map_err(|_| Fault::Length)?;
    let possible = length.is_multiple_of(8) && (BLOCK_HEAD + CHECKSUM..=BLOCK_BYTES_MAX).contains(&length);
    if possible { Ok(length) } else { Err(Fault::Length) }
}

/// Reads a block of which all bytes are there. Its content is checked too: a block that was accepted can be walked to its end.
pub(super) fn decode(bytes: &[u8]) -> Result<Block<'_>, Fault> {
    let head = bytes.first_chunk::<BLOCK_HEAD>().ok_or(Fault::Short)?;
    let bytes = bytes.get(..block_length(head)?).ok_or(Fault::Short)?;
    let (covered, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(Fault::Short)?;
    if xxh3_64(covered) != u64::from_le_bytes(*checksum) {
        return Err(Fault::Checksum);
    }
    let kind = match part::<2>(head, 30) {
        [1, 0] => BlockKind::LookUps,
        [2, 0] => BlockKind::Note,
        [3, 0] => BlockKind::Seal,
        _ => return Err(Fault::Kind),
    };
    let head = BlockHead {
        kind,
        first_entry: u64::from_le_bytes(part(head, 8)),
        base_unix_ms: u64::from_le_bytes(part(head, 16)),
        entries: u32::from_le_bytes(part(head, 24)),
        contexts: u16::from_le_bytes(part(head, 28)),
        chain: AuditChain(part(head, 32)),
    };
    let block = Block { head, content: covered.get(BLOCK_HEAD..).unwrap_or_default(), bytes };
    let is_as_its_kind_says = match kind {
        BlockKind::LookUps => block.walk(|_| {}).is_some(),
        BlockKind::Note => head.entries == 1 && head.contexts == 0 && block.note().is_some(),
        BlockKind::Seal => head.entries == 0 && head.contexts == 0 && block.seal().is_some(),
    };
    if is_as_its_kind_says { Ok(block) } else { Err(Fault::Content) }
}

impl<'b> Block<'b> {
    /// The note of a block of that kind.
    pub(super) fn note(&self) -> Option<Note> {
        let content: &[u8; NOTE_BYTES] = self.content.try_into().ok()?;
        Note::decode(content).filter(|_| self.head.kind == BlockKind::Note)
    }

    /// The entries that a seal counts.
    pub(super) fn seal(&self) -> Option<u64> {
        let content: &[u8; SEAL_BYTES] = self.content.try_into().ok()?;
        let is_right = (1..=4).contains(&u32::from_le_bytes(part(content, 8))) && part::<4>(content, 12) == [0; 4];
        (is_right && self.head.kind == BlockKind::Seal).then(|| u64::from_le_bytes(part(content, 0)))
    }

    /// Gives every entry of a block of look-ups; `None` where they are not what their layout says.
    pub(super) fn walk(&self, mut give: impl FnMut(BlockEntry<'b>)) -> Option<()> {
        let (contexts, mut rest) = self.content.split_at_checked(usize::from(self.head.contexts) * CONTEXT_BYTES)?;
        for context in contexts.chunks_exact(CONTEXT_BYTES) {
            check_context(context)?;
        }
        for _ in 0..self.head.entries {
            let (entry, after) = rest.split_first_chunk::<ENTRY_BYTES>()?;
            let place = usize::from(u16::from_le_bytes(part(entry, 14)));
            let context = read_context(contexts.get(place * CONTEXT_BYTES..)?.get(..CONTEXT_BYTES)?);
            let after_base = i64::from(i16::from_le_bytes(part(entry, 12)));
            let unix_ms = self.head.base_unix_ms.checked_add_signed(after_base)?;
            let (word, answer_word) = (u64::from_le_bytes(part(entry, 0)), u32::from_le_bytes(part(entry, 8)));
            rest = after;
            let what = if verdict_code(answer_word) == 0 {
                let lines = usize::try_from(answer_word & DATE_MASK).ok()?;
                let (lines, after) = rest.split_at_checked(lines.checked_mul(LINE_BYTES)?)?;
                rest = after;
                What::Piece { piece: Piece::of_word(word)?, lines }
            } else {
                What::Single { pseudonym: word, answer_word }
            };
            give(BlockEntry { unix_ms, context, what });
        }
        (rest.len() < 8 && rest.iter().all(|byte| *byte == 0)).then_some(())
    }
}

pub(super) fn append_context(context: &Context, out: &mut Vec<u8>) {
    out.extend_from_slice(&context.sequence.to_le_bytes());
    out.extend_from_slice(&context.institution.to_le_bytes());
    out.extend_from_slice(&context.token.to_le_bytes());
    out.extend_from_slice(&[context.via, u8::from(context.has_token), 0, 0]);
}

fn read_context(bytes: &[u8]) -> Context {
    Context {
        sequence: u64::from_le_bytes(part(bytes, 0)),
        institution: u64::from_le_bytes(part(bytes, 8)),
        token: u32::from_le_bytes(part(bytes, 16)),
        via: part::<1>(bytes, 20)[0],
        has_token: part(bytes, 21) == [1],
    }
}

fn check_context(bytes: &[u8]) -> Option<()> {
    let context = read_context(bytes);
    let mut again = Vec::with_capacity(CONTEXT_BYTES);
    append_context(&context, &mut again);
    Via::from_byte(context.via)?;
    super::entry::institution_of(context.institution)?;
    (again == bytes).then_some(())
}

pub(super) fn append_entry(word: u64, answer_word: u32, after_base_ms: i16, context: u16, out: &mut Vec<u8>) {
    let mut entry = [0; ENTRY_BYTES];
    let (head, tail) = entry.split_at_mut(8);
    head.copy_from_slice(&word.to_le_bytes());
    let tail_word = u64::from(answer_word) | u64::from(after_base_ms.cast_unsigned()) << 32 | u64::from(context) << 48;
    tail.copy_from_slice(&tail_word.to_le_bytes());
    out.extend_from_slice(&entry);
}

pub(super) fn append_line(pseudonym: u64, answer_word: u32, out: &mut Vec<u8>) {
    out.extend_from_slice(&pseudonym.to_le_bytes());
    out.extend_from_slice(&answer_word.to_le_bytes());
}

/// Every line of a piece: pseudonym and answer word.
pub(super) fn lines_of(lines: &[u8]) -> impl Iterator<Item = (u64, u32)> + '_ {
    lines.chunks_exact(LINE_BYTES).map(|line| (u64::from_le_bytes(part(line, 0)), u32::from_le_bytes(part(line, 8))))
}

/// Whether any whole block stands in bytes of which nothing else is known. Blocks begin at multiples of eight.
pub(super) fn any_whole_block(bytes: &[u8]) -> bool {
    (0..bytes.len()).step_by(8).any(|at| {
        let candidate = bytes.get(at..).filter(|candidate| candidate.starts_with(&BLOCK_MAGIC));
        candidate.is_some_and(|candidate| decode(candidate).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(kind: BlockKind, entries: u32, contexts: u16) -> BlockHead {
        BlockHead { kind, first_entry: 7, base_unix_ms: 1_795_273_200_000, entries, contexts, chain: AuditChain([5; 32]) }
    }

    fn look_ups() -> Vec<u8> {
        let (mut contexts, mut entries) = (Vec::new(), Vec::new());
        append_context(&Context { sequence: 3, institution: 1, token: 4, via: 1, has_token: true }, &mut contexts);
        append_context(&Context { sequence: 4, institution: 0, token: 0, via: 2, has_token: false }, &mut contexts);
        append_entry(11, 20_261_122 | 1 << 27 | 1 << 31, -5, 1, &mut entries);
        append_entry(Piece { request: 9, first_line: 512, is_last: true }.word(), 3, 6, 0, &mut entries);
        for line in 0..3 {
            append_line(100 + line, 20_261_122 | 7 << 27, &mut entries);
        }
        let mut out = Vec::new();
        head(BlockKind::LookUps, 2, 2).encode(&mut out, &[&contexts, &entries]);
        out
    }

    fn blocks() -> Vec<Vec<u8>> {
        let (mut note, mut seal) = (Vec::new(), Vec::new());
        head(BlockKind::Note, 1, 0).encode(&mut note, &[&Note::Restarted { segment: 1, offset: 2, cut_bytes: 3 }.encode()]);
        head(BlockKind::Seal, 0, 0).encode(&mut seal, &[&seal_content(77, SealReason::Day)]);
        vec![look_ups(), note, seal]
    }

    #[test]
    fn look_ups_read_as_they_were_written() {
        let bytes = look_ups();
        let block = decode(&bytes).unwrap();
        assert_eq!(block.head, head(BlockKind::LookUps, 2, 2));
        let mut entries = Vec::new();
        block.walk(|entry| entries.push(entry)).unwrap();
        assert_eq!((entries[0].unix_ms, entries[0].context.sequence), (1_795_273_199_995, 4));
        assert!(matches!(entries[0].what, What::Single { pseudonym: 11, answer_word } if answer_word >> 27 == 0b1_0001));
        assert_eq!((entries[1].unix_ms, entries[1].context.institution), (1_795_273_200_006, 1));
        let What::Piece { piece, lines } = entries[1].what else { panic!("not a piece") };
        assert_eq!(piece, Piece { request: 9, first_line: 512, is_last: true });
        assert_eq!(lines_of(lines).map(|(pseudonym, _)| pseudonym).collect::<Vec<_>>(), [100, 101, 102]);
    }

    #[test]
    fn notes_and_seals_read_as_they_were_written() {
        let blocks = blocks();
        assert_eq!(decode(&blocks[1]).unwrap().note(), Some(Note::Restarted { segment: 1, offset: 2, cut_bytes: 3 }));
        assert_eq!(decode(&blocks[2]).unwrap().seal(), Some(77));
        assert!(decode(&blocks[1]).unwrap().seal().is_none() && decode(&blocks[2]).unwrap().note().is_none());
    }

    #[test]
    fn every_flipped_bit_is_noticed_and_a_block_cut_anywhere_is_none() {
        for bytes in blocks() {
            for place in 0..bytes.len() {
                for bit in 0..8 {
                    let mut flipped = bytes.clone();
                    flipped[place] ^= 1 << bit;
                    assert!(decode(&flipped).is_err(), "byte {place} bit {bit}");
                }
                assert!(decode(&bytes[..place]).is_err(), "cut at {place}");
            }
        }
    }

    #[test]
    fn a_block_whose_checksum_is_right_and_whose_content_is_not_is_refused() {
        let mut contexts = Vec::new();
        append_context(&Context { sequence: 3, institution: 1, token: 4, via: 1, has_token: true }, &mut contexts);
        let mut entry = Vec::new();
        append_entry(11, 20_261_122 | 1 << 27, 0, 1, &mut entry);
        let mut wrong_door = contexts.clone();
        wrong_door[20] = 9;
        let fault = |contexts: &[u8], entries: &[u8], count| {
            let mut out = Vec::new();
            head(BlockKind::LookUps, count, 1).encode(&mut out, &[contexts, entries]);
            decode(&out).err()
        };
        assert_eq!(fault(&contexts, &entry, 1), Some(Fault::Content), "a context that is not there");
        entry[14] = 0;
        assert_eq!(fault(&contexts, &entry, 1), None);
        assert_eq!(fault(&contexts, &entry, 2), Some(Fault::Content), "fewer entries than it says");
        assert_eq!(fault(&contexts, &[entry.clone(), entry.clone()].concat(), 1), Some(Fault::Content), "more than it says");
        assert_eq!(fault(&wrong_door, &entry, 1), Some(Fault::Content), "a door that does not exist");
    }
}
