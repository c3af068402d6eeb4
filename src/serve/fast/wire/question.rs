//! Reading questions: a JSON body, a batch line, the parameters of a target. Nothing is allocated for a plain question.

use std::borrow::Cow;

use serde::Deserialize;

use super::WireError;
use crate::domain::day::{BirthDate, Day};
use crate::domain::fold::TooLong;
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

/// A question that was read.
pub struct Parsed {
    /// Key, subject and day.
    pub inquiry: Inquiry,
    /// Whether consent was given.
    pub consent: bool,
    /// The institution named in the question.
    pub institution: Option<InstitutionCode>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    member: Option<MemberBody<'a>>,
    #[serde(borrow)]
    certificate: Option<CertificateBody<'a>>,
    #[serde(borrow)]
    card_link: Option<Cow<'a, str>>,
    #[serde(borrow)]
    service_date: Option<Cow<'a, str>>,
    consent: Option<bool>,
    #[serde(borrow)]
    institution: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemberBody<'a> {
    #[serde(borrow)]
    insurer_number: Cow<'a, str>,
    #[serde(borrow, default)]
    symbol: Cow<'a, str>,
    #[serde(borrow)]
    number: Cow<'a, str>,
    #[serde(borrow, default)]
    branch_number: Cow<'a, str>,
    #[serde(borrow)]
    birth_date: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateBody<'a> {
    #[serde(borrow)]
    payer_number: Cow<'a, str>,
    #[serde(borrow)]
    recipient_number: Cow<'a, str>,
    #[serde(borrow)]
    birth_date: Option<Cow<'a, str>>,
}

/// Reads `on=…&consent=…&institution=…`.
pub fn parse_parameters(query: &str) -> Result<Parameters, WireError> {
    let mut parameters = Parameters::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        match name {
            "on" => parameters.on = Some(service_date(value, "on")?),
            "institution" => parameters.institution = Some(institution(value, "institution")?),
            "consent" => {
                parameters.consent = match value {
                    "true" => true,
                    "false" => false,
                    _ => return Err(WireError::bad("bad_consent", "consent must be true or false", "consent")),
                }
            }
            _ => {
                return Err(WireError::refused(400, "unknown_parameter", "only on, consent and institution may stand after ?"));
            }
        }
    }
    Ok(parameters)
}

/// Reads a JSON question. What it does not say is taken from the parameters, and the day from `today`.
pub fn parse_json(body: &[u8], parameters: &Parameters, today: Day) -> Result<Parsed, WireError> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| json_error(&error))?;
    let day = match &body.service_date {
        Some(text) => service_date(text, "service_date")?,
        None => parameters.on.unwrap_or(today),
    };
    let inquiry = match (&body.member, &body.certificate, &body.card_link) {
        (Some(member), None, None) => member_inquiry(
            &member.insurer_number,
            &member.symbol,
            &member.number,
            &member.branch_number,
            &member.birth_date,
            day,
        )?,
        (None, Some(certificate), None) => certificate_inquiry(
            &certificate.payer_number,
            &certificate.recipient_number,
            certificate.birth_date.as_deref().unwrap_or(""),
            day,
        )?,
        (None, None, Some(link)) => card_inquiry(link, day)?,
        _ => {
            return Err(WireError::refused(
                400,
                "bad_question",
                "exactly one of member, certificate and card_link must be asked about",
            ));
        }
    };
    let institution = match &body.institution {
        Some(text) => Some(institution(text, "institution")?),
        None => parameters.institution,
    };
    Ok(Parsed { inquiry, consent: body.consent.unwrap_or(parameters.consent), institution })
}

/// Reads one line of the batch form.
pub fn parse_line(line: &[u8], parameters: &Parameters, today: Day) -> Result<Inquiry, WireError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let line = std::str::from_utf8(line).map_err(|_| WireError::refused(400, "bad_encoding", "the line is not UTF-8"))?;
    let mut fields = line.split('\t');
    let kind = fields.next().unwrap_or("");
    let mut next = || fields.next();
    let missing = || WireError::refused(400, "bad_line", "the line has too few fields");
    let default_day = parameters.on.unwrap_or(today);
    let day = |text: Option<&str>| match text {
        None | Some("") => Ok(default_day),
        Some(text) => service_date(text, "service_date"),
    };
    let inquiry = match kind {
        "m" => {
            let (identifier, birth) = (next().ok_or_else(missing)?, next().ok_or_else(missing)?);
            let day = day(next())?;
            let (insurer, symbol, number, branch) = member_identifier(identifier)?;
            member_inquiry(insurer, symbol, number, branch, birth, day)?
        }
        "c" => {
            let (payer, recipient) = (next().ok_or_else(missing)?, next().ok_or_else(missing)?);
            let day = day(next())?;
            certificate_inquiry(payer, recipient, next().unwrap_or(""), day)?
        }
        "k" => {
            let link = next().ok_or_else(missing)?;
            card_inquiry(link, day(next())?)?
        }
        _ => return Err(WireError::refused(400, "bad_line", "a line begins with m, c or k and a tab")),
    };
    match next() {
        None => Ok(inquiry),
        Some(_) => Err(WireError::refused(400, "bad_line", "the line has too many fields")),
    }
}

