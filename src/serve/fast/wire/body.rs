//! A JSON question as it was said, its texts as they stand: nothing in it has been examined yet.

use std::borrow::Cow;

use serde::Deserialize;

use super::WireError;

/// What a JSON question says. The texts are UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub(super) member: Option<MemberBody<'a>>,
    pub(super) certificate: Option<CertificateBody<'a>>,
    pub(super) card_link: Option<&'a [u8]>,
    pub(super) service_date: Option<&'a [u8]>,
    pub(super) consent: Option<bool>,
    pub(super) institution: Option<&'a [u8]>,
}

/// Who is asked about, as a member; symbol and branch number are empty where they were not said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MemberBody<'a> {
    pub(super) insurer: &'a [u8],
    pub(super) symbol: &'a [u8],
    pub(super) number: &'a [u8],
    pub(super) branch: &'a [u8],
    pub(super) birth: &'a [u8],
}

/// Which certificate is asked about; the birth date is empty where it was not said.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CertificateBody<'a> {
    pub(super) payer: &'a [u8],
    pub(super) recipient: &'a [u8],
    pub(super) birth: &'a [u8],
}

/// A question in any JSON whatever, read by a general parser. It owns what was escaped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnyBody<'a> {
    #[serde(borrow)]
    member: Option<AnyMember<'a>>,
    #[serde(borrow)]
    certificate: Option<AnyCertificate<'a>>,
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
struct AnyMember<'a> {
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
struct AnyCertificate<'a> {
    #[serde(borrow)]
    payer_number: Cow<'a, str>,
    #[serde(borrow)]
    recipient_number: Cow<'a, str>,
    #[serde(borrow)]
    birth_date: Option<Cow<'a, str>>,
}

impl<'a> AnyBody<'a> {
    /// Reads a whole JSON text; says what is wrong without repeating any of it.
    pub(super) fn read(body: &'a [u8]) -> Result<AnyBody<'a>, WireError> {
        serde_json::from_slice(body).map_err(|error| json_error(&error))
    }

    /// What it says.
    pub(super) fn body(&self) -> Body<'_> {
        Body {
            member: self.member.as_ref().map(|member| MemberBody {
                insurer: member.insurer_number.as_bytes(),
                symbol: member.symbol.as_bytes(),
                number: member.number.as_bytes(),
                branch: member.branch_number.as_bytes(),
                birth: member.birth_date.as_bytes(),
            }),
            certificate: self.certificate.as_ref().map(|certificate| CertificateBody {
                payer: certificate.payer_number.as_bytes(),
                recipient: certificate.recipient_number.as_bytes(),
                birth: certificate.birth_date.as_ref().map_or(&[], |birth| birth.as_bytes()),
            }),
            card_link: self.card_link.as_ref().map(|text| text.as_bytes()),
            service_date: self.service_date.as_ref().map(|text| text.as_bytes()),
            consent: self.consent,
            institution: self.institution.as_ref().map(|text| text.as_bytes()),
        }
    }
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
