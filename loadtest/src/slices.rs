//! Many byte strings in one piece of memory, in the order they are needed, so that reading them in turn is what the machine does best.

use std::ops::Range;

/// Byte strings end to end.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Slices {
    pub(crate) fn push(&mut self, slice: &[u8]) {
        self.bytes.extend_from_slice(slice);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn bytes_total(&self) -> usize {
        self.bytes.len()
    }

    /// String `nth`; empty beyond the last.
    pub(crate) fn slice(&self, nth: usize) -> &[u8] {
        self.run(nth..nth + 1)
    }

    /// Strings of a range as one.
    pub(crate) fn run(&self, range: Range<usize>) -> &[u8] {
        self.bytes.get(self.start(range.start)..self.start(range.end)).unwrap_or_default()
    }

    /// Where string `nth` begins; for the one after the last, where all end.
    fn start(&self, nth: usize) -> usize {
        match nth.checked_sub(1) {
            None => 0,
            Some(before) => self.ends.get(before).copied().unwrap_or(self.bytes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_back_alone_and_in_runs() {
        let mut slices = Slices::default();
        for text in ["one", "", "three"] {
            slices.push(text.as_bytes());
        }
        assert_eq!(slices.len(), 3);
        assert_eq!([slices.slice(0), slices.slice(1), slices.slice(2), slices.slice(3)], [b"one", &b""[..], b"three", b""]);
        assert_eq!(slices.run(0..3), b"onethree");
    }
}
