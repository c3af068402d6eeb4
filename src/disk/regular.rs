//! A file that somebody names, and that may be anything.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;

/// Opens a regular file for reading; `None` where it is a pipe, a directory or a device. Nothing is waited for.
pub(crate) fn open_regular(path: &Path) -> io::Result<Option<File>> {
    // Opening a device may do something, so it is asked what it is before it is opened.
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    // A pipe that was put in its place meanwhile would wait for its writer.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}
