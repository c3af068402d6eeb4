//! The text of a file in CP932, the vendors' Shift_JIS.
//!
//! The general encoder searches its tables for every kanji, which took most of the time of a file. A population writes with a few
//! hundred different characters, so each is looked up once and remembered.

/// How a file's text is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Without a byte order mark.
    #[default]
    Utf8,
    /// The vendors' Shift_JIS; every character of the population has a place in it.
    Cp932,
}

/// The one or two bytes of each character met so far; a zero first byte is "not met yet", a zero second byte "only one".
pub(super) struct Cp932Encoder {
    known: Vec<[u8; 2]>,
}

impl Cp932Encoder {
    pub(super) fn new() -> Cp932Encoder {
        Cp932Encoder { known: vec![[0; 2]; 0x1_0000] }
    }

    /// The text in CP932; `None` when a character has no place in it.
    pub(super) fn encode(&mut self, text: &str) -> Option<Vec<u8>> {
        let mut encoded = Vec::with_capacity(text.len());
        let mut rest = text;
        loop {
            let ascii = rest.bytes().position(|byte| !byte.is_ascii()).unwrap_or(rest.len());
            let (plain, other) = rest.split_at(ascii);
            encoded.extend_from_slice(plain.as_bytes());
            let mut characters = other.chars();
            let Some(character) = characters.next() else { return Some(encoded) };
            match self.bytes_of(character)? {
                [byte, 0] => encoded.push(byte),
                two => encoded.extend_from_slice(&two),
            }
            rest = characters.as_str();
        }
    }

    fn bytes_of(&mut self, character: char) -> Option<[u8; 2]> {
        let place = usize::try_from(u32::from(character)).ok()?;
        let known = self.known.get_mut(place)?;
        if *known == [0; 2] {
            let mut buffer = [0; 4];
            let (encoded, _, unmappable) = encoding_rs::SHIFT_JIS.encode(character.encode_utf8(&mut buffer));
            *known = match *encoded {
                _ if unmappable => return None,
                [one] => [one, 0],
                [one, two] => [one, two],
                _ => return None,
            };
        }
        Some(*known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_out_as_the_general_encoder_writes_it() {
        let text = "upsert,千代田区・第１２,ｺ-12,Ⅰ－～,髙\n";
        let mut encoder = Cp932Encoder::new();
        for _ in 0..2 {
            assert_eq!(encoder.encode(text).unwrap(), *encoding_rs::SHIFT_JIS.encode(text).0);
        }
    }

    #[test]
    fn a_character_without_a_place_is_not_replaced() {
        assert_eq!(Cp932Encoder::new().encode("𠮷野家"), None);
        assert_eq!(Cp932Encoder::new().encode("ä"), None);
    }
}
