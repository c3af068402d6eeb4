//! From records of the ring to the content of blocks: hashes become pseudonyms here, and who asks is written once for many.

use super::block::{CONTEXT_BYTES, ENTRY_BYTES, LINE_BYTES, append_context, append_entry, append_line};
use super::entry::{Context, NOT_ANSWERED, Taken, verdict_code};
use super::pseudonym::PseudonymKey;
use crate::limits::AUDIT_BLOCK_BYTES_MAX;

/// What stands around contexts and entries.
const AROUND_BYTES: usize = super::block::BLOCK_HEAD + 16;

/// Contexts are looked for in one place, by who asks: a few hundred institutions rarely meet there, and where two do, a context is
/// written twice.
const PLACES: usize = 256;

/// A block before its number and chain are known.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) base_unix_ms: u64,
    pub(super) entries: u32,
    pub(super) contexts: u16,
    pub(super) context_bytes: Vec<u8>,
    pub(super) entry_bytes: Vec<u8>,
}

/// Packs entries.
#[derive(Debug)]
pub(super) struct Encoder {
    key: PseudonymKey,
    content: Content,
    known: Vec<Context>,
    places: Box<[u16; PLACES]>,
    last: u16,
}

impl Encoder {
    pub(super) fn new(key: PseudonymKey) -> Encoder {
        Encoder { key, content: Content::default(), known: Vec::new(), places: Box::new([0; PLACES]), last: 0 }
    }

    /// Whether nothing has been added since the last [`Encoder::finish`].
    pub(super) fn is_empty(&self) -> bool {
        self.content.entries == 0
    }

    /// Whether a record can still be added to what is there.
    pub(super) fn has_room_for(&self, taken: &Taken<'_>) -> bool {
        let (unix_ms, lines) = match taken {
            Taken::Single { unix_ms, .. } => (*unix_ms, 0),
            Taken::Piece { unix_ms, count, .. } => (*unix_ms, *count),
        };
        let more = CONTEXT_BYTES + ENTRY_BYTES + lines * LINE_BYTES;
        let bytes = AROUND_BYTES + self.content.context_bytes.len() + self.content.entry_bytes.len() + more;
        self.is_empty() || (bytes <= AUDIT_BLOCK_BYTES_MAX && self.after_base(unix_ms).is_some())
    }

    /// Adds a record; [`Encoder::has_room_for`] said that it may.
    pub(super) fn add(&mut self, taken: &Taken<'_>) {
        match taken {
            Taken::Single { unix_ms, context, key_word, answer_word } => {
                let pseudonym = self.key.of_key_word(*key_word).word();
                self.append(*unix_ms, context, pseudonym, *answer_word);
            }
            Taken::Piece { unix_ms, context, piece, lines, count } => {
                self.append(*unix_ms, context, piece.word(), u32::try_from(*count).unwrap_or(0));
                for (key_word, answer_word) in lines_of_ring(lines, *count) {
                    // Who could not be read has no pseudonym; a question that was read and refused has.
                    let is_nobody = key_word == 0 && verdict_code(answer_word) == NOT_ANSWERED;
                    let pseudonym = if is_nobody { 0 } else { self.key.of_key_word(key_word).word() };
                    append_line(pseudonym, answer_word, &mut self.content.entry_bytes);
                }
            }
        }
    }

    /// Gives what was added and begins anew.
    pub(super) fn finish(&mut self) -> Content {
        self.known.clear();
        self.places.fill(0);
        self.last = 0;
        std::mem::take(&mut self.content)
    }

    fn append(&mut self, unix_ms: u64, context: &Context, word: u64, answer_word: u32) {
        if self.is_empty() {
            self.content.base_unix_ms = unix_ms;
        }
        let context = self.place_of(context);
        let after_base = self.after_base(unix_ms).unwrap_or(0);
        append_entry(word, answer_word, after_base, context, &mut self.content.entry_bytes);
        self.content.entries += 1;
    }

    /// `None` where a block with this base cannot say the time.
    fn after_base(&self, unix_ms: u64) -> Option<i16> {
        let after = i64::try_from(unix_ms).ok()? - i64::try_from(self.content.base_unix_ms).ok()?;
        i16::try_from(after).ok()
    }

    fn place_of(&mut self, context: &Context) -> u16 {
        if self.known.get(usize::from(self.last)) == Some(context) {
            return self.last;
        }
        let asker = (context.institution ^ u64::from(context.token) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let Some(place) = self.places.get_mut((asker >> 56) as usize) else { return 0 };
        if self.known.get(usize::from(*place)) != Some(context) {
            // A block's bytes end long before 65,535 contexts do.
            *place = u16::try_from(self.known.len()).unwrap_or(0);
            self.known.push(*context);
            append_context(context, &mut self.content.context_bytes);
            self.content.contexts = *place + 1;
        }
        self.last = *place;
        *place
    }
}

const _: () = assert!(AUDIT_BLOCK_BYTES_MAX / CONTEXT_BYTES < u16::MAX as usize && PLACES == 1 << 8);

/// Lines as they lie in the ring: two key words, then the word of both answers.
#[expect(clippy::cast_possible_truncation, reason = "the answers are cut out of their word")]
fn lines_of_ring(words: &[u64], count: usize) -> impl Iterator<Item = (u64, u32)> + '_ {
    words
        .chunks(3)
        .flat_map(|pair| {
            let [first, .., answers] = pair else { return [None, None] };
            let second = if let [_, second, _] = pair { Some((*second, (answers >> 32) as u32)) } else { None };
            [Some((*first, *answers as u32)), second]
        })
        .flatten()
        .take(count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::audit::block::{Block, BlockHead, BlockKind, What, decode, lines_of};
    use crate::audit::chain::AuditChain;
    use crate::audit::entry::Piece;

    fn encoder() -> Encoder {
        Encoder::new(PseudonymKey::of([1; 16]))
    }

    fn written(content: &Content) -> Vec<u8> {
        let mut out = Vec::new();
        let (entries, contexts) = (content.entries, content.contexts);
        let base_unix_ms = content.base_unix_ms;
        let head =
            BlockHead { kind: BlockKind::LookUps, first_entry: 1, base_unix_ms, entries, contexts, chain: AuditChain([0; 32]) };
        head.encode(&mut out, &[&content.context_bytes, &content.entry_bytes]);
        out
    }

    fn walked<'b>(block: &Block<'b>) -> Vec<(u64, Context, What<'b>)> {
        let mut entries = Vec::new();
        block.walk(|entry| entries.push((entry.unix_ms, entry.context, entry.what))).unwrap();
        entries
    }

