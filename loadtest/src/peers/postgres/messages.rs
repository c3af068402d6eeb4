//! PostgreSQL's messages, version 3, as many of them as are said here.

/// 196608: version 3.0.
const VERSION: i32 = 3 << 16;
const TYPE_TEXT: i32 = 25;
/// The name of the prepared statement.
const STATEMENT: &[u8] = b"answer\0";
/// A longer message is none that was asked for.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// The first message, which alone has no kind.
pub(super) fn startup(user: &str, database: &str) -> Vec<u8> {
    let mut body = VERSION.to_be_bytes().to_vec();
    for word in ["user", user, "database", database, ""] {
        body.extend_from_slice(word.as_bytes());
        body.push(0);
    }
    [&length(&body)[..], &body].concat()
}

/// A query that is answered to its end.
pub(super) fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"])
}

/// Prepares the statement, with one text parameter.
pub(super) fn prepare(text: &str) -> Vec<u8> {
    let prepared = message(b'P', &[STATEMENT, text.as_bytes(), b"\0", &1_i16.to_be_bytes(), &TYPE_TEXT.to_be_bytes()]);
    [prepared, message(b'S', &[])].concat()
}

/// Runs the prepared statement with a parameter.
pub(super) fn execute(parameter: &str) -> Vec<u8> {
    let no_portal_name = b"\0";
    let (none, one) = (0_i16.to_be_bytes(), 1_i16.to_be_bytes());
    let parts = [no_portal_name, STATEMENT, &none, &one, &count(parameter.len()), parameter.as_bytes(), &none];
    let all_rows = 0_i32.to_be_bytes();
    [message(b'B', &parts), message(b'E', &[no_portal_name, &all_rows]), message(b'S', &[])].concat()
}

/// What comes back when the statement finds one value.
pub(super) fn found(value: &str) -> Vec<u8> {
    let one = 1_i16.to_be_bytes();
    let row = message(b'D', &[&one, &count(value.len()), value.as_bytes()]);
    [message(b'2', &[]), row, message(b'C', &[b"SELECT 1\0"]), message(b'Z', &[b"I"])].concat()
}

/// A piece of what is copied in.
pub(super) fn copy_data(bytes: &[u8]) -> Vec<u8> {
    message(b'd', &[bytes])
}

/// The end of what is copied in.
pub(super) fn copy_done() -> Vec<u8> {
    message(b'c', &[])
}

/// A row of `COPY`'s text form.
pub(super) fn copy_row(columns: [&str; 2], out: &mut Vec<u8>) {
    for (nth, column) in columns.into_iter().enumerate() {
        if nth > 0 {
            out.push(b'\t');
        }
        for byte in column.bytes() {
            match byte {
                b'\t' => out.extend_from_slice(b"\\t"),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\\' => out.extend_from_slice(b"\\\\"),
                other => out.push(other),
            }
        }
    }
    out.push(b'\n');
}

/// The bytes of the answer at the beginning: all messages up to the one that says it is somebody else's turn. `None` while that has
/// not come.
pub(in crate::peers) fn answer_bytes(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut end = 0;
    while let Some(message) = next(bytes.get(end..).unwrap_or_default())? {
        end += message.bytes;
        // `Z`: ready for a query; `G`: ready for what is to be copied in.
        if matches!(message.kind, b'Z' | b'G') {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// The error in an answer: its code and its message.
pub(super) fn error(answer: &[u8]) -> Option<String> {
    let mut rest = answer;
    while let Ok(Some(message)) = next(rest) {
        if message.kind == b'E' {
            let field = |letter: u8| {
                let mut fields = message.body.split(|byte| *byte == 0);
                let found = fields.find_map(|field| field.split_first().filter(|(kind, _)| **kind == letter));
                found.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
            };
            return Some(format!("{} {}", field(b'C'), field(b'M')));
        }
        rest = rest.get(message.bytes..)?;
    }
    None
}

/// The text of the first column of the first row.
pub(super) fn first_value(answer: &[u8]) -> Option<String> {
    let mut rest = answer;
    while let Ok(Some(message)) = next(rest) {
        if message.kind == b'D' {
            return message.body.get(6..).map(|text| String::from_utf8_lossy(text).into_owned());
        }
        rest = rest.get(message.bytes..)?;
    }
    None
}

struct Message<'b> {
    kind: u8,
    body: &'b [u8],
    /// Of the whole message.
    bytes: usize,
}

/// The first message, once it is all there.
fn next(bytes: &[u8]) -> Result<Option<Message<'_>>, &'static str> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !kind.is_ascii_alphanumeric() {
        return Err("an unknown kind of message");
    }
    let Some(length) = rest.first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| "a length below zero")?;
    if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
        return Err("a length that is none");
    }
    Ok(rest.get(4..length).map(|body| Message { kind: *kind, body, bytes: length + 1 }))
}

fn message(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    [&[kind][..], &length(&body), &body].concat()
}

/// The length field, which counts itself.
fn length(body: &[u8]) -> [u8; 4] {
    count(body.len() + 4)
}

fn count(value: usize) -> [u8; 4] {
    i32::try_from(value).unwrap_or(i32::MAX).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_the_server_is_ready_again_however_it_was_cut() {
        let answer = found("E\t54136015/1234567/2027-09-30/E");
        let stream = [&answer[..], b"2"].concat();
        assert_eq!(answer_bytes(&stream), Ok(Some(answer.len())));
        for cut in 0..answer.len() {
            assert_eq!(answer_bytes(&answer[..cut]), Ok(None), "cut at {cut}");
        }
        assert_eq!(first_value(&answer).as_deref(), Some("E\t54136015/1234567/2027-09-30/E"));
        assert_eq!(error(&answer), None);
    }

    #[test]
    fn messages_have_their_lengths() {
        assert_eq!(query("x"), b"Q\0\0\0\x06x\0");
        assert_eq!(startup("u", "d"), b"\0\0\0\x1b\0\x03\0\0user\0u\0database\0d\0\0".as_slice());
        let executed = execute("key");
        let lengths: Vec<(u8, usize)> = {
            let (mut rest, mut found) = (&executed[..], Vec::new());
            while let Ok(Some(message)) = next(rest) {
                found.push((message.kind, message.body.len()));
                rest = &rest[message.bytes..];
            }
            assert!(rest.is_empty());
            found
        };
        assert_eq!(lengths, [(b'B', 1 + STATEMENT.len() + 2 + 2 + 4 + 3 + 2), (b'E', 5), (b'S', 0)]);
    }

    #[test]
    fn an_error_is_told_by_its_code_and_message() {
        let answer = [message(b'E', &[b"SERROR\0C42P01\0Mno such table\0\0"]), message(b'Z', &[b"I"])].concat();
        assert_eq!(error(&answer).as_deref(), Some("42P01 no such table"));
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bytes in [&b"\0\0\0\0\x04"[..], b"Z\0\0\0\x03", b"Z\xff\xff\xff\xff", b"D\x7f\xff\xff\xff"] {
            assert!(answer_bytes(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_copied_row_keeps_what_would_end_a_column() {
        let mut out = Vec::new();
        copy_row(["a\\b", "E\t1/2"], &mut out);
        assert_eq!(out, b"a\\\\b\tE\\t1/2\n");
    }
}
