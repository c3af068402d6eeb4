//! RESP2, as much of it as is said here.

/// Arrays within arrays are never asked for.
const DEPTH_MAX: u32 = 4;
const LINE_BYTES_MAX: usize = 64 * 1024;

/// Appends a command.
pub(super) fn command(words: &[&str], out: &mut Vec<u8>) {
    array(words.len(), out);
    words.iter().for_each(|word| bulk(word.as_bytes(), out));
}

/// Appends the head of an array of `count`.
pub(super) fn array(count: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{count}\r\n").as_bytes());
}

/// Appends a string.
pub(super) fn bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The bytes of the answer at the beginning; `None` while it is not all there.
pub(in crate::peers) fn answer_bytes(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    element(bytes, 0)
}

fn element(bytes: &[u8], depth: u32) -> Result<Option<usize>, &'static str> {
    let Some((kind, rest)) = bytes.split_first() else { return Ok(None) };
    if !b"+-:$*".contains(kind) {
        return Err("an unknown kind of answer");
    }
    let Some(end) = memchr::memchr(b'\r', rest) else {
        return if rest.len() > LINE_BYTES_MAX { Err("a line that does not end") } else { Ok(None) };
    };
    match rest.get(end + 1) {
        None => return Ok(None),
        Some(b'\n') => {}
        Some(_) => return Err("a line that ends badly"),
    }
    let (line, head_bytes) = (rest.get(..end).unwrap_or_default(), end + 3);
    match kind {
        b'$' => match count(line)? {
            None => Ok(Some(head_bytes)),
            Some(length) => match bytes.get(head_bytes + length..head_bytes + length + 2) {
                None => Ok(None),
                Some(b"\r\n") => Ok(Some(head_bytes + length + 2)),
                Some(_) => Err("a string that ends badly"),
            },
        },
        b'*' if depth == DEPTH_MAX => Err("arrays too deep"),
        b'*' => {
            let mut end = head_bytes;
            for _ in 0..count(line)?.unwrap_or(0) {
                match element(bytes.get(end..).unwrap_or_default(), depth + 1)? {
                    None => return Ok(None),
                    Some(length) => end += length,
                }
            }
            Ok(Some(end))
        }
        _ => Ok(Some(head_bytes)),
    }
}

/// A length; `None` is the one below zero that means nothing is there.
fn count(digits: &[u8]) -> Result<Option<usize>, &'static str> {
    if digits == b"-1" {
        return Ok(None);
    }
    if digits.is_empty() || digits.len() > 9 {
        return Err("a length that is none");
    }
    let value = digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + usize::from(digit - b'0')));
    value.map(Some).ok_or("a length that is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_an_array_of_strings() {
        let mut out = Vec::new();
        command(&["GET", "千代田"], &mut out);
        assert_eq!(out, "*2\r\n$3\r\nGET\r\n$9\r\n千代田\r\n".as_bytes());
        assert_eq!(answer_bytes(&out), Ok(Some(out.len())), "a command is well formed as an answer too");
    }

    #[test]
    fn answers_of_every_kind_are_measured_once_they_are_all_there() {
        for answer in [
            &b"+OK\r\n"[..],
            b"-ERR no\r\n",
            b":12\r\n",
            b"$-1\r\n",
            b"$0\r\n\r\n",
            b"$3\r\na\r\n\r\n",
            b"*-1\r\n",
            b"*0\r\n",
            b"*3\r\n$1\r\na\r\n$-1\r\n*1\r\n:5\r\n",
        ] {
            let stream = [answer, b"+next"].concat();
            assert_eq!(answer_bytes(&stream), Ok(Some(answer.len())), "{}", String::from_utf8_lossy(answer));
            for cut in 0..answer.len() {
                assert_eq!(answer_bytes(&answer[..cut]), Ok(None), "{} cut at {cut}", String::from_utf8_lossy(answer));
            }
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let deep = b"*1\r\n".repeat(10);
        for bytes in [
            &b"HTTP/1.1"[..],
            b"$x\r\n",
            b"$\r\n",
            b"$-2\r\n",
            b"$1\r\nabc",
            b"+OK\rx",
            b"$9999999999\r\n",
            &deep,
            &[b'+'; LINE_BYTES_MAX + 2],
        ] {
            assert!(answer_bytes(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
