//! What a look-up leaves: an entry, as the caller gives it and as it travels through the ring.

use std::fmt;

use crate::domain::day::Day;
use crate::domain::decision::Verdict;
use crate::domain::identifier::InstitutionCode;
use crate::record::identity::{KeyHash, KeyKind};

/// A token's short name: the first four bytes of its hash. It is no secret and opens nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(u32);

impl TokenId {
    /// The short name of the token with this hash.
    pub fn of_hash(hash: &[u8; 32]) -> TokenId {
        TokenId(hash.first_chunk::<4>().map_or(0, |first| u32::from_be_bytes(*first)))
    }

    /// Reads eight hex digits, as `token list` shows them.
    pub fn parse(text: &str) -> Option<TokenId> {
        let digits = Some(text).filter(|text| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok().map(TokenId)
    }

    pub(super) const fn from_number(number: u32) -> TokenId {
        TokenId(number)
    }

    /// The name as a number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// By which door a look-up came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Via {
    /// The fast listener.
    Fast = 1,
    /// The owner's socket.
    Control = 2,
    /// The API.
    Api = 3,
    /// A command that worked on the directory by itself.
    Command = 4,
}

impl Via {
    const ALL: [Via; 4] = [Via::Fast, Via::Control, Via::Api, Via::Command];

    pub(super) fn from_byte(byte: u8) -> Option<Via> {
        Via::ALL.into_iter().find(|via| *via as u8 == byte)
    }

    /// The word in reports.
    pub const fn word(self) -> &'static str {
        match self {
            Via::Fast => "fast",
            Via::Control => "control",
            Via::Api => "api",
            Via::Command => "command",
        }
    }
}

/// A single look-up.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// When, ms since 1970.
    pub unix_ms: u64,
    /// Who asked, where it is known.
    pub institution: Option<InstitutionCode>,
    /// With which token.
    pub token: Option<TokenId>,
    /// The hash of the key that was asked about. It never reaches the disk.
    pub key: KeyHash,
    /// The day of service.
    pub service_date: Day,
    /// Whether consent was given.
    pub consent: bool,
    /// What was answered.
    pub verdict: Verdict,
    /// The sequence answered from.
    pub sequence: u64,
    /// By which door it came.
    pub via: Via,
}

/// What all lines of a batch have in common.
#[derive(Clone, Copy, Debug)]
pub struct BatchHead {
    /// When, ms since 1970.
    pub unix_ms: u64,
    /// Who asked, where it is known.
    pub institution: Option<InstitutionCode>,
    /// With which token.
    pub token: Option<TokenId>,
    /// Whether consent was given.
    pub consent: bool,
    /// The sequence answered from.
    pub sequence: u64,
    /// By which door it came.
    pub via: Via,
}

/// Whether a verdict means that nobody was found, or may mean it: what somebody who tries numbers out gets.
pub const fn is_miss(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::NotRegistered | Verdict::AuthorityNotParticipating | Verdict::Stale)
}

/// Words of a single look-up in the ring: first word, asked, answered, time, sequence.
pub(super) const SINGLE_WORDS: usize = 5;
/// Words before the lines of a piece of a batch: first word, token, place, time, sequence.
pub(super) const PIECE_HEAD_WORDS: usize = 5;

/// Bits 0–33 of a first word are the institution plus one; bits 34–37 the door, bit 38 says that there is a token, bit 39 that it is
/// a piece of a batch.
const VIA_SHIFT: u32 = 34;
const TOKEN_BIT: u64 = 1 << 38;
const BATCH_BIT: u64 = 1 << 39;
const INSTITUTION_MASK: u64 = (1 << VIA_SHIFT) - 1;

const _: () = assert!(40 <= super::ring::FIRST_WORD_BITS);
// Ten digits plus one, and a day with its four bits of verdict and the bit of consent.
const _: () = assert!(9_999_999_999 < INSTITUTION_MASK);
const _: () = assert!(Day::OPEN_END.packed() < 1 << VERDICT_SHIFT);

const VERDICT_SHIFT: u32 = 27;
const CONSENT_SHIFT: u32 = 31;
pub(super) const DATE_MASK: u32 = (1 << VERDICT_SHIFT) - 1;
const KIND_SHIFT: u32 = 62;
pub(super) const HASH_MASK: u64 = (1 << KIND_SHIFT) - 1;

/// The code of a line that was not answered.
pub(super) const NOT_ANSWERED: u32 = 15;

/// Who asked, through what, from which sequence: what entries of a block share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) sequence: u64,
    /// The code as a number, plus one; 0 for none.
    pub(super) institution: u64,
    pub(super) token: u32,
    pub(super) via: u8,
    pub(super) has_token: bool,
}

/// The place of a piece in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) request: u32,
    pub(super) first_line: u16,
    pub(super) is_last: bool,
}

impl Piece {
    pub(super) fn word(self) -> u64 {
        u64::from(self.request) | u64::from(self.first_line) << 32 | u64::from(self.is_last) << 48
    }