/// Splits 被保険者個人識別子 (`INSURER:SYMBOL:NUMBER:BRANCH`): the symbol alone might hold a colon.
fn member_identifier(text: &str) -> Result<(&str, &str, &str, &str), WireError> {
    let bad = WireError::bad("bad_member", "a member is INSURER:SYMBOL:NUMBER:BRANCH, with all three colons", "member");
    let (insurer, rest) = text.split_once(':').ok_or(bad)?;
    let (rest, branch) = rest.rsplit_once(':').ok_or(bad)?;
    let (symbol, number) = rest.rsplit_once(':').ok_or(bad)?;
    Ok((insurer, symbol, number, branch))
}

fn member_inquiry(insurer: &str, symbol: &str, number: &str, branch: &str, birth: &str, day: Day) -> Result<Inquiry, WireError> {
    let insurer = InsurerNumber::parse_padded(insurer.as_bytes()).map_err(|_| {
        WireError::bad("bad_insurer_number", "an insurer number is 8 digits, or 6 padded", "member.insurer_number")
    })?;
    if number.is_empty() {
        return Err(WireError::bad("bad_number", "the number must not be empty", "member.number"));
    }
    let branch = match branch {
        "" => None,
        text => Some(BranchNumber::parse(text.as_bytes()).map_err(|_| {
            WireError::bad("bad_branch_number", "a branch number is one or two digits, or empty", "member.branch_number")
        })?),
    };
    let birth = birth_date(birth, "member.birth_date")?;
    Inquiry::member(&insurer, symbol, number, branch, birth, day)
        .map_err(|TooLong| WireError::bad("bad_number", "symbol or number is too long", "member.number"))
}

fn certificate_inquiry(payer: &str, recipient: &str, birth: &str, day: Day) -> Result<Inquiry, WireError> {
    let payer = PayerNumber::parse(payer.as_bytes())
        .map_err(|_| WireError::bad("bad_payer_number", "a payer number is 8 digits", "certificate.payer_number"))?;
    let bad = WireError::bad("bad_recipient_number", "a recipient number is 1 to 30 characters", "certificate.recipient_number");
    if recipient.is_empty() || recipient.chars().count() > 30 {
        return Err(bad);
    }
    let birth = match birth {
        "" => None,
        text => Some(birth_date(text, "certificate.birth_date")?),
    };
    Inquiry::certificate(&payer, recipient, birth, day).map_err(|TooLong| bad)
}

fn card_inquiry(link: &str, day: Day) -> Result<Inquiry, WireError> {
    let bad = WireError::bad("bad_card_link", "a card link is 1 to 64 characters", "card_link");
    if link.is_empty() || link.chars().count() > 64 {
        return Err(bad);
    }
    Inquiry::card(link, day).map_err(|TooLong| bad)
}

fn service_date(text: &str, field: &'static str) -> Result<Day, WireError> {
    Day::parse(text.as_bytes()).map_err(|_| WireError::bad("bad_service_date", "a service date is YYYY-MM-DD or YYYYMMDD", field))
}

fn birth_date(text: &str, field: &'static str) -> Result<BirthDate, WireError> {
    BirthDate::parse(text.as_bytes())
        .map_err(|_| WireError::bad("bad_birth_date", "a birth date is YYYY-MM-DD or YYYYMMDD", field))
}

fn institution(text: &str, field: &'static str) -> Result<InstitutionCode, WireError> {
    InstitutionCode::parse(text.as_bytes())
        .map_err(|_| WireError::bad("bad_institution", "an institution code is 10 digits", field))
}

/// serde's own words may repeat a value, so only their kind is told.
fn json_error(error: &serde_json::Error) -> WireError {
    match error.classify() {
        serde_json::error::Category::Data => {
            WireError::refused(400, "bad_question", "the JSON has an unknown or missing field, or a value of the wrong type")
        }
        _ => WireError::refused(400, "bad_json", "the body is not JSON"),
    }
}
