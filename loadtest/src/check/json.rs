//! JSON answers, held against the compact line that says the same.

use memchr::memmem::Finder;
use serde_json::Value;
use shikaku::domain::day::Day;
use shikaku::domain::decision::Verdict;

use super::compact::{difference, entries, part};

/// Reads only what must be said, in the order in which the appliance says it. What it cannot make out may still be right: then
/// [`examine`] decides.
pub(super) struct Quick {
    recipient: Finder<'static>,
    valid_to: Finder<'static>,
    next: Finder<'static>,
}

impl Quick {
    pub(super) fn new() -> Quick {
        Quick {
            recipient: Finder::new("\"recipient_number\":\""),
            valid_to: Finder::new("\"valid_to\":\""),
            next: Finder::new("},{"),
        }
    }

    /// Whether the answer certainly says what the compact line `expected` says.
    pub(super) fn agrees(&self, line: &[u8], expected: &[u8]) -> bool {
        self.try_agree(line, expected).is_some()
    }

    fn try_agree(&self, line: &[u8], expected: &[u8]) -> Option<()> {
        let mut rest = verdict(line.strip_prefix(b"{\"verdict\":\"")?, expected.first()?)?;
        rest = after(rest, b",\"entitlements\":[", 96)?;
        for (place, entry) in entries(expected).enumerate() {
            if place > 0 {
                rest = rest.get(self.next.find(rest)? + 2..)?;
            }
            rest = rest.strip_prefix(b"{")?;
            rest = match rest.strip_prefix(b"\"order\":") {
                Some(order) => order.get(memchr::memchr(b',', order)? + 1..)?,
                None => rest,
            };
            rest = verdict(rest.strip_prefix(b"\"verdict\":\"")?, part(entry, 3).first()?)?;
            let place = self.recipient.find(rest)?;
            let before = rest.get(..place)?;
            if !names_payer(before, part(entry, 0)) {
                return None;
            }
            rest = value(rest.get(place + self.recipient.needle().len()..)?, part(entry, 1))?;
            let place = self.valid_to.find(rest)?;
            rest = value(rest.get(place + self.valid_to.needle().len()..)?, part(entry, 2))?;
        }
        (line.ends_with(b"}\n") && self.recipient.find(rest).is_none()).then_some(())
    }
}

/// Reads the whole answer; `Err` says what is wrong with it, without anybody's numbers.
pub(super) fn examine(line: &[u8], expected: &[u8], day: Day) -> Result<(), String> {
    if !line.ends_with(b"\n") {
        return Err("no line end".to_owned());
    }
    let answer: Value = serde_json::from_slice(line).map_err(|_| "not JSON".to_owned())?;
    let came = compact(&answer).ok_or_else(|| format!("an error or not an answer: {}", error_code(line)))?;
    if came.as_bytes() != expected {
        return Err(difference(expected, Some(came.as_bytes())));
    }
    if word(&answer, "service_date") != Some(day.to_string().as_str()) {
        return Err("another service date".to_owned());
    }
    if !action_fits(&answer) {
        return Err("an action that does not go with the verdict".to_owned());
    }
    let mut order = 0;
    for entitlement in answer.get("entitlements").and_then(Value::as_array).into_iter().flatten() {
        let applies = matches!(word(entitlement, "verdict"), Some("eligible" | "eligible_reimburse"));
        order += u64::from(applies);
        if entitlement.get("order").map(Value::as_u64) != applies.then_some(Some(order)) {
            return Err("order stands where it should not, or not where it should".to_owned());
        }
        let law = word(entitlement, "payer_number").and_then(|payer| payer.get(..2));
        if word(entitlement, "law_code") != law {
            return Err("the law code is not the payer number's".to_owned());
        }
        if entitlement.get("notes").and_then(Value::as_array).is_none() {
            return Err("an entitlement without notes".to_owned());
        }
    }
    let as_of = answer.get("as_of").and_then(|as_of| as_of.get("sequence")).and_then(Value::as_u64);
    if as_of.is_none() { Err("no as_of".to_owned()) } else { Ok(()) }
}

/// The code of an error object.
pub(super) fn error_code(body: &[u8]) -> String {
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let code = error.get("error").and_then(|error| word(error, "code"));
    code.unwrap_or("without a code").to_owned()
}

/// The compact line that says the same.
fn compact(answer: &Value) -> Option<String> {
    let mut line = letter(answer)?.to_string();
    for entitlement in answer.get("entitlements")?.as_array()? {
        let payer = word(entitlement, "payer_number").unwrap_or_default();
        let (recipient, valid_to) = (word(entitlement, "recipient_number")?, word(entitlement, "valid_to")?);
        line.push_str(&format!("\t{payer}/{recipient}/{valid_to}/{}", letter(entitlement)?));
    }
    line.push('\n');
    Some(line)
}

/// The contract's table.
fn action_fits(answer: &Value) -> bool {
    let (Some(verdict), Some(action)) = (word(answer, "verdict"), word(answer, "action")) else { return false };
    match verdict {
        "eligible" => action == "apply",
        "eligible_reimburse" => action == "collect_then_reimburse",
        "not_designated" => action == "treat_without_and_tell_patient",
        "expired" => action == "ask_for_new_certificate",
        "future" => action == "not_yet",
        // In the population only twins are, asked about without their branch number.
        "ambiguous" => action == "ask_for_branch_number",
        _ => action == "ask_for_paper_certificate",
    }
}