    proptest! {
        /// Whoever asks in whatever order: each entry comes back with its own context and time.
        #[test]
        fn entries_keep_their_context_and_time(
            entries in proptest::collection::vec((0u64..2_000, 0u64..600, 0u32..3, 1u8..5, 0u64..3), 1..300)
        ) {
            let mut encoder = encoder();
            let mut expected = Vec::new();
            for (number, (after_ms, institution, token, via, sequence)) in entries.iter().enumerate() {
                let context = Context { sequence: *sequence, institution: *institution, token: *token, via: *via, has_token: *token > 0 };
                let unix_ms = 1_795_273_200_000 + after_ms;
                let key_word = number as u64;
                let taken = Taken::Single { unix_ms, context, key_word, answer_word: 20_261_122 | 1 << 27 };
                prop_assert!(encoder.has_room_for(&taken));
                encoder.add(&taken);
                expected.push((unix_ms, context, PseudonymKey::of([1; 16]).of_key_word(key_word).word()));
            }
            let bytes = written(&encoder.finish());
            let block = decode(&bytes).unwrap();
            let read: Vec<_> = walked(&block)
                .into_iter()
                .map(|(unix_ms, context, what)| match what {
                    What::Single { pseudonym, .. } => (unix_ms, context, pseudonym),
                    What::Piece { .. } => panic!("a piece"),
                })
                .collect();
            prop_assert_eq!(read, expected);
        }
    }

    #[test]
    fn lines_of_a_piece_keep_their_order_and_a_line_nobody_could_read_has_no_pseudonym() {
        for count in 0..6usize {
            let answers: Vec<u32> = (0..6).map(|line| 20_261_122 | (if line == 1 { NOT_ANSWERED } else { 7 }) << 27).collect();
            let key_word = |line: usize| if line == 1 { 0 } else { line as u64 };
            let mut words = Vec::new();
            for pair in (0..count).collect::<Vec<_>>().chunks(2) {
                words.extend(pair.iter().map(|line| key_word(*line)));
                words.push(pair.iter().enumerate().fold(0, |word, (half, line)| word | u64::from(answers[*line]) << (32 * half)));
            }
            let piece = Piece { request: 1, first_line: 0, is_last: true };
            let mut encoder = encoder();
            let context = Context { via: 1, ..Context::default() };
            encoder.add(&Taken::Piece { unix_ms: 5, context, piece, lines: &words, count });
            let bytes = written(&encoder.finish());
            let block = decode(&bytes).unwrap();
            let [(5, _, What::Piece { lines, .. })] = walked(&block)[..] else { panic!("not one piece") };
            let key = PseudonymKey::of([1; 16]);
            let expected =
                (0..count).map(|line| (if line == 1 { 0 } else { key.of_key_word(line as u64).word() }, answers[line]));
            assert_eq!(lines_of(lines).collect::<Vec<_>>(), expected.collect::<Vec<_>>());
            assert_eq!(lines.len(), 12 * count);
        }
    }

    #[test]
    fn a_block_is_full_before_it_is_too_large_and_when_its_base_time_is_too_far() {
        let mut encoder = encoder();
        let single = |unix_ms: u64, institution: u64| {
            let context = Context { sequence: 1, institution, token: 0, via: 1, has_token: false };
            Taken::Single { unix_ms, context, key_word: 1, answer_word: 20_261_122 | 1 << 27 }
        };
        encoder.add(&single(100_000, 1));
        assert!(encoder.has_room_for(&single(132_767, 1)) && !encoder.has_room_for(&single(132_768, 1)));
        assert!(encoder.has_room_for(&single(67_232, 1)) && !encoder.has_room_for(&single(67_231, 1)));
        let mut asker = 1;
        while encoder.has_room_for(&single(100_000, asker)) {
            encoder.add(&single(100_000, asker));
            asker += 1;
        }
        let content = encoder.finish();
        let bytes = written(&content);
        assert!(bytes.len() <= AUDIT_BLOCK_BYTES_MAX && bytes.len() + 64 > AUDIT_BLOCK_BYTES_MAX, "{}", bytes.len());
        assert_eq!(decode(&bytes).unwrap().head.entries, content.entries);
        assert!(encoder.is_empty());
    }
}
