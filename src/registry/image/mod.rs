//! The image: what the memory holds, written down so that a start need not ask the store for it. A cache and nothing more: it is
//! believed only as far as it adds up, and may be deleted at any time.
//!
//! ```text
//!  0  "SHIKIMAG"    8  u32 version (2)    12  u32 zero    16  u64 length of what follows up to the parts, bytes
//! 24  u64 xxh3-64 of it: the store's meta record, then the tally
//!  …  parts: u64 length, u64 length unpacked, a multiple of 8, u64 xxh3-64 of the bytes, the bytes: zstd of dossiers, one behind
//!     the other
//!  …  the end: u64 zero, u64 number of parts
//! ```

mod keeping;
mod reader;
mod tally;
mod writer;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub(super) use keeping::Images;
pub use keeping::{ImageOptions, Pace};
pub(super) use reader::ImageReader;

const MAGIC: &[u8; 8] = b"SHIKIMAG";
const VERSION: u32 = 2;
const HEAD_BYTES: usize = 32;
/// Parts are closed at this size, unpacked, so that several threads can work on one file.
const PART_BYTES: usize = 4 << 20;
/// No part is larger: one dossier may go over the size at which it is closed.
const PART_BYTES_MAX: u64 = PART_BYTES as u64 + (1 << 20);
/// How hard zstd tries: a start unpacks as quickly whatever the level, and a fifth of the size is enough.
const PACKING_LEVEL: i32 = 1;
/// The head is the meta record and a tally, whose size is that of the masters.
const TOTALS_BYTES_MAX: u64 = 256 << 20;

/// Where the image of a directory lies.
pub(super) fn path(directory: &Path) -> PathBuf {
    directory.join("image")
}
