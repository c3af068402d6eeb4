//! Reading questions: a JSON body, a batch line, the parameters of a target. Nothing is allocated for a plain question.

use super::body::{AnyBody, Body, CertificateBody, MemberBody};
use super::{WireError, plain_body, scan};
use crate::domain::day::{BirthDate, Day};
use crate::domain::identifier::{BranchNumber, InstitutionCode, InsurerNumber, PayerNumber};
use crate::registry::lookup::Inquiry;

/// What stands after `?`: defaults for every question of the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Parameters {
    /// `on`: the service date.
    pub on: Option<Day>,
    /// `consent`.
    pub consent: bool,
    /// `institution`.
    pub institution: Option<InstitutionCode>,
}

/// What a JSON question says besides who is asked about and for which day.
pub struct Said {
    /// Whether consent was given.
    pub consent: bool,
    /// The institution named in the question.
    pub institution: Option<InstitutionCode>,
}

/// Reads `on=…&consent=…&institution=…`.
pub fn parse_parameters(query: &str) -> Result<Parameters, WireError> {
    let mut parameters = Parameters::default();
    let mut rest = query.as_bytes();
    while !rest.is_empty() {
        let (pair, after) = scan::split_at_first(b'&', rest).unwrap_or((rest, b""));
        rest = after;
        match pair {
            [b'o', b'n', b'=', value @ ..] => parameters.on = Some(service_date(value, "on")?),
            [b'c', b'o', b'n', b's', b'e', b'n', b't', b'=', value @ ..] => {
                parameters.consent = match value {
                    [b't', b'r', b'u', b'e'] => true,
                    [b'f', b'a', b'l', b's', b'e'] => false,
                    _ => return Err(WireError::bad("bad_consent", "consent must be true or false", "consent")),
                }
            }
            [b'i', b'n', b's', b't', b'i', b't', b'u', b't', b'i', b'o', b'n', b'=', value @ ..] => {
                parameters.institution = Some(institution(value, "institution")?);
            }
            [] => {}
            _ => {
                return Err(WireError::refused(400, "unknown_parameter", "only on, consent and institution may stand after ?"));
            }
        }
    }
    Ok(parameters)
}

/// Reads a JSON question into `inquiry`. What it does not say is taken from the parameters, and the day from `today`.
pub fn parse_json(body: &[u8], parameters: &Parameters, today: Day, inquiry: &mut Inquiry) -> Result<Said, WireError> {
    match plain_body::read(body) {
        Some(body) => ask_body(&body, parameters, today, inquiry),
        None => ask_body(&AnyBody::read(body)?.body(), parameters, today, inquiry),
    }
}

fn ask_body(body: &Body<'_>, parameters: &Parameters, today: Day, inquiry: &mut Inquiry) -> Result<Said, WireError> {
    let day = match body.service_date {
        Some(text) => service_date(text, "service_date")?,
        None => parameters.on.unwrap_or(today),
    };
    match (&body.member, &body.certificate, body.card_link) {
        (Some(MemberBody { insurer, symbol, number, branch, birth }), None, None) => {
            Member { insurer, symbol, number, branch }.ask(birth, day, inquiry)?;
        }
        (None, Some(CertificateBody { payer, recipient, birth }), None) => {
            ask_certificate(payer, recipient, birth, day, inquiry)?;
        }
        (None, None, Some(link)) => ask_card(link, day, inquiry)?,
        _ => {
            return Err(WireError::refused(
                400,
                "bad_question",
                "exactly one of member, certificate and card_link must be asked about",
            ));
        }
    }
    let institution = match body.institution {
        Some(text) => Some(institution(text, "institution")?),
        None => parameters.institution,
    };
    Ok(Said { consent: body.consent.unwrap_or(parameters.consent), institution })
}

/// Reads one line of the batch form into `inquiry`.
pub fn parse_line(line: &[u8], parameters: &Parameters, today: Day, inquiry: &mut Inquiry) -> Result<(), WireError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    read_line(line, parameters.on.unwrap_or(today), inquiry).map_err(|error| {
        // Every field that is taken was examined for itself, so only a line that is refused can hold what is not text.
        if std::str::from_utf8(line).is_ok() { error } else { NOT_UTF_8 }
    })
}

fn read_line(line: &[u8], default_day: Day, inquiry: &mut Inquiry) -> Result<(), WireError> {
    let mut fields = Fields(Some(line));
    let day = |text: Option<&[u8]>| match text {
        None | Some(b"") => Ok(default_day),
        Some(text) => service_date(text, "service_date"),
    };
    match fields.next() {
        Some(b"m") => {
            let (identifier, birth) = (fields.next().ok_or(TOO_FEW_FIELDS)?, fields.next().ok_or(TOO_FEW_FIELDS)?);
            let day = day(fields.next())?;
            Member::split(identifier).ok_or(BAD_MEMBER)?.ask(birth, day, inquiry)?;
        }
        Some(b"c") => {
            let (payer, recipient) = (fields.next().ok_or(TOO_FEW_FIELDS)?, fields.next().ok_or(TOO_FEW_FIELDS)?);
            let day = day(fields.next())?;
            ask_certificate(payer, recipient, fields.next().unwrap_or(b""), day, inquiry)?;
        }
        Some(b"k") => {
            let link = fields.next().ok_or(TOO_FEW_FIELDS)?;
            ask_card(link, day(fields.next())?, inquiry)?;
        }
        _ => return Err(WireError::refused(400, "bad_line", "a line begins with m, c or k and a tab")),
    }
    match fields.next() {
        None => Ok(()),
        Some(_) => Err(WireError::refused(400, "bad_line", "the line has too many fields")),
    }
}

