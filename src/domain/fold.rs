//! Key folding: how texts that people write differently are compared (domain notes §10.3, normative for every key).
//!
//! What was registered is kept as it was printed; only the key is folded. Most symbols and numbers are plain ASCII digits and letters,
//! and most others have characters that fold one by one, so those take short ways of their own that touch each byte once.

use arrayvec::ArrayVec;
use unicode_normalization::UnicodeNormalization;

/// The version of the folding; it is part of the stored formats, so that a later folding can live beside this one.
pub const FOLDING_VERSION: u8 = 1;

/// The most bytes a folded text may have. Symbols and numbers have at most 40
/// characters and recipient numbers 30, of at most three bytes each but for the rarest kanji.
pub const FOLDED_BYTES_MAX: usize = 128;

/// A recipient number of fewer digits is padded with zeros to as many (§1.3).
const RECIPIENT_NUMBER_DIGITS: usize = 7;

/// The text folds to more than [`FOLDED_BYTES_MAX`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too long")]
pub struct TooLong;

/// Why bytes have no folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// They fold to more than [`FOLDED_BYTES_MAX`] bytes, or than there is room for.
    #[error("too long")]
    TooLong,
    /// They are not UTF-8.
    #[error("not UTF-8")]
    NotText,
}

impl From<TooLong> for FoldError {
    fn from(TooLong: TooLong) -> FoldError {
        FoldError::TooLong
    }
}

/// Folds `text`, if it is UTF-8, to the end of `out`: NFKC, without spaces, hyphen-likes and middle dots unified, ASCII in capitals. An
/// error leaves something half done there.
pub fn fold_into<const N: usize>(text: &[u8], out: &mut ArrayVec<u8, N>) -> Result<(), FoldError> {
    let start = out.len();
    if !fold_one_to_one(text, out)? {
        out.truncate(start);
        fold_normalised(std::str::from_utf8(text).map_err(|_| FoldError::NotText)?, out)?;
    }
    if out.len() - start > FOLDED_BYTES_MAX { Err(FoldError::TooLong) } else { Ok(()) }
}

/// Folds a text whose every character folds by itself, whatever stands beside it: ASCII, full-width digits and letters, kana and the
/// common ideographs, which is how Japan writes symbols. False, with something half done, for anything else.
fn fold_one_to_one<const N: usize>(text: &[u8], out: &mut ArrayVec<u8, N>) -> Result<bool, TooLong> {
    let mut bytes = text;
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        match (*first, rest) {
            (b' ' | b'\t', _) => {}
            (0..0x80, _) => out.try_push(first.to_ascii_uppercase()).map_err(|_| TooLong)?,
            (0xe3..=0xe9 | 0xef, [second @ 0x80..0xc0, third @ 0x80..0xc0, rest @ ..]) => {
                bytes = rest;
                match one_to_one([*first, *second, *third]) {
                    Some(OneToOne::Itself) => {
                        out.try_extend_from_slice(&[*first, *second, *third]).map_err(|_| TooLong)?;
                    }
                    Some(OneToOne::Ascii(ascii)) => out.try_push(ascii).map_err(|_| TooLong)?,
                    Some(OneToOne::Nothing) => {}
                    None => return Ok(false),
                }
            }
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// What a character that folds by itself becomes.
enum OneToOne {
    Itself,
    Ascii(u8),
    Nothing,
}

/// The folding of a character of three UTF-8 bytes, if it does not depend on its neighbours.
#[inline]
fn one_to_one([first, second, third]: [u8; 3]) -> Option<OneToOne> {
    let low = |byte: u8| u32::from(byte & 0x3f);
    let code = u32::from(first & 0x0f) << 12 | low(second) << 6 | low(third);
    match code {
        // None of the kana, the middle dot and the ideographs decomposes, and none joins with a neighbour: only combining marks do,
        // which are not among them.
        0x3041..=0x3096 | 0x30a1..=0x30fb | 0x4e00..=0x9fff => Some(OneToOne::Itself),
        0xff01..=0xff5e => u8::try_from(code - 0xff00 + 0x20).ok().map(|ascii| OneToOne::Ascii(ascii.to_ascii_uppercase())),
        0x3000 => Some(OneToOne::Nothing),
        _ => None,
    }
}

/// Folds any text.
fn fold_normalised<const N: usize>(text: &str, out: &mut ArrayVec<u8, N>) -> Result<(), TooLong> {
    let mut characters = text.nfkc().filter(|character| !is_space(*character)).peekable();
    let mut previous = ' ';
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        let character = unified(character, previous, next);
        out.try_extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()).map_err(|_| TooLong)?;
        previous = character;
    }
    Ok(())
}

/// A folded text in a fixed buffer, so that folding a question allocates nothing.
#[derive(Clone)]
pub struct Folded {
    bytes: ArrayVec<u8, FOLDED_BYTES_MAX>,
}

impl Folded {
    /// Folds `text`: see [`fold_into`].
    pub fn of(text: &str) -> Result<Folded, TooLong> {
        let mut folded = Folded::empty();
        fold_into(text.as_bytes(), &mut folded.bytes).map_err(|_| TooLong)?;
        Ok(folded)
    }

