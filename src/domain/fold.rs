//! Key folding: how texts that people write differently are compared (domain notes §10.3, normative for every key).
//!
//! What was registered is kept as it was printed; only the key is folded. Most symbols and numbers are plain ASCII digits
//! and letters, so those take a path of their own that touches each byte once.

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

/// A folded text in a fixed buffer, so that folding a question allocates nothing.
#[derive(Clone)]
pub struct Folded {
    bytes: ArrayVec<u8, FOLDED_BYTES_MAX>,
}

impl Folded {
    /// Folds `text`: NFKC, without spaces, hyphen-likes and middle dots unified, ASCII in capitals.
    pub fn of(text: &str) -> Result<Folded, TooLong> {
        let mut folded = Folded::empty();
        if text.is_ascii() {
            for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t')) {
                folded.bytes.try_push(byte.to_ascii_uppercase()).map_err(|_| TooLong)?;
            }
            return Ok(folded);
        }
        if folded.push_one_to_one(text)? {
            return Ok(folded);
        }
        folded.bytes.clear();
        folded.push_normalised(text)?;
        Ok(folded)
    }

    /// Folds any text.
    fn push_normalised(&mut self, text: &str) -> Result<(), TooLong> {
        let mut characters = text.nfkc().filter(|character| !is_space(*character)).peekable();
        let mut previous = ' ';
        while let Some(character) = characters.next() {
            let next = characters.peek().copied().unwrap_or(' ');
            let character = unified(character, previous, next);
            self.push(character.encode_utf8(&mut [0; 4]).as_bytes())?;
            previous = character;
        }
        Ok(())
    }

    /// Folds a text whose every character folds by itself, whatever stands beside it: full-width digits and letters, kana and the
    /// common ideographs, which is how Japan writes symbols. False, with something half done, for any other text.
    fn push_one_to_one(&mut self, text: &str) -> Result<bool, TooLong> {
        for character in text.chars() {
            let ascii = match character {
                ' ' | '\t' | '\u{3000}' => continue,
                '!'..='~' => character.to_ascii_uppercase(),
                '！'..='～' => ascii_of_full_width(character),
                // None of these decomposes, and none joins with a neighbour: only combining marks do, which are not among them.
                'ぁ'..='ゖ' | 'ァ'..='・' | '一'..='\u{9fff}' => {
                    self.push(character.encode_utf8(&mut [0; 4]).as_bytes())?;
                    continue;
                }
                _ => return Ok(false),
            };
            self.push(ascii.encode_utf8(&mut [0; 4]).as_bytes())?;
        }
        Ok(true)
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
    text.iter().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase() || *byte == b'-')
}

/// Whether a recipient number folds to itself: shorter ones may be padded.
#[inline]
pub fn is_folded_recipient_number(text: &[u8]) -> bool {
    text.len() >= RECIPIENT_NUMBER_DIGITS && is_folded(text)
}

/// Whether a recipient number, however it was written, folds to this.
pub fn recipient_number_folds_to(text: &str, folded: &[u8]) -> bool {
    if is_folded_recipient_number(text.as_bytes()) {
        text.as_bytes() == folded
    } else {
        Folded::of_recipient_number(text).is_ok_and(|own| own.as_bytes() == folded)
    }
}

/// Whether two recipient numbers are the same number, however they were written.
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

/// The capital ASCII character of a full-width one, U+FF01 to U+FF5E.
fn ascii_of_full_width(character: char) -> char {
    const DISTANCE: u32 = '！' as u32 - '!' as u32;
    char::from_u32(u32::from(character) - DISTANCE).map_or(character, |ascii| ascii.to_ascii_uppercase())
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
                let (mut short, mut long) = (Folded::empty(), Folded::empty());
                long.push_normalised(&text).unwrap();
                if short.push_one_to_one(&text).unwrap() {
                    assert_eq!(short.as_bytes(), long.as_bytes(), "{text}");
                }
            }
        }
        assert!(Folded::empty().push_one_to_one("江・１２Ａ　サ").unwrap());
        assert!(!Folded::empty().push_one_to_one("江−１").unwrap());
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
