//! Where an answer ends: by its `Content-Length`, and by nothing else.

use memchr::memmem::Finder;

use crate::error::LoadError;

/// A head longer than this is none of ours.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What a head says that matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) head_bytes: usize,
    pub(crate) body_bytes: usize,
}

/// Reads heads.
pub(crate) struct HeadReader {
    end: Finder<'static>,
    length: Finder<'static>,
}

impl HeadReader {
    pub(crate) fn new() -> HeadReader {
        HeadReader { end: Finder::new("\r\n\r\n"), length: Finder::new("\r\nContent-Length: ") }
    }

    /// The head at the beginning of `bytes`; `None` while it is not all there.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Option<Head>, LoadError> {
        let Some(end) = self.end.find(bytes) else {
            return if bytes.len() > HEAD_BYTES_MAX { Err(LoadError::NotHttp("the head does not end")) } else { Ok(None) };
        };
        let head = bytes.get(..end).unwrap_or_default();
        let status = head.strip_prefix(b"HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(decimal);
        let status = status.and_then(|status| u16::try_from(status).ok()).ok_or(LoadError::NotHttp("no status line"))?;
        let body_bytes = self.body_bytes(head).ok_or(LoadError::NotHttp("no Content-Length"))?;
        Ok(Some(Head { status, head_bytes: end + 4, body_bytes }))
    }

    fn body_bytes(&self, head: &[u8]) -> Option<usize> {
        let place = self.length.find(head)?;
        let value = head.get(place + self.length.needle().len()..)?;
        decimal(value.get(..memchr::memchr(b'\r', value).unwrap_or(value.len()))?)
    }
}

fn decimal(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 Ok\r\nServer: M\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nN\nHTTP";

    #[test]
    fn a_head_is_read_once_it_is_all_there() {
        let reader = HeadReader::new();
        let head_bytes = ANSWER.len() - 6;
        for cut in 0..ANSWER.len() {
            let head = reader.read(&ANSWER[..cut]).unwrap();
            assert_eq!(head, (cut >= head_bytes).then_some(Head { status: 200, head_bytes, body_bytes: 2 }), "{cut}");
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let reader = HeadReader::new();
        for bytes in [
            &b"HTTP/1.1 200 Ok\r\n\r\n"[..],
            b"HTTP/1.1 200 Ok\r\nContent-Length: x\r\n\r\n",
            b"HTTP/1.0 200 Ok\r\nContent-Length: 0\r\n\r\n",
            &[b'a'; HEAD_BYTES_MAX + 1],
        ] {
            assert!(reader.read(bytes).is_err());
        }
    }
}
