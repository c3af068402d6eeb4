//! The short way to read a JSON question: as programs write one, every field once and nothing escaped. Whatever is not plainly that is
//! left to the general parser, which alone says what is wrong, so that the two ways can differ in time only.

use super::body::{Body, CertificateBody, MemberBody};
use super::scan;

/// Reads a question; `None` leaves it to the general parser.
pub(super) fn read(text: &[u8]) -> Option<Body<'_>> {
    let mut reader = Reader { rest: text };
    let mut body = Body::default();
    reader.object(|reader| {
        if reader.takes(b"\"member\":") {
            once(&mut body.member, reader.member()?)
        } else if reader.takes(b"\"service_date\":") {
            once(&mut body.service_date, reader.string()?)
        } else if reader.takes(b"\"consent\":") {
            once(&mut body.consent, reader.boolean()?)
        } else if reader.takes(b"\"institution\":") {
            once(&mut body.institution, reader.string()?)
        } else if reader.takes(b"\"certificate\":") {
            once(&mut body.certificate, reader.certificate()?)
        } else if reader.takes(b"\"card_link\":") {
            once(&mut body.card_link, reader.string()?)
        } else {
            None
        }
    })?;
    reader.skip_space();
    reader.rest.is_empty().then_some(body)
}

/// What of the text is still to be read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn member(&mut self) -> Option<MemberBody<'a>> {
        let (mut insurer, mut symbol, mut number, mut branch, mut birth) = (None, None, None, None, None);
        self.object(|reader| {
            if reader.takes(b"\"insurer_number\":") {
                once(&mut insurer, reader.string()?)
            } else if reader.takes(b"\"symbol\":") {
                once(&mut symbol, reader.string()?)
            } else if reader.takes(b"\"number\":") {
                once(&mut number, reader.string()?)
            } else if reader.takes(b"\"branch_number\":") {
                once(&mut branch, reader.string()?)
            } else if reader.takes(b"\"birth_date\":") {
                once(&mut birth, reader.string()?)
            } else {
                None
            }
        })?;
        let (symbol, branch) = (symbol.unwrap_or_default(), branch.unwrap_or_default());
        Some(MemberBody { insurer: insurer?, symbol, number: number?, branch, birth: birth? })
    }

    fn certificate(&mut self) -> Option<CertificateBody<'a>> {
        let (mut payer, mut recipient, mut birth) = (None, None, None);
        self.object(|reader| {
            if reader.takes(b"\"payer_number\":") {
                once(&mut payer, reader.string()?)
            } else if reader.takes(b"\"recipient_number\":") {
                once(&mut recipient, reader.string()?)
            } else if reader.takes(b"\"birth_date\":") {
                once(&mut birth, reader.string()?)
            } else {
                None
            }
        })?;
        Some(CertificateBody { payer: payer?, recipient: recipient?, birth: birth.unwrap_or_default() })
    }

    /// Reads an object of at least one field; `take` reads a field, name and value.
    #[inline]
    fn object(&mut self, mut take: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.skip_space();
        self.expect(b'{')?;
        loop {
            self.skip_space();
            take(self)?;
            self.skip_space();
            let (next, rest) = self.rest.split_first()?;
            self.rest = rest;
            match next {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// Takes a name with its quotes and colon, if it stands here.
    #[inline]
    fn takes<const N: usize>(&mut self, name: &[u8; N]) -> bool {
        let rest = self.rest.strip_prefix(name);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// Reads a string in which nothing is escaped, without its quotes.
    #[inline]
    fn string(&mut self) -> Option<&'a [u8]> {
        self.skip_space();
        self.expect(b'"')?;
        let (string, rest) = self.rest.split_at_checked(scan::find_not_plain_in_json(self.rest)?)?;
        self.rest = rest;
        self.expect(b'"')?;
        (scan::is_ascii(string) || std::str::from_utf8(string).is_ok()).then_some(string)
    }

    fn boolean(&mut self) -> Option<bool> {
        self.skip_space();
        let (value, rest) = match self.rest {
            [b't', b'r', b'u', b'e', rest @ ..] => (true, rest),
            [b'f', b'a', b'l', b's', b'e', rest @ ..] => (false, rest),
            _ => return None,
        };
        self.rest = rest;
        Some(value)
    }

    #[inline]
    fn skip_space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        (*first == wanted).then_some(())
    }
}

/// A field that is said twice is not plain.
fn once<T>(place: &mut Option<T>, value: T) -> Option<()> {
    place.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::body::AnyBody;
    use super::*;

    const MEMBER: &str = r#"{"member":{"insurer_number":"06132013","symbol":"品１","number":"5678901","branch_number":"00",
        "birth_date":"1980-01-01"},"service_date":"2026-11-22","consent":true,"institution":"0110113719"}"#;

    #[test]
    fn a_question_as_programs_write_it_is_plain() {
        let certificate = r#" { "certificate": {"payer_number":  "54136015","recipient_number":"1234567"} , "consent": false } "#;
        for text in [MEMBER, certificate, r#"{"card_link":"ab-12"}"#] {
            let plain = read(text.as_bytes()).unwrap();
            assert_eq!(plain, AnyBody::read(text.as_bytes()).unwrap().body());
        }
        assert_eq!(read(MEMBER.as_bytes()).unwrap().member.unwrap().symbol, "品１".as_bytes());
    }

    #[test]
    fn whatever_is_not_plain_is_left_to_the_general_parser() {
        for text in [
            "",
            "{}",
            "[]",
            r#"{"card_link":"a\u0041"}"#,
            r#"{"card_link":null}"#,
            r#"{"card_link":"a","card_link":"b"}"#,
            r#"{"card_link":"a"}x"#,
            r#"{"card_link" :"a"}"#,
            r#"{"card_link":"a",}"#,
            r#"{"card_link":"a" "consent":true}"#,
            r#"{"other":"a"}"#,
            r#"{"consent":1}"#,
            r#"{"member":{"insurer_number":"06132013"}}"#,
            "{\"card_link\":\"a\tb\"}",
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(b"{\"card_link\":\"\xff\"}"), None);
    }

    proptest! {
        /// Whatever the short way takes, the general parser takes too, and reads alike: questions with pieces cut out, doubled, moved
        /// and overwritten.
        #[test]
        fn the_short_way_never_reads_what_the_general_parser_reads_otherwise(
            cuts in prop::collection::vec((0usize..260, 0usize..12, prop::sample::select(vec![
                "", "\"", "{", "}", ":", ",", " ", "\\", "\u{1}", "null", "true", "\"number\":\"1\",", "\u{3042}", "\n",
            ])), 0..4),
        ) {
            let mut text = MEMBER.to_owned();
            for (at, length, with) in cuts {
                let floor = |mut at: usize| {
                    at = at.min(text.len());
                    while !text.is_char_boundary(at) {
                        at -= 1;
                    }
                    at
                };
                let (start, end) = (floor(at), floor(at + length));
                text.replace_range(start..end, with);
            }
            if let Some(plain) = read(text.as_bytes()) {
                let Ok(any) = AnyBody::read(text.as_bytes()) else { panic!("not for the general parser: {text}") };
                prop_assert_eq!(plain, any.body());
            }
        }
    }
}
