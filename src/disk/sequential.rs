//! A file read or written from its beginning to its end, as the standard library's buffers want it.

use std::io::{self, Read, Write};

use super::DiskFile;

/// Reads a file from its beginning. What is appended after this was made is not read.
#[derive(Debug)]
pub struct Sequential {
    file: Box<dyn DiskFile>,
    offset: u64,
    length: u64,
}

impl Sequential {
    /// From the first byte to the last that is there now.
    pub fn of(file: Box<dyn DiskFile>) -> io::Result<Sequential> {
        let length = file.length()?;
        Ok(Sequential { file, offset: 0, length })
    }

    /// How many bytes there are in all.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Read for Sequential {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length - self.offset).unwrap_or(usize::MAX);
        let step = left.min(bytes.len());
        let Some(bytes) = bytes.get_mut(..step) else { return Ok(0) };
        self.file.read_exact_at(bytes, self.offset)?;
        self.offset += step as u64;
        Ok(step)
    }
}

/// Appends to a file; every `write` is one whole append, so wrap it in a buffer.
#[derive(Debug)]
pub struct Appending(Box<dyn DiskFile>);

impl Appending {
    /// Behind what the file holds.
    pub fn to(file: Box<dyn DiskFile>) -> Appending {
        Appending(file)
    }

    /// Makes everything written durable.
    pub fn sync(&mut self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Write for Appending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