const NOT_UTF_8: WireError = WireError::refused(400, "bad_encoding", "the line is not UTF-8");
const TOO_FEW_FIELDS: WireError = WireError::refused(400, "bad_line", "the line has too few fields");
const BAD_MEMBER: WireError =
    WireError::bad("bad_member", "a member is INSURER:SYMBOL:NUMBER:BRANCH, with all three colons", "member");

/// The fields of a line: one more than there are tabs.
struct Fields<'a>(Option<&'a [u8]>);

impl<'a> Fields<'a> {
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.0?;
        let split = scan::split_at_first(b'\t', rest);
        self.0 = split.map(|(_, after)| after);
        Some(split.map_or(rest, |(field, _)| field))
    }
}

/// A member as written, in parts.
struct Member<'a> {
    insurer: &'a [u8],
    symbol: &'a [u8],
    number: &'a [u8],
    branch: &'a [u8],
}

impl<'a> Member<'a> {
    /// Splits 被保険者個人識別子 (`INSURER:SYMBOL:NUMBER:BRANCH`): the symbol alone might hold a colon.
    #[inline]
    fn split(identifier: &'a [u8]) -> Option<Member<'a>> {
        let (insurer, rest) = scan::split_at_first(b':', identifier)?;
        let (rest, branch) = scan::split_at_last(b':', rest)?;
        let (symbol, number) = scan::split_at_last(b':', rest)?;
        Some(Member { insurer, symbol, number, branch })
    }

    #[inline]
    fn ask(&self, birth: &[u8], day: Day, inquiry: &mut Inquiry) -> Result<(), WireError> {
        let insurer = InsurerNumber::parse_padded(self.insurer).map_err(|_| {
            WireError::bad("bad_insurer_number", "an insurer number is 8 digits, or 6 padded", "member.insurer_number")
        })?;
        if self.number.is_empty() {
            return Err(WireError::bad("bad_number", "the number must not be empty", "member.number"));
        }
        let branch = match self.branch {
            b"" => None,
            text => Some(BranchNumber::parse(text).map_err(|_| {
                WireError::bad("bad_branch_number", "a branch number is one or two digits, or empty", "member.branch_number")
            })?),
        };
        let birth = birth_date(birth, "member.birth_date")?;
        inquiry
            .ask_member(&insurer, (self.symbol, self.number), branch, birth, day)
            .map_err(|_| WireError::bad("bad_number", "symbol or number is too long", "member.number"))
    }
}

fn ask_certificate(payer: &[u8], recipient: &[u8], birth: &[u8], day: Day, inquiry: &mut Inquiry) -> Result<(), WireError> {
    let payer = PayerNumber::parse(payer)
        .map_err(|_| WireError::bad("bad_payer_number", "a payer number is 8 digits", "certificate.payer_number"))?;
    let bad = WireError::bad("bad_recipient_number", "a recipient number is 1 to 30 characters", "certificate.recipient_number");
    if !has_characters(recipient, 30) {
        return Err(bad);
    }
    let birth = match birth {
        b"" => None,
        text => Some(birth_date(text, "certificate.birth_date")?),
    };
    inquiry.ask_certificate(&payer, recipient, birth, day).map_err(|_| bad)
}

fn ask_card(link: &[u8], day: Day, inquiry: &mut Inquiry) -> Result<(), WireError> {
    let bad = WireError::bad("bad_card_link", "a card link is 1 to 64 characters", "card_link");
    if !has_characters(link, 64) {
        return Err(bad);
    }
    inquiry.ask_card(link, day).map_err(|_| bad)
}

/// Whether a text is UTF-8 and has at least one and at most so many characters.
fn has_characters(text: &[u8], most: usize) -> bool {
    if text.is_ascii() {
        return !text.is_empty() && text.len() <= most;
    }
    std::str::from_utf8(text).is_ok_and(|text| text.chars().count() <= most)
}

fn service_date(text: &[u8], field: &'static str) -> Result<Day, WireError> {
    Day::parse(text).map_err(|_| WireError::bad("bad_service_date", "a service date is YYYY-MM-DD or YYYYMMDD", field))
}

fn birth_date(text: &[u8], field: &'static str) -> Result<BirthDate, WireError> {
    BirthDate::parse(text).map_err(|_| WireError::bad("bad_birth_date", "a birth date is YYYY-MM-DD or YYYYMMDD", field))
}

fn institution(text: &[u8], field: &'static str) -> Result<InstitutionCode, WireError> {
    InstitutionCode::parse(text).map_err(|_| WireError::bad("bad_institution", "an institution code is 10 digits", field))
}