fn word<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

fn letter(value: &Value) -> Option<char> {
    let said = word(value, "verdict")?;
    Verdict::ALL.into_iter().find(|verdict| verdict.word() == said).map(|verdict| char::from(verdict.letter()))
}

/// What follows the verdict's word and its quote.
fn verdict<'l>(rest: &'l [u8], letter: &u8) -> Option<&'l [u8]> {
    let verdict = Verdict::ALL.iter().find(|verdict| verdict.letter() == *letter)?;
    value(rest, verdict.word().as_bytes())
}

/// What follows the value and its quote.
fn value<'l>(rest: &'l [u8], value: &[u8]) -> Option<&'l [u8]> {
    rest.strip_prefix(value)?.strip_prefix(b"\"")
}

/// Whether what stands before the recipient number names this payer, or none if there is none.
fn names_payer(before: &[u8], payer: &[u8]) -> bool {
    const NAME: &[u8] = b"\"payer_number\":\"";
    if payer.is_empty() {
        return memchr::memmem::find(before, NAME).is_none();
    }
    let named = before.strip_suffix(b"\",").and_then(|before| before.strip_suffix(payer));
    named.is_some_and(|before| before.ends_with(NAME))
}

/// What follows `text`, which must come within `bytes`.
fn after<'l>(rest: &'l [u8], text: &[u8], bytes: usize) -> Option<&'l [u8]> {
    let place = memchr::memmem::find(rest.get(..bytes.min(rest.len()))?, text)?;
    rest.get(place + text.len()..)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: &str = "E\t54136015/1234567/2027-09-30/E\t/0000003/2026-03-31/X\n";
    const ANSWER: &str = concat!(
        r#"{"verdict":"eligible","action":"apply","service_date":"2026-11-22","entitlements":[{"order":1,"verdict":"eligible","#,
        r#""law_code":"54","scheme":"難病法 特定医療費","payer_number":"54136015","recipient_number":"1234567","#,
        r#""valid_from":"2026-10-01","valid_to":"2027-09-30","copay":{"rate_percent":20},"notes":[]},"#,
        r#"{"verdict":"expired","recipient_number":"0000003","valid_from":"2025-10-01","valid_to":"2026-03-31","notes":[]}],"#,
        r#""notes":[],"as_of":{"sequence":1204,"time":"2026-11-22T07:58:01+09:00"}}"#,
        "\n"
    );

    fn wrong(answer: &str, expected: &str) -> String {
        let day = Day::parse(b"2026-11-22").unwrap();
        assert!(!Quick::new().agrees(answer.as_bytes(), expected.as_bytes()));
        examine(answer.as_bytes(), expected.as_bytes(), day).unwrap_err()
    }

    #[test]
    fn a_right_answer_passes_both_readings() {
        assert!(Quick::new().agrees(ANSWER.as_bytes(), EXPECTED.as_bytes()));
        examine(ANSWER.as_bytes(), EXPECTED.as_bytes(), Day::parse(b"2026-11-22").unwrap()).unwrap();
    }

    #[test]
    fn a_wrong_answer_passes_neither() {
        assert_eq!(wrong(ANSWER, "N\n"), "expected N, got E:EX");
        let one = "E\t54136015/1234567/2027-09-30/E\n";
        assert_eq!(wrong(ANSWER, one), "expected E:E, got E:EX");
        for (from, to, part) in [
            ("54136015", "54136016", "payer number"),
            ("1234567", "1234568", "recipient number"),
            ("2026-03-31", "2026-03-30", "valid to"),
            (
                "\"recipient_number\":\"0000003\"",
                "\"payer_number\":\"88138243\",\"recipient_number\":\"0000003\"",
                "payer number",
            ),
            ("\"payer_number\":\"54136015\",", "", "payer number"),
        ] {
            assert_eq!(wrong(&ANSWER.replace(from, to), EXPECTED), format!("E:EX as expected, but another {part}"));
        }
        assert_eq!(wrong(&ANSWER.replace("[{", "[["), EXPECTED), "not JSON");
        let error = "{\"error\":{\"code\":\"bad_line\",\"message\":\"\"}}\n";
        assert_eq!(wrong(error, EXPECTED), "an error or not an answer: bad_line");
    }

    #[test]
    fn a_whole_reading_sees_what_a_quick_one_passes_over() {
        let day = Day::parse(b"2026-11-22").unwrap();
        for (from, to) in [
            ("\"service_date\":\"2026-11-22\"", "\"service_date\":\"2026-11-23\""),
            ("\"apply\"", "\"not_yet\""),
            ("\"order\":1", "\"order\":2"),
            ("\"law_code\":\"54\"", "\"law_code\":\"51\""),
        ] {
            assert!(examine(ANSWER.replace(from, to).as_bytes(), EXPECTED.as_bytes(), day).is_err(), "{to}");
        }
    }
}