    #[expect(clippy::cast_possible_truncation, reason = "the fields are cut out of the word")]
    pub(super) fn of_word(word: u64) -> Option<Piece> {
        let piece = Piece { request: word as u32, first_line: (word >> 32) as u16, is_last: word >> 48 & 1 == 1 };
        (word >> 49 == 0).then_some(piece)
    }
}

/// A record of the ring, read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<'r> {
    Single { unix_ms: u64, context: Context, key_word: u64, answer_word: u32 },
    Piece { unix_ms: u64, context: Context, piece: Piece, lines: &'r [u64], count: usize },
}

impl Entry {
    #[inline]
    pub(super) fn words(&self) -> (u64, [u64; SINGLE_WORDS - 1]) {
        let answer = answer_word(self.service_date, code_of(self.verdict), self.consent);
        let token = u64::from(self.token.map_or(0, TokenId::number));
        (
            first_word(self.institution, self.token, self.via),
            [key_word(self.key), token << 32 | u64::from(answer), self.unix_ms, self.sequence],
        )
    }
}

impl BatchHead {
    pub(super) fn words(&self, piece: Piece, count: usize) -> (u64, [u64; PIECE_HEAD_WORDS - 1]) {
        let token = u64::from(self.token.map_or(0, TokenId::number));
        (
            first_word(self.institution, self.token, self.via) | BATCH_BIT,
            [token << 32 | count as u64, piece.word(), self.unix_ms, self.sequence],
        )
    }
}

/// Reads a record; `None` for words that no caller of the ring writes.
#[expect(clippy::cast_possible_truncation, reason = "the fields are cut out of words")]
pub(super) fn read_record(record: &[u64]) -> Option<Taken<'_>> {
    let (first, rest) = record.split_first()?;
    let ([one, two, unix_ms, sequence], lines) = rest.split_first_chunk::<4>()?;
    let is_batch = first & BATCH_BIT != 0;
    let token_word = if is_batch { one } else { two };
    let context = Context {
        sequence: *sequence,
        institution: first & INSTITUTION_MASK,
        token: (token_word >> 32) as u32,
        via: (first >> VIA_SHIFT & 0xf) as u8,
        has_token: first & TOKEN_BIT != 0,
    };
    if is_batch {
        let count = (token_word & 0xffff_ffff) as usize;
        let piece = Piece::of_word(*two).filter(|_| lines.len() == line_words(count))?;
        Some(Taken::Piece { unix_ms: *unix_ms, context, piece, lines, count })
    } else {
        Some(Taken::Single { unix_ms: *unix_ms, context, key_word: *one, answer_word: *token_word as u32 })
    }
}

/// Words that a number of lines take: two lines share the word of their answers.
pub(super) const fn line_words(count: usize) -> usize {
    count + count.div_ceil(2)
}

/// The kind above, the hash's low bits below: what a pseudonym is made of.
#[inline]
pub(super) fn key_word(key: KeyHash) -> u64 {
    (key.kind as u64) << KIND_SHIFT | key.hash & HASH_MASK
}

/// The kind of a key word or pseudonym.
pub(super) fn kind_of(word: u64) -> KeyKind {
    match word >> KIND_SHIFT {
        0 => KeyKind::Member,
        1 => KeyKind::Certificate,
        2 => KeyKind::Card,
        _ => KeyKind::Identity,
    }
}

#[inline]
pub(super) fn answer_word(service_date: Day, code: u32, consent: bool) -> u32 {
    service_date.packed() & DATE_MASK | code << VERDICT_SHIFT | u32::from(consent) << CONSENT_SHIFT
}

pub(super) const fn verdict_code(answer_word: u32) -> u32 {
    answer_word >> VERDICT_SHIFT & 0xf
}

pub(super) const fn consent_of(answer_word: u32) -> bool {
    answer_word >> CONSENT_SHIFT == 1
}

#[inline]
pub(super) const fn code_of(verdict: Verdict) -> u32 {
    match verdict {
        Verdict::Eligible => 1,
        Verdict::EligibleReimburse => 2,
        Verdict::NotDesignated => 3,
        Verdict::Expired => 4,
        Verdict::Future => 5,
        Verdict::Ambiguous => 6,
        Verdict::NotRegistered => 7,
        Verdict::AuthorityNotParticipating => 8,
        Verdict::NoInformation => 9,
        Verdict::Stale => 10,
    }
}

pub(super) fn verdict_of(code: u32) -> Option<Verdict> {
    Verdict::ALL.into_iter().find(|verdict| code_of(*verdict) == code)
}

#[inline]
fn first_word(institution: Option<InstitutionCode>, token: Option<TokenId>, via: Via) -> u64 {
    let institution = institution.map_or(0, |code| institution_number(&code) + 1);
    institution | (via as u64) << VIA_SHIFT | if token.is_some() { TOKEN_BIT } else { 0 }
}

