//! The check digit (検証番号) that all medical numbers share, and the one of the authority codes.
//!
//! Payer, recipient, insurer and institution numbers use one rule (domain notes §1.1): weights 2, 1, 2, 1 … from the right of
//! the body, a two-digit product counting as the sum of its digits, modulus 10. Authority codes (全国地方公共団体コード) have a
//! rule of their own (§1.7).

/// The check digit of a body of ASCII digits, as an ASCII digit; `None` when the body holds anything else.
pub fn check_digit(body: &[u8]) -> Option<u8> {
    let mut sum = 0u32;
    for (place, digit) in body.iter().rev().enumerate() {
        let value = decimal(*digit)?;
        let product = if place % 2 == 0 { value * 2 } else { value };
        sum += product / 10 + product % 10;
    }
    Some(ascii((10 - sum % 10) % 10))
}

/// Whether the last digit of `number` is the check digit of those before it.
pub fn check_digit_is_right(number: &[u8]) -> bool {
    match number.split_last() {
        Some((last, body)) if !body.is_empty() => check_digit(body) == Some(*last),
        _ => false,
    }
}

/// The check digit of the first five digits of an authority code (weights 6, 5, 4, 3, 2; last digit of 11 − sum mod 11).
pub fn authority_check_digit(body: &[u8; 5]) -> Option<u8> {
    let mut sum = 0u32;
    for (digit, weight) in body.iter().zip([6u32, 5, 4, 3, 2]) {
        sum += decimal(*digit)? * weight;
    }
    Some(ascii((11 - sum % 11) % 10))
}

/// Whether twelve ASCII digits carry the check digit of an individual number (個人番号, §1.8). Used only to refuse one.
pub fn individual_number_check_is_right(number: &[u8; 12]) -> bool {
    let mut sum = 0u32;
    for (place, digit) in number.iter().rev().enumerate() {
        let Some(value) = decimal(*digit) else { return false };
        let weight = match place {
            0 => continue,
            1..=6 => place + 1,
            _ => place - 5,
        };
        sum += value * u32::try_from(weight).unwrap_or(0);
    }
    let remainder = sum % 11;
    let expected = if remainder <= 1 { 0 } else { 11 - remainder };
    number.last().copied() == Some(ascii(expected))
}

/// Whether all bytes are ASCII digits.
#[inline]
pub fn are_digits(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| word_is_digits(u64::from_le_bytes(*word))) && rest.iter().all(u8::is_ascii_digit)
}

/// Whether the eight bytes of a word are ASCII digits, all eight looked at at once.
#[inline]
pub(super) const fn word_is_digits(word: u64) -> bool {
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    const ABOVE_NINE: u64 = 0x4646_4646_4646_4646;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // A byte below '0' borrows into its high bit; one above '9' reaches it when 0x46 is added.
    (word.wrapping_add(ABOVE_NINE) | word.wrapping_sub(ZEROS)) & HIGH_BITS == 0
}

fn decimal(digit: u8) -> Option<u32> {
    digit.is_ascii_digit().then(|| u32::from(digit - b'0'))
}

fn ascii(value: u32) -> u8 {
    b'0' + u8::try_from(value % 10).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::vectors;

    #[test]
    fn published_numbers_pass_and_the_known_bad_ones_fail() {
        for number in vectors::list("check_digit_valid") {
            assert!(check_digit_is_right(number.as_bytes()), "{number}");
        }
        for number in vectors::list("check_digit_invalid") {
            assert!(!check_digit_is_right(number.as_bytes()), "{number}");
        }
    }

    #[test]
    fn every_single_digit_error_is_caught() {
        for number in vectors::list("check_digit_valid") {
            for place in 0..number.len() {
                for digit in b'0'..=b'9' {
                    let mut wrong = number.clone().into_bytes();
                    if wrong[place] != digit {
                        wrong[place] = digit;
                        assert!(!check_digit_is_right(&wrong));
                    }
                }
            }
        }
    }

    #[test]
    fn authority_codes_carry_their_check_digit() {
        for code in vectors::list("lg_code_valid") {
            let body: [u8; 5] = code.as_bytes()[..5].try_into().unwrap();
            assert_eq!(authority_check_digit(&body), Some(code.as_bytes()[5]), "{code}");
        }
    }

    #[test]
    fn an_individual_number_is_recognised_and_the_official_dummy_is_not() {
        assert!(individual_number_check_is_right(b"123456789018"));
        assert!(!individual_number_check_is_right(b"210987654321"));
        assert!(!individual_number_check_is_right(b"12345678901x"));
    }
}
