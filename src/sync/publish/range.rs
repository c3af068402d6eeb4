//! `Range` and `If-Range` (RFC 9110, sections 13.1.5 and 14.2), one range at a time.

use std::ops::Range;

/// What of a file is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// All of it.
    Whole,
    /// A part of it, which is not empty.
    Part(Range<u64>),
    /// A part that does not lie within it.
    Outside,
}

impl Asked {
    /// Of a file of so many bytes, whose entity tag is this. A header that is no range, or asks for several, is passed over, as the RFC
    /// allows; a range that was for another content is none.
    pub(super) fn of(range: Option<&str>, if_range: Option<&str>, etag: &str, bytes: u64) -> Asked {
        let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else { return Asked::Whole };
        if if_range.is_some_and(|condition| condition != etag) {
            return Asked::Whole;
        }
        let Some((first, last)) = range.split_once('-') else { return Asked::Whole };
        let part = match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(bytes),
            (Some(first), None) if last.is_empty() => first..bytes,
            (None, Some(last)) if first.is_empty() => bytes.saturating_sub(last)..bytes,
            _ => return Asked::Whole,
        };
        if part.start < part.end { Asked::Part(part) } else { Asked::Outside }
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_as_the_rfc_says() {
        let asked = |range| Asked::of(Some(range), None, "\"tag\"", 100);
        assert_eq!(asked("bytes=0-9"), Asked::Part(0..10));
        assert_eq!(asked("bytes=90-"), Asked::Part(90..100));
        assert_eq!(asked("bytes=90-1000"), Asked::Part(90..100));
        assert_eq!(asked("bytes=-10"), Asked::Part(90..100));
        assert_eq!(asked("bytes=-1000"), Asked::Part(0..100));
        for outside in ["bytes=100-", "bytes=100-200", "bytes=-0"] {
            assert_eq!(asked(outside), Asked::Outside, "{outside}");
        }
        for passed_over in ["bytes=9-0", "bytes=0-1,5-6", "bytes=-", "bytes=a-b", "bytes=+1-2", "lines=1-2", ""] {
            assert_eq!(asked(passed_over), Asked::Whole, "{passed_over}");
        }
        assert_eq!(Asked::of(None, None, "\"tag\"", 100), Asked::Whole);
    }

    #[test]
    fn a_range_of_another_content_is_none() {
        assert_eq!(Asked::of(Some("bytes=5-"), Some("\"tag\""), "\"tag\"", 100), Asked::Part(5..100));
        for other in ["\"other\"", "W/\"tag\"", "Wed, 25 Nov 2026 10:00:00 GMT"] {
            assert_eq!(Asked::of(Some("bytes=5-"), Some(other), "\"tag\"", 100), Asked::Whole, "{other}");
        }
    }
}
