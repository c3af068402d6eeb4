//! The encoding of a registration file: declared, never guessed.
//!
//! The same bytes are one kanji in CP932 and another in Shift_JIS-2004, and a private-use character (外字) in a third
//! (domain notes §10.1), so a guess would register wrong text without anybody noticing. WHATWG's Shift_JIS, which
//! `encoding_rs` implements, is CP932 with its private-use area.

use encoding_rs::{DecoderResult, SHIFT_JIS};

/// How the text of a file is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// UTF-8; a byte order mark at its start is accepted.
    #[default]
    Utf8,
    /// CP932 (Windows-31J), Microsoft's Shift_JIS.
    Cp932,
}

/// Bytes that are no text in the declared encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not text in the declared encoding")]
pub struct BadEncoding;

impl Encoding {
    /// The name by which a person declares it.
    pub const fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Cp932 => "cp932",
        }
    }

    /// The encoding of a name, in any case.
    pub fn from_name(name: &str) -> Option<Encoding> {
        [Encoding::Utf8, Encoding::Cp932].into_iter().find(|encoding| encoding.name().eq_ignore_ascii_case(name))
    }

    /// Replaces `out` by the text of `bytes`. After an error `out` holds no promise. Allocates only where `out` must grow.
    pub fn decode_into(self, bytes: &[u8], out: &mut String) -> Result<(), BadEncoding> {
        out.clear();
        // ASCII bytes mean themselves in both encodings, and most fields hold nothing else.
        if self == Encoding::Utf8 || bytes.is_ascii() {
            out.push_str(std::str::from_utf8(bytes).map_err(|_| BadEncoding)?);
            return Ok(());
        }
        let mut decoder = SHIFT_JIS.new_decoder_without_bom_handling();
        out.reserve(decoder.max_utf8_buffer_length_without_replacement(bytes.len()).unwrap_or(bytes.len() * 3));
        match decoder.decode_to_string_without_replacement(bytes, out, true) {
            (DecoderResult::InputEmpty, _) => Ok(()),
            (DecoderResult::Malformed(..) | DecoderResult::OutputFull, _) => Err(BadEncoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cp932(bytes: &[u8]) -> Result<String, BadEncoding> {
        let mut text = String::new();
        Encoding::Cp932.decode_into(bytes, &mut text).map(|()| text)
    }

    #[test]
    fn the_characters_on_which_tables_differ_read_as_cp932_has_them() {
        for (bytes, text) in [
            (&[0xfb, 0xfc][..], "髙"),
            (&[0xee, 0xe0], "髙"),
            (&[0x87, 0x40], "①"),
            (&[0xed, 0x95], "﨑"),
            (&[0xfa, 0xb1], "﨑"),
            (&[0xd4, 0xcf, 0xc0, 0xde], "ﾔﾏﾀﾞ"),
            (&[0x81, 0x60], "\u{ff5e}"),
            (&[0x81, 0x7c], "\u{ff0d}"),
            (&[0x81, 0x61], "\u{2225}"),
            (&[0x81, 0x5c], "\u{2015}"),
            (&[0x87, 0x8a], "㈱"),
            (&[0x5c, 0x7e], "\\~"),
            (&[0x83, 0x5c, 0x94, 0x5c], "ソ能"),
            (&[0x82, 0x4f, 0x82, 0x58], "０９"),
            (&[0x81, 0x40], "\u{3000}"),
            (&[0xf0, 0x40], "\u{e000}"),
            (&[0xf9, 0xfc], "\u{e757}"),
        ] {
            assert_eq!(cp932(bytes).as_deref(), Ok(text), "{bytes:02x?}");
        }
    }

    #[test]
    fn bytes_that_are_no_character_are_refused() {
        for bytes in [&[0x82][..], b"abc\x82", &[0x82, 0x20], &[0xa0], &[0xfd, 0x40], &[0xff], &[0x85, 0x40], &[0xef, 0xfd]] {
            assert_eq!(cp932(bytes), Err(BadEncoding), "{bytes:02x?}");
        }
        let mut text = String::new();
        for bytes in [&[0xfb, 0xfc][..], &[0xe3, 0x81], &[0xc0, 0xaf], &[0xed, 0xa0, 0x80]] {
            assert_eq!(Encoding::Utf8.decode_into(bytes, &mut text), Err(BadEncoding), "{bytes:02x?}");
        }
    }

    /// The reader and the parser look for quotes, commas and line ends among undecoded bytes.
    #[test]
    fn no_second_byte_of_cp932_is_a_byte_that_csv_gives_a_meaning_nor_a_digit() {
        for second in *b"\",\r\n0123456789" {
            for lead in (0x81..=0x9f).chain(0xe0..=0xfc) {
                assert_eq!(cp932(&[lead, second]), Err(BadEncoding), "{lead:02x} {second:02x}");
            }
        }
    }

    #[test]
    fn a_reused_buffer_holds_the_new_text_only() {
        let mut text = String::from("before");
        Encoding::Cp932.decode_into(&[0xfb, 0xfc], &mut text).unwrap();
        assert_eq!(text, "髙");
        Encoding::Utf8.decode_into("﨑".as_bytes(), &mut text).unwrap();
        assert_eq!(text, "﨑");
    }

    #[test]
    fn an_encoding_is_known_by_its_name_in_any_case() {
        assert_eq!(Encoding::from_name("UTF-8"), Some(Encoding::Utf8));
        assert_eq!(Encoding::from_name("cp932"), Some(Encoding::Cp932));
        assert_eq!(Encoding::from_name("shift_jis-2004"), None);
    }
}
