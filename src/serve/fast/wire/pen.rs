//! Writing an answer's many small pieces into a reply: room for all of them is made once, and then each piece is a copy and no more.

use bytes::BytesMut;

/// Writes into room that was made before. What does not fit is counted all the same, so that it can be written again with enough.
pub(super) struct Pen<'a> {
    room: &'a mut [u8],
    at: usize,
}

/// Appends what `write` writes, with `room_bytes` of room, or as much as it turns out to take.
#[inline]
pub(super) fn append(out: &mut BytesMut, mut room_bytes: usize, write: impl Fn(&mut Pen<'_>)) {
    let start = out.len();
    loop {
        out.resize(start + room_bytes, 0);
        let mut pen = Pen { room: out.get_mut(start..).unwrap_or_default(), at: 0 };
        write(&mut pen);
        let written_bytes = pen.at;
        if written_bytes <= room_bytes {
            return out.truncate(start + written_bytes);
        }
        room_bytes = written_bytes;
    }
}

impl Pen<'_> {
    /// Writes a piece whose length the compiler knows.
    #[inline]
    pub(super) fn put<const N: usize>(&mut self, piece: &[u8; N]) {
        if let Some(place) = self.room.get_mut(self.at..).and_then(|room| room.first_chunk_mut::<N>()) {
            *place = *piece;
        }
        self.at += N;
    }

    /// Writes a text.
    #[inline]
    pub(super) fn text(&mut self, text: &[u8]) {
        if let Some(place) = self.room.get_mut(self.at..).and_then(|room| room.get_mut(..text.len())) {
            place.copy_from_slice(text);
        }
        self.at += text.len();
    }

    /// Writes a number in decimal digits.
    #[inline]
    pub(super) fn number(&mut self, value: u32) {
        let mut digits = [0u8; 10];
        let mut rest = value;
        let mut length = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
            length += 1;
            if rest == 0 {
                break;
            }
        }
        self.text(digits.get(digits.len() - length..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_stands_behind_what_was_there_whatever_room_was_made() {
        for room_bytes in 1..40 {
            let mut out = BytesMut::from("before ");
            append(&mut out, room_bytes, |pen| {
                pen.put(b"a piece, ");
                pen.text("品川 ".as_bytes());
                for number in [0, 7, 10, 4_294_967_295] {
                    pen.number(number);
                }
            });
            assert_eq!(out, "before a piece, 品川 07104294967295");
        }
    }
}
