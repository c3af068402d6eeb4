//! memcached's text protocol, as much of it as is heard here.

const LINE_BYTES_MAX: usize = 64 * 1024;

/// Appends a value as it is answered.
pub(super) fn value(key: &str, bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("VALUE {key} 0 {}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// The bytes of the answer at the beginning, values or statistics to their end or a single line; `None` while it is not all there.
pub(in crate::peers) fn answer_bytes(bytes: &[u8]) -> Result<Option<usize>, &'static str> {
    let mut end = 0;
    loop {
        let rest = bytes.get(end..).unwrap_or_default();
        let Some(line_end) = memchr::memchr(b'\n', rest) else {
            return if rest.len() > LINE_BYTES_MAX { Err("a line that does not end") } else { Ok(None) };
        };
        let line = rest.get(..line_end).and_then(|line| line.strip_suffix(b"\r")).ok_or("a line that ends badly")?;
        end += line_end + 1;
        if let Some(about) = line.strip_prefix(b"VALUE ") {
            let length = length(about)?;
            match bytes.get(end + length..end + length + 2) {
                None => return Ok(None),
                Some(b"\r\n") => end += length + 2,
                Some(_) => return Err("a value that ends badly"),
            }
        } else if !line.starts_with(b"STAT ") {
            return Ok(Some(end));
        }
    }
}

/// The last of key, flags and length.
fn length(about: &[u8]) -> Result<usize, &'static str> {
    let mut words = about.split(|byte| *byte == b' ').skip(2);
    let digits = words.next().unwrap_or_default();
    if digits.is_empty() || digits.len() > 9 || words.next().is_some() {
        return Err("a length that is none");
    }
    let value = digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + usize::from(digit - b'0')));
    value.ok_or("a length that is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_every_kind_are_measured_once_they_are_all_there() {
        let mut values = Vec::new();
        value("k1", b"a\r\nEND\r\n", &mut values);
        value("k2", b"", &mut values);
        values.extend_from_slice(b"END\r\n");
        for answer in [&values[..], b"END\r\n", b"VERSION 1.6\r\n", b"ERROR\r\n", b"STAT a 1\r\nSTAT b 2\r\nEND\r\n"] {
            let stream = [answer, b"VALUE k"].concat();
            assert_eq!(answer_bytes(&stream), Ok(Some(answer.len())), "{}", String::from_utf8_lossy(answer));
            for cut in 0..answer.len() {
                assert_eq!(answer_bytes(&answer[..cut]), Ok(None), "{} cut at {cut}", String::from_utf8_lossy(answer));
            }
        }
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for bytes in [
            &b"END\n"[..],
            b"VALUE k 0\r\n",
            b"VALUE k 0 x\r\n",
            b"VALUE k 0 1 2\r\n",
            b"VALUE k 0 1\r\nabc",
            &[b'a'; LINE_BYTES_MAX + 1],
        ] {
            assert!(answer_bytes(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }
}