    /// Folds a recipient number: as any text, and if all digits and at most seven of them, padded with zeros to seven (§1.3).
    pub fn of_recipient_number(text: &str) -> Result<Folded, TooLong> {
        let folded = Folded::of(text)?;
        let digits = folded.as_bytes();
        if digits.is_empty() || digits.len() >= RECIPIENT_NUMBER_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
            return Ok(folded);
        }
        let mut padded = Folded::empty();
        for _ in digits.len()..RECIPIENT_NUMBER_DIGITS {
            padded.push(b"0")?;
        }
        padded.push(digits)?;
        Ok(padded)
    }

    /// The folded text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    const fn empty() -> Folded {
        Folded { bytes: ArrayVec::new_const() }
    }

    fn push(&mut self, more: &[u8]) -> Result<(), TooLong> {
        self.bytes.try_extend_from_slice(more).map_err(|_| TooLong)
    }
}

/// Whether a text folds to itself: most symbols and numbers do.
#[inline]
pub fn is_folded(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'Z' | b'-'))
}

/// Whether a recipient number folds to itself: shorter ones may be padded.
#[inline]
pub fn is_folded_recipient_number(text: &[u8]) -> bool {
    text.len() >= RECIPIENT_NUMBER_DIGITS && is_folded(text)
}

/// Whether a recipient number, however it was written, folds to this.
#[inline]
pub fn recipient_number_folds_to(text: &str, folded: &[u8]) -> bool {
    if is_folded_recipient_number(text.as_bytes()) {
        text.as_bytes() == folded
    } else {
        Folded::of_recipient_number(text).is_ok_and(|own| own.as_bytes() == folded)
    }
}

/// Whether two recipient numbers are the same number, however they were written.
#[inline]
pub fn same_recipient_number(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    if is_folded_recipient_number(one.as_bytes()) && is_folded_recipient_number(other.as_bytes()) {
        return false;
    }
    match (Folded::of_recipient_number(one), Folded::of_recipient_number(other)) {
        (Ok(one), Ok(other)) => one.as_bytes() == other.as_bytes(),
        _ => false,
    }
}

fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\u{3000}' | '\u{a0}' | '\t')
}

fn unified(character: char, previous: char, next: char) -> char {
    match character {
        '‐' | '‑' | '‒' | '–' | '—' | '―' | '−' => '-',
        // A long-vowel mark beside a letter or digit is a hyphen that some system widened.
        'ー' if previous.is_ascii_alphanumeric() || next.is_ascii_alphanumeric() => '-',
        '〜' => '~',
        '∥' => '‖',
        '・' | '･' | '·' => '・',
        other => other.to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vectors;

    fn fold(text: &str) -> String {
        String::from_utf8(Folded::of(text).unwrap().as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn every_published_vector_folds_as_written() {
        for (text, folded) in vectors::map("fold") {
            assert_eq!(fold(&text), folded, "{text}");
        }
        assert_eq!(fold("１〜２"), "1~2");
        assert_eq!(fold("１２３‐４５"), "123-45");
    }

    #[test]
    fn the_plain_path_and_the_full_path_agree() {
        for text in ["ab-12", " 12 3\t4", "", "A~B", "123ー45"] {
            let full: String = text.nfkc().filter(|c| !is_space(*c)).collect::<String>().to_ascii_uppercase().replace('ー', "-");
            assert_eq!(fold(text), full);
        }
    }

    /// Every text of up to three characters, over all that the short way takes and some that it must leave to the long one.
    #[test]
    fn a_text_folded_character_by_character_folds_as_the_whole_does() {
        let one_by_one = ('!'..='~').chain('！'..='～').chain('ぁ'..='ゖ').chain('ァ'..='・').chain('一'..='\u{9fff}');
        let beside = [None, Some('ー'), Some('\u{3099}'), Some('ﾞ'), Some('A'), Some('が'), Some('・'), Some('\u{3000}')];
        for character in one_by_one.chain([' ', '\t', '\u{3000}', '･', '·', '−', '\u{a0}', '㍻', 'ｶ']) {
            for (before, after) in beside.iter().flat_map(|before| beside.iter().map(move |after| (before, after))) {
                let text: String = before.iter().chain([&character]).chain(after.iter()).collect();
                let (mut short, mut long) = (ArrayVec::<u8, 64>::new(), ArrayVec::<u8, 64>::new());
                fold_normalised(&text, &mut long).unwrap();
                if fold_one_to_one(text.as_bytes(), &mut short).unwrap() {
                    assert_eq!(short, long, "{text}");
                }
            }
        }
        let mut folded = ArrayVec::<u8, 64>::new();
        assert!(fold_one_to_one("江・１２ａ　サ".as_bytes(), &mut folded).unwrap());
        assert_eq!(folded.as_slice(), "江・12Aサ".as_bytes());
        assert!(!fold_one_to_one("江−１".as_bytes(), &mut folded).unwrap());
    }

    #[test]
    fn short_recipient_numbers_are_padded_and_longer_ones_left() {
        assert!(same_recipient_number("123456", "0123456"));
        assert!(same_recipient_number("１２３４５６", "0123456"));
        assert!(!same_recipient_number("12345678", "012345678"));
        assert!(!same_recipient_number("A12", "0000A12"));
        assert!(!same_recipient_number("", "0000000"));
    }

    #[test]
    fn a_text_that_folds_too_long_is_refused_and_not_cut() {
        assert_eq!(Folded::of(&"㍻".repeat(60)).err(), Some(TooLong));
        assert!(Folded::of(&"9".repeat(FOLDED_BYTES_MAX)).is_ok());
        assert!(Folded::of(&"9".repeat(FOLDED_BYTES_MAX + 1)).is_err());
    }
}
