//! Bytes that came and were not yet read as answers.

use std::io::{self, Read};

use super::Framing;
use crate::error::LoadError;

const BYTES_FIRST: usize = 128 * 1024;
/// With less room than this it is not worth asking the kernel.
const ROOM_BYTES_MIN: usize = 16 * 1024;

/// A buffer that begins anew whenever it has been emptied, so that it stays in the cache.
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox { bytes: vec![0; BYTES_FIRST], start: 0, end: 0 }
    }

    /// Forgets what came, for another connection.
    pub(crate) fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Reads once. Says how many bytes came, and whether there may be more.
    pub(crate) fn fill(&mut self, from: &mut impl Read) -> io::Result<(usize, bool)> {
        self.make_room();
        let room = self.bytes.get_mut(self.end..).unwrap_or_default();
        let count = from.read(room)?;
        let full = count == room.len();
        self.end += count;
        Ok((count, full))
    }

    /// Takes out the next whole answer: its status, and its body for `read`.
    pub(crate) fn take<T>(&mut self, heads: &impl Framing, read: impl FnOnce(u16, &[u8]) -> T) -> Result<Option<T>, LoadError> {
        let held = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some(head) = heads.read(held)? else { return Ok(None) };
        let answer_bytes = head.head_bytes + head.body_bytes;
        let Some(body) = held.get(head.head_bytes..answer_bytes) else {
            self.expect(answer_bytes);
            return Ok(None);
        };
        let taken = read(head.status, body);
        self.start += answer_bytes;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(Some(taken))
    }

    /// Grows to hold an answer of that many bytes.
    fn expect(&mut self, answer_bytes: usize) {
        let needed = answer_bytes + ROOM_BYTES_MIN;
        if self.bytes.len() < needed {
            self.bytes.resize(needed.next_power_of_two(), 0);
        }
    }

    fn make_room(&mut self) {
        if self.bytes.len() - self.end < ROOM_BYTES_MIN {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // An answer without a head does not say beforehand how long it will be.
        if self.bytes.len() - self.end < ROOM_BYTES_MIN {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::HeadReader;

    /// Gives its bytes in packets of a length.
    struct Packets<'b>(&'b [u8], usize);

    impl Read for Packets<'_> {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(room.len()).min(self.0.len());
            let (packet, rest) = self.0.split_at(count);
            room[..count].copy_from_slice(packet);
            self.0 = rest;
            Ok(count)
        }
    }

    fn answer(status: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {status} Ok\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn answers_come_out_whole_however_they_were_cut_into_packets() {
        let bodies: Vec<(u16, Vec<u8>)> = (0..40_usize)
            .map(|nth| (if nth % 7 == 0 { 400 } else { 200 }, vec![b'a' + (nth % 26) as u8; nth * nth * 400]))
            .collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|(status, body)| answer(*status, body)).collect();
        for packet_bytes in [1_000, 1_447, 65_536, 1_000_000] {
            let (mut inbox, heads, mut packets) = (Inbox::new(), HeadReader::new(), Packets(&stream, packet_bytes));
            let mut came = Vec::new();
            while inbox.fill(&mut packets).unwrap().0 > 0 {
                while let Some(one) = inbox.take(&heads, |status, body| (status, body.to_vec())).unwrap() {
                    came.push(one);
                }
            }
            assert!(came == bodies, "in packets of {packet_bytes}");
        }
    }

    #[test]
    fn answers_come_out_whole_byte_by_byte() {
        let stream = [answer(200, b"N\n"), answer(200, b""), answer(503, b"later")].concat();
        let (mut inbox, heads, mut packets) = (Inbox::new(), HeadReader::new(), Packets(&stream, 1));
        let mut came = Vec::new();
        while inbox.fill(&mut packets).unwrap().0 > 0 {
            while let Some(one) = inbox.take(&heads, |status, body| (status, body.to_vec())).unwrap() {
                came.push(one);
            }
        }
        assert_eq!(came, [(200, b"N\n".to_vec()), (200, Vec::new()), (503, b"later".to_vec())]);
    }
}