/// Ten digits as a number. Eight of them at once: pairs, then fours, then eights.
#[inline]
fn institution_number(code: &InstitutionCode) -> u64 {
    let (first, last) = code.as_bytes().split_first_chunk::<8>().map_or((0, [].as_slice()), |(first, last)| {
        let digits = u64::from_le_bytes(*first) & 0x0f0f_0f0f_0f0f_0f0f;
        let pairs = (digits.wrapping_mul(10) + (digits >> 8)) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs.wrapping_mul(100) + (pairs >> 16)) & 0x0000_ffff_0000_ffff;
        ((fours.wrapping_mul(10_000) + (fours >> 32)) & 0xffff_ffff, last)
    });
    last.iter().fold(first, |number, digit| number * 10 + u64::from(digit & 0x0f))
}

/// The institution of a stored number; `None` inside where there was none, outside where no code has it.
pub(super) fn institution_of(stored: u64) -> Option<Option<InstitutionCode>> {
    let Some(mut number) = stored.checked_sub(1) else { return Some(None) };
    let mut digits = [b'0'; 10];
    for digit in digits.iter_mut().rev() {
        *digit += u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
    (number == 0).then(|| InstitutionCode::parse(&digits).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> Entry {
        Entry {
            unix_ms: 1_795_273_200_123,
            institution: Some(InstitutionCode::parse(b"0110113719").unwrap()),
            token: Some(TokenId::from_number(0)),
            key: KeyHash { kind: KeyKind::Card, hash: u64::MAX },
            service_date: Day::OPEN_END,
            consent: true,
            verdict: Verdict::Stale,
            sequence: u64::MAX,
            via: Via::Control,
        }
    }

    #[test]
    fn an_entry_travels_whole() {
        let (first, rest) = entry().words();
        let record: Vec<u64> = std::iter::once(first).chain(rest).collect();
        let context = Context { sequence: u64::MAX, institution: 110_113_720, token: 0, via: 2, has_token: true };
        let answer_word = 99_991_231 | 10 << 27 | 1 << 31;
        let key_word = 2 << 62 | HASH_MASK;
        assert_eq!(read_record(&record), Some(Taken::Single { unix_ms: 1_795_273_200_123, context, key_word, answer_word }));
        assert_eq!(kind_of(key_word), KeyKind::Card);
        assert!(consent_of(answer_word) && verdict_of(verdict_code(answer_word)) == Some(Verdict::Stale));
        let nobody = Entry { institution: None, token: None, consent: false, ..entry() };
        let (first, rest) = nobody.words();
        let record: Vec<u64> = std::iter::once(first).chain(rest).collect();
        let Some(Taken::Single { context, answer_word, .. }) = read_record(&record) else { panic!("not a single look-up") };
        assert!(context.institution == 0 && !context.has_token && !consent_of(answer_word));
    }

    #[test]
    fn a_piece_of_a_batch_travels_whole_and_one_of_another_length_is_refused() {
        let head = BatchHead {
            unix_ms: 7,
            institution: None,
            token: Some(TokenId::parse("0a0b0c0d").unwrap()),
            consent: true,
            sequence: 9,
            via: Via::Fast,
        };
        let piece = Piece { request: u32::MAX, first_line: 9_728, is_last: true };
        let (first, rest) = head.words(piece, 3);
        let mut record: Vec<u64> = std::iter::once(first).chain(rest).chain([1, 2, 3, 4, 5]).collect();
        let context = Context { sequence: 9, institution: 0, token: 0x0a0b_0c0d, via: 1, has_token: true };
        let lines: &[u64] = &[1, 2, 3, 4, 5];
        assert_eq!(read_record(&record), Some(Taken::Piece { unix_ms: 7, context, piece, lines, count: 3 }));
        record.pop();
        assert_eq!(read_record(&record), None);
    }

    #[test]
    fn every_verdict_has_a_code_of_its_own() {
        for verdict in Verdict::ALL {
            assert_eq!(verdict_of(code_of(verdict)), Some(verdict));
            assert!((1..NOT_ANSWERED).contains(&code_of(verdict)));
        }
        assert!(verdict_of(0).is_none() && verdict_of(NOT_ANSWERED).is_none());
    }

    #[test]
    fn a_token_is_named_as_the_list_names_it() {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&[0xde, 0xad, 0x00, 0x0f]);
        assert_eq!(TokenId::of_hash(&hash).to_string(), "dead000f");
        assert_eq!(TokenId::parse("dead000f"), Some(TokenId::of_hash(&hash)));
        assert!(TokenId::parse("dead000").is_none() && TokenId::parse("+ead000f").is_none());
    }

    proptest! {
        #[test]
        fn an_institution_is_its_ten_digits(number in 0u64..10_000_000_000) {
            let code = InstitutionCode::parse(format!("{number:010}").as_bytes()).unwrap();
            prop_assert_eq!(institution_number(&code), number);
            prop_assert_eq!(institution_of(number + 1), Some(Some(code)));
        }
    }

    #[test]
    fn a_number_that_no_institution_has_is_refused() {
        assert_eq!(institution_of(0), Some(None));
        assert_eq!(institution_of(10_000_000_001), None);
    }
}
