//! The head that the program's own formats share: a magic of eight bytes, a format version, and fields at fixed places behind. Numbers
//! are little endian. Where a checksum covers it, that stands in its last eight bytes.

use xxhash_rust::xxh3::xxh3_64;

/// Where the version stands.
const VERSION: usize = 8;
/// The length of the checksum, bytes.
const CHECKSUM: usize = 8;

/// A format of the program's own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// What it begins with.
    pub(crate) magic: [u8; 8],
    /// The version that is written, and the newest that is read.
    pub(crate) version: u32,
}

/// Why bytes do not begin as a format does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    /// They begin with something else.
    Magic,
    /// They are not as they were written.
    Checksum,
    /// A later version of the program wrote them.
    Newer(u32),
}

impl Format {
    /// Begins one that will be so many bytes long.
    pub(crate) fn begin(&self, bytes: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&self.magic);
        out.extend_from_slice(&self.version.to_le_bytes());
        out
    }

    /// Judges how bytes begin.
    pub(crate) fn check(&self, bytes: &[u8]) -> Result<(), HeadError> {
        if !bytes.starts_with(&self.magic) {
            return Err(HeadError::Magic);
        }
        match u32::from_le_bytes(part(bytes, VERSION)) {
            // Nobody ever wrote one.
            0 => Err(HeadError::Magic),
            version if version > self.version => Err(HeadError::Newer(version)),
            _ => Ok(()),
        }
    }

    /// The same of a head that ends with its checksum: a version is believed only where that is right.
    pub(crate) fn check_covered(&self, head: &[u8]) -> Result<(), HeadError> {
        let covered = head.split_last_chunk::<CHECKSUM>();
        let is_whole = covered.is_some_and(|(covered, checksum)| xxh3_64(covered).to_le_bytes() == *checksum);
        if head.starts_with(&self.magic) && !is_whole { Err(HeadError::Checksum) } else { self.check(head) }
    }
}

/// Ends a head with the checksum of everything before.
pub(crate) fn cover(mut out: Vec<u8>) -> Vec<u8> {
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// The bytes at a place of a structure; zeros where it ends before, which the lengths of what is read exclude.
pub(crate) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()).copied().unwrap_or([0; N])
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { magic: *b"SHIKTEST", version: 2 };

    fn head(version: u32) -> Vec<u8> {
        let mut out = Format { version, ..FORMAT }.begin(24);
        out.extend_from_slice(&[0xab; 4]);
        cover(out)
    }

    #[test]
    fn versions_up_to_the_own_are_read_a_newer_one_is_named_and_none_is_0() {
        for (version, judged) in [(0, Err(HeadError::Magic)), (1, Ok(())), (2, Ok(())), (3, Err(HeadError::Newer(3)))] {
            assert_eq!(FORMAT.check(&head(version)), judged);
            assert_eq!(FORMAT.check_covered(&head(version)), judged);
        }
    }

    #[test]
    fn something_else_is_told_from_what_was_damaged_and_no_version_is_believed_that_was() {
        for place in 0..head(2).len() {
            let mut flipped = head(2);
            flipped[place] ^= 0x10;
            let judged = if place < 8 { HeadError::Magic } else { HeadError::Checksum };
            assert_eq!(FORMAT.check_covered(&flipped), Err(judged), "byte {place}");
        }
        assert_eq!(FORMAT.check(b"SHIKTES"), Err(HeadError::Magic));
        assert_eq!(FORMAT.check_covered(b"SHIKTEST"), Err(HeadError::Checksum));
    }

    #[test]
    fn a_part_is_read_where_it_stands() {
        assert_eq!(part::<4>(&head(2), 12), [0xab; 4]);
        assert_eq!(part::<8>(b"too short", 4), [0; 8]);
    }
}
