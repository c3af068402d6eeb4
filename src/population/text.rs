//! Short text kept in place, so that making a recipient does not wait for the allocator a dozen times.

use std::fmt;

/// Up to `N` bytes of UTF-8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize> {
    len: usize,
    bytes: [u8; N],
}

impl<const N: usize> Text<N> {
    pub(super) const fn new() -> Text<N> {
        Text { len: 0, bytes: [0; N] }
    }

    #[cfg(test)]
    pub(super) fn of(text: &str) -> Text<N> {
        let mut made = Text::new();
        made.push_str(text);
        made
    }

    /// Appends `text`; the callers know their longest forms, and a test sees that none is cut.
    pub(super) fn push_str(&mut self, text: &str) {
        let end = self.len + text.len();
        debug_assert!(end <= N, "{text:?} does not fit into {N} bytes");
        if let Some(free) = self.bytes.get_mut(self.len..end) {
            free.copy_from_slice(text.as_bytes());
            self.len = end;
        }
    }

    pub(super) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// Appends `value` in decimal, in at least `width` ASCII digits.
    pub(super) fn push_number(&mut self, value: u64, width: usize) {
        let (digits, start) = decimal(value, width);
        self.push_str(digits.get(start..).and_then(|digits| std::str::from_utf8(digits).ok()).unwrap_or_default());
    }

    /// Appends `value` in full-width digits (全角).
    pub(super) fn push_wide_number(&mut self, value: u64, width: usize) {
        let (digits, start) = decimal(value, width);
        for digit in digits.iter().skip(start) {
            self.push(wide(char::from(*digit)));
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// The decimal digits of a number, right-aligned, and where the wanted ones start.
pub(super) fn decimal(value: u64, width: usize) -> ([u8; 20], usize) {
    let mut digits = [b'0'; 20];
    let mut rest = value;
    let mut start = digits.len();
    for (place, digit) in digits.iter_mut().enumerate().rev() {
        if rest == 0 {
            break;
        }
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start = place;
    }
    let width = width.clamp(1, digits.len());
    let start = start.min(digits.len() - width);
    (digits, start)
}

/// The full-width form (全角) of a printable ASCII character.
pub(super) fn wide(character: char) -> char {
    match character {
        '!'..='~' => char::from_u32(u32::from(character) + 0xfee0).unwrap_or(character),
        _ => character,
    }
}

/// The half-width form (半角) of a full-width character that has one in ASCII.
pub(super) fn narrow(character: char) -> char {
    match character {
        '！'..='～' => char::from_u32(u32::from(character) - 0xfee0).unwrap_or(character),
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_and_widened() {
        let mut text: Text<40> = Text::of("第");
        text.push_number(42, 4);
        text.push('-');
        text.push_wide_number(105, 1);
        text.push_number(0, 1);
        assert_eq!(text.as_str(), "第0042-１０５0");
        assert_eq!(text.as_str().chars().map(narrow).collect::<String>(), "第0042-1050");
        assert_eq!(wide('-'), '－');
    }
}
