#![forbid(unsafe_code)]
//! Where a request ends, decided from its head alone. Two readers that disagree about it can be played off against each other, so
//! whatever is unusual is refused rather than interpreted.

use super::request::Method;

/// What the head says that matters here.
#[derive(Debug)]
pub(super) struct Head<'a> {
    pub(super) method: Method,
    pub(super) body_bytes: usize,
    /// The client wants, or its version implies, that the connection ends after the answer.
    pub(super) close: bool,
    pub(super) expects_continue: bool,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) accept: Option<&'a [u8]>,
    pub(super) authorization: Option<&'a [u8]>,
}

/// Why nothing after this head can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    BadLength,
    RepeatedLength,
    LengthRequired,
    TransferEncoding,
    BodyTooLarge,
    HeadTooLarge,
    BadExpectation,
}

impl Refusal {
    pub(super) const fn status(self) -> u16 {
        match self {
            Self::BadLength | Self::RepeatedLength => 400,
            Self::LengthRequired => 411,
            Self::BodyTooLarge => 413,
            Self::BadExpectation => 417,
            Self::HeadTooLarge => 431,
            Self::TransferEncoding => 501,
        }
    }

    pub(super) const fn body(self) -> &'static str {
        match self {
            Self::BadLength => r#"{"error":{"code":"bad_content_length","message":"Content-Length is not a decimal number"}}"#,
            Self::RepeatedLength => {
                r#"{"error":{"code":"repeated_content_length","message":"Content-Length is given more than once"}}"#
            }
            Self::LengthRequired => r#"{"error":{"code":"length_required","message":"POST needs a Content-Length"}}"#,
            Self::TransferEncoding => {
                r#"{"error":{"code":"transfer_encoding","message":"bodies are taken with a Content-Length only"}}"#
            }
            Self::BodyTooLarge => r#"{"error":{"code":"body_too_large","message":"the body is larger than allowed"}}"#,
            Self::HeadTooLarge => r#"{"error":{"code":"head_too_large","message":"the request head is larger than allowed"}}"#,
            Self::BadExpectation => r#"{"error":{"code":"bad_expectation","message":"only 100-continue can be expected"}}"#,
        }
    }
}

/// Reads a head. `version` is the minor version, 0 or 1.
pub(super) fn examine<'a>(
    method: &str,
    version: u8,
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
    body_bytes_max: usize,
) -> Result<Head<'a>, Refusal> {
    let method = match method {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "HEAD" => Method::Head,
        _ => Method::Other,
    };
    let (mut length, mut repeated, mut transfer_encoding) = (None, false, false);
    let (mut close, mut keep_alive, mut expects_continue) = (false, false, false);
    let (mut content_type, mut accept, mut authorization) = (None, None, None);
    for (name, value) in headers {
        // Names of one length are few, so that most headers cost one comparison of lengths.
        match name.len() {
            6 if name.eq_ignore_ascii_case("accept") => accept = Some(value),
            6 if name.eq_ignore_ascii_case("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Refusal::BadExpectation);
                }
                expects_continue = true;
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    close |= word.eq_ignore_ascii_case(b"close");
                    keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            12 if name.eq_ignore_ascii_case("content-type") => content_type = Some(value),
            13 if name.eq_ignore_ascii_case("authorization") => authorization = Some(value),
            14 if name.eq_ignore_ascii_case("content-length") => {
                let before = length.replace(decimal(value).ok_or(Refusal::BadLength)?);
                repeated |= before.is_some();
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => transfer_encoding = true,
            _ => {}
        }
    }
    if transfer_encoding {
        return Err(Refusal::TransferEncoding);
    }
    if repeated {
        return Err(Refusal::RepeatedLength);
    }
    if length.is_none() && method == Method::Post {
        return Err(Refusal::LengthRequired);
    }
    let body_bytes = length.unwrap_or(0);
    if body_bytes > body_bytes_max {
        return Err(Refusal::BodyTooLarge);
    }
    let close = close || (version == 0 && !keep_alive);
    Ok(Head { method, body_bytes, close, expects_continue, content_type, accept, authorization })
}

/// Digits only: no sign, no spaces, no list. A number too large for the machine is still a number, and too large.
fn decimal(value: &[u8]) -> Option<usize> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(value.iter().fold(0_usize, |number, digit| number.saturating_mul(10).saturating_add(usize::from(digit - b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(headers: &[(&'static str, &'static str)]) -> Result<Head<'static>, Refusal> {
        examine("POST", 1, headers.iter().map(|(name, value)| (*name, value.as_bytes())), 100)
    }

    #[test]
    fn a_length_is_digits_once() {
        assert_eq!(post(&[("Content-Length", "17")]).unwrap().body_bytes, 17);
        for bad in ["abc", "-1", "+1", "", "1,1", "0x10", "1 1"] {
            assert_eq!(post(&[("content-length", bad)]).unwrap_err(), Refusal::BadLength, "{bad}");
        }
        assert_eq!(post(&[("Content-Length", "1"), ("CONTENT-LENGTH", "1")]).unwrap_err(), Refusal::RepeatedLength);
        assert_eq!(post(&[]).unwrap_err(), Refusal::LengthRequired);
    }

    #[test]
    fn bodies_beyond_the_limit_or_in_chunks_are_refused() {
        assert_eq!(post(&[("Content-Length", "101")]).unwrap_err(), Refusal::BodyTooLarge);
        assert_eq!(post(&[("Content-Length", "99999999999999999999999")]).unwrap_err(), Refusal::BodyTooLarge);
        assert_eq!(post(&[("Transfer-Encoding", "chunked"), ("Content-Length", "1")]).unwrap_err(), Refusal::TransferEncoding);
    }

    #[test]
    fn a_connection_ends_when_the_head_says_so() {
        assert!(post(&[("Content-Length", "0"), ("Connection", "foo, Close")]).unwrap().close);
        assert!(!post(&[("Content-Length", "0"), ("Connection", "keep-alive")]).unwrap().close);
        assert!(examine("GET", 0, std::iter::empty(), 1).unwrap().close);
        assert!(!examine("GET", 0, [("connection", &b"Keep-Alive"[..])].into_iter(), 1).unwrap().close);
    }

    #[test]
    fn only_one_expectation_is_known() {
        assert!(post(&[("Content-Length", "0"), ("Expect", "100-Continue")]).unwrap().expects_continue);
        assert_eq!(post(&[("Content-Length", "0"), ("Expect", "tea")]).unwrap_err(), Refusal::BadExpectation);
    }

    #[test]
    fn every_refusal_is_json() {
        for refusal in [
            Refusal::BadLength,
            Refusal::RepeatedLength,
            Refusal::LengthRequired,
            Refusal::TransferEncoding,
            Refusal::BodyTooLarge,
            Refusal::HeadTooLarge,
            Refusal::BadExpectation,
        ] {
            let body: serde_json::Value = serde_json::from_str(refusal.body()).unwrap();
            assert!(body["error"]["code"].is_string());
        }
    }
}
