//! Finding a byte in the few dozen that a question has, eight at a time: a vectored search is built for longer texts and is not done
//! setting up when this has ended.

/// The place of the first `wanted` in `text`.
#[inline]
pub(in crate::serve) fn find(wanted: u8, text: &[u8]) -> Option<usize> {
    let pattern = u64::from_ne_bytes([wanted; 8]);
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let found = zero_bytes(u64::from_le_bytes(*word) ^ pattern);
        if found != 0 {
            return Some(place * 8 + (found.trailing_zeros() / 8) as usize);
        }
    }
    let place = rest.iter().position(|byte| *byte == wanted)?;
    Some(words.len() * 8 + place)
}

/// What stands before the first `wanted` and what after it.
#[inline]
pub(super) fn split_at_first(wanted: u8, text: &[u8]) -> Option<(&[u8], &[u8])> {
    split_around(find(wanted, text)?, text)
}

/// What stands before the last `wanted` and what after it.
#[inline]
pub(super) fn split_at_last(wanted: u8, text: &[u8]) -> Option<(&[u8], &[u8])> {
    split_around(text.iter().rposition(|byte| *byte == wanted)?, text)
}

/// What stands before a place and what after it.
#[inline]
fn split_around(place: usize, text: &[u8]) -> Option<(&[u8], &[u8])> {
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Whether a text stands in JSON as it is: no quote, no backslash, no control character.
#[inline]
pub(super) fn is_plain_in_json(text: &[u8]) -> bool {
    find_not_plain_in_json(text).is_none()
}

/// The place of the first byte that does not stand in a JSON string as it is: a quote, a backslash or a control character.
#[inline]
pub(super) fn find_not_plain_in_json(text: &[u8]) -> Option<usize> {
    const SPACES: u64 = u64::from_ne_bytes([b' '; 8]);
    const QUOTES: u64 = u64::from_ne_bytes([b'"'; 8]);
    const BACKSLASHES: u64 = u64::from_ne_bytes([b'\\'; 8]);
    let (words, rest) = text.as_chunks::<8>();
    for (place, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // As in `zero_bytes`, only the lowest mark is sure, and it is the one that is wanted.
        let control = word.wrapping_sub(SPACES) & !word & HIGH_BITS;
        let marks = control | zero_bytes(word ^ QUOTES) | zero_bytes(word ^ BACKSLASHES);
        if marks != 0 {
            return Some(place * 8 + (marks.trailing_zeros() / 8) as usize);
        }
    }
    let place = rest.iter().position(|byte| *byte < 0x20 || matches!(byte, b'"' | b'\\'))?;
    Some(words.len() * 8 + place)
}

/// Whether a text is ASCII.
#[inline]
pub(super) fn is_ascii(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    let word = words.iter().fold(0, |bits, word| bits | u64::from_le_bytes(*word));
    word & HIGH_BITS == 0 && rest.iter().fold(0, |bits, byte| bits | byte) < 0x80
}

/// A word whose lowest set bit is in the first byte of `word`, from the low end, that is zero. Bytes above it may be marked wrongly.
#[inline]
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & HIGH_BITS
}

const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_json_must_escape_is_seen_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let must = byte < 0x20 || matches!(byte, b'"' | b'\\');
            for place in 0..20 {
                let mut text = *b"abcdefghijklmnopqrst";
                text[place] = byte;
                assert_eq!(find_not_plain_in_json(&text), must.then_some(place), "{byte} at {place}");
            }
        }
        assert!(is_plain_in_json("子ども医療費受給者証（東京都千代田区）".as_bytes()));
    }

    #[test]
    fn a_byte_is_found_where_a_plain_search_finds_it() {
        for length in 0..40 {
            for place in 0..length {
                for (wanted, other) in [(b'\t', b'\n'), (0, 1), (b':', b';'), (0x80, 0x81), (0xff, 0xfe)] {
                    let mut text = vec![other; length];
                    assert_eq!(find(wanted, &text), None);
                    text[place] = wanted;
                    assert_eq!(find(wanted, &text), Some(place));
                    if let Some(last) = text.last_mut() {
                        *last = wanted;
                    }
                    assert_eq!(find(wanted, &text), Some(place));
                    assert_eq!(split_at_first(wanted, &text), Some((&text[..place], &text[place + 1..])));
                    assert_eq!(split_at_last(wanted, &text), Some((&text[..length - 1], &text[length..])));
                }
            }
        }
    }
}
